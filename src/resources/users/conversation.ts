import { seconds } from '../../dates.ts'
import { type Facts, resource } from '../../model/declare.ts'
import { date, index, oneOf } from '../../model/params.ts'
import type { UserRow } from '../../storage/schema.ts'
import { shownTimers } from '../conversations/conversation.ts'
import { refuseUnusable } from '../conversations/lifecycle.ts'
import { type MembershipRow, membershipIn, membershipPage } from '../conversations/memberships.ts'
import { participants, readTo } from '../conversations/participants/participant.ts'
import { users } from './user.ts'

/** https://www.twilio.com/docs/conversations/api/user-conversation-resource */
export const userConversations = resource<MembershipRow>()({
  name: 'UserConversation',
  path: 'Conversations',
  under: users,
  table: 'participants',
  sid: 'MB',
  view: {
    find: (read, facts, key) => membershipIn(read, facts, userOf(facts).identity, key),
    page: (read, facts, _p, slice) =>
      membershipPage(read, facts, { column: 'identity', member: userOf(facts).identity, unread: true }, slice),
  },
  params: {
    NotificationLevel: oneOf(['default', 'muted'], { invalid: 'invalidNotificationLevel' }),
    LastReadTimestamp: date('invalidLastReadTimestamp'),
    LastReadMessageIndex: index('invalidLastReadIndex'),
  },
  // Somebody's own reading and settings: what others see of the participant has not changed.
  quiet: ['NotificationLevel', 'LastReadTimestamp', 'LastReadMessageIndex'],

  update(was, p, { now }) {
    refuseUnusable(was.conversation)
    return { ...was, notification_level: p.NotificationLevel ?? was.notification_level, ...readTo(was, p, now) }
  },

  /** Leaving: what they wrote stays. */
  remove: (was) => refuseUnusable(was.conversation),

  /** The row is the participant's, and stays silent: these operations know no webhook header. */
  steps({ change }, facts) {
    const { conversation, conversation_sid } = change.was as MembershipRow
    const parents = [{ ...conversation, sid: conversation_sid, revision: 0 }]
    return [{ resource: participants, change: { ...change, cause: 'consequence' }, facts: { ...facts, parents } }]
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
      timers: shownTimers(row.conversation),
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

function userOf(facts: Facts): UserRow {
  return facts.parents[0] as UserRow
}
