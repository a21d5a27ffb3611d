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

test('SIDs of one millisecond do not say how many were made between them', () => {
  const orders = Array.from({ length: 1000 }, () => Number.parseInt(newSid('user', 2).slice(14, 22), 16))
  const steps = orders.slice(1).map((order, i) => order - (orders[i] ?? 0))
  expect(Math.min(...steps)).toBeGreaterThan(0)
  expect(new Set(steps).size).toBeGreaterThan(100)
})
