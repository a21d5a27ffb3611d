import { parseStored } from '../json.ts'
import type { AccountRow, ServiceRow } from '../storage/schema.ts'
import type { EventType, PostActionEvent, PreActionEvent } from './names.ts'

/** Where an event is sent. */
export interface Target {
  /** Of the row that holds the webhook configuration. */
  readonly sid: string
  readonly method: 'GET' | 'POST'
  readonly url: string
}

type Holder = Pick<AccountRow | ServiceRow, 'sid' | 'pre_webhook_url' | 'post_webhook_url' | 'webhook_method' | 'webhook_filters'>

/**
 * The account's or the service's configuration, never both: one URL set on the service silences the account's entirely
 * (observed: configuring a service hook silenced the global one completely).
 */
function configurationInForce(account: AccountRow, service: ServiceRow | null): Holder | null {
  if (service && (service.pre_webhook_url !== null || service.post_webhook_url !== null)) return service
  // `flex` is routed inside the vendor's own product; there is nothing to call.
  return account.webhook_target === 'flex' ? null : account
}

function wants(holder: Holder, type: EventType): boolean {
  // Unset or empty filters: nothing fires.
  return holder.webhook_filters !== null && parseStored<string[]>(holder.webhook_filters).includes(type)
}

function target(holder: Holder | null, url: string | null | undefined, type: EventType): Target | null {
  if (!holder || !url || !wants(holder, type)) return null
  return { sid: holder.sid, method: holder.webhook_method === 'GET' ? 'GET' : 'POST', url }
}

/** Returns the webhook that is asked before a change, or null. */
export function preActionTarget(account: AccountRow, service: ServiceRow | null, type: PreActionEvent): Target | null {
  const holder = configurationInForce(account, service)
  return target(holder, holder?.pre_webhook_url, type)
}

/** Returns the account's or the service's webhook that is sent an event, or null. */
export function postActionTarget(account: AccountRow, service: ServiceRow | null, type: PostActionEvent): Target | null {
  const holder = configurationInForce(account, service)
  return target(holder, holder?.post_webhook_url, type)
}
