import { DatabaseError, type Pool } from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { rowsBy } from '../rows.ts'
import { PostgresReader } from './reader.ts'

const query = rowsBy('services', ['sid'])

interface Sent {
  readonly values: readonly unknown[]
  answer(): void
  fail(error: Error): void
}

/** A reader whose statements are answered when the test says so. Time passes when it says so, too. */
function scene() {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] })
  onTestFinished(() => void vi.useRealTimers())
  const sent: Sent[] = []
  const released: unknown[] = []
  const client = {
    connection: { stream: { cork: () => {}, uncork: () => {} } },
    query: ({ values }: { values: readonly unknown[] }, done: (error: Error | null, result?: object) => void) =>
      void sent.push({ values, answer: () => done(null, { rows: [], rowCount: 0 }), fail: done }),
    release: (broken: unknown) => void released.push(broken),
  }
  const refusals: Error[] = []
  const connect = async () => {
    const refusal = refusals.shift()
    if (refusal) throw refusal
    return client
  }
  const pool = { connect } as unknown as Pool
  const reader = new PostgresReader(pool, { failed: () => {}, coalesce: true })
  return {
    sent,
    released,
    refusals,
    read: (sid: string) => reader.one(query, { sid }),
    answer: (n: number) => {
      const statement = sent[n]
      if (!statement) throw new Error(`there is no statement ${n}`)
      statement.answer()
    },
  }
}

/** Lets everything happen that waits for no timer. */
const turn = async () => {
  for (let i = 0; i < 3; i++) await new Promise(setImmediate)
}

test('reads that come while others are in flight are sent together when those have been answered', async () => {
  const { sent, read, answer } = scene()
  const all = [read('a')]
  await turn()
  for (const sid of ['b', 'c', 'd']) {
    all.push(read(sid))
    await turn()
  }
  expect(sent.map(({ values }) => values)).toEqual([['a']])
  answer(0)
  await turn()
  expect(sent.map(({ values }) => values)).toEqual([['a'], [['b', 'c', 'd']]])
  answer(1)
  await expect(Promise.all(all)).resolves.toHaveLength(4)
})

test('a slow query holds up others for no longer than two milliseconds, and no read that comes later', async () => {
  const { sent, read, answer } = scene()
  const slow = read('slow')
  await turn()
  const waiting = read('a')
  await turn()
  vi.advanceTimersByTime(1)
  await turn()
  expect(sent).toHaveLength(1)
  vi.advanceTimersByTime(1)
  await turn()
  answer(1)
  await waiting
  const later = read('b')
  await turn()
  answer(2)
  await later
  answer(0)
  await slow
  expect(sent.map(({ values }) => values)).toEqual([['slow'], ['a'], ['b']])
})

test('a connection that the database is about to end is not used again', async () => {
  const { sent, released, read, answer } = scene()
  const repeated = read('a')
  await turn()
  sent[0]?.fail(Object.assign(new DatabaseError('terminating connection', 0, 'error'), { code: '57P01' }))
  await turn()
  answer(1)
  await repeated
  await turn()
  expect(sent.map(({ values }) => values)).toEqual([['a'], ['a']])
  expect(released).toEqual([true, false])
})

test('a connection that works is used again when another one could not be made meanwhile', async () => {
  const { sent, released, refusals, read, answer } = scene()
  const slow = read('slow')
  await turn()
  const repeated = read('a')
  refusals.push(Object.assign(new DatabaseError('too many clients already', 0, 'error'), { code: '53300' }))
  vi.advanceTimersByTime(2)
  await turn()
  answer(1)
  answer(0)
  await Promise.all([slow, repeated])
  await turn()
  expect(sent.map(({ values }) => values)).toEqual([['slow'], ['a']])
  expect(released).toEqual([false, false])
})
