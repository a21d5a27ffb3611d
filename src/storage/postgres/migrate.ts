import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { migrate } from '../migrations/index.ts'

/** Key of the advisory lock: any number that nothing else uses. */
const lock = 7_061_726_579

/**
 * Brings the schema up to date. Of nodes that start at once one migrates; the others wait for it and find nothing to do.
 * Throws NewerSchemaError.
 */
export async function migratePostgres(url: string): Promise<void> {
  // One connection, because the lock belongs to it and is released with it.
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
