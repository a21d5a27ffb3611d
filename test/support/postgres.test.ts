import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, cpSync, existsSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Client } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startPostgres } from './postgres.ts'
import { findBinaries, packaged, unprivileged } from './postgres-binaries.ts'

async function query(url: string, sql: string): Promise<unknown[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query(sql)).rows
  } finally {
    await client.end()
  }
}

function isRunning(pid: number): boolean {
  try {
    // What nobody has taken note of yet is in the list, but dead.
    return process.kill(pid, 0) && !/\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'))
  } catch {
    return false
  }
}

describe('startPostgres', () => {
  test.each(['stop', 'kill'] as const)('what is committed outlives %s and restart, at the same url', async (how) => {
    await using postgres = await startPostgres({ durable: true, settings: { work_mem: '1MB' } })
    const url = await postgres.createDatabase()
    await query(url, 'create table kept (n int)')
    await query(url, 'insert into kept values (7)')
    const { pid } = postgres
    await (how === 'stop' ? postgres.stop('fast') : postgres.kill())
    expect(isRunning(pid)).toBe(false)
    await expect(query(url, 'select 1')).rejects.toThrow('ECONNREFUSED')
    await postgres.restart()
    expect(await query(url, 'select n from kept')).toEqual([{ n: 7 }])
    expect(await query(url, "select current_setting('work_mem') as a, current_setting('fsync') as b")).toEqual([
      { a: '1MB', b: 'on' },
    ])
  })

  test('a database is copied from another one, and dropped though somebody is connected', async () => {
    await using postgres = await startPostgres()
    const template = await postgres.createDatabase()
    await query(template, 'create table kept (n int)')
    const url = await postgres.createDatabase(new URL(template).pathname.slice(1))
    expect(await query(url, 'select n from kept')).toEqual([])
    const client = new Client({ connectionString: url })
    // It says so twice: that it was cut off, and that it is gone.
    client.on('error', () => {})
    const cut = new Promise<void>((resolve) => client.on('end', resolve))
    await client.connect()
    await postgres.dropDatabase(url)
    await cut
    await expect(query(url, 'select 1')).rejects.toThrow('does not exist')
  })

  test('nothing is left of it when it is disposed of', async () => {
    const postgres = await startPostgres()
    await postgres[Symbol.asyncDispose]()
    expect(isRunning(postgres.pid)).toBe(false)
    expect(existsSync(dirname(postgres.dir))).toBe(false)
  })

  test.each(['SIGKILL', 'SIGINT'] as const)('nor when the process that started it ends by %s', async (signal) => {
    const module = JSON.stringify(new URL('./postgres.ts', import.meta.url).href)
    const script = `const { startPostgres } = await import(${module}); const { pid, dir } = await startPostgres()
      console.log(JSON.stringify({ pid, dir })); setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    const { pid, dir } = JSON.parse(String(line)) as { pid: number; dir: string }
    expect(isRunning(pid)).toBe(true)
    child.kill(signal)
    await expect.poll(() => [isRunning(pid), existsSync(dirname(dir))]).toEqual([false, false])
  })
})

const native = packaged()

describe.skipIf(native === null)('findBinaries', () => {
  /** A folder that anybody may enter, gone after the test. */
  function folder(): string {
    const path = realpathSync(mkdtempSync(join(tmpdir(), 'parley-test-')))
    onTestFinished(() => rmSync(path, { recursive: true, force: true }))
    chmodSync(path, 0o755)
    return path
  }

  /** The package as it is elsewhere. */
  function copied(into: string): string {
    cpSync(native as string, join(into, 'native'), { recursive: true, verbatimSymlinks: true })
    return join(into, 'native')
  }

  test.runIf(unprivileged())('copies what lies where the user who runs it cannot enter', async () => {
    const [closed, target] = [folder(), folder()]
    const bin = join(copied(closed), 'bin')
    expect(await findBinaries(target, unprivileged(), dirname(bin))).toBe(bin)
    chmodSync(closed, 0o700)
    expect(await findBinaries(target, unprivileged(), dirname(bin))).toBe(join(target, 'native/bin'))
  })

  test('copies what was installed without its links, and makes them', async () => {
    const [open, target] = [folder(), folder()]
    const bare = copied(open)
    const links = JSON.parse(readFileSync(join(bare, 'pg-symlinks.json'), 'utf8')) as { target: string }[]
    for (const link of links) rmSync(join(open, link.target), { force: true })
    expect(await findBinaries(target, unprivileged(), bare)).toBe(join(target, 'native/bin'))
    expect(links.filter((link) => !existsSync(join(target, link.target)))).toEqual([])
  })

  test('says what is wrong when there is nothing that runs', async () => {
    const [open, target] = [folder(), folder()]
    const broken = copied(open)
    rmSync(join(broken, 'bin/postgres'))
    const found = findBinaries(target, unprivileged(), broken)
    // Unless the system has one of its own.
    if (existsSync('/usr/lib/postgresql')) expect(await found).toMatch(/^\/usr\/lib\/postgresql\/\d+\/bin$/)
    else await expect(found).rejects.toThrow(/no PostgreSQL that runs: .*\n.*ENOENT/)
  })
})
