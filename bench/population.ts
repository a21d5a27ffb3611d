import type { ConversationRow } from '../src/storage/schema.ts'
import { plainConversation } from './plain-conversation.ts'

/**
 * The conversations of a filled database. Every row is computed from its number, so that the load generator knows all SIDs and
 * names.
 */
export interface Population {
  readonly rows: number
  /** Creation of the first row, in epoch ms; the others follow at equal steps. */
  readonly base_ms: number
  readonly step_ms: number
}

/** The account and service that rows belong to. */
export interface Owner {
  readonly account_sid: string
  readonly service_sid: string
  readonly messaging_service_sid: string
}

const dayMs = 86_400_000

/** Rows created in the course of the year before `nowMs`. */
export function newPopulation(rows: number, nowMs: number): Population {
  return { rows, base_ms: nowMs - 366 * dayMs, step_ms: Math.floor((365 * dayMs) / rows) }
}

/** Scatters the bits of a number (the finalizer of MurmurHash3), so that consecutive numbers look random. */
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

/** Time-ordered, like the SIDs of the server. */
export function sidOf(population: Population, i: number): string {
  const time = createdAt(population, i).toString(16).padStart(12, '0')
  return `CH${time}${scatter(i)}${scatter(i + 0x9e3779b9)}${scatter(i + 0x3c6ef372).slice(0, 4)}`
}

/** In random order, like names that customers choose: inserts spread over the whole index. */
export function nameOf(i: number): string {
  return `${scatter(i)}-order-${i}`
}

/** About a hundred bytes. */
export function attributesOf(i: number): string {
  return `{"customer":"c-${scatter(i)}","channel":"web","priority":${i % 5},"tags":["vip","returning"],"order":"${i}"}`
}

/** Each row has a deadline, one to thirteen months after `nowMs`. */
export function rowOf(population: Population, i: number, owner: Owner, nowMs: number): ConversationRow {
  const created_ms = createdAt(population, i)
  const active = i % 7 !== 0
  const inactive_ms = nowMs + 30 * dayMs + (i % 365) * dayMs
  const closed_ms = inactive_ms + 30 * dayMs
  return {
    ...plainConversation,
    ...owner,
    sid: sidOf(population, i),
    friendly_name: `Order ${i} of customer ${scatter(i)}`,
    unique_name: nameOf(i),
    attributes: attributesOf(i),
    state: active ? 'active' : 'inactive',
    date_state: created_ms,
    inactive_after: 'P395D',
    closed_after: 'P425D',
    date_inactive: active ? inactive_ms : null,
    date_closed: closed_ms,
    next_due: active ? inactive_ms : closed_ms,
    last_message_index: -1,
    last_event_id: 0,
    removed_messages: 0,
    date_activity: created_ms,
    date_created: created_ms,
    date_updated: created_ms,
    revision: 1,
  }
}
