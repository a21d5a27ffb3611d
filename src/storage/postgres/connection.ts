import pg from 'pg'
import { errorOf } from '../../errors.ts'
import { ConnectError, isUnavailable } from './failures.ts'

const int8 = 20

/** `bigint` columns hold times and counts: all below 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
}

/**
 * What each connection sets itself, as a statement: a pooler in between refuses settings of the start. Nothing waits for ever, not
 * for a lock, nor a client that is gone. No bitmap scans: every query walks an index in its order, and with statistics that are
 * behind, the planner would rather sort all that is due than take the first of it.
 */
const session = `set lock_timeout = 1000; set statement_timeout = 4000; set idle_in_transaction_session_timeout = 5000;
  set enable_bitmapscan = off`

/** Settings of every connection on this side. Nothing waits for ever: not for a connection, nor an answer. */
export function connectionSettings(url: string): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: 'parley',
    types,
    pipeline: true,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: 3000,
    // Above the server's own limits: for a network that swallows what is sent.
    query_timeout: 4500,
  }
}

/** A pool that mends itself: a broken connection is dropped, the next use opens another. */
export function createPool(url: string, options: { max: number; failed: (error: Error) => void }): pg.Pool {
  const pool = new pg.Pool({ ...connectionSettings(url), max: options.max, idleTimeoutMillis: 30_000 })
  pool.on('error', options.failed)
  // While it is in use, what happens to a connection is told to whoever waits for its answer.
  pool.on('connect', (client) => {
    client.on('error', () => {})
    client.query(session).catch(options.failed)
  })
  return pool
}

/** A connection of the pool. Whatever keeps it from being made, what it was wanted for is not to blame. */
export async function connect(pool: pg.Pool): Promise<pg.PoolClient> {
  try {
    return await pool.connect()
  } catch (error) {
    throw isUnavailable(error) ? error : new ConnectError(errorOf(error).message, { cause: error })
  }
}
