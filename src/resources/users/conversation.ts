import { seconds } from '../../dates.ts'
import { resource, rowOf, stepOf } from '../../model/declare.ts'
import { date, index, oneOf } from '../../model/params.ts'
import type { ParticipantRow } from '../../storage/schema.ts'
import { timersToJson } from '../conversations/conversation.ts'
import { refuseUnusable } from '../conversations/lifecycle.ts'
import { type MembershipRow, membershipIn, pageOfUser } from '../conversations/memberships.ts'
import { participants, readTo } from '../conversations/participants/participant.ts'
import { users } from './user.ts'

/** Keys of the representation besides the participant's columns. */
type UserConversationKey =
  | 'conversation_state'
  | 'created_by'
  | 'friendly_name'
  | 'timers'
  | 'unique_name'
  | 'unread_messages_count'

/** https://www.twilio.com/docs/conversations/api/user-conversation-resource */
export const userConversations = resource<MembershipRow, UserConversationKey>()({
  name: 'UserConversation',
  operation: 'Conversation',
  path: 'Conversations',
  under: users,
  table: 'participants',
  sid: 'participant',
  view: {
    find: (read, facts, key) => membershipIn(read, facts, facts.parents[0], key),
    page: (read, facts, _p, slice) => pageOfUser(read, facts, facts.parents[0], slice),
  },
  params: {
    NotificationLevel: oneOf(['default', 'muted'], { invalid: 'invalidNotificationLevel' }),
    LastReadTimestamp: date('invalidLastReadTimestamp'),
    LastReadMessageIndex: index('invalidLastReadIndex'),
  },
  // Personal settings and read horizon: the participant as others see it is unchanged.
  untouched: ['NotificationLevel', 'LastReadTimestamp', 'LastReadMessageIndex'],

  update(before, p, { now }) {
    refuseUnusable(before.conversation)
    return { ...before, notification_level: p.NotificationLevel ?? before.notification_level, ...readTo(before, p, now) }
  },

  /** The user leaves the conversation; their messages remain. */
  remove: (before) => refuseUnusable(before.conversation),

  /** Changes the participant's row, without events: these operations have no webhook header. */
  steps(change, facts) {
    const { conversation, conversation_sid } = rowOf(change)
    const parents = [{ ...conversation, sid: conversation_sid, revision: 0 }]
    return [stepOf<ParticipantRow>(participants, { ...change, cause: 'consequence' }, { ...facts, parents })]
  },

  represent: (row, _self, urls) => {
    const conversation = `${urls.family}/Conversations/${row.conversation_sid}`
    return {
      account_sid: row.account_sid,
      chat_service_sid: row.service_sid,
      conversation_sid: row.conversation_sid,
      unread_messages_count: row.unread,
      last_read_message_index: row.last_read_message_index,
      participant_sid: row.sid,
      user_sid: row.user_sid,
      friendly_name: row.conversation.friendly_name,
      conversation_state: row.conversation.state,
      timers: timersToJson(row.conversation),
      attributes: row.conversation.attributes,
      date_created: seconds(row.conversation.date_created),
      date_updated: seconds(row.conversation.date_updated),
      created_by: row.conversation.created_by,
      notification_level: row.notification_level,
      unique_name: row.conversation.unique_name,
      url: `${urls.family}/Users/${row.user_sid}/Conversations/${row.conversation_sid}`,
      links: { participant: `${conversation}/Participants/${row.sid}`, conversation },
    }
  },

  list: {
    key: 'conversations',
    size: 50,
    max: 1000,
    params: {},
    order: () => ({ by: 'date_activity', direction: 'desc', where: [] }),
  },
})
