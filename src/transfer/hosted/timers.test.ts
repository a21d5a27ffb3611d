import { expect, it } from 'vitest'
import { durationsOf, hasTimers } from './timers.ts'

const created = '2026-01-01T00:00:00Z'

it('finds the durations between the last message, or the creation, and the deadlines', () => {
  const timers = { date_inactive: '2026-01-01T01:00:00Z', date_closed: '2026-01-02T00:00:00Z' }
  expect(durationsOf({ date_created: created, timers }, null)).toEqual({ inactive_after: 'PT3600S', closed_after: 'PT86400S' })
  const last = { date_created: '2026-01-01T00:30:00Z' }
  expect(durationsOf({ date_created: created, timers }, last)).toEqual({ inactive_after: 'PT1800S', closed_after: 'PT84600S' })
})

it('leaves out what cannot be a duration', () => {
  expect(hasTimers({ timers: {} })).toBe(false)
  expect(hasTimers({ timers: null })).toBe(false)
  expect(durationsOf({ date_created: created, timers: { date_closed: '2025-12-31T00:00:00Z' } }, null)).toEqual({})
  expect(durationsOf({ date_created: 'never', timers: { date_closed: created } }, null)).toEqual({})
  expect(durationsOf({ date_created: created, timers: { date_closed: 'soon', date_inactive: 7 } }, null)).toEqual({})
})
