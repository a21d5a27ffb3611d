import { removeSomeMedia } from '../media/rows.ts'
import { resources } from '../resources/index.ts'
import { lowestSid } from '../sids.ts'
import { long, type Tx } from '../storage/database.ts'
import { deleteRow, insertRow, someSids } from '../storage/rows.ts'
import type { RemovalRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import type { AnyResource } from './declare.ts'
import { below } from './registry.ts'

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

export const cleanupCommands = {
  /** Removes a batch of what lay below a deleted row. Answers whether there may be more to remove. */
  removeSome: long(async (tx: Tx, input: { limit: number }): Promise<boolean> => {
    const [removal] = await tx.claim(anyRemoval, {})
    if (!removal) return false
    const parent = resources.find((resource) => resource.sid !== null && removal.sid.startsWith(resource.sid))
    const rows = parent && below(parent)
    if (rows && (await removeSomeMedia(tx, rows.column, removal.sid, input.limit)) > 0) return true
    for (const child of rows?.resources ?? []) {
      if ((await removeRows(tx, child, rows?.column as string, removal, input.limit)) > 0) return true
    }
    await tx.run(deleteRow('removals', ['sid']), { sid: removal.sid })
    return true
  }),

  /** Removes a batch of finished deliveries made before an instant. Answers how many. */
  forgetDeliveries: long(
    (tx: Tx, input: { before: number; limit: number }): Promise<number> =>
      tx.run(oldDeliveries, { before: lowestSid('WD', input.before), limit: input.limit }),
  ),
}

/** A batch of rows below a removed one; what lies below each of them is put down to be removed in its turn. */
async function removeRows(tx: Tx, child: AnyResource, column: string, removal: RemovalRow, most: number): Promise<number> {
  const found = await tx.all(someSids(child.table, column), { [column]: removal.sid, most })
  const more = !child.holdsFew && below(child)
  await Promise.all(
    found.map(async ({ sid }) => {
      await tx.run(deleteRow(child.table, [column, 'sid']), { [column]: removal.sid, sid })
      if (more) await tx.run(insertRow('removals', ['sid', 'date_created']), { sid, date_created: removal.date_created })
    }),
  )
  return found.length
}
