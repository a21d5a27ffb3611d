import { milliseconds } from '../../dates.ts'
import { parseStored } from '../../json.ts'
import { type MediaJson, shownMedia } from '../../media/rows.ts'
import { projectedAddress } from '../../resources/conversations/email-binding.ts'
import { conversationDocument, infoMap, messagesList, rosterMap } from '../../resources/sync-objects.ts'
import { withReachability } from '../../resources/users/reachability.ts'
import type { ConversationRow, MessageRow, ParticipantRow, ServiceRow, UserRow } from '../../storage/schema.ts'

/** An item of a list or a map, or the content of a document, as of its last change. */
export interface Item {
  /** The index of a list's item, the key of a map's; of a document its name. */
  readonly key: string | number
  readonly event_id: number
  readonly created_event_id: number
  readonly date_updated: number
  readonly data: object
}

export function conversationItem(row: ConversationRow): Item {
  const { sid, revision, date_updated } = row
  return { key: sid, event_id: revision, created_event_id: 1, date_updated, data: conversationData(row) }
}

function conversationData(row: ConversationRow) {
  const lastMessage = row.last_message_index >= 0 && {
    lastMessage: { index: row.last_message_index, timestamp: milliseconds(row.date_activity) },
  }
  return {
    messages: messagesList(row.sid),
    roster: rosterMap(row.sid),
    friendlyName: row.friendly_name,
    uniqueName: row.unique_name,
    createdBy: row.created_by,
    attributes: row.attributes,
    dateCreated: milliseconds(row.date_created),
    dateUpdated: milliseconds(row.date_updated),
    // Its own date: clients take any other one for a change of the state.
    state: { current: row.state, dateUpdated: milliseconds(row.date_state) },
    ...lastMessage,
    bindings: bindingsOf(row),
  }
}

function bindingsOf(row: ConversationRow) {
  if (row.email_address === null && row.email_name === null) return {}
  return { email: { name: row.email_name, projected_address: projectedAddress(row) } }
}

export function messageItem(row: MessageRow): Item {
  const { message_index: key, event_id, created_event_id, date_updated } = row
  return { key, event_id, created_event_id, date_updated, data: messageData(row) }
}

function messageData(row: MessageRow) {
  const medias = shownMedia(row.media).map(mediaData)
  const [media] = medias
  return {
    sid: row.sid,
    author: row.author,
    ...(row.body !== null && { text: row.body }),
    type: media ? 'media' : 'text',
    attributes: row.attributes,
    timestamp: milliseconds(row.date_created),
    dateUpdated: milliseconds(row.date_updated),
    lastUpdatedBy: row.last_updated_by,
    memberSid: row.participant_sid,
    subject: row.subject,
    contentSid: row.content_sid,
    ...(media && { medias, media }),
    ...(row.delivery !== null && { delivery: parseStored<object>(row.delivery) }),
    channelMetadata: row.channel_metadata !== null,
  }
}

function mediaData({ sid, category = 'media', filename, content_type, size }: MediaJson) {
  return { sid, category, filename, contentType: content_type, size }
}

export function participantItem(row: ParticipantRow): Item {
  const { sid: key, event_id, created_event_id, date_updated } = row
  return { key, event_id, created_event_id, date_updated, data: participantData(row) }
}

function participantData(row: ParticipantRow) {
  const { last_read_message_index, last_read_timestamp, binding_type } = row
  const email = binding_type === 'email' && {
    email: { name: row.binding_name, address: row.address_as_given ?? row.address, level: row.binding_level },
  }
  return {
    identity: row.identity,
    type: binding_type ?? 'chat',
    roleSid: row.role_sid,
    attributes: row.attributes,
    dateCreated: milliseconds(row.date_created),
    dateUpdated: milliseconds(row.date_updated),
    lastConsumedMessageIndex: last_read_message_index,
    lastConsumptionTimestamp: last_read_timestamp === null ? null : milliseconds(last_read_timestamp),
    ...(row.user_sid !== null && { userInfo: infoMap(row.user_sid) }),
    ...(email && { bindings: email }),
  }
}

/** A membership, as its user alone sees it. */
export function membershipItem(row: ParticipantRow): Item {
  return {
    key: row.conversation_sid,
    event_id: row.membership_event_id,
    created_event_id: row.membership_created_event_id,
    date_updated: row.date_updated,
    data: {
      status: 'joined',
      channel: conversationDocument(row.conversation_sid),
      messages: messagesList(row.conversation_sid),
      roster: rosterMap(row.conversation_sid),
      lastConsumedMessageIndex: row.last_read_message_index,
      notificationLevel: row.notification_level,
    },
  }
}

/** A user, in the order of the keys. Clients apply what they are sent of reachability even where the service has it off. */
export function userItems(user: UserRow, service: ServiceRow): Item[] {
  const row = withReachability(user, service)
  const { revision, date_updated } = row
  const item = (key: string, data: object): Item => ({ key, event_id: revision, created_event_id: 1, date_updated, data })
  return [
    item('attributes', { value: row.attributes }),
    item('friendlyName', { value: row.friendly_name }),
    ...(service.reachability_enabled === 1
      ? [item('reachability', { online: row.is_online === 1, notifiable: row.is_notifiable === 1 })]
      : []),
  ]
}
