import { LRUCache } from 'lru-cache'
import type { Database, Reader } from '../storage/database.ts'
import type { Shape } from '../storage/shapes.ts'

/**
 * A reader that keeps the single rows of a few queries in memory: those every request asks for.
 * A commit to one of `tables` drops them all. Where other processes write too, it reads through.
 */
export function remembering(database: Database, queries: readonly { readonly id: number }[], tables: readonly string[]): Reader {
  if (!database.capabilities.sole_owner) return database.read
  const kept = new LRUCache<string, object>({ max: 10_000 })
  const ids = new Set(queries.map((query) => query.id))
  database.subscribe((notices) => {
    if (notices.some((notice) => notice.topic === 'changed' && tables.includes(notice.table))) kept.clear()
  })
  const one = async <A extends object, R>(query: Shape<A, R>, args: A): Promise<R | undefined> => {
    if (!ids.has(query.id)) return database.read.one(query, args)
    const key = `${query.id} ${Object.values(args).join(' ')}`
    const remembered = kept.get(key)
    // Kept under the id of this very query.
    if (remembered) return remembered as R
    const row = await database.read.one(query, args)
    // Read and kept in one turn with no commit between: SQLite's reader answers synchronously.
    if (row) kept.set(key, row)
    return row
  }
  return { one, hold: one, all: (query, args) => database.read.all(query, args) }
}
