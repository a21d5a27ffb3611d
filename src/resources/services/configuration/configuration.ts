import { resource } from '../../../model/declare.ts'
import { flag, sid } from '../../../model/params.ts'
import type { ServiceRow } from '../../../storage/schema.ts'
import { roleGiven } from '../../role.ts'

const role = sid('role', 'roleNotFound')

/** https://www.twilio.com/docs/conversations/api/service-configuration-resource */
export const serviceConfiguration = resource<ServiceRow>()({
  name: 'ServiceConfiguration',
  operation: 'Configuration',
  path: 'Configuration',
  under: 'only service',
  table: 'services',
  sid: null,
  row: ({ service }) => service?.sid ?? '',
  params: {
    DefaultConversationCreatorRoleSid: role,
    DefaultConversationRoleSid: role,
    DefaultChatServiceRoleSid: role,
    ReachabilityEnabled: flag(),
  },
  async load(read, p, { service }) {
    await roleGiven(read, service, p.DefaultConversationCreatorRoleSid, 'conversation')
    await roleGiven(read, service, p.DefaultConversationRoleSid, 'conversation')
    await roleGiven(read, service, p.DefaultChatServiceRoleSid, 'service')
  },
  update: (before, p) => ({
    ...before,
    ...reachability(before, p.ReachabilityEnabled),
    default_conversation_creator_role_sid: p.DefaultConversationCreatorRoleSid ?? before.default_conversation_creator_role_sid,
    default_conversation_role_sid: p.DefaultConversationRoleSid ?? before.default_conversation_role_sid,
    default_chat_service_role_sid: p.DefaultChatServiceRoleSid ?? before.default_chat_service_role_sid,
  }),
  represent: (row, self) => ({
    chat_service_sid: row.sid,
    default_conversation_creator_role_sid: row.default_conversation_creator_role_sid,
    default_conversation_role_sid: row.default_conversation_role_sid,
    default_chat_service_role_sid: row.default_chat_service_role_sid,
    reachability_enabled: row.reachability_enabled === 1,
    url: self,
    links: {
      notifications: `${self}/Notifications`,
      webhooks: `${self}/Webhooks`,
    },
  }),
})

/** What was known of users is not true any more when it is turned on again (documented: null until the next connection). */
function reachability(before: ServiceRow, enabled: boolean | null | undefined) {
  const { reachability_enabled, reachability_epoch: epoch } = before
  if (typeof enabled !== 'boolean' || Number(enabled) === reachability_enabled) return {}
  return { reachability_enabled: Number(enabled), reachability_epoch: enabled ? epoch + 1 : epoch }
}
