import { hash } from 'node:crypto'
import { milliseconds } from '../dates.ts'
import { parseStored } from '../json.ts'
import type { AuditEntryRow } from '../storage/schema.ts'

/** An entry before it has its place in the chain. */
export type NewEntry = Omit<AuditEntryRow, 'seq' | 'hash'>

/** The hash before the first entry. */
export const noHash = '0'.repeat(64)

/**
 * An entry as it is shown, exported and hashed; its hash is not part of it. The form is that of every entry ever written: what is added later
 * is left out where it is not there, or no older entry would have its hash any more.
 */
export function entryToJson(row: Omit<AuditEntryRow, 'hash'>) {
  return {
    seq: row.seq,
    id: row.id,
    at: milliseconds(row.at),
    actor: { type: row.actor_type, id: row.actor_id, name: row.actor_name },
    from: { address: row.address, agent: row.agent, interface: row.interface },
    action: row.action,
    target: { type: row.target_type, sid: row.target_sid },
    account_sid: row.account_sid,
    outcome: row.outcome,
    code: row.code,
    before: parsed(row.before),
    after: parsed(row.after),
    count: row.count,
    request_id: row.request_id,
    node: row.node,
    version: row.version,
  }
}

function parsed(json: string | null): Readonly<Record<string, unknown>> | null {
  return json === null ? null : parseStored(json)
}

/** Returns the hash of an entry that follows another: SHA-256 over the hash before, as 32 bytes, and the canonical JSON of the entry. */
export function hashOf(before: string, row: Omit<AuditEntryRow, 'hash'>): string {
  return hash('sha256', Buffer.concat([Buffer.from(before, 'hex'), Buffer.from(canonicalJson(entryToJson(row)))]), 'hex')
}

/** RFC 8785, of JSON values whose numbers are integers: keys sorted by UTF-16 code units, no spaces. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return `{${members.map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`).join(',')}}`
}
