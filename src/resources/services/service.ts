import { seconds } from '../../dates.ts'
import { refuse } from '../../errors.ts'
import { resource, stepOf } from '../../model/declare.ts'
import { createOnly, required, text } from '../../model/params.ts'
import { defaultNotifications } from '../../push/settings.ts'
import type { RoleRow, ServiceRow } from '../../storage/schema.ts'
import { type DefaultRoles, defaultRoles, roles } from '../role.ts'

/** Returns the columns of a new service, also of the default service of a new account. */
export function newService(friendly_name: string, roles: DefaultRoles) {
  return {
    friendly_name,
    pre_webhook_url: null,
    post_webhook_url: null,
    webhook_method: null,
    webhook_filters: null,
    default_conversation_creator_role_sid: roles.creator.sid,
    default_conversation_role_sid: roles.participant.sid,
    default_chat_service_role_sid: roles.user.sid,
    reachability_enabled: 0,
    reachability_epoch: 0,
    replaced_roles: '{}',
    notifications: JSON.stringify(defaultNotifications),
  }
}

/** https://www.twilio.com/docs/conversations/api/service-resource */
export const services = resource<ServiceRow>()({
  name: 'Service',
  path: 'Services',
  under: 'account',
  childColumn: 'service_sid',
  isService: true,
  table: 'services',
  sid: 'service',
  params: {
    FriendlyName: createOnly(required(text({ max: 256, tooLong: 'friendlyNameTooLong' }))),
  },
  load: async (_read, _p, { account, now }) => defaultRoles(account.sid, '', now),
  create: (p, _facts, roles) => newService(p.FriendlyName ?? '', roles),
  steps: (change, facts, created) => {
    if (change.verb !== 'create') return [change]
    const service = change.after
    const role = (row: RoleRow) =>
      stepOf(
        roles,
        { verb: 'create', before: null, after: { ...row, service_sid: service.sid }, cause: 'consequence' },
        { ...facts, service },
      )
    return [change, ...Object.values(created).map(role)]
  },
  remove(before, { account }) {
    // The paths without a service refer to it.
    if (before.sid === account.default_service_sid) throw refuse('conflict')
  },
  async afterWrite(tx, { before, after }) {
    if (before && !after) tx.notify({ topic: 'access', sid: before.sid })
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
