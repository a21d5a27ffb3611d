import type { SendResult } from '../delivery/client.ts'
import { type DeliveryHandler, unsent } from '../delivery/handler.ts'
import { type SignedSenderOptions, sendSigned } from '../delivery/webhook.ts'
import { parseJsonObject } from '../json.ts'
import type { Reader } from '../storage/database.ts'
import { conversationBySid, messageBySid } from '../storage/lookups.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import { type ChannelReport, channelMessageSids, receiptStatuses } from './receipts.ts'

/** Retries of a message for a channel: over five minutes in all. */
const maxRetries = 5

/** Returns the handler of messages that are sent to the endpoint of their channel. `committed`: reads rows uncached. */
export function messageHandler(options: SignedSenderOptions, committed: Reader): DeliveryHandler<ChannelReport> {
  return {
    async send(row, tries, signal) {
      return (await isRecalled(committed, row)) ? recalled() : sendSigned(options, row, tries, signal)
    },
    /** Channels are retried longer than webhooks and after every failure but a 4xx status: a message must arrive. */
    mayRetry(_row, { kind, status }, tries) {
      if (kind === 'unsent' || kind === 'refused_address') return false
      return tries < maxRetries && (status === null || status === 429 || status >= 500)
    },
    report: reportOf,
  }
}

/** Returns the handler of messages whose proxy address has no channel: they count as delivered without being sent. */
export function loopbackHandler(committed: Reader): DeliveryHandler<ChannelReport> {
  return {
    async send(row) {
      if (await isRecalled(committed, row)) return recalled()
      return { status: 200, body: '{"status":"delivered"}', error: null, kind: 'answered', duration_ms: 0 }
    },
    mayRetry: () => false,
    report: reportOf,
  }
}

function recalled(): SendResult {
  return unsent('the message was removed before it was sent')
}

/**
 * Whether the message itself was removed before it was sent. It is sent although a recipient has left or the conversation has
 * been closed or removed since: a farewell is often followed by the end of its conversation.
 */
async function isRecalled(read: Reader, { service_sid, subject_sid, message_sid }: DeliveryRow): Promise<boolean> {
  const path = { service_sid, conversation_sid: subject_sid, sid: message_sid ?? '' }
  if (await read.one(messageBySid, path)) return false
  return (await read.one(conversationBySid, { service_sid, sid: subject_sid })) !== undefined
}

/** Parses the response of a channel: its SID of the message and a status, both optional. Without a response: `failed`. */
function reportOf({ body }: SendResult, ok: boolean): ChannelReport {
  const { sid: short, channel_message_sid: sid = short, status, error_code } = parseJsonObject(body) ?? {}
  const reported = receiptStatuses.find((candidate) => candidate === status)
  return {
    channel_message_sid: typeof sid === 'string' && channelMessageSids.test(sid) ? sid : null,
    status: ok ? (reported ?? 'sent') : reported === 'undelivered' ? reported : 'failed',
    error_code: typeof error_code === 'number' && Number.isSafeInteger(error_code) && error_code > 0 ? error_code : null,
  }
}
