import type { Kysely } from 'kysely'
import type { DatabasePlace } from '../config.ts'
import { slotOf } from '../events/queue.ts'
import { only_slot } from '../storage/database.ts'
import { slots as postgres_slots } from '../storage/postgres/leases.ts'
import type { Tables } from '../storage/schema.ts'

export type Engine = DatabasePlace['engine']
export type Value = string | number | null
export type Row = Record<string, Value>
/** The tables by name only: copying does not depend on what is in them. */
export type Db = Kysely<Record<string, Row>>

/** All but `leases`, which say what the running nodes do. */
type Copied = Exclude<keyof Tables, 'leases'>

/** Their primary keys: all texts, which both engines sort by byte. In the order in which they are copied. */
export const keys: { readonly [T in Copied]: readonly (keyof Tables[T] & string)[] } = {
  accounts: ['sid'],
  api_keys: ['sid'],
  services: ['sid'],
  roles: ['service_sid', 'sid'],
  users: ['service_sid', 'sid'],
  credentials: ['account_sid', 'sid'],
  bindings: ['service_sid', 'sid'],
  addresses: ['account_sid', 'sid'],
  channels: ['account_sid', 'proxy_address'],
  conversations: ['service_sid', 'sid'],
  participants: ['conversation_sid', 'sid', 'service_sid'],
  messages: ['conversation_sid', 'sid', 'service_sid'],
  receipts: ['conversation_sid', 'message_sid', 'sid', 'service_sid'],
  conversation_webhooks: ['conversation_sid', 'sid', 'service_sid'],
  media: ['service_sid', 'sid'],
  deliveries: ['service_sid', 'id'],
  removals: ['sid'],
  // Last: without these rows no server takes the target for an installation.
  installation: ['name'],
}

export const all_tables = Object.keys(keys) as Copied[]
/** Those that are copied in batches. */
export const tables = all_tables.filter((table) => table !== 'installation')

/** Into how many parts each engine divides the deliveries. */
export const slots: Readonly<Record<Engine, number>> = { sqlite: only_slot.count, postgres: postgres_slots }

/** Columns that each engine computes in its own way: `onItsWay` does, and no comparison looks at them. */
export const recomputed: { readonly [T in Copied]?: readonly (keyof Tables[T] & string)[] } = { deliveries: ['slot'] }

/** THE PLACE where a row is changed on its way to the other engine. */
export function onItsWay(table: string, row: Row, to: Engine): Row {
  if (table !== 'deliveries') return row
  return { ...row, slot: slotOf(row.subject_sid as string, slots[to]) }
}
