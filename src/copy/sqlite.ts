import { closeSync, existsSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import { Kysely, SqliteDialect, sql } from 'kysely'
import { ConfigError } from '../config-error.ts'
import { makeFolder } from '../folders.ts'
import { migrateSqlite, refuseForeign, takeLock } from '../storage/sqlite/open.ts'
import type { Endpoint, Source, Target } from './endpoint.ts'
import type { Db } from './tables.ts'

/** SQLITE_MAX_VARIABLE_NUMBER. */
const maxParameters = 32_766

/** Opens a database for inspection, also while a server has it open. */
export function openSqliteEndpoint(file: string): Endpoint {
  if (!existsSync(file)) throw new ConfigError(`${file} does not exist`)
  refuseForeign(file)
  const connection = connect(file)
  // Not opened read-only: SQLite would leave its write-ahead log behind when no other process has the file open.
  connection.pragma('query_only = ON')
  return endpointOf(kyselyOf(connection))
}

/** Excludes other Parley processes while it is open. */
export async function openSqliteSource(file: string): Promise<Source> {
  if (!existsSync(file)) throw new ConfigError(`${file} does not exist`)
  refuseForeign(file)
  const lock = takeLock(file)
  // The lock excludes other Parley processes; the snapshot hides writers that ignore the lock.
  const source = await openSqliteSnapshot(file)
  return {
    ...source,
    async close() {
      await source.close()
      lock.close()
    },
  }
}

/** Reads from a snapshot, whatever a server writes meanwhile. */
export async function openSqliteSnapshot(file: string): Promise<Source> {
  const endpoint = openSqliteEndpoint(file)
  const snapshot = await endpoint.db.startTransaction().execute()
  return {
    ...endpointOf(snapshot),
    liveNodes: async () => [],
    async close() {
      await snapshot.rollback().execute()
      await endpoint.close()
    },
  }
}

/** Makes the file and its folder where there are none; changes nothing else before `prepare`. */
export function openSqliteTarget(file: string): Target {
  const folder = dirname(file)
  makeFolder(folder)
  refuseForeign(file)
  // Readable by its owner alone, as the secrets beside it are.
  if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600))
  const lock = takeLock(file)
  const connection = connect(file)
  const endpoint = endpointOf(kyselyOf(connection))
  return {
    ...endpoint,
    maxParameters,
    async prepare() {
      connection.pragma('journal_mode = WAL')
      connection.pragma('synchronous = NORMAL')
      // A migration may write a table anew: what was there is not to stay in free pages of the file.
      connection.pragma('secure_delete = ON')
      await migrateSqlite(connection)
    },
    async settle() {
      connection.pragma('synchronous = FULL')
    },
    async close() {
      await endpoint.close()
      lock.close()
    },
  }
}

function connect(file: string): Sqlite.Database {
  return new Sqlite(file, { timeout: 5000 })
}

function kyselyOf(connection: Sqlite.Database): Db {
  return new Kysely({ dialect: new SqliteDialect({ database: connection }) })
}

function endpointOf(db: Db): Endpoint {
  return {
    engine: 'sqlite',
    db,
    async tables() {
      const { rows } = await sql<{ name: string }>`select name from sqlite_master where type = 'table'`.execute(db)
      return rows.map(({ name }) => name)
    },
    close: () => db.destroy(),
  }
}
