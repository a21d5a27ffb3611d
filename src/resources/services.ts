import { seconds } from '../api/dates.ts'
import { resource } from '../api/declare.ts'
import { createOnly, required, text } from '../api/params.ts'
import { refuse } from '../errors.ts'
import type { ServiceRow } from '../storage/schema.ts'

/** What a new service starts with; also used for the default service of a new account. */
export function newService(account_sid: string, friendly_name: string) {
  return {
    account_sid,
    friendly_name,
    pre_webhook_url: null,
    post_webhook_url: null,
    webhook_method: null,
    webhook_filters: null,
  }
}

/** https://www.twilio.com/docs/conversations/api/service-resource */
export const services = resource<ServiceRow>()({
  name: 'Service',
  path: 'Services',
  under: 'account',
  asParent: 'service_sid',
  table: 'services',
  sid: 'IS',
  params: {
    FriendlyName: createOnly(required(text({ max: 256, tooLong: 'friendlyNameTooLong' }))),
  },
  create: (p, { account }) => newService(account.sid, p.FriendlyName ?? ''),
  remove(was, { account }) {
    // The default family would have no home.
    if (was.sid === account.default_service_sid) throw refuse('conflict')
  },
  represent: (row, self) => ({
    sid: row.sid,
    account_sid: row.account_sid,
    friendly_name: row.friendly_name,
    date_created: seconds(row.date_created),
    date_updated: seconds(row.date_updated),
    url: self,
    links: {
      conversations: `${self}/Conversations`,
      users: `${self}/Users`,
      roles: `${self}/Roles`,
      bindings: `${self}/Bindings`,
      configuration: `${self}/Configuration`,
      participant_conversations: `${self}/ParticipantConversations`,
      conversation_with_participants: `${self}/ConversationWithParticipants`,
    },
  }),
  list: { key: 'services', size: 50, max: 1000, params: {}, order: () => ({ by: 'date_created', direction: 'asc', where: [] }) },
})
