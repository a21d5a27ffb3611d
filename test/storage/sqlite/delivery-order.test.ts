import { expect, test } from 'vitest'
import { TestClock } from '../../../src/clock.ts'
import type { SendResult } from '../../../src/delivery/client.ts'
import { Deliveries } from '../../../src/delivery/deliveries.ts'
import type { DeliveryHandler } from '../../../src/delivery/handler.ts'
import { pendingOf } from '../../../src/delivery/pending.ts'
import type { NewDelivery } from '../../../src/events/queue.ts'
import { newSid } from '../../../src/sids.ts'
import type { Database, Reader } from '../../../src/storage/database.ts'
import type { DeliveryRow } from '../../../src/storage/schema.ts'
import { openSqlite } from '../../../src/storage/sqlite/open.ts'
import type { commands } from '../../support/queue-commands.ts'

const service_sid = newSid('service', 0)
const account_sid = `AC${'0'.repeat(32)}`
const target_sid = 'target'
const [one, other] = [newSid('conversation', 0), newSid('conversation', 0)]

const ok: SendResult = { status: 200, body: '', error: null, kind: 'answered', duration_ms: 0 }
const failed: SendResult = { ...ok, status: 500 }

function delivery(subject_sid: string): NewDelivery {
  return {
    ...{ kind: 'webhook', account_sid, service_sid, target_sid, subject_sid, event_type: 'onMessageAdded', method: 'POST' },
    ...{ url: 'https://hook.test/', form: '{}', idempotency_token: 'token', message_sid: null, participant_sid: null },
  }
}

/** A loop beside a database that holds nothing but deliveries to one target, and the attempts that it makes: each is to be responded to. */
async function scene() {
  const database: Database<typeof commands> = await openSqlite<typeof commands>({
    file: ':memory:',
    commands: new URL('../../support/queue-commands.ts', import.meta.url),
    failed: (error) => {
      throw error
    },
  })
  /** Reads of pending rows that are still to fail. */
  let failing = 0
  const errors: unknown[] = []
  const read: Reader = {
    one: (query, args) => database.read.one(query, args),
    hold: (query, args, how) => database.read.hold(query, args, how),
    async all(query, args) {
      if (query.id === pendingOf.id && failing-- > 0) throw new Error('a read has failed')
      return database.read.all(query, args)
    },
  }
  const attempts: { readonly row: DeliveryRow; readonly respond: (result: SendResult) => void }[] = []
  let taken = 0
  let noticed = Promise.withResolvers<void>()
  const handler: DeliveryHandler = {
    maxSendMs: 1000,
    send: (row) =>
      new Promise<SendResult>((respond) => {
        attempts.push({ row, respond })
        noticed.resolve()
      }),
    mayRetry: () => true,
  }
  const clock = new TestClock()
  const loop = new Deliveries<never>({
    clock,
    database: { ...database, read },
    maxAgeMs: Number.POSITIVE_INFINITY,
    tracer: null,
    handlers: { webhook: handler, message: handler, loopback: handler, push: handler },
    record: (results) => database.write('recordDeliveries', results),
    failed: (error) => errors.push(error),
  })
  loop.start()
  return {
    database,
    errors,
    clock,
    failReads: (count: number) => {
      failing = count
    },
    enqueue: (subject_sid: string) => database.write('enqueue', { deliveries: [delivery(subject_sid)], now: clock.now() }),
    enqueueMany: (...subjects: string[]) =>
      database.write('enqueueMany', { service_sid, deliveries: subjects.map(delivery), now: clock.now() }),
    pending: () => database.read.all(pendingOf, { slot: 0, target_sid, limit: 100 }),
    /** Returns the next attempt, in the order in which they are made. */
    async next() {
      for (;;) {
        const attempt = attempts[taken]
        if (attempt) {
          taken++
          return attempt
        }
        noticed = Promise.withResolvers()
        await noticed.promise
      }
    },
    async [Symbol.asyncDispose]() {
      const stopped = loop.stop()
      for (const { respond } of attempts) respond(failed)
      await stopped
      await database.close()
    },
  }
}

test('after a read that has failed, what was to be read is sent before what is written next', async () => {
  await using loop = await scene()
  await loop.enqueue(one)
  await loop.next()
  loop.failReads(1)
  await loop.enqueueMany(other)
  await loop.enqueue(other)
  const [, earlier] = await loop.pending()
  expect((await loop.next()).row.id).toBe(earlier?.id)
  expect(loop.errors).toEqual([new Error('a read has failed')])
})

test('what has waited for a read that failed is sent when a second has passed, though nothing else is written', async () => {
  await using loop = await scene()
  loop.failReads(1)
  await loop.enqueue(one)
  while (loop.errors.length === 0) await new Promise((resolve) => setImmediate(resolve))
  loop.clock.moveTo(loop.clock.now() + 1000)
  loop.database.publish([{ topic: 'clock', state: loop.clock.state }])
  expect((await loop.next()).row.subject_sid).toBe(one)
})

test('what is tried again after others were dropped comes before what follows it', async () => {
  await using loop = await scene()
  await loop.enqueue(one)
  const first = await loop.next()
  await loop.enqueue(one)
  loop.database.publish([{ topic: 'dropped', target_sid, slot: 0 }])
  await new Promise((resolve) => setImmediate(resolve))
  first.respond(failed)
  while ((await loop.pending())[0]?.attempts === '[]') await new Promise((resolve) => setImmediate(resolve))
  loop.clock.moveTo(loop.clock.now() + 1000)
  loop.database.publish([{ topic: 'clock', state: loop.clock.state }])
  const again = await loop.next()
  expect(again.row.id).toBe(first.row.id)
  expect(JSON.parse(again.row.attempts)).toHaveLength(1)
})

test('what is dropped while it is tried is not tried again, whichever attempt that is', async () => {
  await using loop = await scene()
  const recorded = async () => {
    // Results are recorded in their order.
    await loop.enqueue(other)
    const last = await loop.next()
    last.respond(ok)
    while ((await loop.pending()).some(({ id }) => id === last.row.id)) await new Promise((resolve) => setImmediate(resolve))
  }
  for (const tries of [1, 2]) {
    await loop.enqueue(one)
    for (let i = 1; i < tries; i++) {
      ;(await loop.next()).respond(failed)
      await recorded()
      loop.clock.moveTo(loop.clock.now() + 1000)
      loop.database.publish([{ topic: 'clock', state: loop.clock.state }])
    }
    const dropped = await loop.next()
    const now = loop.clock.now()
    await loop.database.write('dropDeliveries', { slot: 0, target_sid, accounts: null, now, limit: 10 })
    dropped.respond(failed)
    await recorded()
    expect(await loop.pending()).toEqual([])
  }
})
