import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { migrate } from '../migrations/index.ts'

/** Any number that nothing else in the database locks. */
const lock = 7_061_726_579

/**
 * Brings the schema up to date. However many nodes start at once, one does it and the others wait for it and find it done.
 * Throws NewerSchemaError.
 */
export async function migratePostgres(url: string): Promise<void> {
  // One connection: the lock is its own, and gone with it.
  const pool = new pg.Pool({
    connectionString: url,
    max: 1,
    application_name: 'parley migrations',
    connectionTimeoutMillis: 5000,
  })
  pool.on('error', () => {})
  try {
    await pool.query('select pg_advisory_lock($1)', [lock])
    await migrate(new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) }))
  } finally {
    await pool.end()
  }
}
