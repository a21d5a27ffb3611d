import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SystemClock } from '../../../src/clock.ts'
import type { SendResult } from '../../../src/delivery/client.ts'
import { Deliveries } from '../../../src/delivery/deliveries.ts'
import type { DeliveryHandler } from '../../../src/delivery/handler.ts'
import { firstTarget, pendingOf } from '../../../src/delivery/pending.ts'
import type { NewDelivery } from '../../../src/events/queue.ts'
import { newSid } from '../../../src/sids.ts'
import type { Database, Reader } from '../../../src/storage/database.ts'
import type { DeliveryRow } from '../../../src/storage/schema.ts'
import { openSqlite } from '../../../src/storage/sqlite/open.ts'
import { newDatabase } from '../../support/databases.ts'
import type { commands } from '../../support/queue-commands.ts'

type Queued = Database<typeof commands>

const service_sid = newSid('service', 0)
const targets = ['target-a', 'target-b'] as const
const subjects = Array.from({ length: 4 }, () => newSid('conversation', 0))

function delivery(target: number, subject: number): NewDelivery {
  return {
    kind: 'webhook',
    account_sid: `AC${'0'.repeat(32)}`,
    service_sid,
    target_sid: targets[target % targets.length] ?? '',
    subject_sid: subjects[subject % subjects.length] ?? '',
    event_type: 'onMessageAdded',
    method: 'POST',
    url: 'https://hook.test/',
    form: '{}',
    idempotency_token: 'token',
    message_sid: null,
    participant_sid: null,
  }
}

/** What is done to a queue: deliveries are written, or those to a target dropped; or as many as are told are responded to. */
type Act =
  | { readonly do: 'write'; readonly deliveries: readonly (readonly [target: number, subject: number])[] }
  | { readonly do: 'drop'; readonly target: number }
  | { readonly do: 'respond'; readonly most: number }

const act: fc.Arbitrary<Act> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({ do: fc.constant('write'), deliveries: fc.array(fc.tuple(fc.nat(1), fc.nat(3)), { minLength: 1 }) }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('drop'), target: fc.nat(1) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('respond'), most: fc.integer({ min: 1, max: 20 }) }) },
)

const delivered: SendResult = { status: 200, body: '', error: null, kind: 'answered', duration_ms: 0 }

interface Ran {
  /** In the order in which they were sent. */
  readonly sent: readonly DeliveryRow[]
  readonly written: readonly string[]
  readonly dropped: number
  /** How often rows were read. */
  readonly reads: number
}

/**
 * Does one thing after another beside the loop, without waiting for one before the next: what comes close together is in one transaction.
 * Returns when nothing is pending any more. `committed`: whether the loop may take rows from notices.
 */
async function run(database: Queued, acts: readonly Act[], { committed }: { committed: boolean }): Promise<Ran> {
  let reads = 0
  const read: Reader = {
    one: (query, args) => database.read.one(query, args),
    hold: (query, args, how) => database.read.hold(query, args, how),
    all(query, args) {
      if (query.id === pendingOf.id) reads++
      return database.read.all(query, args)
    },
  }
  const sent: DeliveryRow[] = []
  const responding: (() => void)[] = []
  let instant = false
  const handler: DeliveryHandler = {
    maxSendMs: 1000,
    send: async (row) => {
      sent.push(row)
      if (!instant) await new Promise<void>((resolve) => responding.push(resolve))
      return delivered
    },
    mayRetry: () => false,
  }
  const respond = (most: number) => {
    for (const one of responding.splice(0, most)) one()
  }
  const errors: unknown[] = []
  const loop = new Deliveries<never>({
    clock: new SystemClock(),
    database: {
      capabilities: { ...database.capabilities, soleOwner: committed },
      read,
      slots: database.slots,
      subscribe: (listener) => database.subscribe(listener),
    },
    maxAgeMs: Number.POSITIVE_INFINITY,
    tracer: null,
    handlers: { webhook: handler, message: handler, loopback: handler, push: handler },
    record: (results) => database.write('recordDeliveries', results),
    failed: (error) => errors.push(error),
  })
  loop.start()
  let dropped = 0
  const writes: Promise<readonly string[]>[] = []
  for (const one of acts) {
    if (one.do === 'write') {
      const deliveries = one.deliveries.map(([target, subject]) => delivery(target, subject))
      writes.push(database.write('enqueue', { deliveries, now: Date.now() }))
    } else if (one.do === 'drop') {
      const target_sid = targets[one.target] ?? ''
      const drop = { slot: 0, target_sid, accounts: null, now: Date.now(), limit: 1000 }
      void database.write('dropDeliveries', drop).then((count) => {
        dropped += count
      })
    } else {
      await Promise.all(writes)
      respond(one.most)
    }
  }
  const written = (await Promise.all(writes)).flat()
  instant = true
  while (await database.read.one(firstTarget, { slot: 0 })) {
    respond(responding.length)
    await new Promise((resolve) => setImmediate(resolve))
  }
  // What was dropped while it was sent is pending no more, and its response is waited for all the same.
  respond(responding.length)
  await loop.stop()
  expect(errors).toEqual([])
  return { sent, written, dropped, reads }
}

async function open(file: string): Promise<Queued> {
  const module = new URL('../../support/queue-commands.ts', import.meta.url)
  return openSqlite<typeof commands>({
    file,
    commands: module,
    failed: (error) => {
      throw error
    },
  })
}

/** What holds however the loop learns of the rows. */
function expectWhole({ sent, written, dropped }: Ran): void {
  const ids = sent.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  expect(written).toEqual(expect.arrayContaining(ids))
  // What was under way when it was dropped was sent all the same.
  expect(ids.length).toBeGreaterThanOrEqual(written.length - dropped)
  if (dropped === 0) expect(ids.toSorted()).toEqual(written.toSorted())
  const lanes = Map.groupBy(sent, ({ target_sid, subject_sid }) => `${target_sid} ${subject_sid}`)
  for (const lane of lanes.values()) expect(lane.map(({ id }) => id)).toEqual(lane.map(({ id }) => id).toSorted())
}

test('what the loop takes from notices is sent once and in order, as what it reads', async () => {
  await using place = await newDatabase()
  const database = await open(join(place.config.dataDir ?? '', 'queue.db'))
  try {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { minLength: 1, maxLength: 30 }), async (acts) => {
        expectWhole(await run(database, acts, { committed: true }))
        expectWhole(await run(database, acts, { committed: false }))
      }),
      { numRuns: 8 },
    )
  } finally {
    await database.close()
  }
})

test('beyond its window the loop reads, and takes from notices again when it has read all', async () => {
  const database = await open(':memory:')
  try {
    const write = (n: number): Act => ({ do: 'write', deliveries: Array.from({ length: n }, (_, i) => [0, i] as const) })
    const respond: Act = { do: 'respond', most: 1 }
    const many = [write(1), respond, ...Array.from({ length: 7 }, () => write(100)), respond]
    const few = Array.from({ length: 20 }, () => [write(10), respond]).flat()
    const long = await run(database, [...many, ...few], { committed: true })
    expectWhole(long)
    expect(long.written.length).toBe(901)
    const short = await run(database, [write(1), respond, ...few], { committed: true })
    expectWhole(short)
    expect(short.reads).toBeLessThan((await run(database, [write(1), respond, ...few], { committed: false })).reads / 2)
  } finally {
    await database.close()
  }
})
