import { isJsonObject } from '../../json.ts'
import type { Json } from './client.ts'

/** Whether a timer of a conversation is running. */
export function hasTimers({ timers }: Json): boolean {
  return isJsonObject(timers) && (typeof timers.date_inactive === 'string' || typeof timers.date_closed === 'string')
}

/**
 * Returns the durations of the running timers, which the API does not show: from the last message, or the creation, to the deadline.
 * `last`: the last message; null without one.
 */
export function durationsOf({ timers, date_created }: Json, last: Json | null): Json {
  if (!isJsonObject(timers)) return {}
  const base = Math.max(instantOf(date_created) ?? 0, instantOf(last?.date_created) ?? 0)
  const durations = [
    ['inactive_after', instantOf(timers.date_inactive)],
    ['closed_after', instantOf(timers.date_closed)],
  ] as const
  return Object.fromEntries(
    durations.flatMap(([key, due]) =>
      due !== null && base > 0 && due > base ? [[key, `PT${Math.round((due - base) / 1000)}S`]] : [],
    ),
  )
}

function instantOf(value: unknown): number | null {
  const instant = typeof value === 'string' ? Date.parse(value) : Number.NaN
  return Number.isFinite(instant) ? instant : null
}
