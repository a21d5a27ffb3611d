import { expect, test } from 'vitest'
import { growthOf } from '../../soak/minutes.ts'

test('growth is that of the line that fits best', () => {
  const readings = (mb: (minute: number) => number) => Array.from({ length: 11 }, (_, i) => ({ s: 60 * i, rss_mb: mb(i) }))
  expect(growthOf(readings(() => 200))).toBe(0)
  expect(growthOf(readings((i) => 200 + i))).toBeCloseTo(0.05)
  // Up and down by as much is no growth.
  expect(Math.abs(growthOf(readings((i) => 200 + 20 * (i % 2))))).toBeLessThan(0.02)
  expect(growthOf([])).toBeNaN()
})
