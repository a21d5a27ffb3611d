import { expect, test } from 'vitest'
import { newSid, timeOf } from './sids.ts'

test('SIDs of one millisecond are in the order in which they were made, whatever other clocks say meanwhile', () => {
  const now = Date.UTC(2026, 0, 1)
  const sids = Array.from({ length: 1000 }, (_, i) => {
    newSid('message', now + (i % 3))
    return newSid('user', now)
  })
  expect(sids.toSorted()).toEqual(sids)
  expect(new Set(sids).size).toBe(sids.length)
  expect(sids.map(timeOf)).toEqual(sids.map(() => now))
})

test('SIDs stay unique when a clock stands for more of them than can be ordered', () => {
  const sids = Array.from({ length: 70_000 }, () => newSid('user', 1))
  expect(new Set(sids).size).toBe(sids.length)
})
