import { statSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { type Facts, factsOf } from '../facts.ts'
import { refuseForeign } from './open.ts'

/** See `peekFacts`. Works while a server has the file open. */
export function peekSqlite(file: string): Facts | null {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  if (size === 0) return null
  refuseForeign(file)
  // Not opened read-only: SQLite would leave its write-ahead log behind when no other process has the file open.
  const connection = new Sqlite(file, { timeout: 5000, fileMustExist: true })
  try {
    connection.pragma('query_only = ON')
    const tables = connection.prepare<[], { name: string }>("select name from sqlite_master where name = 'installation'").all()
    if (tables.length === 0) return null
    return factsOf(connection.prepare<[], { name: string; value: string }>('select name, value from installation').all())
  } finally {
    connection.close()
  }
}
