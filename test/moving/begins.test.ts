import { expect, test } from 'vitest'
import type { Applied } from '../../src/records/apply.ts'
import { GoneError, importRecords } from '../../src/transfer/import.ts'
import type { ImportState } from '../../src/transfer/import-state.ts'
import { keptText } from '../../src/transfer/resume.ts'
import { hostedLines, textOf } from '../support/moving.ts'

const file = Buffer.from(textOf(hostedLines(60, 20)))

/** Stores a file from a state on; every record meets with the same. Returns what was said of it, batch by batch. */
async function run(from: ImportState | null, outcome: 'created' | 'unchanged') {
  const states: (ImportState | null | undefined)[] = []
  const ended = importRecords({
    source: (async function* () {
      yield file.subarray(from?.offset ?? 0)
    })(),
    media: null,
    send: async (records, state) => {
      states.push(state)
      return records.map((): Applied => ({ outcome }))
    },
    resume: { from, hashTo: () => 'hash' },
    startTimers: async () => {},
    check: async (records) => records.map(() => ({ outcome: 'unchanged', different: [], missing: [] })),
  })
  return {
    states,
    error: await ended.then(
      () => null,
      (error: unknown) => error,
    ),
  }
}

test('an import that is gone on with says nothing of what comes before until it is known to be there', async () => {
  const whole = await run(null, 'created')
  const [first, second] = whole.states
  expect([whole.error, first]).toEqual([null, null])
  expect(second).toMatchObject({ line: expect.any(Number), offset: expect.any(Number) })
  // If it ended right after, the next one would begin with the file.
  const gone = await run(second ?? null, 'created')
  expect(gone).toEqual({ states: [null], error: expect.any(GoneError) })
  const resumed = await run(second ?? null, 'unchanged')
  expect(resumed.error).toBe(null)
  expect(resumed.states).toEqual(
    [null, ...whole.states.slice(2)].map((state) => state && { ...state, counts: expect.anything() }),
  )
})

test('how far an import was is not kept where it would be too long for an installation', () => {
  const services = Array.from({ length: 8000 }, (_, i) => `IS${String(i).padStart(32, '0')}`)
  const state = {
    line: 1,
    offset: 1,
    sha256: '',
    counts: [],
    faults: [],
    services: [],
    conversation: { sid: '', isClosed: false },
  }
  expect(keptText(state, '')).toContain('"line":1')
  expect(keptText({ ...state, services }, '')).toBe(null)
})
