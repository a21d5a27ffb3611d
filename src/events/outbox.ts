import { randomUUID } from 'node:crypto'
import type { Facts } from '../model/declare.ts'
import type { Tx } from '../storage/database.ts'
import type { Event, FormValues } from './event.ts'
import { enqueueDelivery } from './queue.ts'
import { postTarget, type Target } from './targets.ts'

/** Writes a delivery for each target that wants the event, in the transaction of the change it tells about. */
export async function enqueue(tx: Tx, facts: Facts, event: Event, source: string, listeners: readonly Target[]): Promise<void> {
  const first = postTarget(facts.account, facts.service, event.type)
  await address(tx, facts, event, source, first ? [first, ...listeners] : listeners)
}

/** Writes a delivery for each of these targets and for nobody else. */
export async function address(tx: Tx, facts: Facts, event: Event, source: string, targets: readonly Target[]): Promise<void> {
  if (targets.length === 0) return
  const form = JSON.stringify(eventForm(facts, event.type, event.form(), event.by_itself ? null : source))
  for (const target of targets) {
    const queued = {
      account_sid: facts.account.sid,
      service_sid: facts.service?.sid ?? '',
      target_sid: target.sid,
      subject_sid: event.subject_sid,
      event_type: event.type,
      method: target.method,
      url: target.url,
      form,
      idempotency_token: randomUUID(),
    }
    await enqueueDelivery(tx, queued, facts.now)
  }
}

/** The whole form of an event but `RetryCount`, which belongs to the attempt. Values that are not set are left out. */
export function eventForm(facts: Facts, event_type: string, values: FormValues, source: string | null): Record<string, string> {
  const form: Record<string, string> = { EventType: event_type, AccountSid: facts.account.sid }
  const all: FormValues = { ChatServiceSid: facts.service?.sid, Source: source, ...values }
  for (const [name, value] of Object.entries(all)) {
    if (value !== null && value !== undefined) form[name] = String(value)
  }
  return form
}
