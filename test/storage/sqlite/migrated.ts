import { Kysely, SqliteDialect } from 'kysely'
import { migrate } from '../../../src/storage/migrations/index.ts'
import { type Connection, openConnection } from '../../../src/storage/sqlite/connection.ts'

/** A file with the tables of this version, opened without anything else of the engine. */
export async function migrated(file: string): Promise<Connection> {
  const db = openConnection(file, { readonly: false, durable: true })
  await migrate(new Kysely<unknown>({ dialect: new SqliteDialect({ database: db }) }))
  return db
}
