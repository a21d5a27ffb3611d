import { Temporal } from 'temporal-polyfill'

/** The instants that a body can show: four digits of year. */
const earliest_ms = Date.parse('0000-01-01T00:00:00Z')
const latest_ms = Date.parse('9999-12-31T23:59:59.999Z')
const time = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}(?::\d{2}(?::\d{2}(?:[.,]\d{1,9})?)?)?([Zz]|[+-]\d{2}(?::?\d{2})?)?$/

/**
 * Reads an ISO 8601 instant as epoch ms; a fraction and an offset are fine, without an offset it is UTC.
 * A bare date is the start of that day, or its last millisecond with `end_of_day`. Undefined when it is not a date.
 */
export function parseInstant(text: string, end_of_day = false): number | undefined {
  try {
    if (/^\d{4}-\d{2}-\d{2}$/.test(text)) {
      const day = Temporal.PlainDate.from(text)
      return (end_of_day ? day.add({ days: 1 }) : day).toZonedDateTime('UTC').epochMilliseconds - (end_of_day ? 1 : 0)
    }
    const found = time.exec(text)
    if (!found) return undefined
    const instant = found[1] ? Temporal.Instant.from(text) : Temporal.PlainDateTime.from(text).toZonedDateTime('UTC')
    const ms = instant.epochMilliseconds
    return ms >= earliest_ms && ms <= latest_ms ? ms : undefined
  } catch {
    return undefined
  }
}

const day_ms = 86_400_000
let lastDay = Number.NaN
let lastDayText = ''

/** Two digits. */
const pairs = Array.from({ length: 60 }, (_, n) => String(n).padStart(2, '0'))

/** REST bodies show whole seconds. By arithmetic: a fifth of a page went into the library's way. */
export function seconds(instant_ms: number): string {
  const day = Math.floor(instant_ms / day_ms)
  if (day !== lastDay) {
    lastDayText = new Date(day * day_ms).toISOString().slice(0, -13)
    lastDay = day
  }
  const second = Math.floor((instant_ms - day * day_ms) / 1000)
  return `${lastDayText}${pairs[Math.floor(second / 3600)]}:${pairs[Math.floor(second / 60) % 60]}:${pairs[second % 60]}Z`
}

/** The same where there may be none. */
export function secondsOrNull(instant_ms: number | null): string | null {
  return instant_ms === null ? null : seconds(instant_ms)
}

/** Webhook forms show milliseconds. */
export function milliseconds(instant_ms: number): string {
  return new Date(instant_ms).toISOString()
}

/** An ISO 8601 duration that is not negative, or undefined. */
export function parseDuration(text: string): Temporal.Duration | undefined {
  try {
    const duration = Temporal.Duration.from(text)
    return duration.sign >= 0 && !text.startsWith('-') ? duration : undefined
  } catch {
    return undefined
  }
}

/**
 * `instant_ms` plus an ISO 8601 duration, by the calendar in UTC (`P1M` is a month, not thirty days).
 * Undefined when the sum is past the end of time.
 */
export function plusDuration(instant_ms: number, duration: string): number | undefined {
  try {
    const sum = Temporal.Instant.fromEpochMilliseconds(instant_ms).toZonedDateTimeISO('UTC').add(duration).epochMilliseconds
    return sum <= latest_ms ? sum : undefined
  } catch {
    return undefined
  }
}
