import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import pg from 'pg'
import { createDatabase, dropDatabase, startPostgres } from '../../test/support/postgres.ts'
import { commandOf, familyCpu_us, parentOf } from '../processes.ts'

/** The PostgreSQL server that all contestants share, each with databases of its own. */
export interface Server {
  /** Version and the settings that decide what a commit costs. */
  readonly about: string
  /** A new database, a copy of `template` if given; answers its url. */
  create(template?: string): Promise<string>
  /** CPU time of all its processes; NaN where they cannot be seen from here. */
  cpu_us(): number
  /** Of a server of the bench's own: SIGKILL for all its processes, then a start. */
  readonly crash: (() => Promise<void>) | null
  /** Removes what the bench has made. */
  stop(): Promise<void>
}

/** All that is up at once in the load part: nine nodes, two pools, pgbench, and the bench itself. */
const needed_connections = 200

/** As on a machine that does nothing else, but every commit on disk. */
const own_settings = { shared_buffers: '512MB', max_wal_size: '4GB' }

/** `database`: a url, or `postgres` for one that is started in the folder beside `folder`. */
export async function startServer(database: string, folder: string): Promise<Server> {
  if (database !== 'postgres') return openServer(database, { pid: await pidOf(database), crash: null, stop: async () => {} })
  // Not in `folder`, which is removed before the server has ended.
  process.env.TMPDIR = dirname(folder)
  const own = await startPostgres({ durable: true, settings: own_settings })
  return openServer(own.url, {
    pid: () => own.pid,
    crash: async () => {
      await own.kill()
      await own.restart()
    },
    stop: async () => own[Symbol.asyncDispose](),
  })
}

interface Kind {
  /** Of its first process. */
  readonly pid: () => number | undefined
  readonly crash: Server['crash']
  readonly stop: () => Promise<void>
}

async function openServer(url: string, { pid, crash, stop }: Kind): Promise<Server> {
  const made: string[] = []
  const [settings] = await ask<Record<string, string>>(
    url,
    `select current_setting('server_version') as version, current_setting('fsync') as fsync,
       current_setting('synchronous_commit') as synchronous_commit, current_setting('full_page_writes') as full_page_writes,
       current_setting('shared_buffers') as shared_buffers, current_setting('max_connections') as max_connections`,
  )
  const { version, max_connections, ...others } = settings as Record<string, string>
  if (Number(max_connections) < needed_connections) {
    throw new Error(`the server takes ${max_connections} connections: the bench needs max_connections of ${needed_connections}`)
  }
  return {
    about: `PostgreSQL ${version}: ${Object.entries(others)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')}`,
    async create(template) {
      const name = `parley_bench_${randomBytes(6).toString('hex')}`
      made.push(name)
      return createDatabase(url, name, template && nameOf(template))
    },
    cpu_us: () => familyCpu_us(pid() ?? -1),
    crash,
    async stop() {
      // One of the bench's own goes with everything in it.
      if (crash === null) for (const name of made) await dropDatabase(url, name)
      await stop()
    },
  }
}

/** The first process of a server on this machine; undefined of any other. */
async function pidOf(url: string): Promise<() => number | undefined> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    const pid = rows[0]?.pid as number
    const parent = commandOf(pid).startsWith('postgres') ? parentOf(pid) : undefined
    return () => parent
  } catch {
    return () => undefined
  } finally {
    await client.end()
  }
}

/** Of a database. */
export function nameOf(url: string): string {
  return new URL(url).pathname.slice(1)
}

/** One query over a connection of its own. */
export async function ask<R extends object>(url: string, text: string): Promise<R[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query<R>(text)).rows
  } finally {
    await client.end()
  }
}
