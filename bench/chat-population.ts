import { newSid } from '../src/sids.ts'
import type { ConversationRow, MessageRow, ParticipantRow, UserRow } from '../src/storage/schema.ts'
import type { Filling } from './contents.ts'
import { attributesOf, type Owner, type Population, rowOf } from './population.ts'
import { agentOf, agents, customerOf } from './workload.ts'

/** The conversations of the chat part: many to spread messages over, then a single one, then one with very many messages. */
export interface Chat {
  readonly spread: number
  /** Row of the conversation that receives all messages of a burst. */
  readonly single: number
  /** Row of the conversation with `messages` messages. */
  readonly deep: number
  readonly messages: number
}

/** Conversations of the user `busy_identity`. */
export const memberships = 1000
export const busy_identity = 'busy'

export function chatOf(spread: number, messages: number): Chat {
  return { spread, single: spread, deep: spread + 1, messages }
}

/** Each conversation has its customer, the first thousand also `busy_identity`. All of them are users. */
export function chatFilling(chat: Chat, population: Population, nowMs: number): Filling {
  return (insert, owner) => {
    const user_sids = Array.from({ length: population.rows + agents + 1 }, () => newSid('user', nowMs))
    const busy = population.rows
    const identity = (user: number) => (user < busy ? customerOf(user) : user === busy ? busy_identity : agentOf(user - busy - 1))
    const joined = (user: number, conversation: number) => {
      const whose = { owner, identity: identity(user), user_sid: user_sids[user] as string }
      return participantOf(whose, conversationOf(chat, population, conversation, owner, nowMs))
    }
    insert('conversations', population.rows, (i) => conversationOf(chat, population, i, owner, nowMs))
    insert('users', user_sids.length, (i) => userOf(owner, identity(i), user_sids[i] as string, nowMs))
    insert('participants', population.rows + memberships, (i) =>
      i < population.rows ? joined(i, i) : joined(busy, i - population.rows),
    )
    const deep = conversationOf(chat, population, chat.deep, owner, nowMs)
    insert('messages', chat.messages, (i) => messageOf(deep, customerOf(chat.deep), i, nowMs - chat.messages + i))
  }
}

/** Without timers: each message would move a deadline, which the creation of a conversation does not. */
function conversationOf(chat: Chat, population: Population, i: number, owner: Owner, nowMs: number): ConversationRow {
  return {
    ...rowOf(population, i, owner, nowMs),
    state: 'active',
    inactive_after: null,
    closed_after: null,
    date_inactive: null,
    date_closed: null,
    next_due: null,
    last_message_index: i === chat.deep ? chat.messages - 1 : -1,
  }
}

export function userOf(owner: Owner, identity: string, sid: string, nowMs: number): UserRow {
  return {
    service_sid: owner.service_sid,
    sid,
    account_sid: owner.account_sid,
    identity,
    friendly_name: null,
    attributes: '{}',
    role_sid: role_sid,
    is_online: null,
    is_notifiable: null,
    reachability_epoch: 0,
    last_event_id: 0,
    date_created: nowMs,
    date_updated: nowMs,
    revision: 1,
  }
}

/** No measured request reads a role. */
const role_sid = `RL${'0'.repeat(32)}`

export function participantOf(
  { owner, identity, user_sid }: { owner: Owner; identity: string; user_sid: string },
  { sid: conversation_sid, date_created }: ConversationRow,
): ParticipantRow {
  return {
    service_sid: owner.service_sid,
    conversation_sid,
    sid: newSid('participant', date_created),
    account_sid: owner.account_sid,
    identity,
    user_sid,
    binding_type: null,
    address: null,
    address_as_given: null,
    binding_level: null,
    binding_name: null,
    proxy_address: null,
    projected_address: null,
    attributes: '{}',
    role_sid,
    last_read_message_index: null,
    last_read_timestamp: null,
    notification_level: 'default',
    open: 1,
    closed_activity: null,
    event_id: 0,
    created_event_id: 0,
    membership_event_id: 0,
    membership_created_event_id: 0,
    date_created,
    date_updated: date_created,
    revision: 1,
  }
}

export function messageOf(
  conversation: ConversationRow,
  author: string,
  message_index: number,
  date_created: number,
): MessageRow {
  return {
    service_sid: conversation.service_sid,
    conversation_sid: conversation.sid,
    sid: newSid('message', date_created),
    account_sid: conversation.account_sid,
    message_index,
    author,
    participant_sid: null,
    body: `Message ${message_index}: my order has not arrived yet, could you please tell me where it is?`,
    subject: null,
    media: null,
    attributes: attributesOf(message_index),
    content_sid: null,
    content_variables: null,
    channel_metadata: null,
    last_updated_by: null,
    delivery: null,
    source: 'API',
    event_id: 0,
    created_event_id: 0,
    date_created,
    date_updated: date_created,
    revision: 1,
  }
}
