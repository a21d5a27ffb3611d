import type { Tx } from '../../../storage/database.ts'
import { conversationBySid, externalIdKey } from '../../../storage/lookups.ts'
import { insert } from '../../../storage/rows.ts'
import type { ExternalIdRow, MessageRow, ParticipantRow } from '../../../storage/schema.ts'
import { shape } from '../../../storage/shapes.ts'
import { projectedAddress } from '../email-binding.ts'

/**
 * The headers of a message that is sent as mail. They are written down with the message: every recipient gets the same bytes, at
 * whichever attempt and whoever joins or leaves meanwhile.
 */
export interface MailHead {
  readonly from: { readonly address: string; readonly name: string | null }
  /** The conversation's own address. */
  readonly reply_to: string | null
  readonly to: readonly MailRecipient[]
  readonly cc: readonly MailRecipient[]
  /** With angle brackets, as the following. */
  readonly message_id: string
  readonly in_reply_to: string | null
  /** The conversation's mails before it, the oldest first. */
  readonly references: readonly string[]
  /** Null when the message has none and is not an answer. */
  readonly subject: string | null
  /** Epoch ms. */
  readonly date: number
}

export interface MailRecipient {
  readonly address: string
  readonly name: string | null
}

/** Ids of a chain that are looked at: the first of them and the last matter. */
const maxChain = 100

const latest = shape<{ conversation_sid: string; direction: ExternalIdRow['direction']; channel: string; limit: number }>()(
  (db, a) =>
    db
      .selectFrom('external_ids')
      .selectAll()
      .where('conversation_sid', '=', a.conversation_sid)
      .where('direction', '=', a.direction)
      .where('channel', '=', a.channel)
      .orderBy('message_index', 'desc')
      .limit(a.limit),
)

/** Returns the Message-IDs of a conversation's mails, the oldest first. */
async function chainOf(tx: Tx, conversation_sid: string): Promise<readonly string[]> {
  const of = (direction: ExternalIdRow['direction']) =>
    tx.all(latest, { conversation_sid, direction, channel: conversation_sid, limit: maxChain })
  const rows = (await Promise.all([of('in'), of('out')])).flat()
  const ordered = rows.sort((a, b) => (a.message_index ?? 0) - (b.message_index ?? 0))
  // Mails without an id of their own, or with one that is too long, have been given another.
  return ordered.map(({ external_id }) => external_id).filter((id) => !/@(?:none|long)>$/.test(id))
}

const firstSubject = shape<{ service_sid: string; conversation_sid: string }>()((db, a) =>
  db
    .selectFrom('messages')
    .select('subject')
    .where('service_sid', '=', a.service_sid)
    .where('conversation_sid', '=', a.conversation_sid)
    .where('subject', 'is not', null)
    .orderBy('message_index')
    .limit(1),
)

/**
 * Writes down under which Message-ID a message is sent, so that answers to it find its conversation, and returns the headers. Null
 * when the conversation has no mailbox to send from. `members`: its participants with an address.
 */
export async function writeMailHead(
  tx: Tx,
  message: MessageRow,
  members: readonly ParticipantRow[],
  now: number,
): Promise<MailHead | null> {
  const { account_sid, service_sid, conversation_sid, sid: message_sid, message_index } = message
  const conversation = await tx.one(conversationBySid, { service_sid, sid: conversation_sid })
  if (!conversation?.email_address) return null
  const references = await chainOf(tx, conversation_sid)
  const subject = message.subject ?? (await tx.one(firstSubject, { service_sid, conversation_sid }))?.subject ?? null
  const domain = conversation.email_address.slice(conversation.email_address.lastIndexOf('@') + 1)
  const messageId = `<${message_sid.toLowerCase()}@${domain.toLowerCase()}>`
  const key = { account_sid, channel: conversation_sid, external_id: messageId }
  const place = { service_sid, conversation_sid, message_sid, message_index, participant_sid: null, channel_message_sid: null }
  const row: ExternalIdRow = { id: externalIdKey(key, 'out'), ...key, ...place, direction: 'out', early: null, date_created: now }
  await insert(tx, 'external_ids', row)
  const mail = members.filter((one) => one.binding_type === 'email' && one.sid !== message.participant_sid)
  const at = (level: 'to' | 'cc') => mail.filter((one) => (one.binding_level ?? 'to') === level).map(recipient)
  return {
    from: { address: conversation.email_address, name: conversation.email_name },
    reply_to: projectedAddress(conversation),
    to: at('to'),
    cc: at('cc'),
    message_id: messageId,
    in_reply_to: references.at(-1) ?? null,
    references,
    subject: subject !== null && message.subject === null && message_index > 0 ? replySubject(subject) : subject,
    date: now,
  }
}

function recipient({ address, address_as_given, binding_name }: ParticipantRow): MailRecipient {
  return { address: address_as_given ?? address ?? '', name: binding_name }
}

/** Returns the subject of an answer: `Re: ` once, whatever others have put before it. */
export function replySubject(subject: string): string {
  return /^\s*(?:re|aw|sv|vs|antw|odp|rif|res|回复|答复|回覆)(?:\[\d+\])?\s*[:：]/iu.test(subject) ? subject : `Re: ${subject}`
}
