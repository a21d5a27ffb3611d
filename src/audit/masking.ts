import { createHmac } from 'node:crypto'

/** Columns whose texts are words of the program, durations or names of events: nobody's own words. */
const openColumns: ReadonlySet<string> = new Set([
  'status',
  'state',
  'kind',
  'type',
  'method',
  'webhook_method',
  'webhook_target',
  'webhook_filters',
  'target',
  'messages',
  'default_inactive_timer',
  'default_closed_timer',
])

const sid = /^[A-Z]{2}[0-9a-f]{32}$/

/**
 * Returns what stands for a text in the log: the same for the same text, and nothing that it could be read from without the key.
 * `key`: hex.
 */
export function masked(key: string, text: string): string {
  return `hmac:${createHmac('sha256', Buffer.from(key, 'hex')).update(text).digest('hex').slice(0, 32)}`
}

/** A SID as it is, anything else masked. */
export function sidOrMasked(key: string, text: string): string {
  return sid.test(text) ? text : masked(key, text)
}

/** Returns a value of a column as the log has it: numbers, SIDs and words of the program as they are, any other text masked. */
export function maskedValue(key: string, column: string, value: unknown): unknown {
  if (value === null || value === undefined) return null
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isSafeInteger(value))) return value
  const text = String(value)
  return openColumns.has(column) ? text.slice(0, 1000) : sidOrMasked(key, text)
}
