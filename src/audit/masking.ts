import { createHmac } from 'node:crypto'
import { canonicalJson } from './entry.ts'

/** Columns whose texts are words of the program, SIDs, durations or names of events: nobody's own words. What somebody may do is among them. */
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
  'role',
  'policy',
  'accounts',
  'default_inactive_timer',
  'default_closed_timer',
])

/** Every permission that there is fits in. */
const maxOpen = 10_000

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
  return openColumns.has(column) ? text.slice(0, maxOpen) : sidOrMasked(key, text)
}

const dateOrDuration = /^(?:\d{4}-\d\d-\d\dT[\d:.]{5,12}Z|P[\dYMWDTHS]{2,20})$/

/** Names of what nobody is to find in the log, not even masked. */
const secrets: ReadonlySet<string> = new Set(['token', 'code', 'auth_token', 'secret', 'password'])

const maxNames = 30

/**
 * Returns what somebody has asked for as the log has it: numbers, SIDs, dates and durations as they are, of a list how long it is,
 * anything else masked. Null for nothing.
 */
export function maskedInput(key: string, input: Readonly<Record<string, unknown>>): string | null {
  const given = Object.entries(input)
    .filter(([, value]) => value !== undefined && value !== null)
    .slice(0, maxNames)
  if (given.length === 0) return null
  const shown = given.map(([name, value]) => [nameForm.test(name) ? name : masked(key, name), shownInput(key, name, value)])
  return canonicalJson(Object.fromEntries(shown))
}

const nameForm = /^[a-z_]{1,40}$/

function shownInput(key: string, name: string, value: unknown): unknown {
  if (secrets.has(name)) return 'secret'
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isSafeInteger(value))) return value
  if (Array.isArray(value)) return value.length
  if (typeof value !== 'string') return masked(key, canonicalJson(value))
  return dateOrDuration.test(value) ? value : sidOrMasked(key, value)
}
