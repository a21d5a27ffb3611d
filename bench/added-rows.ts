import { randomUUID } from 'node:crypto'
import { slotOf } from '../src/events/queue.ts'
import { newSid } from '../src/sids.ts'
import type { ConversationRow, DeliveryRow } from '../src/storage/schema.ts'
import { plainConversation } from './plain-conversation.ts'
import { attributesOf, type Owner } from './population.ts'

/** Rows that the bench adds to a filled database. */

/** Returns the row of a conversation created without options. */
export function createdRow(sid: string, i: number, owner: Owner, nowMs: number): ConversationRow {
  return {
    ...plainConversation,
    ...owner,
    sid,
    friendly_name: `Order ${i}`,
    attributes: attributesOf(i),
    date_state: nowMs,
    date_activity: nowMs,
    date_created: nowMs,
    date_updated: nowMs,
  }
}

export interface Deadline {
  readonly sid: string
  readonly due: number
}

export function dueRow(i: number, due: number, owner: Owner, nowMs: number): ConversationRow {
  const row = createdRow(newSid('conversation', nowMs), i, owner, nowMs)
  return { ...row, inactive_after: 'PT1M', date_inactive: due, next_due: due }
}

/** Returns deadlines in the order of a sweep. */
export function deadlines(rows: readonly ConversationRow[]): Deadline[] {
  return rows
    .map(({ sid, next_due }) => ({ sid, due: next_due as number }))
    .sort((a, b) => a.due - b.due || (a.sid < b.sid ? -1 : 1))
}

export interface Target {
  readonly service_sid: string
  readonly url: string
}

export function deliveryRow(i: number, target: Target, account_sid: string, slots: number, nowMs: number): DeliveryRow {
  const subject_sid = newSid('conversation', nowMs)
  return deliveryOf(subject_sid, i, target, account_sid, slots, nowMs)
}

export function deliveryOf(
  subject_sid: string,
  i: number,
  target: Target,
  account_sid: string,
  slots: number,
  nowMs: number,
): DeliveryRow {
  return {
    id: newSid('delivery', nowMs),
    account_sid,
    service_sid: target.service_sid,
    target_sid: target.service_sid,
    subject_sid,
    slot: slotOf(subject_sid, slots),
    event_type: 'onConversationAdded',
    method: 'POST',
    url: target.url,
    form: formOf(i, account_sid, target.service_sid, subject_sid),
    idempotency_token: randomUUID(),
    status: 'pending',
    due: nowMs,
    attempts: '[]',
    date_created: nowMs,
    date_finished: null,
    responses: null,
    kind: 'webhook',
    message_sid: null,
    participant_sid: null,
  }
}

function formOf(i: number, account_sid: string, service_sid: string, conversation_sid: string): string {
  return JSON.stringify({
    EventType: 'onConversationAdded',
    AccountSid: account_sid,
    ChatServiceSid: service_sid,
    Source: 'API',
    ConversationSid: conversation_sid,
    FriendlyName: `Order ${i}`,
    Attributes: attributesOf(i),
    MessagingServiceSid: 'MG00000000000000000000000000000b01',
    State: 'active',
    DateCreated: '2025-01-01T00:00:00.000Z',
    DateUpdated: '2025-01-01T00:00:00.000Z',
  })
}
