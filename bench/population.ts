import type { ConversationRow } from '../src/storage/schema.ts'
import { plainConversation } from './plain-conversation.ts'

/**
 * The conversations a database is filled with. Every row follows from its number, so that the load generator knows all sids and
 * names without being told a million of them.
 */
export interface Population {
  readonly rows: number
  /** When the first row was made, in epoch ms; the next ones follow at equal steps. */
  readonly base_ms: number
  readonly step_ms: number
}

/** Whose the rows are. */
export interface Owner {
  readonly account_sid: string
  readonly service_sid: string
  readonly messaging_service_sid: string
}

const day_ms = 86_400_000

/** As if made over the year before `now_ms`. */
export function population(rows: number, now_ms: number): Population {
  return { rows, base_ms: now_ms - 366 * day_ms, step_ms: Math.floor((365 * day_ms) / rows) }
}

/** Scatters the bits of a number (the finalizer of MurmurHash3): equal steps become what looks random. */
function scatter(number: number): string {
  let bits = number ^ (number >>> 16)
  bits = Math.imul(bits, 0x85ebca6b)
  bits ^= bits >>> 13
  bits = Math.imul(bits, 0xc2b2ae35)
  bits ^= bits >>> 16
  return (bits >>> 0).toString(16).padStart(8, '0')
}

function createdAt({ base_ms, step_ms }: Population, i: number): number {
  return base_ms + i * step_ms
}

/** Time-ordered, as the server makes them. */
export function sidOf(made: Population, i: number): string {
  const time = createdAt(made, i).toString(16).padStart(12, '0')
  return `CH${time}${scatter(i)}${scatter(i + 0x9e3779b9)}${scatter(i + 0x3c6ef372).slice(0, 4)}`
}

/** In no order, as names that customers choose: an index over them is written all over. */
export function nameOf(i: number): string {
  return `${scatter(i)}-order-${i}`
}

/** About a hundred bytes. */
export function attributesOf(i: number): string {
  return `{"customer":"c-${scatter(i)}","channel":"web","priority":${i % 5},"tags":["vip","returning"],"order":"${i}"}`
}

/** With deadlines of its own, one to thirteen months ahead of `now_ms`: as many pending ones as there are rows. */
export function rowOf(made: Population, i: number, owner: Owner, now_ms: number): ConversationRow {
  const created_ms = createdAt(made, i)
  const active = i % 7 !== 0
  const inactive_ms = now_ms + 30 * day_ms + (i % 365) * day_ms
  const closed_ms = inactive_ms + 30 * day_ms
  return {
    ...plainConversation,
    ...owner,
    sid: sidOf(made, i),
    friendly_name: `Order ${i} of customer ${scatter(i)}`,
    unique_name: nameOf(i),
    attributes: attributesOf(i),
    state: active ? 'active' : 'inactive',
    inactive_after: 'P395D',
    closed_after: 'P425D',
    date_inactive: active ? inactive_ms : null,
    date_closed: closed_ms,
    next_due: active ? inactive_ms : closed_ms,
    last_message_index: -1,
    date_activity: created_ms,
    date_created: created_ms,
    date_updated: created_ms,
    revision: 1,
  }
}
