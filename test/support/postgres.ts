import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { Client, escapeIdentifier } from 'pg'
import { findBinaries, give, unprivileged } from './postgres-binaries.ts'

export interface PostgresOptions {
  /** True: as on a server of one's own. False, the default: without fsync, for what is thrown away. */
  readonly durable?: boolean
  /** More of `postgresql.conf`. */
  readonly settings?: Readonly<Record<string, string>>
  /** A free one unless given. */
  readonly port?: number
}

export interface Postgres extends AsyncDisposable {
  /** Of the database `postgres`. */
  readonly url: string
  readonly port: number
  /** Where its files are. */
  readonly dir: string
  /** Of the first process. */
  readonly pid: number
  databaseUrl(name: string): string
  /** A new database, a copy of `template` if given; answers its url. */
  createDatabase(template?: string): Promise<string>
  /** By name or url, whoever is connected to it. */
  dropDatabase(database: string): Promise<void>
  /** `fast` cuts the connections and writes everything down, `immediate` leaves that to the next start. */
  stop(mode: 'fast' | 'immediate'): Promise<void>
  /** SIGKILL for every process at once, as a crash of the machine would. */
  kill(): Promise<void>
  /** Starts it again, at the same place with the same files. */
  restart(): Promise<void>
}

const user = unprivileged()
const patience_ms = 60_000
const longest_pause_ms = 100

/** Faster, and only for what nobody misses. */
const passing = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'off' }

/**
 * Starts a real PostgreSQL that is gone, with its files, when it is disposed of or this process ends, however it ends.
 * Its databases sort texts as a language does, not by bytes, as those of most hosts do: nothing may rely on bytes.
 */
export async function startPostgres({ durable = false, settings = {}, port }: PostgresOptions = {}): Promise<Postgres> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-postgres-'))
  const guard = guarded(folder)
  const dispose = async () => {
    rmSync(folder, { recursive: true, force: true })
    guard.release()
  }
  try {
    return await openPostgres(folder, port ?? (await freePort()), { ...(!durable && passing), ...settings }, dispose)
  } catch (error) {
    await guard.clear()
    throw error
  }
}

async function openPostgres(
  folder: string,
  port: number,
  settings: Record<string, string>,
  removeFolder: () => Promise<void>,
): Promise<Postgres> {
  give(folder, user)
  const bin = await findBinaries(folder, user)
  const dir = join(folder, 'data')
  const password = randomBytes(12).toString('hex')
  initialize(bin, folder, dir, password)
  const databaseUrl = (name: string) => `postgres://parley:${password}@127.0.0.1:${port}/${name}`
  const url = databaseUrl('postgres')
  const launch = async () => {
    const child = launched(bin, folder, dir, { port: String(port), ...settings })
    await accepting(child, url, join(folder, 'log'))
    return child
  }
  let child = await launch()
  const stop: Postgres['stop'] = (mode) => ended(child, mode === 'fast' ? 'SIGINT' : 'SIGQUIT')
  return {
    url,
    port,
    dir,
    get pid() {
      return child.pid as number
    },
    databaseUrl,
    createDatabase: (template) => createDatabase(url, `parley_${randomBytes(6).toString('hex')}`, template),
    dropDatabase: (database) => dropDatabase(url, database),
    stop,
    kill: () => killAll(child),
    async restart() {
      await stop('fast')
      child = await launch()
    },
    async [Symbol.asyncDispose]() {
      await stop('immediate')
      await removeFolder()
    },
  }
}

/** Answers the url of a database that it makes beside the one of `url`. */
export async function createDatabase(url: string, name: string, template = 'template0'): Promise<string> {
  await execute(url, `create database ${escapeIdentifier(name)} template ${escapeIdentifier(template)}`)
  return Object.assign(new URL(url), { pathname: `/${name}` }).href
}

/** Drops a database, given by name or url, that lies beside the one of `url`. */
export async function dropDatabase(url: string, database: string): Promise<void> {
  const name = database.includes('://') ? new URL(database).pathname.slice(1) : database
  await execute(url, `drop database if exists ${escapeIdentifier(name)} with (force)`)
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

/**
 * A process that outlives this one for a moment: at the end of its input, which comes however this process ends, it stops
 * what runs in `folder` and removes it.
 */
function guarded(folder: string) {
  // Its own file says when it is over: a dead process may stay in the system's list for as long as nobody takes note of it.
  const script = `cat; f="$0/data/postmaster.pid"; n=0
    kill -QUIT "$(head -n 1 "$f")" && while [ -e "$f" ] && [ $n -lt 200 ]; do sleep 0.05; n=$((n+1)); done
    rm -rf "$0"`
  // Of a group of its own: Ctrl-C is for this process.
  const guard = spawn('sh', ['-c', script, folder], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  guard.unref()
  const input = guard.stdin as Socket
  input.unref()
  return {
    release: () => void input.end(),
    async clear() {
      const gone = once(guard, 'exit')
      guard.ref()
      input.end()
      await gone
    },
  }
}

function initialize(bin: string, folder: string, dir: string, password: string): void {
  const pwfile = join(folder, 'password')
  writeFileSync(pwfile, password)
  give(pwfile, user)
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=icu', '--icu-locale=en-US']
  const args = ['-D', dir, '-U', 'parley', `--pwfile=${pwfile}`, '--auth=scram-sha-256', ...locale, '--no-sync']
  const { status, error, stderr } = spawnSync(join(bin, 'initdb'), args, { ...user, cwd: folder, encoding: 'utf8' })
  if (status !== 0) throw error ?? new Error(`initdb ended with ${status}: ${stderr}`)
}

function launched(bin: string, folder: string, dir: string, settings: Record<string, string>): ChildProcess {
  const all = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: '300',
    shared_buffers: '128MB',
    ...settings,
  }
  const args = Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  const log = openSync(join(folder, 'log'), 'a')
  // Of a group of its own: Ctrl-C is for this process, which then ends it in order.
  const child = spawn(join(bin, 'postgres'), ['-D', dir, ...args], {
    ...user,
    cwd: folder,
    detached: true,
    stdio: ['ignore', log, log],
  })
  closeSync(log)
  child.unref()
  return child
}

/** Resolves when it lets people in; throws with what it wrote if it ends instead. */
async function accepting(child: ChildProcess, url: string, log: string): Promise<void> {
  const deadline = performance.now() + patience_ms
  for (let pause_ms = 5; ; pause_ms = Math.min(2 * pause_ms, longest_pause_ms)) {
    try {
      return await execute(url, 'select 1')
    } catch (error) {
      if (isOver(child)) throw new Error(`PostgreSQL ended at once: ${readFileSync(log, 'utf8')}`)
      if (performance.now() > deadline) throw error
    }
    await pause(pause_ms)
  }
}

function isOver({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null
}

async function ended(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (isOver(child)) return
  const exit = once(child, 'exit')
  child.ref()
  child.kill(signal)
  await exit
}

async function killAll(child: ChildProcess): Promise<void> {
  if (isOver(child)) return
  // Held first, so that it starts nobody new meanwhile.
  child.kill('SIGSTOP')
  const pids = childrenOf(child.pid as number)
  for (const pid of pids) if (isAlive(pid)) process.kill(pid, 'SIGKILL')
  await ended(child, 'SIGKILL')
  // The next start is refused while one of them has the shared memory.
  while (pids.some(isAlive)) await pause(5)
}

/** Each is of a group of its own, so that no signal reaches them all. */
function childrenOf(pid: number): number[] {
  const list = `/proc/${pid}/task/${pid}/children`
  const text = existsSync(list)
    ? readFileSync(list, 'utf8')
    : spawnSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' }).stdout
  return text.split(/\s+/).filter(Boolean).map(Number)
}

/** What is dead and only waits for somebody to take note of it counts as gone. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !existsSync('/proc/self/stat') || !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

/** Below those that the system gives to outgoing connections: one of them could take it between a stop and a restart. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const server = createServer()
    const free = await new Promise<boolean>((resolve) => {
      server.on('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!free) continue
    await once(server.close(), 'close')
    return port
  }
}
