import type { DatabaseLocation } from '../setting-values.ts'
import type { Facts } from './facts.ts'

/**
 * Reads the facts of a database without opening it for use: nothing is created or migrated. Null: there is no database or it has
 * no tables of Parley. Throws what opening it would throw, and PooledByTransactionError.
 */
export async function peekFacts(location: DatabaseLocation): Promise<Facts | null> {
  if (location.engine === 'postgres') return (await import('./postgres/peek.ts')).peekPostgres(location.url)
  if (location.file === ':memory:') return null
  return (await import('./sqlite/peek.ts')).peekSqlite(location.file)
}
