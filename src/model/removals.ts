import { lowestSid } from '../sids.ts'
import { long, type Tx } from '../storage/database.ts'
import { deleteNames, deleteRow, deleteSome, insert, someSids } from '../storage/rows.ts'
import type { DeliveryStatus, RemovalRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { applyStep } from './change.ts'
import type { AnyResource, ApplyConsequence } from './declare.ts'
import type { Registry } from './registry.ts'

const someRemovals = shape<{ max: number }>()((db, a) => db.selectFrom('removals').selectAll().orderBy('sid').limit(a.max))

/** Removed rows that one transaction works on. */
const maxRemovals = 200
/** Rows below each of them that it removes at least: most have no more, and are done with. */
const minShare = 8

const oldDeliveries = shape<{ status: DeliveryStatus; before: string; limit: number }>()((db, a) =>
  db
    .deleteFrom('deliveries')
    .where('status', '=', a.status)
    .where('id', 'in', (eb) =>
      eb
        .selectFrom('deliveries')
        .select('id')
        .where('status', '=', a.status)
        .where('id', '<', a.before)
        .orderBy('id')
        .limit(a.limit),
    ),
)

const oldTombstones = shape<{ before: number; limit: number }>()((db, a) =>
  db
    .deleteFrom('tombstones')
    .where('date_created', '<', a.before)
    .where(({ eb, refTuple, selectFrom }) =>
      eb(
        refTuple('service_sid', 'object', 'event_id'),
        'in',
        selectFrom('tombstones')
          .select(['service_sid', 'object', 'event_id'])
          .where('date_created', '<', a.before)
          .orderBy('date_created')
          .limit(a.limit)
          .$asTuple('service_sid', 'object', 'event_id'),
      ),
    ),
)

const oldMutations = shape<{ before: number; limit: number }>()((db, a) =>
  db
    .deleteFrom('mutations')
    .where('date_created', '<', a.before)
    .where(({ eb, refTuple, selectFrom }) =>
      eb(
        refTuple('service_sid', 'id'),
        'in',
        selectFrom('mutations')
          .select(['service_sid', 'id'])
          .where('date_created', '<', a.before)
          .orderBy('date_created')
          .limit(a.limit)
          .$asTuple('service_sid', 'id'),
      ),
    ),
)

/** Removes a batch of rows that no resource declares, by the column and SID of their removed parent. Returns how many. */
export type RemoveMore = (tx: Tx, column: string, sid: string, max: number) => Promise<number>

/** Commands that remove rows to which no path leads any more, and old deliveries. */
export function removalCommands(registry: Registry, removeMore: RemoveMore) {
  return {
    /** Removes a batch of rows below removed ones, about `limit` rows. Returns whether there may be more. */
    removeSome: long(async (tx: Tx, { limit }: { limit: number }): Promise<boolean> => {
      const removals = await tx.claim(someRemovals, { max: maxRemovals })
      const share = Math.max(minShare, Math.ceil(limit / Math.max(1, removals.length)))
      // Side by side: an engine that is asked over a network answers all of them at once.
      await Promise.all(removals.map((removal) => removeBelow(tx, registry, removeMore, removal, share)))
      return removals.length > 0
    }),

    /** Removes a batch of finished deliveries created before an instant. Returns how many. */
    removeOldDeliveries: long(async (tx: Tx, input: { before: number; limit: number }): Promise<number> => {
      const before = lowestSid('delivery', input.before)
      const delivered = await tx.run(oldDeliveries, { status: 'delivered', before, limit: input.limit })
      return delivered + (await tx.run(oldDeliveries, { status: 'failed', before, limit: input.limit - delivered }))
    }),

    /** Removes a batch of tombstones created before an instant. Returns how many. */
    removeOldTombstones: long(
      (tx: Tx, input: { before: number; limit: number }): Promise<number> => tx.run(oldTombstones, input),
    ),

    /** Removes a batch of the names of requests made before an instant. Returns how many. */
    removeOldMutations: long((tx: Tx, input: { before: number; limit: number }): Promise<number> => tx.run(oldMutations, input)),
  }
}

/** Removes at most `max` rows below a removed one; when fewer are there, the removal is done. */
async function removeBelow(tx: Tx, registry: Registry, removeMore: RemoveMore, removal: RemovalRow, max: number): Promise<void> {
  const parent = registry.ofSid(removal.sid)
  const dependents = parent && registry.dependents(parent)
  let left = max
  const apply: ApplyConsequence = (step, facts) => applyStep(tx, registry, step, facts, { webhooks: false, source: 'API' })
  if (parent?.cleanUp) left -= await parent.cleanUp(tx, removal, left, apply)
  if (dependents) {
    left -= await removeMore(tx, dependents.column, removal.sid, left)
    for (const child of dependents.resources) {
      if (left <= 0) return
      left -= await removeRows(tx, registry, child, dependents.column, removal, left)
    }
  }
  if (left > 0) await tx.run(deleteRow('removals', ['sid']), { sid: removal.sid })
}

/** Removes child rows, and records those that have child rows themselves. Returns how many. */
async function removeRows(
  tx: Tx,
  registry: Registry,
  child: AnyResource,
  column: string,
  removal: RemovalRow,
  max: number,
): Promise<number> {
  if (child.cascade === 'inline' || !registry.dependents(child)) {
    return tx.run(deleteSome(child.table, column), { [column]: removal.sid, max })
  }
  const found = await tx.all(someSids(child.table, column), { [column]: removal.sid, max })
  await Promise.all(
    found.map(async ({ sid }) => {
      await tx.run(deleteNames(child.table, [column, 'sid']), { [column]: removal.sid, sid })
      await insert(tx, 'removals', { sid, date_created: removal.date_created, service_sid: null })
    }),
  )
  return found.length
}
