import type { DatabaseLocation } from '../setting-values.ts'
import type { Commands, Database, OpenOptions } from './database.ts'

/** Opens the database of either engine; only that engine's code is loaded. */
export async function openDatabase<C extends Commands>(location: DatabaseLocation, options: OpenOptions): Promise<Database<C>> {
  if (location.engine === 'postgres') {
    const { openPostgres } = await import('./postgres/open.ts')
    return openPostgres<C>({ ...options, url: location.url })
  }
  const { openSqlite } = await import('./sqlite/open.ts')
  return openSqlite<C>({ ...options, file: location.file })
}
