import { milliseconds } from '../../dates.ts'
import { bindingToJson } from '../../resources/conversations/participants/messaging-binding.ts'
import { conversationDocument, infoMap, messagesList, rosterMap } from '../../resources/sync-objects.ts'
import type { ConversationRow, MessageRow, ParticipantRow, UserRow } from '../../storage/schema.ts'
import type { ClientCall } from '../call.ts'
import { commandBase } from '../configuration.ts'

/** The objects in which a client follows a conversation. */
export function syncObjects(conversation_sid: string) {
  return {
    conversation: conversationDocument(conversation_sid),
    messages: messagesList(conversation_sid),
    participants: rosterMap(conversation_sid),
  }
}

export function conversationJson(call: ClientCall, row: ConversationRow) {
  const url = `${commandBase(call)}/Conversations/${row.sid}`
  return {
    sid: row.sid,
    account_sid: row.account_sid,
    chat_service_sid: row.service_sid,
    friendly_name: row.friendly_name,
    unique_name: row.unique_name,
    attributes: row.attributes,
    state: row.state,
    created_by: row.created_by,
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
    url,
    links: { participants: `${url}/Participants`, messages: `${url}/Messages` },
    sync_objects: syncObjects(row.sid),
  }
}

export function participantJson(call: ClientCall, row: ParticipantRow) {
  const conversation = `${commandBase(call)}/Conversations/${row.conversation_sid}`
  return {
    account_sid: row.account_sid,
    chat_service_sid: row.service_sid,
    conversation_sid: row.conversation_sid,
    role_sid: row.role_sid,
    sid: row.sid,
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
    identity: row.identity,
    attributes: row.attributes,
    messaging_binding: bindingToJson(row),
    url: `${conversation}/Participants/${row.sid}`,
    links: { conversation },
  }
}

export function messageJson(call: ClientCall, row: MessageRow) {
  const conversation = `${commandBase(call)}/Conversations/${row.conversation_sid}`
  const self = `${conversation}/Messages/${row.sid}`
  return {
    sid: row.sid,
    account_sid: row.account_sid,
    chat_service_sid: row.service_sid,
    conversation_sid: row.conversation_sid,
    index: row.message_index,
    author: row.author,
    participant_sid: row.participant_sid,
    body: row.body,
    attributes: row.attributes,
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
    url: self,
    links: { self, conversation, messages_receipts: `${self}/Receipts` },
  }
}

export function userJson(call: ClientCall, row: UserRow) {
  const url = `${commandBase(call)}/Users/${row.sid}`
  return {
    sid: row.sid,
    account_sid: row.account_sid,
    chat_service_sid: row.service_sid,
    identity: row.identity,
    friendly_name: row.friendly_name,
    attributes: row.attributes,
    role_sid: row.role_sid,
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
    url,
    links: { my_conversations: `${url}/Conversations` },
    sync_objects: { user_info_map: infoMap(row.sid) },
  }
}
