import type { AccountRow, ServiceRow } from '../storage/schema.ts'

/** Where an event goes. */
export interface Target {
  /** Of what holds the configuration. */
  readonly sid: string
  readonly method: 'GET' | 'POST'
  readonly url: string
}

type Holder = Pick<AccountRow | ServiceRow, 'sid' | 'pre_webhook_url' | 'post_webhook_url' | 'webhook_method' | 'webhook_filters'>

/**
 * The account's or the service's configuration, never both: one URL set on the service silences the account's wholly
 * (observed: configuring a service hook silenced the global one completely).
 */
function inForce(account: AccountRow, service: ServiceRow | null): Holder | null {
  if (service && (service.pre_webhook_url !== null || service.post_webhook_url !== null)) return service
  // `flex` is routed inside the vendor's own product; there is nothing to call.
  return account.webhook_target === 'flex' ? null : account
}

function wants(holder: Holder, event_type: string): boolean {
  // Unset or empty filters: nothing fires.
  return holder.webhook_filters !== null && (JSON.parse(holder.webhook_filters) as string[]).includes(event_type)
}

function target(holder: Holder | null, url: string | null | undefined, event_type: string): Target | null {
  if (!holder || !url || !wants(holder, event_type)) return null
  return { sid: holder.sid, method: holder.webhook_method === 'GET' ? 'GET' : 'POST', url }
}

/** Who is asked before a change. */
export function preTarget(account: AccountRow, service: ServiceRow | null, event_type: string): Target | null {
  const holder = inForce(account, service)
  return target(holder, holder?.pre_webhook_url, event_type)
}

/** Who is told after one. */
export function postTarget(account: AccountRow, service: ServiceRow | null, event_type: string): Target | null {
  const holder = inForce(account, service)
  return target(holder, holder?.post_webhook_url, event_type)
}
