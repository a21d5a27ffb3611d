import { type SqlBool, sql } from 'kysely'
import type { ElapseMany } from '../../model/declare.ts'
import { ConflictError } from '../../storage/errors.ts'
import type { ConversationRow } from '../../storage/schema.ts'
import { checkedOnly, elementsOf, isAmong, placeIn } from '../../storage/sets.ts'
import { shape } from '../../storage/shapes.ts'
import { conversationDocument } from '../sync-objects.ts'
import { elapse } from './lifecycle.ts'
import { stateEvents } from './state-events.ts'
import { scopedTargets } from './webhooks/targets.ts'

/*
 * The deadlines of many conversations in one statement. Its expressions say once more what `elapse` says, for the states that a deadline is
 * kept in: `test/storage/sweep.test.ts` compares the two.
 *
 * Measured on SQLite, CPU of the writer for each of 50,000 due at once beside 10,000 others: one row after the other 31.7 µs, with an event
 * 60.5 µs; a statement for each row and nothing else 12.6 µs; this 9 µs, of which 7 are the row and its three indexes.
 * Since then 0.9 of that: by rowid, and undone in memory (docs/decisions/0061).
 */

/** What is needed of a conversation with a deadline. */
type DueConversation = Pick<ConversationRow, (typeof columns)[number]> & { readonly place: number | null }

const columns = [
  'service_sid',
  'sid',
  'account_sid',
  'messaging_service_sid',
  'state',
  'date_state',
  'initial_state',
  'date_inactive',
  'date_closed',
  'next_due',
  'webhook_count',
  'date_updated',
] as const satisfies readonly (keyof ConversationRow)[]

const due = shape<{ now: number; limit: number }>()((db, a) =>
  db
    .selectFrom('conversations')
    .select([...columns, placeIn(db, 'conversations').as('place')])
    .where('next_due', '<=', a.now)
    .orderBy('next_due')
    .limit(a.limit),
)

/** `sids`: a JSON array, here and below. */
interface Many {
  readonly service_sid: string
  readonly sids: string
}

/** `names`: a JSON array of their places, or of their SIDs where they have none. */
const elapseAll = shape<{ readonly service_sid: string; readonly names: string; readonly now: number }>()((db, a) => {
  const closes = sql<SqlBool>`coalesce(date_closed <= ${a.now}, false)`
  const inactiveAt = sql<number>`coalesce(date_inactive, next_due)`
  return db
    .updateTable('conversations')
    .set((eb) => ({
      state: sql<ConversationRow['state']>`case when ${closes} then 'closed' else 'inactive' end`,
      date_state: sql<number>`case when ${closes} then date_closed when state = 'inactive' then date_state else ${inactiveAt} end`,
      date_updated: sql<number>`case when ${closes} then date_closed else ${inactiveAt} end`,
      date_inactive: null,
      date_closed: sql<number | null>`case when ${closes} then null else date_closed end`,
      next_due: sql<number | null>`case when ${closes} then null else date_closed end`,
      revision: eb('revision', '+', 1),
    }))
    .where(checkedOnly(db, 'service_sid'), '=', a.service_sid)
    .where(isAmong(db, 'conversations', a.names))
})

/** As `releaseParticipants`. */
const releaseAll = shape<Many>()((db, a) =>
  db
    .updateTable('participants')
    .set((eb) => ({
      open: 0,
      closed_activity: eb
        .selectFrom('conversations')
        .select('date_activity')
        .whereRef('conversations.service_sid', '=', 'participants.service_sid')
        .whereRef('conversations.sid', '=', 'participants.conversation_sid'),
    }))
    .where('service_sid', '=', a.service_sid)
    .where('conversation_sid', 'in', elementsOf(db, a.sids)),
)

export const elapseMany: ElapseMany<DueConversation> = {
  due,
  // One that is initializing starts first, and may be due again.
  takes: ({ state }) => state === 'active' || state === 'inactive',
  emits: ['onConversationStateUpdated'],
  events: (before, now) => {
    const after = elapse(before, now)
    return after ? stateEvents({ verb: 'update', before, after, cause: 'deadline' }, now) : []
  },
  isListened: ({ webhook_count }) => webhook_count > 0,
  listeners: scopedTargets,
  async write(tx, service_sid, rows, now) {
    const names = JSON.stringify(rows.map(({ place, sid }) => place ?? sid))
    const changed = await tx.run(elapseAll, { service_sid, names, now })
    if (changed !== rows.length) throw new ConflictError(`${rows.length - changed} conversations: changed meanwhile`)
    const closed = rows.filter(({ date_closed }) => date_closed !== null && date_closed <= now)
    if (closed.length > 0) await tx.run(releaseAll, { service_sid, sids: sidsOf(closed) })
  },
  object: conversationDocument,
}

function sidsOf(rows: readonly { readonly sid: string }[]): string {
  return JSON.stringify(rows.map(({ sid }) => sid))
}
