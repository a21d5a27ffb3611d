import { commit, revised } from '../model/change.ts'
import { type Facts, stepOf } from '../model/declare.ts'
import { type DeliverySummary, summary } from '../resources/conversations/messages/dispatch.ts'
import { messages } from '../resources/conversations/messages/message.ts'
import { receipts } from '../resources/conversations/messages/receipt.ts'
import { newSid, randomSid } from '../sids.ts'
import type { Tx } from '../storage/database.ts'
import { rowsBy } from '../storage/rows.ts'
import type { DeliveryRow, MessageRow, ReceiptRow } from '../storage/schema.ts'

/*
 *          ┌──────────────┬─▶ delivered ─▶ read
 *  made ─▶ sent ──────────┴──────────────▶ read
 *   │      └─▶ undelivered, failed
 *   └────────▶ undelivered, failed
 *
 * What has arrived cannot fail any more. Only a redelivery starts over from a failure.
 */
const next: Readonly<Record<ReceiptStatus, readonly ReceiptStatus[]>> = {
  sent: ['delivered', 'read', 'undelivered', 'failed'],
  delivered: ['read'],
  read: [],
  undelivered: [],
  failed: [],
}

export const receipt_statuses = ['sent', 'delivered', 'read', 'failed', 'undelivered'] as const
export type ReceiptStatus = (typeof receipt_statuses)[number]

/** What a channel may call a message: `SM…`, `MM…`, `WA…`. */
export const channel_message_sids = /^[a-zA-Z]{2}[0-9a-fA-F]{32}$/

/** The vendor's code for a message that failed nobody knows why. */
const unknown_error = 30008

/** What a channel says of a message it was handed. */
export interface ChannelAnswer {
  readonly channel_message_sid: string | null
  readonly status: ReceiptStatus
  /** Null when the channel named none. */
  readonly error_code: number | null
}

const accountBySid = rowsBy('accounts', ['sid'])
const serviceBySid = rowsBy('services', ['sid'])
const conversationBySid = rowsBy('conversations', ['service_sid', 'sid'])
const messageBySid = rowsBy('messages', ['service_sid', 'conversation_sid', 'sid'])
const receiptsOf = rowsBy('receipts', ['service_sid', 'conversation_sid', 'message_sid'])
const byChannelMessage = rowsBy('receipts', ['channel_message_sid'])

const by = { webhooks: false, source: 'API' } as const

/** A channel took a message, or will not: the receipt is made. Nothing happens when the message is gone by now. */
export async function settleDispatch(tx: Tx, row: DeliveryRow, answer: ChannelAnswer, now: number): Promise<void> {
  const { MessageSid = '', ParticipantSid = '' } = JSON.parse(row.form) as Record<string, string>
  const facts = await around(tx, row.service_sid, row.subject_sid, MessageSid, now)
  if (!facts) return
  const { service_sid, subject_sid: conversation_sid } = row
  const made = await tx.all(receiptsOf, { service_sid, conversation_sid, message_sid: MessageSid })
  const was = made.find(({ participant_sid }) => participant_sid === ParticipantSid)
  const receipt = was ? await takeAgain(tx, facts, was, answer) : await make(tx, facts, row, ParticipantSid, answer)
  if (receipt) await advance(tx, receipt, answer, now)
}

/** One receipt for each message and recipient. What arrives at once was sent first. */
async function make(
  tx: Tx,
  facts: Facts,
  row: DeliveryRow,
  participant_sid: string,
  answer: ChannelAnswer,
): Promise<ReceiptRow | null> {
  const bad = isBad(answer.status)
  const message = facts.parents[1] as MessageRow
  const receipt: ReceiptRow = {
    service_sid: row.service_sid,
    conversation_sid: row.subject_sid,
    message_sid: message.sid,
    sid: newSid('DY', facts.now),
    account_sid: row.account_sid,
    participant_sid,
    channel_message_sid: answer.channel_message_sid ?? randomSid('SM'),
    status: bad ? answer.status : 'sent',
    error_code: errorCode(answer),
    date_created: facts.now,
    date_updated: facts.now,
    revision: 1,
  }
  await commit(tx, stepOf(receipts, { verb: 'create', was: null, is: receipt, cause: 'request' }), facts, by)
  await summarize(tx, facts)
  return bad ? null : receipt
}

/** A redelivery: a failed receipt starts over when the channel takes the message now; any other only goes on. */
async function takeAgain(tx: Tx, facts: Facts, was: ReceiptRow, answer: ChannelAnswer): Promise<ReceiptRow | null> {
  if (isBad(answer.status)) return null
  if (!isBad(was.status)) return was
  const channel_message_sid = answer.channel_message_sid ?? was.channel_message_sid
  return update(tx, facts, was, { channel_message_sid, status: 'sent', error_code: 0 })
}

/**
 * A channel reports how a message fares. Answers how it is known to fare now; null when no message was handed over under that
 * sid. One sid may stand for several recipients. A step back is ignored.
 */
export async function reportStatus(
  tx: Tx,
  input: { account_sid: string; answer: ChannelAnswer; now: number },
): Promise<ReceiptRow | null> {
  const { account_sid, answer, now } = input
  const found = await tx.all(byChannelMessage, { channel_message_sid: answer.channel_message_sid })
  let last: ReceiptRow | null = null
  // Two carriers may count alike: a sid means something within one account.
  for (const was of found) if (was.account_sid === account_sid) last = await advance(tx, was, answer, now)
  return last
}

/** Answers the receipt as it is then. */
async function advance(tx: Tx, was: ReceiptRow, answer: ChannelAnswer, now: number): Promise<ReceiptRow> {
  if (!next[was.status as ReceiptStatus].includes(answer.status)) return was
  const facts = await around(tx, was.service_sid, was.conversation_sid, was.message_sid, now)
  return facts ? update(tx, facts, was, { status: answer.status, error_code: errorCode(answer) }) : was
}

async function update(tx: Tx, facts: Facts, was: ReceiptRow, changes: Partial<ReceiptRow>): Promise<ReceiptRow> {
  const is = revised({ ...was, ...changes, date_updated: facts.now })
  await commit(tx, stepOf(receipts, { verb: 'update', was, is, cause: 'request' }), facts, by)
  await summarize(tx, facts)
  return is
}

function isBad(status: string): boolean {
  return status === 'failed' || status === 'undelivered'
}

/** A failure has a code, anything else has none. */
function errorCode({ status, error_code }: ChannelAnswer): number {
  return isBad(status) ? (error_code ?? unknown_error) : 0
}

/** Shows in the message how far it has come. */
async function summarize(tx: Tx, facts: Facts): Promise<void> {
  const was = facts.parents[1] as MessageRow
  const { service_sid, conversation_sid } = was
  const { total } = JSON.parse(was.delivery ?? '{"total":0}') as DeliverySummary
  const found = await tx.all(receiptsOf, { service_sid, conversation_sid, message_sid: was.sid })
  const statuses = found.map(({ status }) => status)
  const delivery = JSON.stringify(summary(total, statuses))
  if (delivery === was.delivery) return
  const step = stepOf(messages, { verb: 'update', was, is: revised({ ...was, delivery }), cause: 'consequence' })
  await commit(tx, step, { ...facts, parents: facts.parents.slice(0, 1) }, by)
}

/** The rows above a receipt; undefined when one of them is gone, and the receipt with it. */
async function around(
  tx: Tx,
  service_sid: string,
  conversation_sid: string,
  message_sid: string,
  now: number,
): Promise<Facts | undefined> {
  const service = await tx.hold(serviceBySid, { sid: service_sid }, 'keep')
  const account = service && (await tx.one(accountBySid, { sid: service.account_sid }))
  const conversation = await tx.hold(conversationBySid, { service_sid, sid: conversation_sid }, 'change')
  const message = await tx.one(messageBySid, { service_sid, conversation_sid, sid: message_sid })
  return account && service && conversation && message ? { account, service, parents: [conversation, message], now } : undefined
}
