import Sqlite from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'
import { migrations } from '../../../src/storage/migrations/index.ts'
import { openSqlite } from '../../../src/storage/sqlite/open.ts'
import { everything, type TestCommands } from '../../support/batch-commands.ts'
import { folder } from '../../support/process.ts'

const commands = new URL('../../support/batch-commands.ts', import.meta.url)

async function open(file = ':memory:', options: { largestBatch?: number } = {}) {
  const failures: Error[] = []
  const failed = (error: Error) => void failures.push(error)
  const deaths: Error[] = []
  const dead = (error: Error) => void deaths.push(error)
  return { database: await openSqlite<TestCommands>({ file, commands, failed, dead, ...options }), failures, deaths }
}

/** One that is closed when the test is over. */
async function opened(options?: { largestBatch?: number }) {
  const result = await open(':memory:', options)
  onTestFinished(() => result.database.close())
  return result
}

function row(name: string) {
  return { name, value: `value of ${name}` }
}

test('writes made at once are run in the order in which they were made, and each gets its own answer', async () => {
  const { database, failures } = await opened()
  const puts = Array.from({ length: 200 }, (_, i) => `${i}`.padStart(3, '0'))
  const answers = await Promise.all(puts.flatMap((name) => [database.write('putOnce', row(name)), database.write('count', null)]))
  expect(answers).toEqual(puts.flatMap((name, i) => [`value of ${name}`, i + 1]))
  expect((await database.read.all(everything, {})).map(({ name }) => name)).toEqual(puts)
  expect(failures).toEqual([])
})

test('the same with batches of at most three', async () => {
  const { database } = await opened({ largestBatch: 3 })
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

test('when the writer thread breaks down, everybody who waits is told `unavailable`, and so is everybody after', async () => {
  using place = folder()
  const { database, failures, deaths } = await open(place.file('parley.db'))
  const results = await Promise.allSettled([
    database.write('breakDown', null),
    database.write('put', row('a')),
    database.write('put', row('b')),
  ])
  for (const result of results) expect(result).toMatchObject({ status: 'rejected', reason: { kind: 'unavailable' } })
  await expect(database.write('put', row('c'))).rejects.toMatchObject({ kind: 'unavailable' })
  expect(deaths.map(({ message }) => message)).toEqual(['the thread is gone'])
  expect(failures).toEqual([])
  expect(await database.read.all(everything, {})).toEqual([])
})

test('a database whose writer thread has broken down can still be closed', async () => {
  using place = folder()
  const { database } = await open(place.file('parley.db'))
  await database.write('breakDown', null).catch(() => {})
  // Long enough for the thread to be really gone: another one starts and ends meanwhile.
  const { database: other } = await open(place.file('other.db'))
  await other.close()
  await database.close()
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
  const { database } = await open(file)
  expect(await database.read.all(everything, {})).toEqual([row('a')])
  await database.close()
})
