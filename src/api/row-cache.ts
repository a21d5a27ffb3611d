import type { Database, Reader } from '../storage/database.ts'
import type { Shape } from '../storage/shapes.ts'
import { LeasedCache } from './leased-cache.ts'

/** Returns a reader that caches the rows of `tables` that are found by `queries`: those that every request runs. */
export function withRowCache(database: Database, queries: readonly { readonly id: number }[], tables: readonly string[]): Reader {
  const rows = new LeasedCache<object>(database, tables)
  const ids = new Set(queries.map((query) => query.id))
  const one = async <A extends object, R>(query: Shape<A, R>, args: A): Promise<R | undefined> => {
    if (!ids.has(query.id)) return database.read.one(query, args)
    const key = `${query.id} ${Object.values(args).join(' ')}`
    const cached = rows.get(key)
    // The key holds the id of this query, so the row has its type.
    if (cached) return cached as R
    const keep = rows.begin()
    const row = await database.read.one(query, args)
    if (row) keep(key, row)
    return row
  }
  return { one, hold: one, all: (query, args) => database.read.all(query, args) }
}
