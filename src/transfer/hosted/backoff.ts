import { retryAfterMs } from '../../retry-after.ts'

/** Codes and statuses with which a server says that the same request may succeed later. */
const passing = new Set([429, 500, 502, 503, 504])

/** Whether a request with this answer is worth repeating. */
export function isPassing(status: number): boolean {
  return passing.has(status)
}

/** How often a request is sent at most. */
export const maxTries = 8

const firstMs = 500
const longestMs = 60_000

/**
 * Returns how long to wait before the next try, in ms. `tried`: how often it was tried. `retryAfter`: the header, seconds or a
 * date; where there is none, a random part of a time that doubles, so that many requests do not come back at once.
 */
export function delayBefore(tried: number, retryAfter: string | undefined, now: number, random: () => number): number {
  const asked = retryAfterMs(retryAfter, now)
  // A random share on top: all requests were sent away with the same figure.
  if (asked !== null) return asked + random() * firstMs
  return random() * Math.min(longestMs, firstMs * 2 ** tried)
}
