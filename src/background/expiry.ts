import { sql } from 'kysely'
import { mediaBySid, remove as removeMedia } from '../media/rows.ts'
import { applyStep } from '../model/change.ts'
import { type FactsUnder, stepOf } from '../model/declare.ts'
import type { Registry } from '../model/registry.ts'
import { factsInService } from '../model/scope.ts'
import { conversations } from '../resources/conversations/conversation.ts'
import { messages } from '../resources/conversations/messages/message.ts'
import { lowestSid } from '../sids.ts'
import { long, type Reader, type Tx } from '../storage/database.ts'
import { conversationBySid, messageBySid } from '../storage/lookups.ts'
import { deleteRow, rowsBy } from '../storage/rows.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'

/** What of a service is too old, and how much of it one transaction removes at most. */
export interface Expiry {
  readonly account_sid: string
  readonly service_sid: string
  /** What is from before this instant, in epoch ms. */
  readonly before: number
  readonly now: number
  readonly limit: number
}

type Range = Pick<Expiry, 'service_sid' | 'before' | 'limit'>

const closedBefore = shape<Range>()((db, a) =>
  db
    .selectFrom('conversations')
    .selectAll()
    .where('service_sid', '=', a.service_sid)
    .where('state', '=', sql.lit('closed'))
    .where('date_state', '<', a.before)
    .orderBy('date_state')
    .orderBy('sid')
    .limit(a.limit),
)

const messagesBefore = shape<Range>()((db, a) =>
  db
    .selectFrom('messages')
    .select(['conversation_sid', 'sid'])
    .where('service_sid', '=', a.service_sid)
    .where('date_created', '<', a.before)
    .orderBy('date_created')
    .limit(a.limit),
)

const mediaBefore = shape<Range>()((db, a) =>
  db
    .selectFrom('media')
    .select('sid')
    .where('service_sid', '=', a.service_sid)
    .where('date_created', '<', a.before)
    .orderBy('date_created')
    .orderBy('sid')
    .limit(a.limit),
)

const deliveriesBetween = shape<{ service_sid: string; after: string; before: string; limit: number }>()((db, a) =>
  db
    .selectFrom('deliveries')
    .select(['id', 'status'])
    .where('service_sid', '=', a.service_sid)
    .where('id', '>', a.after)
    .where('id', '<', a.before)
    .orderBy('id')
    .limit(a.limit),
)

const deliveryOfService = rowsBy('deliveries', ['service_sid', 'id'])

/** No webhook is sent of what expires: see docs/decisions/0031-expiry-is-silent.md. */
const silent = { webhooks: false, source: 'API' } as const

/**
 * Commands that remove what is older than its account wants to keep. They write as any other removal does, so that caches, client SDKs
 * and files follow; the rules that keep people from changing closed conversations do not count. Each returns how many it has removed.
 */
export function expiryCommands(registry: Registry) {
  return {
    expireConversations: long(async (tx: Tx, { now, ...expiry }: Expiry): Promise<number> => {
      const facts = await factsInService(tx, expiry, now)
      const rows = facts ? await tx.claim(closedBefore, expiry) : []
      for (const before of rows) {
        const step = stepOf(conversations, { verb: 'remove', before, after: null, cause: 'deadline' })
        if (facts) await applyStep(tx, registry, step, facts, silent)
      }
      return rows.length
    }),

    expireMessages: long(async (tx: Tx, { now, ...expiry }: Expiry): Promise<number> => {
      const facts = await factsInService(tx, expiry, now)
      if (!facts) return 0
      const found = await tx.all(messagesBefore, expiry)
      const ofConversations = [...Map.groupBy(found, (message) => message.conversation_sid)]
      // Side by side, but for those of one conversation, which counts them: over a network their queries share their round trips.
      const removed = await Promise.all(
        ofConversations.map(([sid, some]) => expireIn(tx, registry, { ...expiry, sid }, facts, some)),
      )
      return removed.reduce((sum, count) => sum + count, 0)
    }),

    /** Messages keep the names of their media: what they had is still shown, but it is not found. */
    expireMedia: long(async (tx: Tx, { service_sid, before, limit }: Expiry): Promise<number> => {
      let removed = 0
      for (const { sid } of await tx.all(mediaBefore, { service_sid, before, limit })) {
        const row = await tx.hold(mediaBySid, { service_sid, sid }, 'change')
        if (!row) continue
        await removeMedia(tx, [row])
        removed++
      }
      return removed
    }),

    /** Removes those of the log that are not pending again. */
    expireDeliveries: long(async (tx: Tx, { service_sid, ids }: { service_sid: string; ids: readonly string[] }) => {
      let removed = 0
      for (const id of ids) {
        const row = await tx.hold(deliveryOfService, { service_sid, id }, 'change')
        if (row && row.status !== 'pending') removed += await tx.run(deleteRow('deliveries', ['service_sid', 'id']), row)
      }
      return removed
    }),
  }
}

/** Removes messages of one conversation. As a request does: whoever else changes the conversation waits. Returns how many. */
async function expireIn(
  tx: Tx,
  registry: Registry,
  { service_sid, sid, before: instant }: { service_sid: string; sid: string; before: number },
  facts: FactsUnder<'only service'>,
  found: readonly { readonly sid: string }[],
): Promise<number> {
  const parent = await tx.hold(conversationBySid, { service_sid, sid }, 'change')
  // What a removed one has left is removed with it.
  if (!parent) return 0
  let removed = 0
  for (const message of found) {
    const before = await tx.one(messageBySid, { service_sid, conversation_sid: sid, sid: message.sid })
    if (!before || before.date_created >= instant) continue
    const step = stepOf(messages, { verb: 'remove', before, after: null, cause: 'deadline' })
    await applyStep(tx, registry, step, { ...facts, parents: [parent] }, silent)
    removed++
  }
  return removed
}

export type ExpiryCommands = ReturnType<typeof expiryCommands>

/** What is counted at most of each kind in one service: a larger number would say nothing more, and counting takes time. */
export const maxCounted = 100_000

const countClosed = shape<Range>()((db, a) =>
  db
    .selectFrom((eb) =>
      eb
        .selectFrom('conversations')
        .select('sid')
        .where('service_sid', '=', a.service_sid)
        .where('state', '=', sql.lit('closed'))
        .where('date_state', '<', a.before)
        .limit(a.limit)
        .as('some'),
    )
    .select((eb) => eb.fn.countAll<number>().as('count')),
)

const countOlder = (table: 'messages' | 'media') =>
  shape<Range>()((db, a) =>
    db
      .selectFrom((eb) =>
        eb
          .selectFrom(table)
          .select('sid')
          .where('service_sid', '=', a.service_sid)
          .where('date_created', '<', a.before)
          .limit(a.limit)
          .as('some'),
      )
      .select((eb) => eb.fn.countAll<number>().as('count')),
  )

const counts = { conversations: countClosed, messages: countOlder('messages'), media: countOlder('media') }

/** Counts what is too old in a service, up to `maxCounted`. */
export async function countExpired(
  read: Reader,
  kind: keyof typeof counts,
  range: Pick<Expiry, 'service_sid' | 'before'>,
): Promise<number> {
  return Number((await read.one(counts[kind], { ...range, limit: maxCounted }))?.count ?? 0)
}

/** Finished deliveries of a service that are too old. `null`: those are kept. */
export interface OldDeliveries {
  readonly service_sid: string
  readonly deliveredBefore: number | null
  readonly failedBefore: number | null
}

/** Reads the log of a service from its old end, in windows. Yields of each what is too old; failed ones may be kept longer. */
export async function* oldDeliveries(
  read: Reader,
  { service_sid, deliveredBefore, failedBefore }: OldDeliveries,
  limit: number,
): AsyncGenerator<readonly Pick<DeliveryRow, 'id' | 'status'>[]> {
  if (deliveredBefore === null && failedBefore === null) return
  const bounds = { delivered: deliveredBefore ?? 0, failed: failedBefore ?? 0, pending: 0 }
  const before = lowestSid('delivery', Math.max(bounds.delivered, bounds.failed))
  let after = ''
  for (;;) {
    const rows = await read.all(deliveriesBetween, { service_sid, after, before, limit })
    yield rows.filter(({ id, status }) => id < lowestSid('delivery', bounds[status]))
    if (rows.length < limit) return
    after = rows.at(-1)?.id ?? before
  }
}
