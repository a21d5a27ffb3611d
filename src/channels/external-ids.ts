import { parseStored } from '../json.ts'
import type { Reader, Tx } from '../storage/database.ts'
import { externalIdKey } from '../storage/lookups.ts'
import { insert, rowsBy, updateRow } from '../storage/rows.ts'
import type { ExternalIdRow, ReceiptStatus } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'

/*
 * What carriers call messages. There is one row for each id, channel and direction, so transactions that concern one message come
 * after each other, on any node: of two that insert it the later one fails, is run again and finds the row.
 */

/** A status that came before the sending was recorded counts for so long. */
const earlyLifetimeMs = 60_000

/** Carriers repeat a webhook for days, and report weeks later that a message was read. */
const lifetimeMs = 90 * 86_400_000

const byId = rowsBy('external_ids', ['id'])
export const externalIdsOfAccount = rowsBy('external_ids', ['account_sid', 'external_id'])

const sentRow = updateRow('external_ids', ['id'], ['conversation_sid', 'channel_message_sid', 'early', 'date_created'])

/** A message as its carrier calls it. */
export type ExternalId = Pick<ExternalIdRow, 'account_sid' | 'external_id' | 'channel'>

export interface EarlyStatus {
  readonly status: ReceiptStatus
  readonly error_code: number | null
  readonly at: number
}

/**
 * Records what the carrier calls a message that was sent. Returns the SID that its receipts have, the same for all recipients of one
 * id, and the statuses that came before, in their order.
 */
export async function recordSent(
  tx: Tx,
  id: ExternalId,
  sent: { readonly conversation_sid: string; readonly channel_message_sid: string; readonly now: number },
): Promise<{ readonly channel_message_sid: string; readonly early: readonly EarlyStatus[] }> {
  const { conversation_sid, channel_message_sid, now } = sent
  const before = await tx.hold(byId, { id: externalIdKey(id, 'out') }, 'change')
  if (!before) {
    await insert(tx, 'external_ids', { ...blank(id, 'out', now), conversation_sid, channel_message_sid })
    return { channel_message_sid, early: [] }
  }
  if (before.channel_message_sid !== null) return { channel_message_sid: before.channel_message_sid, early: [] }
  await tx.run(sentRow, { ...before, conversation_sid, channel_message_sid, early: null, date_created: now })
  const early = parseStored<EarlyStatus[]>(before.early ?? '[]').filter(({ at }) => now - at < earlyLifetimeMs)
  return { channel_message_sid, early }
}

/** Statuses of one message; whoever sends more has lost count. */
const maxEarly = 20

/** Returns the SID that the receipts of a sent message have; null when none is known: then the status is kept for a minute. */
export async function findSentOrKeep(tx: Tx, id: ExternalId, status: EarlyStatus): Promise<string | null> {
  const before = await tx.hold(byId, { id: externalIdKey(id, 'out') }, 'change')
  if (!before) {
    await insert(tx, 'external_ids', { ...blank(id, 'out', status.at), early: JSON.stringify([status]) })
    return null
  }
  if (before.channel_message_sid !== null) return before.channel_message_sid
  const early = [...parseStored<EarlyStatus[]>(before.early ?? '[]'), status].slice(-maxEarly)
  await tx.run(sentRow, { ...before, early: JSON.stringify(early), date_created: status.at })
  return null
}

/** Returns the row of a message that was received under this id. In a transaction no other one receives it meanwhile. */
export async function findReceived(read: Reader, id: ExternalId): Promise<ExternalIdRow | undefined> {
  return read.hold(byId, { id: externalIdKey(id, 'in') }, 'keep')
}

/** Records what the carrier calls a message that was received. Throws ConflictError when it was received meanwhile. */
export async function recordReceived(
  tx: Tx,
  id: ExternalId,
  received: Pick<ExternalIdRow, 'service_sid' | 'conversation_sid' | 'participant_sid' | 'message_sid' | 'message_index'>,
  now: number,
): Promise<void> {
  const { service_sid, conversation_sid, participant_sid, message_sid, message_index } = received
  const row = { ...blank(id, 'in', now), service_sid, conversation_sid, participant_sid, message_sid, message_index }
  await insert(tx, 'external_ids', row)
}

function blank(id: ExternalId, direction: ExternalIdRow['direction'], now: number): ExternalIdRow {
  const { account_sid, external_id, channel } = id
  const none = { service_sid: null, conversation_sid: null, participant_sid: null, message_sid: null, message_index: null }
  const key = { id: externalIdKey(id, direction), account_sid, channel, external_id, direction }
  return { ...key, ...none, channel_message_sid: null, early: null, date_created: now }
}

type Limited = { readonly before: number; readonly limit: number }

/** `early`: only of those whose sending was never recorded. */
const olderThan = (early: boolean) =>
  shape<Limited>()((db, a) =>
    db.deleteFrom('external_ids').where('id', 'in', (eb) => {
      const old = eb.selectFrom('external_ids').select('id').where('date_created', '<', a.before)
      return (early ? old.where('early', 'is not', null) : old).orderBy('date_created').limit(a.limit)
    }),
  )
const oldEarly = olderThan(true)
const oldIds = olderThan(false)

/** Removes a batch of what is too old to matter. Returns how many. `now` in epoch ms. */
export async function removeOldExternalIds(tx: Tx, { now, limit }: { now: number; limit: number }): Promise<number> {
  const early = await tx.run(oldEarly, { before: now - earlyLifetimeMs, limit })
  return early + (await tx.run(oldIds, { before: now - lifetimeMs, limit }))
}

const ofConversation = shape<{ conversation_sid: string; limit: number }>()((db, a) =>
  db
    .deleteFrom('external_ids')
    .where('id', 'in', (eb) =>
      eb.selectFrom('external_ids').select('id').where('conversation_sid', '=', a.conversation_sid).limit(a.limit),
    ),
)

/** Removes a batch of those of a removed conversation. Returns how many. */
export async function removeExternalIdsBelow(tx: Tx, column: string, sid: string, limit: number): Promise<number> {
  return column === 'conversation_sid' && limit > 0 ? tx.run(ofConversation, { conversation_sid: sid, limit }) : 0
}

/** The last message that came from a participant, up to an index. */
export const lastReceived = shape<{ conversation_sid: string; participant_sid: string; message_index: number }>()((db, a) =>
  db
    .selectFrom('external_ids')
    .selectAll()
    .where('conversation_sid', '=', a.conversation_sid)
    .where('direction', '=', 'in')
    .where('participant_sid', '=', a.participant_sid)
    .where('message_index', '<=', a.message_index)
    .orderBy('message_index', 'desc')
    .limit(1),
)
