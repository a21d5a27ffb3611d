import { expect, test } from 'vitest'
import { growthOf, warmReadings } from '../../soak/minutes.ts'

test('growth is that of the line that fits best', () => {
  const readings = (mb: (minute: number) => number) => Array.from({ length: 11 }, (_, i) => ({ s: 60 * i, rss_mb: mb(i) }))
  expect(growthOf(readings(() => 200))).toBe(0)
  expect(growthOf(readings((i) => 200 + i))).toBeCloseTo(0.05)
  // Up and down by as much is no growth.
  expect(Math.abs(growthOf(readings((i) => 200 + 20 * (i % 2))))).toBeLessThan(0.02)
  expect(growthOf([])).toBeNaN()
})

test('a server has warmed up after a time, and once its cache is full', () => {
  const minutes = Array.from({ length: 10 }, (_, i) => ({ s: 60 * i, database_bytes: 10 * i }))
  const firstOf = (cache_bytes: number) => warmReadings(minutes, 120, cache_bytes)[0]?.s
  expect(firstOf(0)).toBe(120)
  expect(firstOf(50)).toBe(360)
  // Too few are left to tell.
  expect(firstOf(85)).toBe(120)
})
