import { randomUUID } from 'node:crypto'
import { enqueueDelivery } from '../../../events/queue.ts'
import { parseStored } from '../../../json.ts'
import { mediaToPayload } from '../../../media/rows.ts'
import type { Reader, Tx } from '../../../storage/database.ts'
import { channelByAddress } from '../../../storage/lookups.ts'
import type { MessageRow, ParticipantRow } from '../../../storage/schema.ts'
import { shape } from '../../../storage/shapes.ts'
import { canonicalAddress } from '../address-formats.ts'
import { type MailHead, writeMailHead } from './mail.ts'

const nonChat = shape<{ service_sid: string; conversation_sid: string }>()(
  (db, a) =>
    db
      .selectFrom('participants')
      .selectAll()
      .where('service_sid', '=', a.service_sid)
      .where('conversation_sid', '=', a.conversation_sid)
      .where('address', 'is not', null),
  { verb: 'select', table: 'participants', columns: null },
)

/** Reads the participants of a conversation that are reached by a messaging channel. */
export async function nonChatParticipants(
  read: Reader,
  { service_sid, conversation_sid }: Pick<ParticipantRow, 'service_sid' | 'conversation_sid'>,
): Promise<readonly ParticipantRow[]> {
  return read.all(nonChat, { service_sid, conversation_sid })
}

/** The `delivery` of a message: which share of its receipts has which status. */
export interface DeliverySummary {
  readonly total: number
  readonly sent: Share
  readonly delivered: Share
  readonly read: Share
  readonly failed: Share
  readonly undelivered: Share
}
type Share = 'all' | 'some' | 'none'

/** `statuses`: of the existing receipts. A read message counts as delivered, a delivered one as sent. */
export function summary(total: number, statuses: readonly string[]): DeliverySummary {
  const share = (...reached: string[]): Share => {
    const count = statuses.filter((status) => reached.includes(status)).length
    return count === 0 ? 'none' : count < total ? 'some' : 'all'
  }
  return {
    total,
    sent: share('sent', 'delivered', 'read', 'undelivered'),
    delivered: share('delivered', 'read'),
    read: share('read'),
    failed: share('failed'),
    undelivered: share('undelivered'),
  }
}

/** Enqueues a delivery of a message for the channel of each recipient. `members`: all with an address, whom a mail names as well. */
export async function dispatch(
  tx: Tx,
  message: MessageRow,
  recipients: readonly ParticipantRow[],
  members: readonly ParticipantRow[],
  scope: { readonly now: number; readonly trace?: string },
): Promise<void> {
  const { account_sid, service_sid, conversation_sid } = message
  const isMailed = recipients.some(({ binding_type }) => binding_type === 'email')
  const mail = isMailed ? await writeMailHead(tx, message, members, scope.now) : null
  // A mail comes from the conversation's mailbox.
  const mailbox = mail && canonicalAddress(mail.from.address)
  const ownOf = (to: ParticipantRow) => to.proxy_address ?? (to.binding_type === 'email' ? mailbox : null)
  // Most recipients of a conversation have one in common.
  const own = [...new Set(recipients.map(ownOf))].filter((address) => address !== null)
  const find = async (proxy_address: string) =>
    [proxy_address, await tx.one(channelByAddress, { account_sid, proxy_address })] as const
  const channels = new Map(await Promise.all(own.map(find)))
  for (const to of recipients) {
    const channel = channels.get(ownOf(to) ?? '')
    const delivery = {
      kind: channel ? ('message' as const) : ('loopback' as const),
      account_sid,
      service_sid,
      target_sid: channel?.sid ?? '',
      subject_sid: conversation_sid,
      event_type: 'channelMessage',
      method: 'POST' as const,
      url: channel ? (parseStored<{ url?: string }>(channel.settings).url ?? '') : '',
      form: JSON.stringify(channelForm(message, to, mail)),
      idempotency_token: randomUUID(),
      message_sid: message.sid,
      participant_sid: to.sid,
    }
    await enqueueDelivery(tx, delivery, scope)
  }
}

/** Returns the parameters of the request to the channel. */
function channelForm(message: MessageRow, to: ParticipantRow, mail: MailHead | null): Record<string, string> {
  const media = mediaToPayload(message.media)
  return {
    AccountSid: message.account_sid,
    ChatServiceSid: message.service_sid,
    ConversationSid: message.conversation_sid,
    MessageSid: message.sid,
    ParticipantSid: to.sid,
    Author: message.author,
    ...(to.address !== null && { To: to.address_as_given ?? to.address }),
    ...(to.proxy_address !== null && { From: to.proxy_address }),
    ...(message.subject !== null && { Subject: message.subject }),
    ...(mail && to.binding_type === 'email' && { Mail: JSON.stringify(mail) }),
    ...(message.body !== null && { Body: message.body }),
    ...(media !== null && { Media: media }),
    ...(message.content_sid !== null && { ContentSid: message.content_sid }),
    ...(message.content_variables !== null && { ContentVariables: message.content_variables }),
  }
}
