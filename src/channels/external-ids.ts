import { parseStored } from '../json.ts'
import type { Tx } from '../storage/database.ts'
import { insert, rowsBy, updateRow } from '../storage/rows.ts'
import type { ExternalIdRow, ReceiptStatus } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'

/*
 * What carriers call messages. A row is made once for each id of a channel, so transactions that concern one message come after each
 * other, on any node: the later one fails to insert, is run again and finds the row.
 */

/** A status that came before the sending was recorded counts for so long. */
export const earlyLifetimeMs = 60_000

/** Carriers repeat a webhook for days, and report that a message was read weeks later. */
export const externalIdLifetimeMs = 90 * 86_400_000

const keys = ['account_sid', 'external_id', 'channel'] as const

export const externalId = rowsBy('external_ids', keys)
export const externalIdsOfAccount = rowsBy('external_ids', ['account_sid', 'external_id'])

const stored = updateRow('external_ids', keys, [
  'direction',
  'channel_message_sid',
  'statuses',
  'conversation_sid',
  'date_created',
])

export type ExternalIdKey = Pick<ExternalIdRow, (typeof keys)[number]>

export interface EarlyStatus {
  readonly status: ReceiptStatus
  readonly error_code: number | null
  readonly at: number
}

/** Records what the carrier calls a message that was sent. Returns the statuses that came before, in their order. */
export async function recordSent(
  tx: Tx,
  key: ExternalIdKey,
  sent: { readonly conversation_sid: string; readonly channel_message_sid: string; readonly now: number },
): Promise<{ readonly channel_message_sid: string; readonly early: readonly EarlyStatus[] }> {
  const { conversation_sid, channel_message_sid, now } = sent
  const before = await tx.hold(externalId, key, 'change')
  if (!before) {
    await insert(tx, 'external_ids', { ...blank(key, now), direction: 'out', conversation_sid, channel_message_sid })
    return { channel_message_sid, early: [] }
  }
  // One id may stand for several recipients.
  if (before.direction === 'out') return { channel_message_sid: before.channel_message_sid ?? channel_message_sid, early: [] }
  if (before.direction === 'in') return { channel_message_sid, early: [] }
  const after = { ...before, direction: 'out' as const, conversation_sid, channel_message_sid, statuses: '[]', date_created: now }
  await tx.run(stored, after)
  const early = parseStored<EarlyStatus[]>(before.statuses).filter(({ at }) => now - at < earlyLifetimeMs)
  return { channel_message_sid, early }
}

/** Statuses of one message; whoever sends more has lost count. */
const maxEarly = 20

/**
 * Returns the `channel_message_sid` of a message that was sent; null when none is known: then the status is kept, in case its sending
 * has not been recorded yet.
 */
export async function findSentOrKeep(tx: Tx, key: ExternalIdKey, status: EarlyStatus): Promise<string | null> {
  const before = await tx.hold(externalId, key, 'change')
  if (!before) {
    await insert(tx, 'external_ids', { ...blank(key, status.at), direction: 'early', statuses: JSON.stringify([status]) })
    return null
  }
  if (before.direction === 'out') return before.channel_message_sid
  if (before.direction === 'in') return null
  const statuses = [...parseStored<EarlyStatus[]>(before.statuses), status].slice(-maxEarly)
  await tx.run(stored, { ...before, statuses: JSON.stringify(statuses), date_created: status.at })
  return null
}

/** Records what the carrier calls a message that was received. */
export async function recordReceived(
  tx: Tx,
  key: ExternalIdKey,
  received: Pick<ExternalIdRow, 'service_sid' | 'conversation_sid' | 'participant_sid' | 'message_sid' | 'message_index'>,
  now: number,
): Promise<void> {
  await insert(tx, 'external_ids', { ...blank(key, now), ...received, direction: 'in' })
}

function blank(key: ExternalIdKey, now: number): ExternalIdRow {
  return {
    ...key,
    direction: 'early',
    service_sid: null,
    conversation_sid: null,
    participant_sid: null,
    message_sid: null,
    message_index: null,
    channel_message_sid: null,
    statuses: '[]',
    date_created: now,
  }
}

const oldIds = shape<{ direction: ExternalIdRow['direction']; before: number; limit: number }>()((db, a) =>
  db
    .deleteFrom('external_ids')
    .where(({ eb, refTuple, selectFrom }) =>
      eb(
        refTuple('account_sid', 'external_id', 'channel'),
        'in',
        selectFrom('external_ids')
          .select(['account_sid', 'external_id', 'channel'])
          .where('direction', '=', a.direction)
          .where('date_created', '<', a.before)
          .limit(a.limit)
          .$asTuple('account_sid', 'external_id', 'channel'),
      ),
    ),
)

/** Removes a batch of what is too old to matter. Returns how many. `now` in epoch ms. */
export async function removeOldExternalIds(tx: Tx, { now, limit }: { now: number; limit: number }): Promise<number> {
  const early = await tx.run(oldIds, { direction: 'early', before: now - earlyLifetimeMs, limit })
  const before = now - externalIdLifetimeMs
  const received = await tx.run(oldIds, { direction: 'in', before, limit })
  return early + received + (await tx.run(oldIds, { direction: 'out', before, limit }))
}

const ofConversation = shape<{ conversation_sid: string; limit: number }>()((db, a) =>
  db
    .deleteFrom('external_ids')
    .where(({ eb, refTuple, selectFrom }) =>
      eb(
        refTuple('account_sid', 'external_id', 'channel'),
        'in',
        selectFrom('external_ids')
          .select(['account_sid', 'external_id', 'channel'])
          .where('conversation_sid', '=', a.conversation_sid)
          .limit(a.limit)
          .$asTuple('account_sid', 'external_id', 'channel'),
      ),
    ),
)

/** Removes a batch of those of a removed conversation. Returns how many. */
export async function removeExternalIdsBelow(tx: Tx, column: string, sid: string, limit: number): Promise<number> {
  return column === 'conversation_sid' && limit > 0 ? tx.run(ofConversation, { conversation_sid: sid, limit }) : 0
}
