import type { SendResult } from '../delivery/client.ts'
import { type DeliveryHandler, unsent } from '../delivery/handler.ts'
import { ApiError } from '../errors.ts'
import { addressType } from '../resources/conversations/address-formats.ts'
import { channelBySid, conversationBySid, messageBySid } from '../storage/lookups.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import { type Accepted, type Answer, RefusedError, RetryError } from './adapter.ts'
import type { Carrier, Carriers } from './carrier.ts'
import { formOf, type OutboundOptions, outboundOf } from './outbound.ts'
import { type ChannelReport, failedReport } from './receipts.ts'
import { isExternalId, noChannelError, unknownError } from './statuses.ts'

/** Retries of a message for a channel: over five minutes in all. */
const maxRetries = 5

/** A mail with attachments takes its time. */
const sendTimeoutMs = 60_000

export interface MessageHandlerOptions extends OutboundOptions {
  readonly carriers: Carriers
  /** What carries the messages of an address without a channel; undefined: nothing. */
  readonly fallback: (row: DeliveryRow) => Carrier | undefined
  /** Called with an error that a kind should not have thrown. */
  readonly failed: (error: unknown) => void
}

interface ChannelResult extends SendResult {
  readonly report: ChannelReport
  /** Whether a later attempt may succeed. */
  readonly retry: boolean
}

/** Returns the handler of messages to people with an address. */
export function messageHandler(options: MessageHandlerOptions): DeliveryHandler<ChannelReport, ChannelResult> {
  return {
    maxSendMs: sendTimeoutMs,
    failure: failedReport,
    async send(row, tries, signal) {
      if (await isRecalled(options, row)) {
        return { ...unsent('the message was removed before it was sent'), report: failedReport, retry: false }
      }
      try {
        const carrier = await carrierOf(options, row)
        return carrier ? await sendBy(options, carrier, row, tries, signal) : uncarried(row)
      } catch (error) {
        // The database is away, which is not the channel's fault.
        if (error instanceof ApiError) throw error
        options.failed(error)
        return { ...unsent('internal error'), report: failedReport, retry: false }
      }
    },
    /** Channels are retried longer than webhooks: a message must arrive. */
    mayRetry: (_row, { retry }, tries) => retry && tries < maxRetries,
    report: ({ report }) => report,
  }
}

async function carrierOf(
  { committed, carriers, fallback }: MessageHandlerOptions,
  row: DeliveryRow,
): Promise<Carrier | undefined> {
  if (row.kind === 'loopback') return fallback(row)
  const channel = await committed.one(channelBySid, { sid: row.target_sid })
  return channel && carriers.of(channel)
}

/** A message whose address has no channel: it is not counted as sent. */
function uncarried(row: DeliveryRow): ChannelResult {
  const text =
    row.kind === 'loopback' && addressType(formOf(row).To) === 'email'
      ? 'mail is not sent: set PARLEY_MAIL_RELAY'
      : row.kind === 'loopback'
        ? 'no channel carries this address: set one with PUT /admin/v1/accounts/{sid}/channels/{address}'
        : 'the channel was deleted, or is of a kind that this version does not have'
  return { ...unsent(text), report: { ...failedReport, error_code: noChannelError }, retry: false }
}

async function sendBy(
  options: MessageHandlerOptions,
  { kind, settings, channel }: Carrier,
  row: DeliveryRow,
  tries: number,
  signal: AbortSignal,
): Promise<ChannelResult> {
  const startMs = performance.now()
  const over = AbortSignal.any([signal, AbortSignal.timeout(sendTimeoutMs)])
  try {
    const out = await outboundOf(options, row, kind.can, { tries, from: channel.address || null })
    const accepted = await before(over, kind.send(settings, out, options.carriers.io(channel, over)))
    return { ...acceptedResult(accepted, channel.address), duration_ms: performance.now() - startMs }
  } catch (error) {
    const duration_ms = performance.now() - startMs
    if (error instanceof RetryError) return { ...failedResult(error, 'failed', channel.address), retry: true, duration_ms }
    if (error instanceof RefusedError) return { ...failedResult(error, 'refused', channel.address), retry: false, duration_ms }
    throw error
  }
}

/** Resolves or rejects with the work. Throws RetryError when it is given up, whether or not the kind heeds that. */
async function before<T>(over: AbortSignal, work: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>()
  const giveUp = () => late.reject(new RetryError('no answer in time'))
  over.addEventListener('abort', giveUp)
  if (over.aborted) giveUp()
  try {
    return await Promise.race([work, late.promise])
  } finally {
    over.removeEventListener('abort', giveUp)
  }
}

function answered({ response_status, response }: Answer): Pick<SendResult, 'status' | 'body' | 'response'> {
  return { status: response_status ?? null, body: '', ...(response !== undefined && { response }) }
}

function acceptedResult(accepted: Accepted, channel: string): Omit<ChannelResult, 'duration_ms'> {
  const { external_id, status, error_code = null } = accepted
  const known = external_id !== null && isExternalId(external_id) ? external_id : null
  const report = { channel, external_id: known, status, error_code }
  return { ...answered(accepted), error: null, kind: 'accepted', report, retry: false }
}

function failedResult(error: RetryError | RefusedError, kind: 'failed' | 'refused', channel: string) {
  const { message, answer, status, errorCode } = error
  const report: ChannelReport = { channel, external_id: null, status, error_code: errorCode ?? unknownError }
  return { ...answered(answer), error: message.slice(0, 300), kind, report }
}

/**
 * Whether the message itself was removed before it was sent. It is sent although a recipient has left or the conversation has
 * been closed or removed since: a farewell is often followed by the end of its conversation.
 */
async function isRecalled({ committed }: OutboundOptions, row: DeliveryRow): Promise<boolean> {
  const { service_sid, subject_sid, message_sid } = row
  const path = { service_sid, conversation_sid: subject_sid, sid: message_sid ?? '' }
  if (await committed.one(messageBySid, path)) return false
  return (await committed.one(conversationBySid, { service_sid, sid: subject_sid })) !== undefined
}
