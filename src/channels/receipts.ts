import { parseStored } from '../json.ts'
import { applyStep, type Origin, revised } from '../model/change.ts'
import { type FactsUnder, stepOf } from '../model/declare.ts'
import { type DeliverySummary, summary } from '../resources/conversations/messages/dispatch.ts'
import { messages } from '../resources/conversations/messages/message.ts'
import { receipts } from '../resources/conversations/messages/receipt.ts'
import { participants, readTo } from '../resources/conversations/participants/participant.ts'
import { registry } from '../resources/index.ts'
import { newSid, randomSid } from '../sids.ts'
import type { Tx } from '../storage/database.ts'
import { accountBySid, conversationBySid, messageBySid, participantBySid, serviceBySid } from '../storage/lookups.ts'
import { rowsBy } from '../storage/rows.ts'
import type { DeliveryRow, ReceiptRow, ReceiptStatus } from '../storage/schema.ts'
import { externalIdsOfAccount, findSentOrKeep, recordSent } from './external-ids.ts'
import { channelMessageSids, nextStatuses, unknownError } from './statuses.ts'

/** A channel's report on a message that it received. */
export interface ChannelReport {
  /** The address of the channel; null when there is none. */
  readonly channel: string | null
  /** How the carrier calls the message; null when it has not said so. */
  readonly external_id: string | null
  readonly status: ReceiptStatus
  /** Null when the channel reported none. */
  readonly error_code: number | null
}

const receiptsOf = rowsBy('receipts', ['service_sid', 'conversation_sid', 'message_sid'])
const byChannelMessage = rowsBy('receipts', ['channel_message_sid'])

/** Of a message that no channel was handed. */
export const failedReport: ChannelReport = { channel: null, external_id: null, status: 'failed', error_code: null }

const by = { webhooks: false, source: 'API' } as const

/** The facts of a receipt: its parents are the conversation and the message. */
type ReceiptFacts = FactsUnder<typeof messages>

/** Creates or restarts the receipt when the delivery of a message is finished. Does nothing if the message has been removed. */
export async function settleMessage(tx: Tx, delivery: DeliveryRow, report: ChannelReport, now: number): Promise<void> {
  await settle(tx, delivery, report, now, by)
}

/** Fails a message that is not handed to its channel any more, without an event. */
export async function failSilently(tx: Tx, delivery: DeliveryRow, now: number): Promise<void> {
  await settle(tx, delivery, failedReport, now, { ...by, silent: true })
}

async function settle(tx: Tx, delivery: DeliveryRow, report: ChannelReport, now: number, origin: Origin): Promise<void> {
  const { service_sid, subject_sid: conversation_sid, message_sid, participant_sid } = delivery
  if (message_sid === null || participant_sid === null) return
  const facts = await factsOf(tx, { service_sid, conversation_sid, message_sid }, now)
  if (!facts) return
  const { sid, early } = await nameOf(tx, facts, report)
  const existing = await tx.all(receiptsOf, { service_sid, conversation_sid, message_sid })
  const before = existing.find((receipt) => receipt.participant_sid === participant_sid)
  const receipt = before
    ? await restart(tx, facts, before, report, sid)
    : await create(tx, facts, { participant_sid, report, sid, origin })
  if (receipt) await advance(tx, receipt, report, now)
  // In the order in which they came; each reads what the one before has made of the receipt.
  for (const status of early) await advanceAll(tx, facts.account.sid, sid ?? '', status, now)
}

/** Returns the channel's SID of the message, null when it has told none, and the statuses that came before it did. */
async function nameOf(tx: Tx, { account, parents: [conversation], now }: ReceiptFacts, { channel, external_id }: ChannelReport) {
  if (external_id === null || channel === null) return { sid: null, early: [] }
  const key = { account_sid: account.sid, channel, external_id }
  const own = channelMessageSids.test(external_id) ? external_id : randomSid('channelMessage')
  const sent = { conversation_sid: conversation.sid, channel_message_sid: own, now }
  const { channel_message_sid: sid, early } = await recordSent(tx, key, sent)
  return { sid, early }
}

/** Creates the receipt of a message and a recipient. Returns it if it can advance: one reported as delivered starts as sent. */
async function create(
  tx: Tx,
  facts: ReceiptFacts,
  of: {
    readonly participant_sid: string
    readonly report: ChannelReport
    readonly sid: string | null
    readonly origin: Origin
  },
): Promise<ReceiptRow | null> {
  const { participant_sid, report, sid, origin } = of
  const bad = isBad(report.status)
  const [conversation, message] = facts.parents
  const receipt: ReceiptRow = {
    service_sid: conversation.service_sid,
    conversation_sid: conversation.sid,
    message_sid: message.sid,
    sid: newSid('receipt', facts.now),
    account_sid: facts.account.sid,
    participant_sid,
    channel_message_sid: sid ?? randomSid('channelMessage'),
    status: bad ? report.status : 'sent',
    error_code: errorCode(report),
    date_created: facts.now,
    date_updated: facts.now,
    revision: 1,
  }
  const step = stepOf(receipts, { verb: 'create', before: null, after: receipt, cause: 'request' })
  await applyStep(tx, registry, step, facts, origin)
  await summarize(tx, facts)
  return bad ? null : receipt
}

/** Restarts a failed receipt if the channel accepts the redelivered message. Returns the receipt if it can advance. */
async function restart(
  tx: Tx,
  facts: ReceiptFacts,
  before: ReceiptRow,
  report: ChannelReport,
  sid: string | null,
): Promise<ReceiptRow | null> {
  if (isBad(report.status)) return null
  if (!isBad(before.status)) return before
  const channel_message_sid = sid ?? before.channel_message_sid
  return update(tx, facts, before, { channel_message_sid, status: 'sent', error_code: 0 })
}

/** A status as it is reported later: of a message by the SID of its receipt, or by what the carrier calls it. */
export interface StatusReport {
  readonly message:
    | { readonly channel_message_sid: string }
    /** Without a channel: of any of the account. */
    | { readonly external_id: string; readonly channel: string | null }
  readonly status: ReceiptStatus
  readonly error_code: number | null
}

/**
 * Applies a channel's status report. Returns the receipt; `early` when the message is not known, and the status is kept for a minute
 * in case its sending has not been recorded yet; null when it is not known and no channel was named. One id may stand for several
 * recipients. A report that the state machine does not allow is ignored.
 */
export async function reportStatus(
  tx: Tx,
  { account_sid, report, now }: { account_sid: string; report: StatusReport; now: number },
): Promise<ReceiptRow | 'early' | null> {
  const { message, status, error_code } = report
  if ('channel_message_sid' in message) return advanceAll(tx, account_sid, message.channel_message_sid, report, now)
  const { external_id, channel } = message
  if (channel === null) {
    const found = await tx.all(externalIdsOfAccount, { account_sid, external_id })
    const sids = found.flatMap((row) => (row.channel_message_sid === null ? [] : [row.channel_message_sid]))
    let last: ReceiptRow | null = null
    for (const sid of sids) last = await advanceAll(tx, account_sid, sid, report, now)
    return last
  }
  const sid = await findSentOrKeep(tx, { account_sid, channel, external_id }, { status, error_code, at: now })
  return sid === null ? 'early' : advanceAll(tx, account_sid, sid, report, now)
}

type Status = Pick<ChannelReport, 'status' | 'error_code'>

/** Moves the receipts of one sending. Returns the last of them; null when there is none. */
async function advanceAll(tx: Tx, account_sid: string, sid: string, report: Status, now: number): Promise<ReceiptRow | null> {
  const found = await tx.all(byChannelMessage, { channel_message_sid: sid })
  let last: ReceiptRow | null = null
  // Channels of different accounts may use the same SID.
  for (const before of found) if (before.account_sid === account_sid) last = await advance(tx, before, report, now)
  return last
}

/** Moves a receipt to the reported status if the state machine allows it. Returns the receipt. */
async function advance(tx: Tx, before: ReceiptRow, report: Status, now: number): Promise<ReceiptRow> {
  if (!nextStatuses[before.status].includes(report.status)) return before
  const facts = await factsOf(tx, before, now)
  if (!facts) return before
  const after = await update(tx, facts, before, { status: report.status, error_code: errorCode(report) })
  if (after.status === 'read') await moveHorizon(tx, facts, after.participant_sid)
  return after
}

/**
 * Moves the read horizon of a WhatsApp participant forward to the message that they have read (documented in the guide on read
 * horizons). Reading emits no event and changes no date of the participant.
 */
async function moveHorizon(tx: Tx, facts: ReceiptFacts, sid: string): Promise<void> {
  const [conversation, { message_index }] = facts.parents
  const key = { service_sid: conversation.service_sid, conversation_sid: conversation.sid, sid }
  const before = await tx.one(participantBySid, key)
  if (before?.binding_type !== 'whatsapp' || (before.last_read_message_index ?? -1) >= message_index) return
  const read = readTo(before, { LastReadMessageIndex: message_index }, facts.now)
  const step = stepOf(participants, { verb: 'update', before, after: revised({ ...before, ...read }), cause: 'consequence' })
  await applyStep(tx, registry, step, { ...facts, parents: [conversation] }, by)
}

async function update(tx: Tx, facts: ReceiptFacts, before: ReceiptRow, changes: Partial<ReceiptRow>): Promise<ReceiptRow> {
  const after = revised({ ...before, ...changes, date_updated: facts.now })
  const step = stepOf(receipts, { verb: 'update', before, after, cause: 'request' })
  await applyStep(tx, registry, step, facts, by)
  await summarize(tx, facts)
  return after
}

function isBad(status: ReceiptStatus): boolean {
  return status === 'failed' || status === 'undelivered'
}

/** Returns the error code of a failure; 0 for any other status. */
function errorCode({ status, error_code }: Status): number {
  return isBad(status) ? (error_code ?? unknownError) : 0
}

/** Updates the `delivery` summary of the message. */
async function summarize(tx: Tx, facts: ReceiptFacts): Promise<void> {
  const [conversation, before] = facts.parents
  const { service_sid, conversation_sid } = before
  const { total } = parseStored<Pick<DeliverySummary, 'total'>>(before.delivery ?? '{"total":0}')
  const found = await tx.all(receiptsOf, { service_sid, conversation_sid, message_sid: before.sid })
  const statuses = found.map(({ status }) => status)
  const delivery = JSON.stringify(summary(total, statuses))
  if (delivery === before.delivery) return
  const step = stepOf(messages, { verb: 'update', before, after: revised({ ...before, delivery }), cause: 'consequence' })
  await applyStep(tx, registry, step, { ...facts, parents: [conversation] }, by)
}

/** Reads the ancestors of a receipt; undefined if one of them, and so the receipt, has been removed. */
async function factsOf(
  tx: Tx,
  path: Pick<ReceiptRow, 'service_sid' | 'conversation_sid' | 'message_sid'>,
  now: number,
): Promise<ReceiptFacts | undefined> {
  const { service_sid, conversation_sid, message_sid } = path
  const service = await tx.hold(serviceBySid, { sid: service_sid }, 'keep')
  const account = service && (await tx.one(accountBySid, { sid: service.account_sid }))
  const conversation = await tx.hold(conversationBySid, { service_sid, sid: conversation_sid }, 'change')
  const message = await tx.one(messageBySid, { service_sid, conversation_sid, sid: message_sid })
  if (!account || !conversation || !message) return undefined
  return { account, service, parents: [conversation, message], now }
}
