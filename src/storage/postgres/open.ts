import type { Pool } from 'pg'
import type { Commands, Database, Notice, OpenOptions } from '../database.ts'
import { createPool } from './connection.ts'
import { Leases, slots } from './leases.ts'
import { migratePostgres } from './migrate.ts'
import { Wire } from './notices.ts'
import { PostgresReader } from './reader.ts'
import type { ColumnTypes } from './statements.ts'
import { PostgresWriter } from './writer.ts'

export interface PostgresOptions extends OpenOptions {
  readonly url: string
}

/** What reads, writes and leases need at most at one time; one more listens. */
const connections = 10

/**
 * Opens a shared database: migrates it, then a pool of connections and one that listens to the other nodes.
 * Throws when it cannot be reached.
 */
export async function openPostgres<C extends Commands>(options: PostgresOptions): Promise<Database<C>> {
  const { url, failed } = options
  await migratePostgres(url)
  const { commands } = (await import(options.commands.href)) as { commands: Commands }
  const listeners: ((notices: readonly Notice[]) => void)[] = []
  const tell = (notices: readonly Notice[]) => {
    if (notices.length > 0) for (const listener of listeners) listener(notices)
  }
  const pool = createPool(url, { max: connections, failed })
  const wire = new Wire(url, { heard: tell, failed })
  const leases = new Leases({ pool, failed, freed: () => wire.publish([{ topic: 'slots' }]) })
  listeners.push((notices) => {
    if (notices.some(({ topic }) => topic === 'slots')) leases.look()
  })
  try {
    await wire.connect()
    const reader = new PostgresReader(pool, { failed, coalesce: options.coalesce ?? true })
    const writer = new PostgresWriter({
      pool,
      commands,
      types: await columnTypes(pool),
      slots,
      largest_batch: options.largest_batch ?? 200,
      committed(notices) {
        wire.publish(notices)
        tell(notices)
      },
      failed,
    })
    return {
      capabilities: { sole_owner: false },
      read: reader,
      slots: leases,
      write: (name, input) => writer.write({ name, input }) as never,
      subscribe: (listener) => void listeners.push(listener),
      failing: () => reader.lost || writer.failing,
      waiting: () => writer.waiting,
      close: once(async () => {
        await writer.close()
        await wire.close()
        await pool.end()
      }),
    }
  } catch (error) {
    await wire.close()
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

/** Many plain writes go as one statement of arrays, whose types have to be named. */
async function columnTypes(pool: Pool): Promise<ColumnTypes> {
  const { rows } = await pool.query<{ name: string; type: string }>(
    `select table_name || '.' || column_name as name, data_type as type
     from information_schema.columns where table_schema = current_schema()`,
  )
  return new Map(rows.map(({ name, type }) => [name, type]))
}
