import { type MediaJson, shownMedia } from '../media/rows.ts'
import type { ConversationRow, MessageRow } from '../storage/schema.ts'
import type { Occasion } from './decision.ts'

/** Characters of a push's text (documented). */
const maxText = 178
/** Of either push service. */
const maxBytes = 4096
/** Left out, in this order, of a push that is too long. */
const expendable = ['media', 'conversation_title', 'author'] as const

/** What a push is about, as client SDKs name it: also where they register for it. */
export const messageTypes: Readonly<Record<Occasion, string>> = {
  new_message: 'twilio.conversations.new_message',
  added_to_conversation: 'twilio.conversations.added_to_conversation',
  removed_from_conversation: 'twilio.conversations.removed_from_conversation',
}

/** The names of a conversation, which may be none. */
export type Named = Pick<ConversationRow, 'sid' | 'friendly_name' | 'unique_name'>

/** Who did something: the name that is shown, and the SID of their participant or what else identifies them. */
export interface Actor {
  readonly name: string
  readonly sid: string
}

/** What the variables of a template stand for. */
export interface Described {
  readonly conversation: Named
  readonly actor: Actor
  readonly message: MessageRow | null
}

/** Returns the values of a template's variables (documented). */
function variables({ conversation, actor, message }: Described): Readonly<Record<string, string>> {
  const { sid, friendly_name: friendly, unique_name: unique } = conversation
  const media = shownMedia(message?.media ?? null)
  return {
    PARTICIPANT: actor.name,
    PARTICIPANT_FRIENDLY_NAME: actor.name,
    PARTICIPANT_IDENTITY: actor.name,
    PARTICIPANT_SID: actor.sid,
    CONVERSATION: unique ?? friendly ?? sid,
    CONVERSATION_FRIENDLY_NAME: friendly ?? unique ?? sid,
    CONVERSATION_UNIQUE_NAME: unique ?? friendly ?? sid,
    CONVERSATION_SID: sid,
    ...(message && { MESSAGE: message.body ?? '' }),
    ...(media.length > 0 && { MEDIA_COUNT: String(media.length), MEDIA: media[0]?.filename ?? '' }),
  }
}

/** Returns the text of a push. Other variables stay as they are written (inferred). */
export function textOf(template: string, described: Described): string {
  const values = variables(described)
  const text = template.replace(/\$\{(\w+)\}/g, (written: string, name: string) =>
    Object.hasOwn(values, name) ? (values[name] ?? '') : written,
  )
  // Not half of a character.
  return text.slice(0, maxText).replace(/[\uD800-\uDBFF]$/, '')
}

/** The keys of a push and their values, as apps get them. */
export type PushData = Readonly<Record<string, string>>

/** Returns the title of a conversation as pushes have it (observed: apps compare it with the SID). */
function titleOf({ sid, friendly_name, unique_name }: Named): string {
  return friendly_name ?? unique_name ?? sid
}

/** Returns the data of a push but for its id. `text`, `sound`: null for a push that only moves the badge. */
export function pushData(
  occasion: Occasion,
  { conversation, message }: Pick<Described, 'conversation' | 'message'>,
  { text, sound }: { readonly text: string | null; readonly sound: string | null },
): PushData {
  return fitted({
    twi_message_type: messageTypes[occasion],
    ...(text !== null && { twi_body: text }),
    ...(sound && { twi_sound: sound }),
    conversation_sid: conversation.sid,
    conversation_title: titleOf(conversation),
    ...(message && { author: message.author, message_sid: message.sid, message_index: String(message.message_index) }),
    ...mediaData(shownMedia(message?.media ?? null)),
  })
}

/** Of several the first. A JSON text: SDKs drop an object. */
function mediaData(media: readonly MediaJson[]): Record<string, string> {
  const [first] = media
  if (!first) return {}
  const { sid, size, content_type, filename } = first
  const described = { ...(filename !== null && { filename }), size, content_type, sid }
  return { media_count: String(media.length), media: JSON.stringify(described) }
}

/** The room that ids, keys of the services and escapes take. */
const reservedBytes = 512

function fitted(data: Record<string, string>): PushData {
  for (const key of expendable) {
    if (Buffer.byteLength(JSON.stringify(data)) <= maxBytes - reservedBytes) break
    delete data[key]
  }
  return data
}

/** Returns the message of FCM's HTTP v1 API: data only, for apps to show (observed). */
export function fcmMessage(token: string, data: PushData): object {
  return { message: { token, data, android: { priority: 'HIGH', ttl: '86400s' } } }
}

/** Returns the payload of APNs. `badge`: null leaves it as it is. */
export function apnsPayload({ twi_body: body, twi_sound: sound, ...data }: PushData, badge: number | null): object {
  const aps = {
    ...(body !== undefined && { alert: { body } }),
    ...(sound !== undefined && { sound }),
    ...(badge !== null && { badge }),
    ...(body !== undefined && { 'mutable-content': 1 }),
  }
  return { aps, ...data }
}
