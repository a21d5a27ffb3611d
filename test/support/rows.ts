import type { ServiceRow } from '../../src/storage/schema.ts'

/** A service that no account has: a row to write. */
export function newService(sid: string): ServiceRow {
  return {
    sid,
    account_sid: 'AC',
    friendly_name: '',
    pre_webhook_url: null,
    post_webhook_url: null,
    webhook_method: null,
    webhook_filters: null,
    default_conversation_creator_role_sid: '',
    default_conversation_role_sid: '',
    default_chat_service_role_sid: '',
    reachability_enabled: 0,
    reachability_epoch: 0,
    replaced_roles: '{}',
    notifications: '{}',
    date_created: 0,
    date_updated: 0,
    revision: 0,
  }
}
