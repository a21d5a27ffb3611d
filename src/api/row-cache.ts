import { LRUCache } from 'lru-cache'
import type { Database, Reader } from '../storage/database.ts'
import type { Shape } from '../storage/shapes.ts'

/**
 * Returns a reader that caches the rows found by `queries`: those that every request runs. A commit to one of `tables` clears
 * the cache. Where other processes write too, nothing is cached.
 */
export function withRowCache(database: Database, queries: readonly { readonly id: number }[], tables: readonly string[]): Reader {
  if (!database.capabilities.soleOwner) return database.read
  const rows = new LRUCache<string, object>({ max: 10_000 })
  const ids = new Set(queries.map((query) => query.id))
  database.subscribe((notices) => {
    if (notices.some((notice) => notice.topic === 'changed' && tables.includes(notice.table))) rows.clear()
  })
  const one = async <A extends object, R>(query: Shape<A, R>, args: A): Promise<R | undefined> => {
    if (!ids.has(query.id)) return database.read.one(query, args)
    const key = `${query.id} ${Object.values(args).join(' ')}`
    const cached = rows.get(key)
    // The key holds the id of this query, so the row has its type.
    if (cached) return cached as R
    const row = await database.read.one(query, args)
    // SQLite's reader is synchronous, so no commit can happen between the read and this line.
    if (row) rows.set(key, row)
    return row
  }
  return { one, hold: one, all: (query, args) => database.read.all(query, args) }
}
