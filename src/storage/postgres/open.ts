import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import type { Commands, Database, Listener, OpenOptions } from '../database.ts'
import { commandsOf } from '../jobs.ts'
import { createPool } from './connection.ts'
import { Leases, slots } from './leases.ts'
import { migratePostgres } from './migrate.ts'
import { NoticeExchange } from './notices.ts'
import { PostgresReader } from './reader.ts'
import { buildSegmentIndex } from './segment-index.ts'
import { sizesOf } from './sizes.ts'
import type { ColumnTypes } from './statements.ts'
import { PostgresWriter } from './writer.ts'

export interface PostgresOptions extends OpenOptions {
  readonly url: string
}

/** The most connections of reads, writes and leases together; notices have one more. */
const maxConnections = 10

/** Short: a key that was revoked where its notice is lost is refused so much later at most. */
const cacheLeaseMs = 1000

/**
 * Opens a shared database: migrates it, then opens a pool of connections, and one more that receives the notices of other nodes.
 */
export async function openPostgres<C extends Commands>(options: PostgresOptions): Promise<Database<C>> {
  const { url, failed } = options
  await migratePostgres(url, options.waiting)
  const commands = await commandsOf(options)
  const listeners: Listener[] = []
  const notify: Listener = (notices, at) => {
    if (notices.length > 0) for (const listener of listeners) listener(notices, at)
  }
  const pool = createPool(url, { max: maxConnections, failed })
  const exchange = new NoticeExchange(url, { received: notify, failed })
  const leases = new Leases({ pool, failed, freed: () => exchange.publish([{ topic: 'slots' }], Date.now()) })
  listeners.push((notices) => {
    if (notices.some(({ topic }) => topic === 'slots')) leases.beatNow()
  })
  try {
    await exchange.connect()
    const reader = new PostgresReader(pool, { failed, coalesce: options.coalesce ?? true })
    const writer = new PostgresWriter({
      pool,
      commands,
      types: await columnTypes(pool),
      slots,
      searchable: options.searchable ?? true,
      largestBatch: options.largestBatch ?? 200,
      committed(notices) {
        const at = Date.now()
        const sent = exchange.publish(notices, at)
        notify(notices, at)
        // What other nodes still have in memory then is no longer valid.
        return sent && Promise.race([sent, delay(cacheLeaseMs, undefined, { ref: false })])
      },
      failed,
    })
    return {
      capabilities: { engine: 'postgres', soleOwner: false, cacheLeaseMs },
      read: reader,
      slots: leases,
      nodes: leases,
      write: (name, input) => writer.write({ name, input }),
      publish: (notices) => {
        const at = Date.now()
        exchange.publish(notices, at)
        notify(notices, at)
      },
      subscribe: (listener) => void listeners.push(listener),
      failing: () => reader.lost || writer.failing,
      sizes: () => sizesOf(pool),
      waiting: () => writer.waiting,
      scrub: async () => null,
      buildIndex: (signal) => buildSegmentIndex(url, signal),
      usage: async () => {
        const { totalCount: open, idleCount: idle, waitingCount: waiting } = pool
        const { rows } = await pool.query<{ bytes: string }>('select pg_database_size(current_database()) as bytes')
        return { bytes: Number(rows[0]?.bytes), pool: { open, idle, waiting } }
      },
      close: once(async () => {
        await writer.close()
        await exchange.close()
        await pool.end()
      }),
    }
  } catch (error) {
    await exchange.close()
    await pool.end()
    throw error
  }
}

function once(act: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined
  return () => {
    done ??= act()
    return done
  }
}

/** Merged writes take arrays as arguments, whose types must be named. */
async function columnTypes(pool: Pool): Promise<ColumnTypes> {
  const { rows } = await pool.query<{ name: string; type: string }>(
    `select table_name || '.' || column_name as name, data_type as type
     from information_schema.columns where table_schema = current_schema()`,
  )
  return new Map(rows.map(({ name, type }) => [name, type]))
}
