import { defaultRoles } from '../resources/role.ts'
import { newService } from '../resources/services/service.ts'
import { newSid } from '../sids.ts'
import type { AccountRow, RoleRow, ServiceRow } from '../storage/schema.ts'

/** Returns the rows of a new account, with a default service and a default messaging service, as every Twilio account has. */
export function newAccount(input: {
  sid: string | undefined
  friendly_name: string
  sealedToken: string
  now: number
  /** SID of the default service; a new one by default. */
  service_sid?: string | undefined
}): {
  account: AccountRow
  service: ServiceRow
  roles: RoleRow[]
} {
  const { friendly_name, sealedToken, now } = input
  const sid = input.sid ?? newSid('account', now)
  const dates = { date_created: now, date_updated: now, revision: 1 }
  const service_sid = input.service_sid ?? newSid('service', now)
  const roles = defaultRoles(sid, service_sid, now)
  const service: ServiceRow = {
    sid: service_sid,
    account_sid: sid,
    ...newService('Default Conversations Service', roles),
    ...dates,
  }
  const account: AccountRow = {
    sid,
    friendly_name,
    status: 'active',
    auth_token: sealedToken,
    default_service_sid: service.sid,
    default_messaging_service_sid: newSid('messagingService', now),
    default_inactive_timer: null,
    default_closed_timer: null,
    pre_webhook_url: null,
    post_webhook_url: null,
    webhook_method: 'POST',
    webhook_filters: '[]',
    webhook_target: 'webhook',
    ...dates,
  }
  return { account, service, roles: Object.values(roles) }
}
