import { randomBytes } from 'node:crypto'
import { dirname } from 'node:path'
import pg from 'pg'
import { createDatabase, dropDatabase, startPostgres } from '../../test/support/postgres.ts'
import { commandOf, familyCpu_us, parentOf } from '../processes.ts'

/** The PostgreSQL server of all contestants; each has its own databases. */
export interface Server {
  /** Version, and the settings that affect the cost of a commit. */
  readonly about: string
  /** Creates a database, a copy of `template` if given. Returns its URL. */
  create(template?: string): Promise<string>
  /** Returns the CPU time of all its processes; NaN where it cannot be read. */
  cpu_us(): number
  /** Sends SIGKILL to all its processes and restarts it; null unless the bench started the server. */
  readonly crash: (() => Promise<void>) | null
  /** Deletes what the bench has created. */
  stop(): Promise<void>
}

/** For the load part: nine nodes, two pools, pgbench and the bench itself. */
const needed_connections = 200

/** As on a dedicated machine; every commit is synced to disk. */
const own_settings = { shared_buffers: '512MB', max_wal_size: '4GB' }

/** `database`: a URL, or `postgres` to start a server in the folder beside `folder`. */
export async function startServer(database: string, folder: string): Promise<Server> {
  if (database !== 'postgres') return openServer(database, { pid: await pidOf(database), crash: null, stop: async () => {} })
  // Not in `folder`, which is removed before the server has stopped.
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
  const created: string[] = []
  const [settings] = await query<Record<string, string>>(
    url,
    `select current_setting('server_version') as version, current_setting('fsync') as fsync,
       current_setting('synchronous_commit') as synchronous_commit, current_setting('full_page_writes') as full_page_writes,
       current_setting('shared_buffers') as shared_buffers, current_setting('max_connections') as max_connections`,
  )
  const { version, max_connections, ...others } = settings as Record<string, string>
  if (Number(max_connections) < needed_connections) {
    throw new Error(`the server allows ${max_connections} connections: set its max_connections to at least ${needed_connections}`)
  }
  return {
    about: `PostgreSQL ${version}: ${Object.entries(others)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')}`,
    async create(template) {
      const name = `parley_bench_${randomBytes(6).toString('hex')}`
      created.push(name)
      return createDatabase(url, name, template && nameOf(template))
    },
    cpu_us: () => familyCpu_us(pid() ?? -1),
    crash,
    async stop() {
      // The files of a server that the bench started are removed as a whole.
      if (crash === null) for (const name of created) await dropDatabase(url, name)
      await stop()
    },
  }
}

/** Finds the main process of a server on this machine; undefined for a remote server. */
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

/** Returns the name of the database of a URL. */
export function nameOf(url: string): string {
  return new URL(url).pathname.slice(1)
}

/** Runs a query on a new connection. */
export async function query<R extends object>(url: string, text: string): Promise<R[]> {
  const client = new pg.Client(url)
  await client.connect()
  try {
    return (await client.query<R>(text)).rows
  } finally {
    await client.end()
  }
}
