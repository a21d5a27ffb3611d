import { existsSync, mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import { Kysely, SqliteDialect, sql } from 'kysely'
import { ConfigError } from '../config.ts'
import { migrateSqlite, refuseForeign, takeLock } from '../storage/sqlite/open.ts'
import type { Side, Source, Target } from './endpoint.ts'
import type { Db } from './tables.ts'

/** SQLITE_MAX_VARIABLE_NUMBER. */
const most_parameters = 32_766

/** Only looks, also while a server has the file. */
export function lookAtSqlite(file: string): Side {
  if (!existsSync(file)) throw new ConfigError(`${file} does not exist`)
  refuseForeign(file)
  const connection = connect(file)
  // Not opened as read-only: then it would leave its log beside a database that nobody else has open.
  connection.pragma('query_only = ON')
  return sideOf(kyselyOf(connection))
}

/** Nobody else writes while it is open. */
export async function openSqliteSource(file: string): Promise<Source> {
  if (!existsSync(file)) throw new ConfigError(`${file} does not exist`)
  refuseForeign(file)
  const lock = takeLock(file)
  const side = lookAtSqlite(file)
  // The lock keeps everybody else from writing; the transaction, that whoever goes round it is not seen.
  const snapshot = await side.db.startTransaction().execute()
  return {
    ...sideOf(snapshot),
    liveNodes: async () => [],
    async close() {
      await snapshot.rollback().execute()
      await side.close()
      lock.close()
    },
  }
}

/** Makes the file and its folder when they are not there; changes nothing else before `prepare`. */
export function openSqliteTarget(file: string): Target {
  const folder = dirname(file)
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 })
  refuseForeign(file)
  const lock = takeLock(file)
  const connection = connect(file)
  const side = sideOf(kyselyOf(connection))
  return {
    ...side,
    most_parameters,
    async prepare() {
      connection.pragma('journal_mode = WAL')
      connection.pragma('synchronous = NORMAL')
      await migrateSqlite(connection)
    },
    async settle() {
      connection.pragma('synchronous = FULL')
    },
    async close() {
      await side.close()
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

function sideOf(db: Db): Side {
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
