import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import { Client } from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { ApiError } from '../../src/errors.ts'
import type { Database, Notice } from '../../src/storage/database.ts'
import { migrations } from '../../src/storage/migrations/index.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { blocksOf, everything, type TestCommands } from '../support/batch-commands.ts'
import { inspect, newDatabase, type TestDatabase } from '../support/databases.ts'
import { postgresOnly } from '../support/only.ts'
import { startServer } from '../support/server.ts'
import type { Answer } from '../support/tenant.ts'

const module = new URL('../support/batch-commands.ts', import.meta.url)

interface Opened {
  readonly database: Database<TestCommands>
  /** What was reported as not the caller's fault. */
  readonly failures: Error[]
}

async function open(place: TestDatabase, options: { largestBatch?: number } = {}): Promise<Opened> {
  const failures: Error[] = []
  const failed = (error: Error) => void failures.push(error)
  const database = await openDatabase<TestCommands>(place.config.database, { commands: module, failed, ...options })
  return { database, failures }
}

/** A place that is gone when the test is over. */
async function placed(options?: Parameters<typeof newDatabase>[0]): Promise<TestDatabase> {
  const place = await newDatabase(options)
  onTestFinished(() => place.dispose())
  return place
}

/** A new one that is closed and gone when the test is over. */
async function opened(options?: { largestBatch?: number }): Promise<Opened> {
  const result = await open(await placed(), options)
  onTestFinished(() => result.database.close())
  return result
}

async function names(database: Pick<Database<TestCommands>, 'read'>): Promise<string[]> {
  return (await database.read.all(everything, {})).map(({ name }) => name)
}

function row(name: string) {
  return { name, value: `value of ${name}` }
}

describe('writing', () => {
  test.each([undefined, 3])('of many writes made at once each gets its own answer (largest batch: %s)', async (largestBatch) => {
    const { database, failures } = await opened(largestBatch === undefined ? {} : { largestBatch })
    const puts = Array.from({ length: 200 }, (_, i) => `${i}`.padStart(3, '0'))
    const answers = await Promise.all(puts.map((name) => database.write('putOnce', row(name))))
    expect(answers).toEqual(puts.map((name) => `value of ${name}`))
    expect(await names(database)).toEqual(puts)
    expect(await database.write('count', null)).toBe(puts.length)
    expect(failures).toEqual([])
  })

  test('of many writes that exclude each other one gets through', async () => {
    const { database, failures } = await opened()
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => database.write('putOnce', row('a'))))
    const refusals = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as ApiError] : []))
    expect(refusals.map(({ kind }) => kind)).toEqual(Array<string>(19).fill('uniqueNameTaken'))
    expect(await names(database)).toEqual(['a'])
    expect(failures).toEqual([])
  })

  test('rows that no single column names are written at once, each once, and locked one by one', async () => {
    const { database, failures } = await opened()
    const block = (address: string) => ({ account_sid: 'A', address, error_code: 0, reason: '', date_created: 1 })
    const blocked = async () => (await database.read.all(blocksOf, { account_sid: 'A' })).map(({ address }) => address).sort()
    const addresses = Array.from({ length: 20 }, (_, i) => `${i}`.padStart(2, '0'))
    await Promise.all(addresses.map((address) => database.write('block', block(address))))
    expect(await blocked()).toEqual(addresses)
    const counted = await Promise.all(addresses.map(() => database.write('countBlock', block('07'))))
    expect(counted.toSorted((a, b) => a - b)).toEqual(addresses.map((_, i) => i + 1))
    expect(failures).toEqual([])
    const again = await Promise.allSettled(addresses.map((address) => database.write('block', block(address))))
    expect(again.filter(({ status }) => status === 'fulfilled')).toEqual([])
    expect(await blocked()).toEqual(addresses)
  })

  test('commands side by side see what those before them have written to a row, however they find and write it', async () => {
    const { database, failures } = await opened()
    const sids = ['a', 'b', 'c']
    const starts = sids.map((sid) => database.write('startCount', { sid, service_sid: `of ${sid}` }))
    expect(await Promise.all(starts)).toEqual([true, true, true])
    const choices = fc.record({
      sid: fc.constantFrom(...sids),
      by: fc.constantFrom('sid' as const, 'service_sid' as const),
      way: fc.constantFrom('plain', 'plain', 'plain', 'read first', 'read again', 'in the database'),
    })
    const expected = new Map<string, number[]>()
    const counted = new Map<string, (number | undefined)[]>()
    await fc.assert(
      fc.asyncProperty(fc.array(choices, { minLength: 1, maxLength: 40 }), async (chosen) => {
        const values = await Promise.all(chosen.map((each) => database.write('countUp', each)))
        for (const [i, { sid }] of chosen.entries()) {
          const before = expected.get(sid) ?? []
          expected.set(sid, [...before, before.length + 1])
          counted.set(sid, [...(counted.get(sid) ?? []), values[i]])
        }
        for (const [sid, values] of counted) expect(values.toSorted((a = 0, b = 0) => a - b)).toEqual(expected.get(sid))
      }),
      { numRuns: 30 },
    )
    expect(failures).toEqual([])
  })

  test('who locks a row against changes beside it sees what was written there before', async () => {
    const { database, failures } = await opened()
    await database.write('startCount', { sid: 'a', service_sid: 'of a' })
    const beside = await Promise.all([
      database.write('countLate', null),
      database.write('countUp', { sid: 'a', by: 'sid', way: 'plain' }),
      database.write('putBeside', { sid: 'a', ...row('new') }),
      database.write('countBeside', { sid: 'a' }),
    ])
    expect(beside.at(-1)).toBe((await names(database)).length)
    expect(failures).toEqual([])
  })

  test('nobody is told of what is undone', async () => {
    const { database } = await opened()
    const failing = Array.from({ length: 10 }, (_, i) => database.write('putThenFail', row(`${i}`)))
    const counts = Array.from({ length: 10 }, () => database.write('count', null))
    await Promise.allSettled(failing)
    expect(await Promise.all(counts)).toEqual(Array<number>(10).fill(0))
  })

  test('a defect is `serverError` to its own writer and reported once; all others are on disk', async () => {
    const { database, failures } = await opened()
    const results = await Promise.allSettled([
      database.write('put', row('a')),
      database.write('putThenFail', row('b')),
      database.write('put', row('c')),
      database.write('putThenRefuse', row('d')),
      database.write('put', row('e')),
    ])
    const errors = results.map((result) => (result.status === 'rejected' ? (result.reason as ApiError).kind : 'answered'))
    expect(errors).toEqual(['answered', 'serverError', 'answered', 'notFound', 'answered'])
    expect(await names(database)).toEqual(['a', 'c', 'e'])
    expect(failures.map(({ message }) => message)).toEqual([expect.stringMatching(/^putThenFail: .*out of luck with b/)])
  })

  test('a refusal arrives as it was thrown', async () => {
    const { database, failures } = await opened()
    const refusal = await database.write('putThenRefuse', row('a')).catch((error: unknown) => error)
    expect(refusal).toBeInstanceOf(ApiError)
    expect(refusal).toMatchObject({ kind: 'notFound', message: 'The requested resource /a was not found' })
    expect(failures).toEqual([])
    expect(await names(database)).toEqual([])
  })

  test('a refusal before anything is written harms nobody and is reported to nobody', async () => {
    const { database, failures } = await opened()
    await database.write('put', row('a'))
    const results = await Promise.allSettled([
      database.write('put', row('b')),
      database.write('putOnce', row('a')),
      database.write('put', row('c')),
    ])
    expect(results[1]).toMatchObject({ status: 'rejected', reason: { kind: 'uniqueNameTaken' } })
    expect(await names(database)).toEqual(['a', 'b', 'c'])
    expect(failures).toEqual([])
  })

  test('one that fails leaves nothing, and the next one goes on', async () => {
    const { database } = await opened()
    await expect(database.write('putThenFail', row('a'))).rejects.toMatchObject({ kind: 'serverError' })
    expect(await names(database)).toEqual([])
    await database.write('put', row('a'))
    expect(await names(database)).toEqual(['a'])
  })

  test.each([
    ['a breach of a constraint', 'put', row('taken'), /^put: .*(UNIQUE|taken)/],
    ['a breach of a constraint after others were kept', 'putAll', [row('new'), row('taken')], /^putAll: .*(UNIQUE|taken)/],
    ['a command that does not exist', 'nonsense' as 'put', row('new'), /nonsense/],
  ] as const)('%s fails that command alone, as a whole', async (_, name, input, report) => {
    const { database, failures } = await opened()
    await database.write('put', row('taken'))
    const results = await Promise.allSettled([
      database.write('put', row('a')),
      database.write(name, input as never),
      database.write('put', row('b')),
    ])
    expect(results[1]).toMatchObject({ status: 'rejected', reason: { kind: 'serverError' } })
    expect(await names(database)).toEqual(['a', 'b', 'taken'])
    expect(failures.map(({ message }) => message)).toEqual([expect.stringMatching(report)])
  })

  test('readers see a command as a whole or not at all', async () => {
    const { database } = await opened()
    const rows = Array.from({ length: 100 }, (_, i) => row(`${i}`))
    let answered = false
    const written = database.write('putAll', rows).then(() => {
      answered = true
    })
    const seen = new Set<number>()
    while (!answered) {
      seen.add((await names(database)).length)
      await turn()
    }
    await written
    expect([...seen].filter((count) => count !== 0 && count !== rows.length)).toEqual([])
    expect(await names(database)).toHaveLength(rows.length)
  })

  test('who listens is told before the writer is answered, finds the row, and hears of nothing that was undone', async () => {
    const { database } = await opened()
    const story: string[] = []
    const missing: Promise<string[]>[] = []
    database.subscribe((notices: readonly Notice[]) => {
      const told = notices.flatMap((notice) => ('sid' in notice ? [notice.sid] : []))
      story.push(...told.map((sid) => `told of ${sid}`))
      missing.push(names(database).then((found) => told.filter((sid) => !found.includes(sid))))
    })
    // An open read transaction must not hide the commit.
    await names(database)
    const answered = (name: string) => () => void story.push(`answered ${name}`)
    await Promise.all([
      database.write('put', row('a')).then(answered('a')),
      database.write('putThenFail', row('b')).catch(answered('b')),
      database.write('put', row('c')).then(answered('c')),
    ])
    expect(story.toSorted()).toEqual(['answered a', 'answered b', 'answered c', 'told of a', 'told of c'])
    for (const name of ['a', 'c']) expect(story.indexOf(`told of ${name}`)).toBeLessThan(story.indexOf(`answered ${name}`))
    expect((await Promise.all(missing)).flat()).toEqual([])
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
    const place = await placed()
    const { database } = await open(place)
    const writes = Array.from({ length: 100 }, (_, i) => database.write('put', row(`${i}`)))
    await database.close()
    await Promise.all(writes)
    const { database: again } = await open(place)
    expect(await names(again)).toHaveLength(100)
    await again.close()
  })

  test('a write to a closed database is `unavailable`', async () => {
    const { database } = await open(await placed())
    await database.close()
    const late = database.write('put', row('late')).catch((error: unknown) => error)
    const waited = Symbol('never answered')
    const patience = new Promise((resolve) => setImmediate(() => setImmediate(() => resolve(waited))))
    expect(await Promise.race([late, patience])).toMatchObject({ kind: 'unavailable' })
  })

  test('a read of a closed database is an error of that read and nothing worse', async () => {
    const { database } = await open(await placed())
    await database.close()
    await expect(names(database)).rejects.toThrow()
  })

  test('a command that is refused while it does several things leaves nothing of any, and keeps no row from others', async () => {
    const { database, failures } = await opened()
    await database.write('startCount', { sid: 'a', service_sid: 'of a' })
    const kinds = await Promise.all([
      database.write('refuseMeanwhile', { sid: 'a', ...row('left behind') }).catch((error: ApiError) => error.kind),
      database.write('countLate', null),
      database.write('countUp', { sid: 'a', by: 'sid', way: 'plain' }),
    ])
    expect(kinds).toEqual(['notFound', 0, 1])
    expect(await names(database)).toEqual([])
    expect(failures).toEqual([])
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
  const all = Object.keys(migrations).map((name) => ({ name }))
  const future = '9999-future'

  /** One statement behind the back of whoever has the database open. */
  async function query(place: TestDatabase, sql: string): Promise<unknown[]> {
    await using look = inspect(place.config)
    return look.query(sql)
  }

  const done = (place: TestDatabase) => query(place, 'select name from kysely_migration order by name')

  /** A database that a newer version has been at. */
  async function newer(): Promise<TestDatabase> {
    const place = await placed()
    const { database } = await open(place)
    await database.write('put', row('kept'))
    await database.close()
    await query(place, `insert into kysely_migration (name, timestamp) values ('${future}', '2099-01-01T00:00:00.000Z')`)
    return place
  }

  test('make what is missing at the first open; later ones change nothing', async () => {
    const place = await placed({ untouched: true })
    const { database } = await open(place)
    await database.write('put', row('kept'))
    await database.close()
    const first = await query(place, 'select * from kysely_migration')
    expect(await done(place)).toEqual(all)
    const { database: again } = await open(place)
    expect(await names(again)).toEqual(['kept'])
    await again.close()
    expect(await query(place, 'select * from kysely_migration')).toEqual(first)
  })

  test('a database of a newer version is refused with a reason and left as it is', async () => {
    const place = await newer()
    await expect(open(place)).rejects.toThrow(`made by a newer Parley (schema ${future})`)
    expect(await done(place)).toEqual([...all, { name: future }])
    expect(await query(place, 'select * from installation')).toEqual([row('kept')])
  })

  test('an open that was refused keeps nothing: once its reason is gone, the database can be opened', async () => {
    const place = await newer()
    await expect(open(place)).rejects.toThrow('newer')
    await query(place, `delete from kysely_migration where name = '${future}'`)
    const { database } = await open(place)
    expect(await names(database)).toEqual(['kept'])
    await database.close()
  })

  // An embedded one belongs to the first who opens it.
  postgresOnly('by many at once', () => {
    test('what a command reads under a lock is not what others have read before it had the lock', async () => {
      const place = await placed()
      const { database } = await open(place)
      onTestFinished(() => database.close())
      await database.write('put', { name: 'n', value: 'before' })
      await database.write('startCount', { sid: 'a', service_sid: 'of a' })
      const other = new Client(place.env.PARLEY_DATABASE_URL)
      await other.connect()
      onTestFinished(() => other.end())
      await other.query(`begin; select * from removals where sid = 'a' for no key update`)
      const reads = [database.write('glance', { name: 'n' }), database.write('readLocked', { sid: 'a', name: 'n' })]
      const waiting = `select pid from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`
      await expect.poll(async () => (await other.query(waiting)).rowCount).toBe(1)
      await other.query(`update installation set value = 'after' where name = 'n'; commit`)
      expect(await Promise.all(reads)).toEqual(['before', 'after'])
    })

    test('of twenty that open one new database at once all get it, and it is whole', async () => {
      const place = await placed({ untouched: true })
      const opened = await Promise.all(Array.from({ length: 20 }, () => open(place)))
      await Promise.all(opened.map(({ database }, i) => database.write('put', row(`${i}`))))
      for (const { database } of opened) expect(await names(database)).toHaveLength(20)
      await Promise.all(opened.map(({ database }) => database.close()))
      expect(await done(place)).toEqual(all)
    })
  })
})
