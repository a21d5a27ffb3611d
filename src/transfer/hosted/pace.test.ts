import { expect, it } from 'vitest'
import { delayBefore } from './backoff.ts'
import { Pace } from './pace.ts'

/** Time that passes only by waiting. */
function paceOf(options: { perSecond: number; concurrency: number }) {
  const time = { now: 1_000_000 }
  const clock = { now: () => time.now, offset: () => 0 }
  const wait = async (ms: number) => {
    time.now += ms
  }
  return { time, pace: new Pace({ ...options, clock, wait }) }
}

it('begins at most so many requests a second', async () => {
  const { time, pace } = paceOf({ perSecond: 10, concurrency: 100 })
  const began: number[] = []
  for (let i = 0; i < 50; i++) await pace.run(async () => void began.push(time.now))
  for (const [i, at] of began.entries()) {
    // A tenth of a second may be made up for.
    expect(began.filter((other) => other >= at && other < at + 1000).length, `from ${i} on`).toBeLessThanOrEqual(11)
  }
  expect(time.now - 1_000_000).toBeGreaterThanOrEqual(4700)
})

it('keeps at most so many in flight, half of them after a refusal, and more again later', async () => {
  const { pace } = paceOf({ perSecond: 1_000_000, concurrency: 4 })
  let [inFlight, most] = [0, 0]
  const ends: (() => void)[] = []
  const request = () =>
    pace.run(async () => {
      most = Math.max(most, ++inFlight)
      await new Promise<void>((resolve) => ends.push(resolve))
      inFlight--
    })
  const all = async (count: number) => {
    most = 0
    const requests = Array.from({ length: count }, request)
    let isOver = false
    const over = Promise.all(requests).then(() => {
      isOver = true
    })
    while (!isOver) {
      await new Promise(setImmediate)
      ends.shift()?.()
    }
    await over
    return most
  }
  expect(await all(20)).toBe(4)
  pace.refused(0)
  expect(await all(20)).toBe(2)
  for (let i = 0; i < 3; i++) pace.refused(0)
  expect(await all(5)).toBe(1)
  for (let i = 0; i < 150; i++) pace.succeeded()
  expect(await all(20)).toBe(4)
})

it('begins nothing while a refusal asks for patience', async () => {
  const { time, pace } = paceOf({ perSecond: 1000, concurrency: 2 })
  pace.refused(30_000)
  await pace.run(async () => {})
  expect(time.now).toBeGreaterThanOrEqual(1_030_000)
})

it.each([
  ['5', 5000],
  [' 0.5 ', 500],
  ['Thu, 01 Jan 1970 00:00:20 GMT', 10_000],
  ['Thu, 01 Jan 1970 00:00:01 GMT', 0],
  ['99999999', 3_600_000],
  ['9'.repeat(400), 3_600_000],
])('waits as long as Retry-After %j says', (header, ms) => {
  expect(delayBefore(1, header, 10_000, () => 0)).toBe(ms)
})

it.each([undefined, 'soon', ''])('waits a random part of a doubling time with Retry-After %j', (header) => {
  const longest = [1, 2, 3, 7].map((tried) => delayBefore(tried, header, 10_000, () => 1))
  expect(longest).toEqual([1000, 2000, 4000, 60_000])
  expect(delayBefore(3, header, 10_000, () => 0.25)).toBe(1000)
})
