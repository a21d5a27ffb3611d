import { CompiledQuery, Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import { ConfigError } from '../config-error.ts'
import { codeOf } from '../errors.ts'
import { connectionSettings } from '../storage/postgres/connection.ts'
import { liveNodesQuery } from '../storage/postgres/leases.ts'
import { migratePostgres } from '../storage/postgres/migrate.ts'
import type { Endpoint, Source, Target } from './endpoint.ts'
import { allTables, type Db } from './tables.ts'

/** The protocol counts parameters in 16 bits. */
const maxParameters = 65_535

/** Opens a database for inspection. */
export function openPostgresEndpoint(url: string): Endpoint {
  return endpointOf(connect(url))
}

/** Reads from a snapshot, whatever others write meanwhile. */
export async function openPostgresSource(url: string): Promise<Source> {
  const endpoint = endpointOf(connect(url))
  const snapshot = await endpoint.db.startTransaction().setIsolationLevel('repeatable read').setAccessMode('read only').execute()
  return {
    ...endpointOf(snapshot),
    liveNodes: () => liveNodes(url),
    async close() {
      await snapshot
        .rollback()
        .execute()
        .catch(() => {})
      await endpoint.close()
    },
  }
}

/** Changes nothing before `prepare`. On one connection, because the lock belongs to it. */
export async function openPostgresTarget(url: string): Promise<Target> {
  const endpoint = endpointOf(connect(url))
  const { db } = endpoint
  try {
    await refuseEncoding(db)
    await takeLock(db)
    await sql`set synchronous_commit = off`.execute(db)
  } catch (error) {
    await endpoint.close()
    throw error
  }
  return {
    ...endpoint,
    maxParameters,
    prepare: () => migratePostgres(url),
    async settle() {
      // Without statistics the first queries would be planned for empty tables.
      for (const table of allTables) await sql`analyze ${sql.table(table)}`.execute(db)
      await sql`set synchronous_commit = on`.execute(db)
    },
  }
}

function connect(url: string): Db {
  const pool = new pg.Pool({
    ...connectionSettings(url),
    // A copy has statements that take longer than those of a server.
    query_timeout: 0,
    connectionTimeoutMillis: 15_000,
    application_name: 'parley copy',
    pipeline: false,
    max: 1,
    idleTimeoutMillis: 0,
  })
  // The next query reports a connection that was lost.
  pool.on('error', () => {})
  pool.on('connect', (client) => client.on('error', () => {}))
  return new Kysely({ dialect: new PostgresDialect({ pool, onCreateConnection: unlimited }) })
}

/** Lifts the limits that a host sets for every session. */
async function unlimited(connection: { executeQuery(query: CompiledQuery): Promise<unknown> }): Promise<void> {
  for (const limit of ['statement_timeout', 'idle_in_transaction_session_timeout', 'lock_timeout']) {
    await connection.executeQuery(CompiledQuery.raw(`set ${limit} = 0`))
  }
}

function endpointOf(db: Db): Endpoint {
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
 * Excludes other copies into the target. It waits for a while: PostgreSQL may still be running the last batch of a copy that was
 * killed, which this one would insert again.
 */
async function takeLock(db: Db): Promise<void> {
  await sql`select set_config('lock_timeout', '15s', false)`.execute(db)
  try {
    await sql`select pg_advisory_lock(hashtextextended('parley copy', 0))`.execute(db)
  } catch (error) {
    if (codeOf(error) !== '55P03') throw error
    throw new ConfigError('another copy into the target is under way')
  }
  await sql`select set_config('lock_timeout', '0', false)`.execute(db)
}

/** Returns the nodes that have the database now. Read outside the snapshot, which would not show one that has just started. */
async function liveNodes(url: string): Promise<string[]> {
  const endpoint = openPostgresEndpoint(url)
  try {
    if (!(await endpoint.tables()).includes('leases')) return []
    const { rows } = await sql.raw<{ node: string }>(liveNodesQuery).execute(endpoint.db)
    return rows.map(({ node }) => node)
  } finally {
    await endpoint.close()
  }
}
