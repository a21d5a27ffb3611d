import type { Readable } from 'node:stream'
import type { MailHead } from '../resources/conversations/messages/mail.ts'
import type { ReceiptStatus } from '../storage/schema.ts'
import type { SettingsOf } from './settings.ts'

/*
 * The contract between the core of channels and one kind of channel: SMS at a carrier, WhatsApp, email and so on. A kind says how to
 * speak, never when: the core queues, orders, retries, removes duplicates and keeps receipts. Kinds are listed in `kinds.ts`.
 */

/** The prefixes of addresses, as participants have them. */
export type ChannelAddressType = 'sms' | 'whatsapp' | 'messenger' | 'rcs' | 'email'

/** What a kind carries. The core refuses or degrades a message before `send`. */
export interface Capabilities {
  /** Longest text, in UTF-16 units; a message with a longer one fails. */
  readonly text_length: number
  /** `types`: patterns such as `image/*`. Without it, links to media are added to the text. */
  readonly media?: { readonly types: readonly string[]; readonly bytes: number; readonly count: number }
  /** It has templates of its own: it is told the SID of a content template and its variables, besides the text. */
  readonly template?: true
  readonly typing?: true
  readonly read?: true
  /** It carries a subject and HTML. */
  readonly subject?: true
}

/** One kind of channel. Its methods hold no state: all of it is in the settings and in what they are given. */
export interface ChannelKind<Settings> {
  /** As in `PUT …/channels/{address}`: lower case, digits and underscores. */
  readonly name: string
  /** For the documentation: a sentence without its full stop. */
  readonly description: string
  /** The types of addresses that it may carry. */
  readonly serves: readonly ChannelAddressType[]
  /** Validation, sealing of secrets, OpenAPI and the documentation follow from it. */
  readonly settings: SettingsOf<Settings>
  /** Returns what is wrong with settings that are right one by one, as a sentence. */
  problem?(settings: Settings): string | undefined
  readonly can: Capabilities
  /** Hands one message to one recipient. Throws RetryError or RefusedError; anything else is a defect and fails the message. */
  send(settings: Settings, out: Outbound, io: ChannelIo): Promise<Accepted>
  /**
   * A request of the provider's: proves it and returns the reply, and what the request meant. The reply is sent once all events are
   * on disk; when that fails it is 503, so that the provider tries again. Throws UnprovenError, which the provider is sent as 403.
   */
  webhook?(settings: Settings, request: RawRequest, io: ChannelIo): Promise<WebhookResult>
  /**
   * For what keeps a socket: runs on one node. It is disposed of when the settings change or another node takes over, and begun again,
   * with back-off, when it throws or `failed` settles. `emit` resolves when the event is on disk; when it throws, the event has to be
   * emitted again.
   */
  listen?(settings: Settings, io: ChannelIo, emit: (event: ChannelEvent) => Promise<void>): Promise<Listening>
  /** Somebody inside types. Best effort: an error is dropped. */
  typing?(settings: Settings, to: Reached, io: ChannelIo): Promise<void>
  /** Somebody inside has read up to the message with this external id. Best effort. */
  seen?(settings: Settings, externalId: string, io: ChannelIo): Promise<void>
  /** Whether the settings work; for an operator's test. `says`: a sentence, without secrets. Throws nothing that it can name. */
  check?(settings: Settings, io: ChannelIo): Promise<{ readonly ok: boolean; readonly says: string }>
}

/** What is known of an attempt, for the delivery log. */
export interface Answer {
  /** HTTP status or SMTP reply code. */
  readonly response_status?: number
  /** What the provider said; the log keeps its first characters. Without secrets. */
  readonly response?: string
}

export interface Accepted extends Answer {
  /**
   * How the carrier calls the message: at most 255 characters, unique per channel and recipient. Null: it has told none, and no
   * status will come.
   */
  readonly external_id: string | null
  readonly status: ReceiptStatus
  /** With `undelivered` and `failed`. */
  readonly error_code?: number
}

export interface WebhookResult {
  readonly reply: RawReply
  readonly events: readonly ChannelEvent[]
}

export interface Listening extends AsyncDisposable {
  /** Settles when it has stopped listening by itself. */
  readonly failed: Promise<unknown>
}

export interface Outbound {
  /** The idempotency token: the same at each attempt. */
  readonly key: string
  /** The number of earlier attempts. */
  readonly tries: number
  /** The channel's own address: the proxy address, or the conversation's mail address. */
  readonly from: string | null
  /** The address of the recipient, as it was given. */
  readonly to: string
  /** `identity`: as the message has it, an identity or an address. `name`: the friendly name of a user. */
  readonly author: { readonly identity: string; readonly name: string | null }
  readonly subject: string | null
  readonly text: string | null
  /** For kinds that carry a subject. */
  readonly html: string | null
  /** For kinds with templates; `variables`: JSON text. */
  readonly content: { readonly sid: string; readonly variables: string | null } | null
  /** Without the parts of a mail's body. */
  readonly media: readonly OutboundMedia[]
  /** The headers of a mail, which are the same for all its recipients; null for other channels, and without a mailbox. */
  readonly mail: MailHead | null
  readonly sids: {
    readonly account: string
    readonly service: string
    readonly conversation: string
    readonly message: string
    readonly participant: string
  }
}

export interface OutboundMedia {
  readonly sid: string
  readonly filename: string | null
  readonly content_type: string
  /** In bytes. */
  readonly size: number
  /** A link that needs no credentials, for a day. */
  url(): string
  open(): Promise<Readable>
}

export interface InboundMedia {
  readonly filename: string | null
  readonly content_type: string | null
  /** Bytes, or where they are fetched, through the same check of addresses as webhooks. */
  readonly content: Uint8Array | { readonly url: string; readonly headers?: Readonly<Record<string, string>> }
  /** Default: `media`. */
  readonly category?: 'media' | 'body' | 'history' | 'source'
}

/** What an event is about. */
interface AtAddress {
  /**
   * The address of another channel of the account, for providers that call one URL for several: the event is that channel's, and is
   * dropped when there is none. Default: the channel that was called.
   */
  readonly address?: string
}

export type ChannelEvent = MessageEvent | StatusEvent | { readonly kind: 'typing'; readonly from: string; readonly to: string }

export interface MessageEvent extends AtAddress {
  readonly kind: 'message'
  /** The carrier's, at most 255 characters: a message with one that the channel has had already is dropped. */
  readonly external_id: string
  readonly from: string
  /** The channel's address; several numbers for a group MMS. */
  readonly to: readonly string[]
  /** The sender's name in the channel. */
  readonly name: string | null
  readonly subject: string | null
  readonly text: string | null
  readonly media: readonly InboundMedia[]
  /** What ChannelMetadata shows as `data`; null: the name alone. */
  readonly metadata: Readonly<Record<string, unknown>> | null
}

export interface StatusEvent extends AtAddress {
  readonly kind: 'status'
  /** As `send` returned it. */
  readonly external_id: string
  readonly status: ReceiptStatus
  readonly error_code: number | null
}

/** A recipient, and the last message that came from them. */
export interface Reached {
  readonly address: string
  readonly external_id: string | null
}

export interface RawRequest {
  readonly method: string
  /** As the provider called it: the public URL, path and query. */
  readonly url: string
  /** Below the channel's own, without the query: `/` or `/status`. */
  readonly path: string
  /** Names in lower case; those that came several times are joined by a comma. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
}

export interface RawReply {
  readonly status: number
  readonly content_type: string
  readonly body: string
}

/** What a kind may use of the outside. */
export interface ChannelIo {
  readonly channel: { readonly account_sid: string; readonly sid: string; readonly address: string }
  /**
   * HTTP with the same check of addresses as webhooks; follows no redirect. Throws no error for a status, RetryError when there is no
   * response, and RefusedError when the address may not be called.
   */
  request(options: HttpRequest): Promise<HttpResponse>
  /** POSTs a form, signed with the account's auth token like a webhook. Throws as `request`. */
  signed(options: SignedForm): Promise<HttpResponse>
  /** Where the provider sends webhooks of this channel: `<public url>/channels/{channel sid}`. */
  readonly webhook_url: string
  /** Aborted when what was begun is no longer wanted. */
  readonly signal: AbortSignal
  /** In epoch ms. */
  readonly now: () => number
  /** Writes a line to the log. Without personal data and secrets. */
  warn(text: string): void
}

export interface SignedForm {
  /** With the user name and password that are sent when the receiver asks for them. */
  readonly url: string
  readonly form: Readonly<Record<string, string>>
  readonly key: string
}

export interface HttpRequest {
  readonly method: string
  readonly url: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

export interface HttpResponse {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** At most its first 64 KiB. */
  readonly body: Buffer
}

interface RetryDetails extends Answer {
  readonly error_code?: number | null
  readonly status?: 'failed' | 'undelivered'
}

/** The message may be accepted later: 429, 5xx, an SMTP reply of 4xx, no connection. */
export class RetryError extends Error {
  override readonly name = 'RetryError'
  readonly code = 'PARLEY_CHANNEL_RETRY'
  readonly answer: Answer
  /** Of the receipt, should this have been the last attempt, as `status`. */
  readonly errorCode: number | null
  readonly status: 'failed' | 'undelivered'

  /** `message`: a sentence for the log, without secrets and personal data. */
  constructor(message: string, { error_code = null, status = 'failed', ...answer }: RetryDetails = {}) {
    super(message)
    this.answer = answer
    this.errorCode = error_code
    this.status = status
  }
}

/** The message will never be accepted. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError'
  readonly code = 'PARLEY_CHANNEL_REFUSED'
  readonly errorCode: number
  readonly status: 'failed' | 'undelivered'
  readonly answer: Answer

  /** `errorCode`: of the receipt. `message`: a sentence for the log, without secrets and personal data. */
  constructor(
    errorCode: number,
    message: string,
    { status = 'failed', ...answer }: Answer & { readonly status?: 'failed' | 'undelivered' } = {},
  ) {
    super(message)
    this.errorCode = errorCode
    this.status = status
    this.answer = answer
  }
}

/** A request does not come from the provider, as far as can be told. */
export class UnprovenError extends Error {
  override readonly name = 'UnprovenError'
  readonly code = 'PARLEY_CHANNEL_UNPROVEN'
}
