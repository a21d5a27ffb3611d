import { sql } from 'kysely'
import { shape } from '../storage/shapes.ts'

/*
 * The pending deliveries of a slot: which targets have some, and what they are.
 */

/** A literal: with a parameter the query would not match the partial index. */
const pending = sql.lit<'pending'>('pending')

/** Steps from target to target that have pending deliveries, without reading the deliveries. */
export const nextTarget = shape<{ slot: number; after: string }>()((db, a) =>
  db
    .selectFrom('deliveries')
    .select('target_sid')
    .where('status', '=', pending)
    .where('slot', '=', a.slot)
    .where('target_sid', '>', a.after)
    .orderBy('target_sid')
    .limit(1),
)
/** Its result may be the empty text, the target of loopback deliveries, which `nextTarget` would not find. */
export const firstTarget = shape<{ slot: number }>()((db, a) =>
  db
    .selectFrom('deliveries')
    .select('target_sid')
    .where('status', '=', pending)
    .where('slot', '=', a.slot)
    .orderBy('target_sid')
    .limit(1),
)

/** Reads from the first row on: another process may commit a row after one with a higher id. */
export const pendingOf = shape<{ slot: number; target_sid: string; limit: number }>()((db, a) =>
  db
    .selectFrom('deliveries')
    .selectAll()
    .where('status', '=', pending)
    .where('slot', '=', a.slot)
    .where('target_sid', '=', a.target_sid)
    .orderBy('id')
    .limit(a.limit),
)
