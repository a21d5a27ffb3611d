import { lowestSid } from '../sids.ts'
import { long, type Tx } from '../storage/database.ts'
import { deleteNames, deleteRow, insert, someSids } from '../storage/rows.ts'
import type { RemovalRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import type { AnyResource } from './declare.ts'
import type { Registry } from './registry.ts'

const anyRemoval = shape<{ none?: null }>()((db) => db.selectFrom('removals').selectAll().orderBy('sid').limit(1))

const oldDeliveries = shape<{ before: string; limit: number }>()((db, a) =>
  db
    .deleteFrom('deliveries')
    .where('id', 'in', (eb) =>
      eb
        .selectFrom('deliveries')
        .select('id')
        .where('id', '<', a.before)
        .where('status', '!=', 'pending')
        .orderBy('id')
        .limit(a.limit),
    ),
)

/** Removes a batch of rows that no resource declares, by the column and SID of their removed parent. Returns how many. */
export type RemoveMore = (tx: Tx, column: string, sid: string, max: number) => Promise<number>

/** Commands that remove rows to which no path leads any more, and old deliveries. */
export function removalCommands(registry: Registry, removeMore: RemoveMore) {
  return {
    /** Removes a batch of rows below a removed one. Returns whether there may be more. */
    removeSome: long(async (tx: Tx, input: { limit: number }): Promise<boolean> => {
      const [removal] = await tx.claim(anyRemoval, {})
      if (!removal) return false
      const parent = registry.ofSid(removal.sid)
      const dependents = parent && registry.dependents(parent)
      if (dependents) {
        if ((await removeMore(tx, dependents.column, removal.sid, input.limit)) > 0) return true
        for (const child of dependents.resources) {
          if ((await removeRows(tx, registry, child, dependents.column, removal, input.limit)) > 0) return true
        }
      }
      await tx.run(deleteRow('removals', ['sid']), { sid: removal.sid })
      return true
    }),

    /** Removes a batch of finished deliveries created before an instant. Returns how many. */
    removeOldDeliveries: long(
      (tx: Tx, input: { before: number; limit: number }): Promise<number> =>
        tx.run(oldDeliveries, { before: lowestSid('delivery', input.before), limit: input.limit }),
    ),
  }
}

/** Removes a batch of child rows, and records each so that its own child rows are removed in turn. */
async function removeRows(
  tx: Tx,
  registry: Registry,
  child: AnyResource,
  column: string,
  removal: RemovalRow,
  max: number,
): Promise<number> {
  const found = await tx.all(someSids(child.table, column), { [column]: removal.sid, max })
  const hasChildren = child.cascade !== 'inline' && registry.dependents(child)
  await Promise.all(
    found.map(async ({ sid }) => {
      await tx.run(deleteNames(child.table, [column, 'sid']), { [column]: removal.sid, sid })
      if (hasChildren) await insert(tx, 'removals', { sid, date_created: removal.date_created })
    }),
  )
  return found.length
}
