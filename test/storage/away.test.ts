import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { StorageError } from '../../src/storage/failures.ts'
import { everything } from '../support/batch-commands.ts'
import { kindOf, names, open, row } from '../support/batch-database.ts'
import { newDatabase } from '../support/databases.ts'
import { postgresOnly } from '../support/only.ts'
import { startPostgres } from '../support/postgres.ts'
import { startProxy } from '../support/tcp-proxy.ts'

postgresOnly('a database that is away', () => {
  test('is `unavailable` to reads and writes, and the cause is in the log', async () => {
    await using postgres = await startPostgres()
    const { database, failures } = await open({ database: { engine: 'postgres', url: await postgres.createDatabase() } })
    await database.write('put', row('a'))
    await postgres.stop('fast')
    const kinds = await Promise.all([
      kindOf(database.read.all(everything, {})),
      kindOf(database.write('put', row('b'))),
      kindOf(database.write('trip', row('c'))),
    ])
    expect(kinds.slice(0, 2)).toEqual(['unavailable', 'unavailable'])
    expect(failures.filter((error) => error instanceof StorageError).map(({ kind }) => kind)).toContain('unavailable')
    await postgres.restart()
    expect(await names(database)).toEqual(['a'])
  })

  test('and back again fails no read and no write, though all connections that wait for use are broken', async () => {
    const place = await newDatabase()
    onTestFinished(() => place.dispose())
    await using proxy = await startProxy(place.env.PARLEY_DATABASE_URL)
    // A connection for each of many reads.
    const { database, failures } = await open({ database: { engine: 'postgres', url: proxy.url } }, { coalesce: false })
    const acts = [
      ['done', async () => kindOf(names(database))],
      ['done', async () => kindOf(database.write('put', row('a')))],
      // As each of many.
      [[['a'], ['a'], ['a']], () => Promise.all([names(database), names(database), names(database)])],
    ] as const
    for (const [expected, act] of acts) {
      await Promise.all(Array.from({ length: 20 }, () => names(database)))
      expect((await database.usage()).pool?.idle).toBe(10)
      proxy.forget()
      expect(await act()).toEqual(expected)
    }
    expect(failures.filter((error) => error instanceof StorageError)).toEqual([])
  })

  test('that ends a connection while it reads fails no read, though those that wait for use are broken', async () => {
    const place = await newDatabase()
    onTestFinished(() => place.dispose())
    await using proxy = await startProxy(place.env.PARLEY_DATABASE_URL)
    const { database } = await open({ database: { engine: 'postgres', url: proxy.url } }, { coalesce: false })
    await Promise.all(Array.from({ length: 20 }, () => names(database)))
    const other = new pg.Client({ connectionString: place.env.PARLEY_DATABASE_URL })
    onTestFinished(() => other.end())
    await other.connect()
    await other.query('begin; lock table installation')
    const kind = kindOf(names(database))
    // Not pg_stat_activity, which stays the same during a transaction.
    const waiting = "from pg_locks where not granted and relation = 'installation'::regclass"
    await vi.waitUntil(async () => (await other.query(`select ${waiting}`)).rowCount === 1)
    proxy.forget()
    await other.query(`select pg_terminate_backend(pid) ${waiting}`)
    await other.query('commit')
    expect(await kind).toBe('done')
  })

  test('that is only a copy now is `unavailable` to writes, and is still read', async () => {
    await using postgres = await startPostgres()
    const { database } = await open({ database: { engine: 'postgres', url: await postgres.createDatabase() } })
    await database.write('put', row('a'))
    writeFileSync(join(postgres.dir, 'standby.signal'), '')
    await postgres.restart()
    // At once, and after a read.
    const kinds = await Promise.all([kindOf(database.write('put', row('b'))), kindOf(database.write('putOnce', row('c')))])
    expect(kinds).toEqual(['unavailable', 'unavailable'])
    expect(await kindOf(database.write('putOnce', row('d')))).toBe('unavailable')
    expect(await names(database)).toEqual(['a'])
    expect(database.failing()).toBe(true)
  })

  test('when a transaction was not begun, nothing of it is stored, and it is made again', async () => {
    const place = await newDatabase()
    onTestFinished(() => place.dispose())
    await using proxy = await startProxy(place.env.PARLEY_DATABASE_URL)
    const { database, failures } = await open({ database: { engine: 'postgres', url: proxy.url } })
    // As a cancel at that instant makes it fail.
    proxy.replace('begin', 'begim')
    await database.write('put', row('a'))
    expect(await names(database)).toEqual(['a'])
    expect(failures).toEqual([])
  })

  test('when the answer to a commit is lost, a write with a defect fails and those beside it are done, each once', async () => {
    const place = await newDatabase()
    onTestFinished(() => place.dispose())
    await using proxy = await startProxy(place.env.PARLEY_DATABASE_URL)
    const { database, failures } = await open({ database: { engine: 'postgres', url: proxy.url } })
    const cut = proxy.cutAt('commit', 'after')
    const kinds = Promise.all([
      kindOf(database.write('put', row('a'))),
      kindOf(database.write('trip', row('b'))),
      kindOf(database.write('putOnce', row('c'))),
    ])
    await cut
    expect(await kinds).toEqual(['done', 'serverError', 'done'])
    expect(await names(database)).toEqual(['a', 'c'])
    expect(failures.filter((error) => error instanceof StorageError).map(({ kind }) => kind)).toEqual(['serverError'])
  })

  test('after one of its processes has crashed: a write is done if it is stored, though its number was given to another one', async () => {
    // What is written before the commit is lost.
    await using postgres = await startPostgres({ settings: { synchronous_commit: 'on', wal_writer_delay: '10s' } })
    const url = await postgres.createDatabase()
    await using proxy = await startProxy(url)
    const { database } = await open({ database: { engine: 'postgres', url: proxy.url } })
    await database.write('put', row('a'))
    const frozen = proxy.freezeAt('commit')
    const kind = kindOf(database.write('put', row('b')))
    await frozen
    const witness = new pg.Client({ connectionString: url })
    const crashed = new Promise((resolve) => witness.once('error', resolve))
    await witness.connect()
    const open_ones = "select pid, backend_xid::text as xid from pg_stat_activity where state = 'idle in transaction'"
    const [victim] = (await witness.query<{ pid: number; xid: string }>(open_ones)).rows
    if (!victim) throw new Error('no transaction is open')
    process.kill(victim.pid, 'SIGKILL')
    await crashed
    proxy.cut()
    await vi.waitUntil(async () => Number(await nextNumber(url)) >= Number(victim.xid), { timeout: 60_000 })
    proxy.heal()
    const isDone = (await kind) === 'done'
    expect(await names(database)).toEqual(isDone ? ['a', 'b'] : ['a'])
  })
})

/** Commits a transaction and returns its number; undefined while the database is away. */
async function nextNumber(connectionString: string): Promise<string | undefined> {
  const client = new pg.Client({ connectionString })
  client.on('error', () => {})
  try {
    await client.connect()
    return (await client.query<{ xid: string }>('select pg_current_xact_id()::text as xid')).rows[0]?.xid
  } catch {
    return undefined
  } finally {
    await client.end()
  }
}
