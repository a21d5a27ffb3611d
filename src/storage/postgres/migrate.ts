import { setTimeout as delay } from 'node:timers/promises'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { migrate } from '../migrations/index.ts'
import { isLocked } from './failures.ts'

/** Key of the advisory lock: any number that nothing else uses. */
const lock = 7_061_726_579

/**
 * How long a migration waits for the lock on a table, far less than reads and writes of other nodes do (`connection.ts`): whoever uses the
 * table after that queues behind it. It may also be what they wait for, with tables that it has locked before; PostgreSQL ends
 * that after a second.
 */
const lockTimeoutMs = 100
/** Then it is undone, and made again after about this pause, which grows. */
const firstPauseMs = 200
const pauseFactor = 1.15
const maxPauseMs = 2000
/** Some five seconds: then something may hold a lock that is no node at work. */
const triesUntilWarning = 10

const oldestTransaction = `select pid, application_name as name, extract(epoch from now() - xact_start)::int as seconds from pg_stat_activity
  where datname = current_database() and xact_start is not null and pid <> pg_backend_pid() order by xact_start limit 1`

/**
 * Brings the schema up to date. Of nodes that start at once one migrates; the others wait for it and find nothing to do. Nodes at work
 * do not notice: decision 0055. `waiting` is called when that takes long. Throws NewerSchemaError.
 */
export async function migratePostgres(url: string, waiting: (why: string) => void = () => {}): Promise<void> {
  // One connection, because the lock belongs to it and is released with it.
  const pool = new pg.Pool({
    connectionString: url,
    max: 1,
    application_name: 'parley migrations',
    connectionTimeoutMillis: 5000,
  })
  pool.on('error', () => {})
  try {
    const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
    for (let tries = 1; !(await isMigrated(pool, db)); tries++) {
      if (tries === triesUntilWarning) waiting(await whyOf(pool))
      await delay(Math.min(firstPauseMs * pauseFactor ** tries, maxPauseMs) * (0.5 + Math.random()))
    }
  } finally {
    await pool.end()
  }
}

/** Migrates, unless a lock is not to be had. */
async function isMigrated(pool: pg.Pool, db: Kysely<unknown>): Promise<boolean> {
  try {
    // Each time, because the connection may be another one than at the last attempt. Who has the lock gets it once more.
    await pool.query('select pg_advisory_lock($1)', [lock])
    await pool.query(`set lock_timeout = ${lockTimeoutMs}`)
    await migrate(db)
    return true
  } catch (error) {
    if (!isLocked(error)) throw error
    return false
  }
}

async function whyOf(pool: pg.Pool): Promise<string> {
  const { rows } = await pool.query<{ pid: number; name: string; seconds: number }>(oldestTransaction)
  const [oldest] = rows
  const waits = 'the new schema waits for locks on tables, and nodes at work go on'
  return oldest ? `${waits}: process ${oldest.pid} (${oldest.name}) has had a transaction for ${oldest.seconds} s` : waits
}
