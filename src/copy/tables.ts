import type { Kysely } from 'kysely'
import { slotOf } from '../events/queue.ts'
import type { DatabaseLocation } from '../setting-values.ts'
import { onlySlot } from '../storage/database.ts'
import { slots as postgresSlots } from '../storage/postgres/leases.ts'
import type { Tables } from '../storage/schema.ts'

export type Engine = DatabaseLocation['engine']
export type Value = string | number | null
export type Row = Record<string, Value>
/** Tables by name only: copying does not depend on their columns. */
export type Db = Kysely<Record<string, Row>>

/** All tables but `leases`, which concern running nodes only, and the search index, which the target makes anew. */
export type Copied = Exclude<keyof Tables, 'leases' | 'search_documents' | 'search_progress'>

/** The tables, in the order in which they are copied, and the columns of their primary keys. All are texts, which both engines sort by byte. */
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
  contents: ['account_sid', 'sid'],
  external_ids: ['id'],
  mail_blocks: ['account_sid', 'address'],
  retention: ['account_sid', 'service_sid'],
  conversations: ['service_sid', 'sid'],
  participants: ['conversation_sid', 'sid', 'service_sid'],
  messages: ['conversation_sid', 'sid', 'service_sid'],
  receipts: ['conversation_sid', 'message_sid', 'sid', 'service_sid'],
  conversation_webhooks: ['conversation_sid', 'sid', 'service_sid'],
  media: ['service_sid', 'sid'],
  deliveries: ['service_sid', 'id'],
  removals: ['sid'],
  mutations: ['service_sid', 'id'],
  tombstones: ['service_sid', 'object', 'event_id'],
  presence: ['service_sid', 'user_sid', 'node'],
  erasures: ['id'],
  audit_entries: ['id'],
  audit_checkpoints: ['id'],
  audit_head: ['name'],
  erasure_files: ['erasure_id', 'sha256'],
  mirrors: ['account_sid'],
  mirror_work: ['account_sid', 'key'],
  operators: ['sid'],
  operator_tokens: ['id'],
  // Last: without these rows the target is no installation.
  installation: ['name'],
}

// `keys` has no other keys than its type says.
export const allTables = Object.keys(keys) as Copied[]
/** The tables that are copied in batches. */
export const tables = allTables.filter((table) => table !== 'installation')

/** The number of parts into which each engine divides the deliveries. */
export const slots: Readonly<Record<Engine, number>> = { sqlite: onlySlot.count, postgres: postgresSlots }

/** Columns whose values depend on the engine: `transform` computes them, and checksums leave them out. */
export const recomputed: { readonly [T in Copied]?: readonly (keyof Tables[T] & string)[] } = { deliveries: ['slot'] }

/** Returns a row as the other engine stores it. All differences between the engines are here. */
export function transform(table: string, row: Row, to: Engine): Row {
  if (table !== 'deliveries') return row
  return { ...row, slot: slotOf(String(row.subject_sid), slots[to]) }
}
