import type { SelectQueryBuilder } from 'kysely'
import type { Reader } from '../storage/database.ts'
import type { AuditEntryRow, Tables } from '../storage/schema.ts'
import { type Shape, shape } from '../storage/shapes.ts'

/** Which entries: all conditions together. */
export interface AuditFilter {
  readonly account_sid?: string
  readonly actor_id?: string
  readonly action?: string
  readonly target_sid?: string
  readonly outcome?: string
  /** In epoch ms: from this instant on, and up to that one. */
  readonly from?: number
  readonly to?: number
}

/** Before an entry, the newest first, or after one, in order. */
export type AuditPage = ({ readonly before: number } | { readonly after: number }) & { readonly limit: number }

type Arguments = AuditFilter & { readonly before: number; readonly after: number; readonly limit: number }

const conditions = {
  account_sid: ['account_sid', '='],
  actor_id: ['actor_id', '='],
  action: ['action', '='],
  target_sid: ['target_sid', '='],
  outcome: ['outcome', '='],
  from: ['at', '>='],
  to: ['at', '<='],
} as const satisfies Readonly<Record<keyof AuditFilter, readonly [keyof AuditEntryRow, '=' | '>=' | '<=']>>

// The keys are those of the type.
const names = Object.keys(conditions) as (keyof AuditFilter)[]

/** By the names of the conditions they have. */
const queries = new Map<string, Shape<Arguments, AuditEntryRow>>()

/** Returns entries of the log. */
export function readEntries(read: Reader, filter: AuditFilter, page: AuditPage): Promise<AuditEntryRow[]> {
  const given = names.filter((name) => filter[name] !== undefined)
  const ascends = 'after' in page
  const key = `${ascends} ${given}`
  let query = queries.get(key)
  if (!query) {
    query = shape<Arguments>()((db, a) => {
      const all: SelectQueryBuilder<Tables, 'audit_entries', AuditEntryRow> = db
        .selectFrom('audit_entries')
        .selectAll()
        .where('seq', ascends ? '>' : '<', ascends ? a.after : a.before)
        .orderBy('seq', ascends ? 'asc' : 'desc')
        .limit(a.limit)
      return given.reduce((some, name) => {
        const [column, operator] = conditions[name]
        // What is no condition is not given.
        return some.where(column, operator, a[name] as never)
      }, all)
    })
    queries.set(key, query)
  }
  return read.all(query, { before: 0, after: 0, ...filter, ...page })
}
