import { expect, test } from 'vitest'
import { SystemClock } from '../clock.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import type { DeliveryResult } from './record.ts'
import { Recorder } from './recorder.ts'
import { Sleepers } from './sleepers.ts'

const row: DeliveryRow = {
  ...{ kind: 'webhook', account_sid: 'AC1', service_sid: 'IS1', target_sid: 'IS1', subject_sid: 'CH1', slot: 0, id: 'WD1' },
  ...{ event_type: 'onMessageAdded', method: 'POST', url: 'https://hook.test/', form: '{}', idempotency_token: 'token' },
  ...{ message_sid: null, participant_sid: null, status: 'delivered', due: 0, attempts: '[]', date_created: 0 },
  ...{ date_finished: 0, responses: null },
}

/** A recorder whose batches are on disk when the test says so. */
function recorder({ stopped = false } = {}) {
  const batches: string[][] = []
  const writes: PromiseWithResolvers<void>[] = []
  const recorded: string[] = []
  const errors: unknown[] = []
  const clock = new SystemClock()
  const made = new Recorder({
    record: (results: readonly DeliveryResult[]) => {
      batches.push(results.map(({ id }) => id))
      const write = Promise.withResolvers<void>()
      writes.push(write)
      return write.promise
    },
    failed: (error) => errors.push(error),
    clock,
    sleepers: new Sleepers(clock),
    isStopped: () => stopped,
  })
  return {
    ...{ batches, writes, recorded, errors, recorder: made },
    add: (id: string) => made.add({ ...row, id }, row, undefined, () => recorded.push(id)),
  }
}

const turn = () => new Promise((resolve) => setImmediate(resolve))

test('results of one turn of the event loop are one batch', async () => {
  const { add, batches, writes, recorded, recorder: made } = recorder()
  add('a')
  add('b')
  await Promise.resolve()
  add('c')
  expect(batches).toEqual([])
  await turn()
  expect(batches).toEqual([['a', 'b', 'c']])
  expect(recorded).toEqual([])
  writes[0]?.resolve()
  await made.recording
  expect(recorded).toEqual(['a', 'b', 'c'])
})

test('results that arrive while a batch is written are the next one', async () => {
  const { add, batches, writes, recorder: made } = recorder()
  add('a')
  await turn()
  add('b')
  await turn()
  add('c')
  expect(batches).toEqual([['a']])
  writes[0]?.resolve()
  await expect.poll(() => batches).toEqual([['a'], ['b', 'c']])
  writes[1]?.resolve()
  await made.recording
  expect(made.recording).toBeUndefined()
})

test('results are recorded also when their recorder is stopped meanwhile, and given up when that fails', async () => {
  const { add, batches, writes, recorded, errors, recorder: made } = recorder({ stopped: true })
  add('a')
  await turn()
  expect(batches).toEqual([['a']])
  writes[0]?.reject(new Error('away'))
  await made.recording
  expect([recorded, errors]).toEqual([[], [new Error('away')]])
})

test('a result that arrives while the recorder ends is not left behind', async () => {
  // Between the resolution of the last batch and that of whoever waits for it are a few microtasks.
  for (const microtasks of Array(8).keys()) {
    const { add, batches, writes, recorder: made } = recorder()
    add('a')
    await turn()
    writes[0]?.resolve()
    for (let i = 0; i < microtasks; i++) await null
    add('b')
    expect(made.recording).toBeDefined()
    await turn()
    await turn()
    expect(batches).toEqual([['a'], ['b']])
    writes[1]?.resolve()
    await made.recording
    expect(made.recording).toBeUndefined()
  }
})

test('of a stopped recorder a batch that fails does not take those with it that arrived meanwhile', async () => {
  const { add, batches, writes, recorded, recorder: made } = recorder({ stopped: true })
  add('a')
  await turn()
  add('b')
  writes[0]?.reject(new Error('away'))
  await turn()
  await turn()
  expect(batches).toEqual([['a'], ['b']])
  writes[1]?.resolve()
  await made.recording
  expect(recorded).toEqual(['b'])
})
