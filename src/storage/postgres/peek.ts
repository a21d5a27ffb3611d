import pg from 'pg'
import { PooledByTransactionError } from '../errors.ts'
import { type Facts, factsOf } from '../facts.ts'
import { connectionSettings } from './connection.ts'

/** Pairs of connections that are compared: a busy pooler may give the first ones different servers by chance. */
const rounds = 3

/** See `peekFacts`. */
export async function peekPostgres(url: string): Promise<Facts | null> {
  const clients: pg.Client[] = []
  const connect = async () => {
    const client = new pg.Client({ ...connectionSettings(url), application_name: 'parley start' })
    clients.push(client)
    // Errors reach the user of the connection by its queries; without a listener they would end the process.
    client.on('error', () => {})
    await client.connect()
    return client
  }
  try {
    const client = await connect()
    if (await isPooledByTransaction(client, connect)) throw new PooledByTransactionError()
    const { rows: found } = await client.query<{ there: boolean }>("select to_regclass('installation') is not null as there")
    if (!found[0]?.there) return null
    return factsOf((await client.query<{ name: string; value: string }>('select name, value from installation')).rows)
  } finally {
    await Promise.all(clients.map((client) => client.end().catch(() => {})))
  }
}

/**
 * Whether a connection keeps its server only for a transaction. Then another one that begins a transaction is given the same
 * server, or, where it was given a different one, the first connection is moved to another server sooner or later.
 */
async function isPooledByTransaction(first: pg.Client, connect: () => Promise<pg.Client>): Promise<boolean> {
  const server = await serverOf(first)
  for (let round = 0; round < rounds; round++) {
    const other = await connect()
    await other.query('begin')
    if ((await serverOf(other)) === server || (await serverOf(first)) !== server) return true
  }
  return false
}

async function serverOf(client: pg.Client): Promise<number | undefined> {
  return (await client.query<{ pid: number }>('select pg_backend_pid() as pid')).rows[0]?.pid
}
