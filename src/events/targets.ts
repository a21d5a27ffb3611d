import { parseStored } from '../json.ts'
import type { AccountRow, ServiceRow } from '../storage/schema.ts'
import type { EventType, PostActionEvent, PreActionEvent } from './names.ts'

/** A webhook that receives an event. */
export interface Target {
  /** SID of the row with the webhook configuration. */
  readonly sid: string
  readonly method: 'GET' | 'POST'
  readonly url: string
  /** Parameters that only requests to this webhook carry: what names it. */
  readonly own?: Readonly<Record<string, string>>
}

type Configuration = Pick<
  AccountRow | ServiceRow,
  'sid' | 'pre_webhook_url' | 'post_webhook_url' | 'webhook_method' | 'webhook_filters'
>

/**
 * Returns the account's or the service's configuration, never both: one URL set on the service replaces the account's
 * configuration entirely (observed: configuring a service hook silenced the global one completely).
 */
function effectiveConfiguration(account: AccountRow, service: ServiceRow | null): Configuration | null {
  if (service && (service.pre_webhook_url !== null || service.post_webhook_url !== null)) return service
  // `flex` routes events inside the vendor's own product: no webhook is called.
  return account.webhook_target === 'flex' ? null : account
}

function includes({ webhook_filters }: Configuration, type: EventType): boolean {
  // Unset or empty filters include no event.
  return webhook_filters !== null && parseStored<string[]>(webhook_filters).includes(type)
}

function target(configured: Configuration | null, url: string | null | undefined, type: EventType): Target | null {
  if (!configured || !url || !includes(configured, type)) return null
  return { sid: configured.sid, method: configured.webhook_method === 'GET' ? 'GET' : 'POST', url }
}

/** Returns the webhook to be called before a change, or null. */
export function preActionTarget(account: AccountRow, service: ServiceRow | null, type: PreActionEvent): Target | null {
  const configured = effectiveConfiguration(account, service)
  return target(configured, configured?.pre_webhook_url, type)
}

/** Returns the account's or the service's webhook that receives an event, or null. */
export function postActionTarget(account: AccountRow, service: ServiceRow | null, type: PostActionEvent): Target | null {
  const configured = effectiveConfiguration(account, service)
  return target(configured, configured?.post_webhook_url, type)
}
