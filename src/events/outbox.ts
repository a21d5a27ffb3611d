import { randomUUID } from 'node:crypto'
import type { Tx } from '../storage/database.ts'
import type { ServiceRow } from '../storage/schema.ts'
import type { Event, EventScope, Payload } from './event.ts'
import type { EventType, PostActionEvent } from './names.ts'
import { enqueueDeliveries, enqueueDelivery, type NewDelivery } from './queue.ts'
import { postActionTarget, type Target } from './targets.ts'

/**
 * Writes a delivery of the event for each target: the account's or the service's webhook if its filters include the event, and
 * the `listeners`. Runs in the transaction of the change that the event is about.
 */
export async function emit(tx: Tx, scope: EventScope, event: Event, source: string, listeners: readonly Target[]): Promise<void> {
  const first = postActionTarget(scope.account, scope.service, event.type)
  await enqueue(tx, scope, event, source, first ? [first, ...listeners] : listeners)
}

/** Writes a delivery of the event for each of these targets and no other. */
export async function enqueue(
  tx: Tx,
  scope: EventScope,
  event: Event,
  source: string,
  targets: readonly Target[],
): Promise<void> {
  for (const delivery of deliveriesOf(scope, event, source, targets)) await enqueueDelivery(tx, delivery, scope)
}

/** Writes what `emit` writes for each of many events that no request has asked for, in their order. */
export async function enqueueMany(
  tx: Tx,
  scope: EventScope & { readonly service: ServiceRow },
  events: readonly { readonly event: Event; readonly listeners: readonly Target[] }[],
): Promise<void> {
  const found = new Map<PostActionEvent, readonly Target[]>()
  const deliveries = events.flatMap(({ event, listeners }) => {
    let first = found.get(event.type)
    if (!first) {
      const target = postActionTarget(scope.account, scope.service, event.type)
      first = target ? [target] : []
      found.set(event.type, first)
    }
    return deliveriesOf(scope, event, null, [...first, ...listeners])
  })
  await enqueueDeliveries(tx, scope.service.sid, deliveries, scope)
}

function deliveriesOf(scope: EventScope, event: Event, source: string | null, targets: readonly Target[]): NewDelivery[] {
  if (targets.length === 0) return []
  const form = requestForm(scope, event.type, event.payload(), event.always ? null : source)
  return targets.map((target) => ({
    kind: 'webhook',
    account_sid: scope.account.sid,
    service_sid: scope.service?.sid ?? '',
    target_sid: target.sid,
    subject_sid: event.subject_sid,
    event_type: event.type,
    method: target.method,
    url: target.url,
    form: JSON.stringify(target.own ? { ...form, ...target.own } : form),
    idempotency_token: randomUUID(),
    message_sid: null,
    participant_sid: null,
  }))
}

/** Returns the form of an event without `RetryCount`, which differs between attempts. Values that are not set are left out. */
export function requestForm(
  scope: Pick<EventScope, 'account' | 'service' | 'client_identity'>,
  type: EventType,
  payload: Payload,
  source: string | null,
): Record<string, string> {
  const form: Record<string, string> = { EventType: type, AccountSid: scope.account.sid }
  if (scope.service) form.ChatServiceSid = scope.service.sid
  if (source !== null) form.Source = source
  if (source !== null && scope.client_identity !== undefined) form.ClientIdentity = scope.client_identity
  for (const [name, value] of Object.entries(payload)) {
    if (value !== null && value !== undefined) form[name] = String(value)
  }
  return form
}
