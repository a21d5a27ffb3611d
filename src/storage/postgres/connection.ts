import pg from 'pg'
import { errorOf } from '../../errors.ts'
import { ConnectError, isUnavailable } from './failures.ts'

const int8 = 20

/** `bigint` columns hold times and counts, all below 2^53. */
const types = new pg.TypeOverrides()
types.setTypeParser(int8, Number)

/**
 * Settings of each session, made by a statement because poolers refuse them as start-up parameters. Every wait is bounded: for
 * locks, for statements, for clients that are gone. Bitmap scans are off: every query reads an index in its order, and with
 * outdated statistics the planner would sort all rows that are due instead of reading the first ones. Whatever writes has to begin a transaction
 * that says so (`begin`).
 */
const session = `set lock_timeout = 1000; set statement_timeout = 4000; set idle_in_transaction_session_timeout = 5000;
  set enable_bitmapscan = off; set default_transaction_read_only = on`

/**
 * Begins a transaction that writes. What is sent behind it in the same packet is executed even where it fails, which it does when somebody cancels
 * it: each statement in a transaction of its own, in which nothing can be written.
 */
export const begin = 'begin read write'

/** Settings of the driver. Every wait is bounded here too: for a connection and for an answer. */
export function connectionSettings(url: string): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: 'parley',
    types,
    pipeline: true,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: 3000,
    // Above the server's limits: it ends a wait for a server that the network has cut off.
    query_timeout: 4500,
  }
}

/** Makes a pool. It drops a broken connection and those that wait for use, and opens others when they are needed. */
export function createPool(url: string, options: { max: number; failed: (error: Error) => void }): pg.Pool {
  const pool = new pg.Pool({ ...connectionSettings(url), max: options.max, idleTimeoutMillis: 30_000 })
  pool.on('error', options.failed)
  pool.on('connect', (client) => {
    // Errors of a connection in use reach its user by the query. The pool drops one that is not in use only after this listener.
    client.on('error', () => process.nextTick(dropIdle, pool))
    client.query(session).catch(options.failed)
  })
  return pool
}

/**
 * Drops the connections that wait for use. Where one is broken, the others are likely to be, which a load balancer that has forgotten them tells only
 * when something is sent: each would fail whoever takes it next.
 */
export function dropIdle(pool: pg.Pool): void {
  for (let left = pool.idleCount; left > 0; left--) {
    pool.connect().then(
      (client) => client.release(true),
      () => {},
    )
  }
}

/** Writes with a single statement, in a transaction of its own. */
export async function writeOnce<R extends pg.QueryResultRow>(
  pool: pg.Pool,
  statement: pg.QueryConfig,
): Promise<pg.QueryResult<R>> {
  const client = await pool.connect()
  try {
    const [, result] = await Promise.all([client.query(begin), client.query<R>(statement), client.query('commit')])
    client.release()
    return result
  } catch (error) {
    // The state of the connection is unknown.
    client.release(true)
    throw error
  }
}

/** Takes a connection from the pool. An error without a code becomes a ConnectError: it is never a defect of the query. */
export async function connect(pool: pg.Pool): Promise<pg.PoolClient> {
  try {
    return await pool.connect()
  } catch (error) {
    throw isUnavailable(error) ? error : new ConnectError(errorOf(error).message, { cause: error })
  }
}
