import { expect } from 'vitest'
import { eventTypes } from '../../src/events/names.ts'
import type { Tenant } from './tenant.ts'
import type { Caught, WebhookCatcher } from './webhook-catcher.ts'

/** Asks for webhooks, as a caller of the official client does. */
export const enabled = { xTwilioWebhookEnabled: 'true' } as const
/** The same for a raw request. */
export const asking = { headers: { 'X-Twilio-Webhook-Enabled': 'true' } } as const

export const all_events = [...eventTypes]
export const ms_date = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/
export const uuid_v4 = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

/** One line of the delivery log. */
export interface Delivery {
  readonly id: string
  readonly account_sid: string
  readonly target_sid: string
  readonly subject_sid: string
  readonly event_type: string
  readonly url: string
  readonly params: Record<string, string>
  readonly status: 'pending' | 'delivered' | 'failed'
  readonly attempts: readonly { at: string; duration_ms: number; status: number | null; error: string | null }[]
}

/** The account's own, newest first, as the log has them. The log is the whole server's and comes in pages. */
export async function log({ admin, account_sid }: Tenant, query = ''): Promise<Delivery[]> {
  const own: Delivery[] = []
  for (let before: string | null = ''; before !== null; ) {
    const page: { deliveries: Delivery[]; next_before: string | null } = await admin(
      'GET',
      `/deliveries?limit=1000${query}${before && `&before=${before}`}`,
    )
    own.push(...page.deliveries.filter((delivery) => delivery.account_sid === account_sid))
    before = page.next_before
  }
  return own
}

/** Resolves when nothing waits to be told any more: whatever has not arrived by then never will. */
export async function settled(server: Tenant): Promise<void> {
  await expect.poll(async () => log(server, '&status=pending')).toEqual([])
}

/** Every event that came, in order of arrival, once nothing is waiting any more. */
export async function told(server: Tenant, catcher: WebhookCatcher): Promise<string[]> {
  await settled(server)
  return eventsOf(catcher.requests)
}

export function eventsOf(requests: readonly Caught[]): string[] {
  return requests.map(({ params }) => params.EventType ?? '')
}

export function isEvent(type: string) {
  return ({ params }: Caught) => params.EventType === type
}

/** Something that a test holds back until it is let go, at the latest at the end of the block. */
export function gate(): Disposable & { readonly opened: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve, [Symbol.dispose]: resolve }
}
