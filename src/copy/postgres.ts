import { CompiledQuery, Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { ConfigError } from '../config.ts'
import { connectionSettings } from '../storage/postgres/connection.ts'
import { migratePostgres } from '../storage/postgres/migrate.ts'
import type { Side, Source, Target } from './endpoint.ts'
import { all_tables, type Db } from './tables.ts'

/** The protocol counts them in 16 bits. */
const most_parameters = 65_535

/** Only looks. */
export function lookAtPostgres(url: string): Side {
  return sideOf(connect(url))
}

/** Answers from one moment, whatever others write meanwhile. */
export async function openPostgresSource(url: string): Promise<Source> {
  const side = sideOf(connect(url))
  const snapshot = await side.db.startTransaction().setIsolationLevel('repeatable read').setAccessMode('read only').execute()
  return {
    ...sideOf(snapshot),
    liveNodes: () => liveNodes(url),
    async close() {
      await snapshot
        .rollback()
        .execute()
        .catch(() => {})
      await side.close()
    },
  }
}

/** Changes nothing before `prepare`. One connection, because the lock is its own. */
export async function openPostgresTarget(url: string): Promise<Target> {
  const side = sideOf(connect(url))
  const { db } = side
  try {
    await refuseEncoding(db)
    await takeLock(db)
    await sql`set synchronous_commit = off`.execute(db)
  } catch (error) {
    await side.close()
    throw error
  }
  return {
    ...side,
    most_parameters,
    prepare: () => migratePostgres(url),
    async settle() {
      // Else the first queries are planned as if the tables were empty.
      for (const table of all_tables) await sql`analyze ${sql.table(table)}`.execute(db)
      await sql`set synchronous_commit = on`.execute(db)
    },
  }
}

function connect(url: string): Db {
  const pool = new pg.Pool({
    ...connectionSettings(url),
    // The limits of a server's connection would cut a copy short.
    query_timeout: 0,
    connectionTimeoutMillis: 15_000,
    application_name: 'parley copy',
    pipeline: false,
    max: 1,
    idleTimeoutMillis: 0,
  })
  // A connection that is lost while idle: the next query says so.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  return new Kysely({ dialect: new PostgresDialect({ pool, onCreateConnection: unlimited }) })
}

/** So would those that a host sets for everybody. */
async function unlimited(connection: { executeQuery(query: CompiledQuery): Promise<unknown> }): Promise<void> {
  for (const limit of ['statement_timeout', 'idle_in_transaction_session_timeout', 'lock_timeout']) {
    await connection.executeQuery(CompiledQuery.raw(`set ${limit} = 0`))
  }
}

function sideOf(db: Db): Side {
  return {
    engine: 'postgres',
    db,
    async tables() {
      const { rows } = await sql<{
        name: string
      }>`select tablename as name from pg_tables where schemaname = any (current_schemas(false))`.execute(db)
      return rows.map(({ name }) => name)
    },
    close: () => db.destroy(),
  }
}

async function refuseEncoding(db: Db): Promise<void> {
  const { rows } = await sql<{ server_encoding: string }>`show server_encoding`.execute(db)
  const encoding = rows[0]?.server_encoding
  if (encoding !== 'UTF8') throw new ConfigError(`the target database has the encoding ${encoding}: make one with encoding UTF8`)
}

/**
 * One copy at a time. It waits a little: the server may still be at the last batch of one that was killed, and whoever goes on
 * too early would write that batch too.
 */
async function takeLock(db: Db): Promise<void> {
  await sql`select set_config('lock_timeout', '15s', false)`.execute(db)
  try {
    await sql`select pg_advisory_lock(hashtextextended('parley copy', 0))`.execute(db)
  } catch (error) {
    if ((error as { code?: string }).code !== '55P03') throw error
    throw new ConfigError('another copy into the target is under way')
  }
  await sql`select set_config('lock_timeout', '0', false)`.execute(db)
}

/** Names of the servers that have the database now: outside the snapshot, which would not show one that has just started. */
async function liveNodes(url: string): Promise<string[]> {
  const side = lookAtPostgres(url)
  try {
    if (!(await side.tables()).includes('leases')) return []
    const { rows } = await sql<{ name: string }>`
      select name from leases
      where name like 'node:%' and until > extract(epoch from clock_timestamp()) * 1000 order by name`.execute(side.db)
    return rows.map(({ name }) => name.slice('node:'.length))
  } finally {
    await side.close()
  }
}
