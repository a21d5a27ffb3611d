import type { Reader } from '../storage/database.ts'
import type { InboundMedia } from './adapter.ts'
import { type ExternalId, findReceived } from './external-ids.ts'
import type { MailFacts } from './mail-destination.ts'

/** A message received from a channel. */
export interface Incoming {
  readonly account_sid: string
  readonly from: string
  /** One proxy address, or the other numbers of a group MMS. */
  readonly to: readonly string[]
  readonly subject: string | null
  readonly body: string | null
  readonly media: readonly IncomingMedia[]
  /** JSON text. */
  readonly attributes: string | null
  /** The sender's name in the channel. */
  readonly profile_name: string | null
  /** What the channel says about the message; null: the name alone. */
  readonly metadata: Readonly<Record<string, unknown>> | null
  /** How the carrier calls the message: one that was received under it already is not received again. Null: it has not said. */
  readonly external: Pick<ExternalId, 'channel' | 'external_id'> | null
  /** Of a mail: it is received once in each conversation, whichever mailboxes it was sent to. */
  readonly mail?: MailFacts
}

/** Media that were uploaded to the service of the message, or those that are stored with it. */
export type IncomingMedia = { readonly sid: string } | InboundMedia

export interface Received {
  readonly account_sid: string
  readonly service_sid: string
  readonly conversation_sid: string
  readonly participant_sid: string
  readonly message_sid: string
  /** Whether the conversation was created for the message. */
  readonly created: boolean
  /** Whether the message had been received before, and nothing was done. */
  readonly duplicate: boolean
}

/** A refusal of an inbound message; its text is part of the response. */
export class InboundError extends Error {
  override readonly name = 'InboundError'
  readonly code = 'PARLEY_INBOUND'
  readonly statusCode: number

  constructor(statusCode: number, message: string) {
    super(message)
    this.statusCode = statusCode
  }
}

/** Returns what was received under a carrier's id; null when nothing was. */
export async function receivedBefore(read: Reader, external: ExternalId): Promise<Received | null> {
  const row = await findReceived(read, external)
  if (!row) return null
  return {
    account_sid: row.account_sid,
    service_sid: row.service_sid ?? '',
    conversation_sid: row.conversation_sid ?? '',
    participant_sid: row.participant_sid ?? '',
    message_sid: row.message_sid ?? '',
    created: false,
    duplicate: true,
  }
}
