import { newSid } from '../../src/sids.ts'
import type { BindingRow, ConversationRow, ConversationWebhookRow, ReceiptRow, RoleRow } from '../../src/storage/schema.ts'
import { messageOf, participantOf, userOf } from '../chat-population.ts'
import type { Filling } from '../contents.ts'
import { plainConversation } from '../plain-conversation.ts'
import { type Owner, type Population, rowOf } from '../population.ts'

/** As many rows as a page holds, and one more. */
const full_page = 1001
const maxParticipants = 1000
const max_receipts = 50
const maxWebhooks = 5

/** As long as a limit allows, and of characters that JSON has to escape. */
export const largest_attributes = JSON.stringify('"'.repeat(8_190)).padEnd(16_384)
/** Of participants and messages. */
export const largest_small_attributes = JSON.stringify('"'.repeat(2_046)).padEnd(4_096)
export const largest_body = '"'.repeat(32_768)
export const largest_name = '"'.repeat(256)

/** Who is in a thousand conversations. */
export const busy = 'busy'

/** Conversations with everything that a conversation may have: one to be read, others to be deleted. */
const full_conversations = 5
/** Of every other kind: one to be read or changed, others to be deleted. */
const spare = 5

/** Sids of what the requests of the stalls part ask for; the first of each is never deleted. */
export type Landmarks = Readonly<Record<Kind, readonly string[]>>
type Kind = 'conversation' | 'participant' | 'message' | 'webhook' | 'receipt' | 'role' | 'user' | 'binding'

export function newLandmarks(nowMs: number): Landmarks {
  const sids = (kind: Kind, count: number) => Array.from({ length: count }, () => newSid(kind, nowMs))
  return {
    conversation: sids('conversation', full_conversations),
    participant: sids('participant', spare),
    message: sids('message', spare),
    webhook: sids('webhook', maxWebhooks),
    receipt: sids('receipt', spare),
    role: sids('role', spare),
    user: sids('user', full_page),
    binding: sids('binding', spare),
  }
}

/** The population, in front of it a page of conversations with the largest values, and conversations that are full. */
export function stallsFilling(landmarks: Landmarks, population: Population, nowMs: number): Filling {
  const sidOf = (kind: Kind, i: number) => landmarks[kind][i] ?? newSid(kind, nowMs)
  return (insert, owner) => {
    const large = Array.from({ length: full_page }, (_, i) => ({
      ...largeConversation(sidOf('conversation', i), owner, nowMs),
      unique_name: `large-${i}`,
    }))
    const at = (i: number) => large[i] as ConversationRow
    insert('conversations', population.rows, (i) => rowOf(population, i, owner, nowMs))
    insert('conversations', large.length, at)
    insert('users', full_page, (i) => ({
      ...userOf(owner, identityOf(i), sidOf('user', i), nowMs),
      ...{ attributes: largest_attributes, friendly_name: largest_name },
    }))
    insert('roles', full_page, (i) => roleOf(sidOf('role', i), owner, nowMs))
    insert('bindings', full_page, (i) => bindingOf(sidOf('binding', i), i, owner, nowMs))
    insert('participants', people, (i) => {
      const [conversation, person] = seatOf(i)
      const whose = { owner, identity: identityOf(person), user_sid: landmarks.user[person] as string }
      return { ...participantOf(whose, at(conversation)), attributes: largest_small_attributes, sid: sidOf('participant', i) }
    })
    insert('messages', full_conversations * full_page, (i) => {
      const row = messageOf(at(Math.floor(i / full_page)), busy, i % full_page, nowMs + (i % full_page))
      return { ...row, body: largest_body, attributes: largest_small_attributes, sid: sidOf('message', i) }
    })
    insert('conversation_webhooks', full_conversations * maxWebhooks, (i) =>
      webhookOf(sidOf('webhook', i), at(Math.floor(i / maxWebhooks))),
    )
    insert('receipts', max_receipts, (i) => receiptOf(sidOf('receipt', i), landmarks, owner, nowMs))
  }
}

/** A thousand in each full conversation; in every other large one the two that are in a thousand. */
const in_full = full_conversations * maxParticipants
const people = in_full + 2 * (full_page - full_conversations)

function seatOf(i: number): readonly [conversation: number, person: number] {
  if (i < in_full) return [Math.floor(i / maxParticipants), i % maxParticipants]
  return [full_conversations + Math.floor((i - in_full) / 2), busiest[(i - in_full) % 2] as number]
}

/** Persons who are in a thousand conversations: one to be read, one to be deleted. */
const busiest = [0, 2]

function identityOf(person: number): string {
  return person === 0 ? busy : `large-${person}`
}

/** The most recent ones: lists begin with them. */
function largeConversation(sid: string, owner: Owner, nowMs: number): ConversationRow {
  return {
    ...plainConversation,
    ...owner,
    ...{ sid, friendly_name: largest_name, attributes: largest_attributes },
    ...{ last_message_index: full_page - 1, webhook_count: maxWebhooks },
    ...{ date_activity: nowMs, date_state: nowMs, date_created: nowMs, date_updated: nowMs },
  }
}

function roleOf(sid: string, { account_sid, service_sid }: Owner, now: number): RoleRow {
  const dates = { date_created: now, date_updated: now, revision: 1 }
  const permissions = JSON.stringify(['sendMessage', 'leaveConversation', 'editOwnMessage'])
  return { service_sid, sid, account_sid, friendly_name: largest_name, type: 'conversation', permissions, ...dates }
}

function webhookOf(
  sid: string,
  { service_sid, account_sid, sid: conversation_sid, date_created }: ConversationRow,
): ConversationWebhookRow {
  return {
    ...{
      service_sid,
      conversation_sid,
      sid,
      account_sid,
      target: 'trigger',
      url: `http://127.0.0.1:1/${'a'.repeat(400)}`,
      method: 'POST',
    },
    ...{
      filters: null,
      triggers: JSON.stringify(Array.from({ length: 5 }, (_, i) => `${i}`.repeat(248))),
      flow_sid: null,
      replay_after: null,
    },
    ...{ date_created, date_updated: date_created, revision: 1 },
  }
}

function bindingOf(sid: string, i: number, { account_sid, service_sid }: Owner, now: number): BindingRow {
  const dates = { date_created: now, date_updated: now, revision: 1 }
  const endpoint = {
    identity: identityOf(i),
    endpoint: 'e'.repeat(255),
    binding_type: 'fcm',
    message_types: '["new_message"]',
  } as const
  return { service_sid, sid, account_sid, ...endpoint, credential_sid: newSid('credential', now), ...dates }
}

function receiptOf(sid: string, { conversation, message, participant }: Landmarks, owner: Owner, now: number): ReceiptRow {
  const { account_sid, service_sid } = owner
  const [conversation_sid = '', message_sid = '', participant_sid = ''] = [conversation[0], message[0], participant[0]]
  return {
    ...{ service_sid, conversation_sid, message_sid, sid, account_sid, participant_sid },
    ...{ channel_message_sid: newSid('channelMessage', now), status: 'delivered', error_code: 0 },
    ...{ date_created: now, date_updated: now, revision: 1 },
  }
}
