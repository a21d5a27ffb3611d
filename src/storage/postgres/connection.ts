import pg from 'pg'

const int8 = 20

/** `bigint` columns hold times and counts: all below 2^53. */
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format as 'text')) as typeof pg.types.getTypeParser,
}

/** Settings of every connection. Nothing waits for ever: not for a connection, a lock, an answer, nor a client that is gone. */
export function connectionSettings(url: string): pg.ClientConfig {
  return {
    connectionString: url,
    application_name: 'parley',
    types,
    pipeline: true,
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
    connectionTimeoutMillis: 3000,
    lock_timeout: 2000,
    statement_timeout: 4000,
    idle_in_transaction_session_timeout: 5000,
    // Above the server's own limits: for a network that swallows what is sent.
    query_timeout: 4500,
  }
}

/** A pool that mends itself: a broken connection is dropped, the next use opens another. */
export function createPool(url: string, options: { max: number; failed: (error: Error) => void }): pg.Pool {
  const pool = new pg.Pool({ ...connectionSettings(url), max: options.max, idleTimeoutMillis: 30_000 })
  pool.on('error', options.failed)
  // While it is in use, what happens to a connection is told to whoever waits for its answer.
  pool.on('connect', (client) => client.on('error', () => {}))
  return pool
}
