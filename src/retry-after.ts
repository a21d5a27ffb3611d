/** The longest that a Retry-After is obeyed: an hour. */
const longestMs = 3_600_000

/** Returns how long a `Retry-After` asks to wait, in ms; null for what is neither a number of seconds nor a date. `now` in epoch ms. */
export function retryAfterMs(header: unknown, now: number): number | null {
  if (typeof header !== 'string') return null
  const value = header.trim()
  const ms = /^\d+(?:\.\d+)?$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now
  return Number.isNaN(ms) ? null : Math.min(longestMs, Math.max(0, ms))
}
