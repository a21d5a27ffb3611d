import Sqlite from 'better-sqlite3'
import { Kysely, SqliteDialect } from 'kysely'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ApiError, refuse } from '../../src/errors.ts'
import type { Commands, Database, Notice, Tx } from '../../src/storage/database.ts'
import { migrate, migrations } from '../../src/storage/migrations/index.ts'
import { insertRow } from '../../src/storage/rows.ts'
import { BatchRunner, type Outcome } from '../../src/storage/sqlite/batch.ts'
import { type Connection, openConnection } from '../../src/storage/sqlite/connection.ts'
import { openSqlite } from '../../src/storage/sqlite/open.ts'
import { SqliteReader } from '../../src/storage/sqlite/reader.ts'
import { everything, type TestCommands } from '../support/batch-commands.ts'
import { folder } from '../support/process.ts'
import { type Answer, startServer } from '../support/server.ts'

const module = new URL('../support/batch-commands.ts', import.meta.url)

interface Opened {
  readonly database: Database<TestCommands>
  /** What was reported as not the caller's fault. */
  readonly failures: Error[]
}

async function open(file = ':memory:', options: { largest_batch?: number } = {}): Promise<Opened> {
  const failures: Error[] = []
  const failed = (error: Error) => void failures.push(error)
  const database = await openSqlite<TestCommands>({ file, commands: module, failed, ...options })
  return { database, failures }
}

/** One that is closed when the test is over. */
async function opened(file?: string, options?: { largest_batch?: number }): Promise<Opened> {
  const result = await open(file, options)
  onTestFinished(() => result.database.close())
  return result
}

async function names(database: Pick<Database<TestCommands>, 'read'>): Promise<string[]> {
  return (await database.read.all(everything, {})).map(({ name }) => name)
}

function row(name: string) {
  return { name, value: `value of ${name}` }
}

async function migrated(file: string): Promise<Connection> {
  const db = openConnection(file, { readonly: false, durable: true })
  await migrate(new Kysely<unknown>({ dialect: new SqliteDialect({ database: db }) }))
  return db
}

/** A runner on a database file of its own, with the reader of another connection beside it. */
async function runner(commands: Commands) {
  const place = folder()
  const db = await migrated(place.file('parley.db'))
  const reader = new SqliteReader(openConnection(place.file('parley.db'), { readonly: true, durable: true }))
  onTestFinished(() => {
    reader.close()
    db.close()
    place[Symbol.dispose]()
  })
  const batch = new BatchRunner(db, commands)
  const seen = async () => {
    reader.refresh()
    return (await reader.all(everything, {})).map(({ name }) => name)
  }
  return { run: (...jobs: [string, unknown][]) => batch.run(jobs.map(([name, input]) => ({ name, input }))), seen }
}

async function insert(tx: Tx, name: string): Promise<void> {
  await tx.run(insertRow('installation', ['name', 'value']), row(name))
}

function value(outcome: Outcome | undefined): unknown {
  return outcome && 'value' in outcome ? outcome.value : outcome
}

describe('a batch', () => {
  test('runs its commands in order, each on what the ones before have written', async () => {
    const { run, seen } = await runner({
      put: async (tx, name: string) => {
        const before = (await tx.all(everything, {})).map((each) => each.name)
        await insert(tx, name)
        return before
      },
    })
    const outcomes = await run(['put', 'a'], ['put', 'b'], ['put', 'c'])
    expect(outcomes.map(value)).toEqual([[], ['a'], ['a', 'b']])
    expect(await seen()).toEqual(['a', 'b', 'c'])
  })

  test('is seen by readers as a whole, after its commit', async () => {
    const during: string[][] = []
    const { run, seen } = await runner({
      put: async (tx, name: string) => {
        await insert(tx, name)
        during.push(await seen())
      },
    })
    await run(['put', 'a'], ['put', 'b'])
    expect(during).toEqual([[], []])
    expect(await seen()).toEqual(['a', 'b'])
  })

  test('with one that fails after it has written undoes only that one', async () => {
    const { run, seen } = await runner({
      put: async (tx, name: string) => {
        await insert(tx, name)
        tx.notify({ topic: 'removal' })
        return name
      },
      fail: async (tx, name: string) => {
        await insert(tx, name)
        tx.notify({ topic: 'due', at: 1 })
        throw new Error(`out of luck with ${name}`)
      },
      refuse: async (tx, name: string) => {
        await insert(tx, name)
        tx.notify({ topic: 'due', at: 2 })
        throw refuse('notFound', { path: `/${name}` })
      },
    })
    const outcomes = await run(['put', 'a'], ['fail', 'b'], ['put', 'c'], ['refuse', 'd'], ['put', 'e'])
    expect(outcomes).toEqual([
      { value: 'a', notices: [{ topic: 'removal' }] },
      { failed: expect.stringContaining('out of luck with b') },
      { value: 'c', notices: [{ topic: 'removal' }] },
      { refused: { kind: 'notFound', details: { path: '/d' } } },
      { value: 'e', notices: [{ topic: 'removal' }] },
    ])
    expect(await seen()).toEqual(['a', 'c', 'e'])
  })

  test('with one that refuses before it writes runs every command once', async () => {
    const ran: string[] = []
    const { run, seen } = await runner({
      put: async (tx, name: string) => {
        ran.push(name)
        await insert(tx, name)
      },
      refuse: async (_tx, name: string) => {
        ran.push(name)
        throw refuse('conflict')
      },
    })
    const outcomes = await run(['put', 'a'], ['refuse', 'b'], ['put', 'c'])
    expect(outcomes[1]).toEqual({ refused: { kind: 'conflict', details: {} } })
    expect(ran).toEqual(['a', 'b', 'c'])
    expect(await seen()).toEqual(['a', 'c'])
  })

  test('of one that fails leaves nothing, and the next batch goes on', async () => {
    const { run, seen } = await runner({
      put: async (tx, name: string) => insert(tx, name),
      fail: async (tx, name: string) => {
        await insert(tx, name)
        throw new Error('no')
      },
    })
    expect(await run(['fail', 'a'])).toEqual([{ failed: expect.stringContaining('no') }])
    expect(await seen()).toEqual([])
    await run(['put', 'b'])
    expect(await seen()).toEqual(['b'])
  })

  test('with a breach of a constraint fails that command alone', async () => {
    const { run, seen } = await runner({ put: async (tx, name: string) => insert(tx, name) })
    const outcomes = await run(['put', 'a'], ['put', 'a'], ['put', 'b'])
    expect(outcomes[1]).toEqual({ failed: expect.stringContaining('UNIQUE') })
    expect(await seen()).toEqual(['a', 'b'])
  })

  test('with a command that does not exist fails that command alone', async () => {
    const { run, seen } = await runner({ put: async (tx, name: string) => insert(tx, name) })
    const outcomes = await run(['put', 'a'], ['nonsense', null])
    expect(outcomes[1]).toEqual({ failed: expect.stringContaining('nonsense') })
    expect(await seen()).toEqual(['a'])
  })
})

describe('writing', () => {
  test('writes made at once are run in the order in which they were made, and each gets its own answer', async () => {
    const { database, failures } = await opened()
    const puts = Array.from({ length: 200 }, (_, i) => `${i}`.padStart(3, '0'))
    const answers = await Promise.all(
      puts.flatMap((name) => [database.write('putOnce', row(name)), database.write('count', null)]),
    )
    expect(answers).toEqual(puts.flatMap((name, i) => [`value of ${name}`, i + 1]))
    expect(await names(database)).toEqual(puts)
    expect(failures).toEqual([])
  })

  test('the same with batches of at most three', async () => {
    const { database } = await opened(undefined, { largest_batch: 3 })
    const counts = await Promise.all(
      ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map(async (name) => {
        const put = database.write('put', row(name))
        const count = database.write('count', null)
        await put
        return count
      }),
    )
    expect(counts).toEqual([1, 2, 3, 4, 5, 6, 7])
  })

  test('a failure is `unavailable` to its own writer and reported once; all others are on disk', async () => {
    const { database, failures } = await opened()
    const results = await Promise.allSettled([
      database.write('put', row('a')),
      database.write('putThenFail', row('b')),
      database.write('put', row('c')),
      database.write('putThenRefuse', row('d')),
      database.write('putOnce', row('a')),
      database.write('put', row('e')),
    ])
    expect(results.map(({ status }) => status)).toEqual([
      'fulfilled',
      'rejected',
      'fulfilled',
      'rejected',
      'rejected',
      'fulfilled',
    ])
    const errors = results.map((result) => (result.status === 'rejected' ? (result.reason as ApiError).kind : null))
    expect(errors).toEqual([null, 'unavailable', null, 'notFound', 'uniqueNameTaken', null])
    expect(await names(database)).toEqual(['a', 'c', 'e'])
    expect(failures.map(({ message }) => message)).toEqual([expect.stringContaining('putThenFail: Error: out of luck with b')])
  })

  test('a refusal arrives as it was thrown', async () => {
    const { database, failures } = await opened()
    const refusal = await database.write('putThenRefuse', row('a')).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(ApiError)
    expect(refusal).toMatchObject({ kind: 'notFound', message: 'The requested resource /a was not found' })
    expect(failures).toEqual([])
    expect(await names(database)).toEqual([])
  })

  test('who listens is told before the writer is answered, finds the row, and hears of nothing that was undone', async () => {
    const { database } = await opened()
    const story: string[] = []
    const reads: Promise<string[]>[] = []
    database.subscribe((notices: readonly Notice[]) => {
      for (const notice of notices) story.push(`told of ${'sid' in notice ? notice.sid : notice.topic}`)
      reads.push(names(database))
    })
    // An open read transaction must not hide the commit.
    await names(database)
    const answered = (name: string) => () => void story.push(`answered ${name}`)
    await Promise.all([
      database.write('put', row('a')).then(answered('a')),
      database.write('putThenFail', row('b')).catch(answered('b')),
      database.write('put', row('c')).then(answered('c')),
    ])
    expect(story).toEqual(['told of a', 'told of c', 'answered a', 'answered b', 'answered c'])
    expect(await Promise.all(reads)).toEqual([['a', 'c']])
  })

  test('whoever reads after an answer sees what was answered', async () => {
    const { database } = await opened()
    for (let i = 0; i < 50; i++) {
      await names(database)
      await database.write('put', row(`${i}`.padStart(2, '0')))
      expect(await names(database)).toHaveLength(i + 1)
    }
  })

  test('closing waits for what was asked for before; it is all there when it is opened again', async () => {
    using place = folder()
    const { database } = await open(place.file('parley.db'))
    const writes = Array.from({ length: 100 }, (_, i) => database.write('put', row(`${i}`)))
    await database.close()
    await Promise.all(writes)
    const { database: again } = await open(place.file('parley.db'))
    expect(await names(again)).toHaveLength(100)
    await again.close()
  })

  test('a write to a closed database is `unavailable`', async () => {
    const { database } = await open()
    await database.close()
    const late = database.write('put', row('late')).catch((error: unknown) => error)
    const waited = Symbol('never answered')
    const patience = new Promise((resolve) => setImmediate(() => setImmediate(() => resolve(waited))))
    expect(await Promise.race([late, patience])).toMatchObject({ kind: 'unavailable' })
  })

  test('a read of a closed database is an error of that read and nothing worse', async () => {
    const { database } = await open()
    await database.close()
    await expect(names(database)).rejects.toThrow()
  })

  test('when the writer thread breaks down, everybody who waits is told `unavailable`, and so is everybody after', async () => {
    const { database, failures } = await open()
    const results = await Promise.allSettled([
      database.write('breakDown', null),
      database.write('put', row('a')),
      database.write('put', row('b')),
    ])
    for (const result of results) expect(result).toMatchObject({ status: 'rejected', reason: { kind: 'unavailable' } })
    await expect(database.write('put', row('c'))).rejects.toMatchObject({ kind: 'unavailable' })
    expect(failures.map(({ message }) => message)).toEqual(['the thread is gone'])
    expect(await names(database)).toEqual([])
  })

  test('a database whose writer thread has broken down can still be closed', { timeout: 5_000 }, async () => {
    const { database } = await open()
    await database.write('breakDown', null).catch(() => {})
    // Long enough for the thread to be really gone: another one starts and ends meanwhile.
    const { database: other } = await open()
    await other.close()
    await database.close()
  })
})

describe('through the whole server', () => {
  test('of many requests for one unique name exactly one gets it', async () => {
    await using server = await startServer()
    const create = () => server.call('POST', '/v1/Conversations', { UniqueName: 'the one' })
    const answers: Answer[] = await Promise.all(Array.from({ length: 30 }, create))
    const [won, ...others] = answers.toSorted((a, b) => a.status - b.status)
    expect(won?.status).toBe(201)
    expect(others).toHaveLength(29)
    for (const { status, body } of others) {
      expect({ status, code: body.code, message: body.message }).toEqual({
        status: 409,
        code: 50353,
        message: 'Conversation with provided unique name already exists',
      })
    }
    const all = await server.sdk.conversations.v1.conversations.list()
    expect(all.map(({ sid }) => sid)).toEqual([won?.body.sid])
  })

  test('the same for renaming, while other writes go through', async () => {
    await using server = await startServer()
    const made = await Promise.all(Array.from({ length: 10 }, () => server.call('POST', '/v1/Conversations', {})))
    const rename = ({ body }: Answer) => server.call('POST', `/v1/Conversations/${body.sid}`, { UniqueName: 'the one' })
    const touch = ({ body }: Answer) => server.call('POST', `/v1/Conversations/${body.sid}`, { FriendlyName: 'touched' })
    const [renames, touches] = await Promise.all([Promise.all(made.map(rename)), Promise.all(made.map(touch))])
    expect(renames.map(({ status }) => status).sort()).toEqual([200, ...Array<number>(9).fill(409)])
    expect(touches.every(({ status }) => status === 200)).toBe(true)
    const all = await server.sdk.conversations.v1.conversations.list()
    expect(all.filter(({ uniqueName }) => uniqueName === 'the one')).toHaveLength(1)
    expect(all.every(({ friendlyName }) => friendlyName === 'touched')).toBe(true)
  })

  test('a name is free again once its holder is deleted', async () => {
    await using server = await startServer()
    const conversations = server.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ uniqueName: 'the one' })
    await conversations(sid).remove()
    const next = await conversations.create({ uniqueName: 'the one' })
    expect(next.sid).not.toBe(sid)
  })
})

describe('migrations', () => {
  test('run twice change nothing', async () => {
    using place = folder()
    const db = await migrated(place.file('parley.db'))
    const schema = db.prepare('SELECT sql FROM sqlite_schema ORDER BY name').all()
    const done = db.prepare('SELECT * FROM kysely_migration').all()
    db.prepare("INSERT INTO installation (name, value) VALUES ('kept', 'yes')").run()
    await migrate(new Kysely<unknown>({ dialect: new SqliteDialect({ database: db }) }))
    expect(db.prepare('SELECT sql FROM sqlite_schema ORDER BY name').all()).toEqual(schema)
    expect(db.prepare('SELECT * FROM kysely_migration').all()).toEqual(done)
    expect(done).toHaveLength(Object.keys(migrations).length)
    expect(db.prepare('SELECT * FROM installation').all()).toEqual([{ name: 'kept', value: 'yes' }])
    db.close()
  })

  test('of twenty that open one new file at once, one gets it and the file is whole', async () => {
    using place = folder()
    const file = place.file('parley.db')
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => open(file)))
    const [owner, ...more] = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
    expect(more).toEqual([])
    const refusals = results.flatMap((result) => (result.status === 'rejected' ? [String(result.reason)] : []))
    expect(refusals).toHaveLength(19)
    expect(new Set(refusals)).toEqual(new Set([expect.stringContaining('is in use by another Parley process')]))
    await owner?.database.write('put', row('a'))
    await owner?.database.close()
    const db = new Sqlite(file)
    expect(db.pragma('integrity_check', { simple: true })).toBe('ok')
    expect(db.prepare('SELECT name FROM kysely_migration').all()).toHaveLength(Object.keys(migrations).length)
    db.close()
    const { database } = await opened(file)
    expect(await names(database)).toEqual(['a'])
  })

  test('a database of a newer version is refused with a reason and left as it is', async () => {
    using place = folder()
    const file = place.file('parley.db')
    const db = await migrated(file)
    db.prepare("INSERT INTO kysely_migration (name, timestamp) VALUES ('9999-future', '2099-01-01T00:00:00.000Z')").run()
    db.close()
    await expect(open(file)).rejects.toThrow('made by a newer Parley (schema 9999-future)')
    const after = new Sqlite(file)
    expect(after.prepare('SELECT name FROM kysely_migration ORDER BY name').pluck().all()).toEqual([
      ...Object.keys(migrations),
      '9999-future',
    ])
    after.close()
  })

  test('an open that was refused keeps nothing: once its reason is gone, the file can be opened', async () => {
    using place = folder()
    const file = place.file('parley.db')
    const db = await migrated(file)
    db.prepare("INSERT INTO kysely_migration (name, timestamp) VALUES ('9999-future', '2099-01-01T00:00:00.000Z')").run()
    await expect(open(file)).rejects.toThrow('newer')
    db.prepare("DELETE FROM kysely_migration WHERE name = '9999-future'").run()
    db.close()
    const { database } = await opened(file)
    expect(await names(database)).toEqual([])
  })
})
