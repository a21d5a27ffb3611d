import { expect, test } from 'vitest'
import { newSid, orderedSid, timeOf } from './sids.ts'

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

test('an ordered SID is above the one before it, and has the time of its clock unless that one is ahead', () => {
  const now = Date.UTC(2026, 0, 1)
  const ahead = orderedSid('delivery', now + 1000, undefined)
  const others = Array.from({ length: 5 }, () => orderedSid('delivery', now, undefined))
  expect(others.map(timeOf)).toEqual(others.map(() => now))
  const after: string[] = [ahead]
  for (let i = 0; i < 1000; i++) after.push(orderedSid('delivery', now, after.at(-1)))
  expect(after.toSorted()).toEqual(after)
  expect(new Set(after).size).toBe(after.length)
  const last = `WD${now.toString(16).padStart(12, '0')}ffffffff${'f'.repeat(12)}`
  expect(orderedSid('delivery', now, last) > last).toBe(true)
  expect(orderedSid('delivery', now + 1, last) > last).toBe(true)
})
