import { randomFillSync } from 'node:crypto'

/** Prefixes of SIDs, by what they are the SID of. */
const prefixes = {
  account: 'AC',
  apiKey: 'SK',
  service: 'IS',
  conversation: 'CH',
  participant: 'MB',
  message: 'IM',
  receipt: 'DY',
  webhook: 'WH',
  user: 'US',
  role: 'RL',
  binding: 'BS',
  credential: 'CR',
  address: 'IG',
  delivery: 'WD',
  channel: 'CN',
  media: 'ME',
  messagingService: 'MG',
  content: 'HX',
  flow: 'FW',
  channelMessage: 'SM',
  request: 'RQ',
} as const

/** What a SID is the SID of. */
export type SidKind = keyof typeof prefixes

/** Returns the two capitals that SIDs of this kind begin with. */
export function prefixOf(kind: SidKind): string {
  return prefixes[kind]
}

/** Random bytes are drawn 8 KiB at a time: one system call for several hundred ids. */
const pool = Buffer.allocUnsafe(8192)
let used = pool.length

function randomHex(bytes: number): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return pool.toString('hex', used - bytes, used)
}

/**
 * A new id in the vendor's form: two capitals and 32 lower-case hex digits.
 * The first 12 digits are the time in ms, so that inserts land at the end of their index and ids break ties in pages.
 */
export function newSid(kind: SidKind, now_ms: number): string {
  return prefixes[kind] + now_ms.toString(16).padStart(12, '0') + randomHex(10)
}

/** The lowest id that a row made at `now_ms` can have: bounds for "older than" over time-ordered ids. */
export function lowestSid(kind: SidKind, now_ms: number): string {
  return prefixes[kind] + now_ms.toString(16).padStart(12, '0') + '0'.repeat(20)
}

/** An id without a time in it, for what is not a row: request ids. */
export function randomSid(kind: SidKind): string {
  return prefixes[kind] + randomHex(16)
}

/** A secret of 32 hex digits: auth tokens and secrets of API keys. */
export function randomToken(): string {
  return randomHex(16)
}

const patterns = new Map<SidKind, RegExp>()

/** Whether `text` is a sid of this kind. Either hex case, as the official description allows. */
export function isSid(kind: SidKind, text: string): boolean {
  let pattern = patterns.get(kind)
  if (!pattern) {
    pattern = new RegExp(`^${prefixes[kind]}[0-9a-fA-F]{32}$`)
    patterns.set(kind, pattern)
  }
  return pattern.test(text)
}

let last_ms = 0
let sequence = 0

/**
 * A time-ordered id that also keeps the order of ids made within one ms by one thread: for rows that are worked off in the order
 * in which they were made. `after`: one that another process may have made, by another clock; this one and all later ones are
 * above it.
 */
export function orderedSid(kind: SidKind, now_ms: number, after?: string): string {
  if (after !== undefined) {
    const [ms, step] = [Number.parseInt(after.slice(2, 14), 16), Number.parseInt(after.slice(14, 22), 16)]
    if (ms > last_ms || (ms === last_ms && step > sequence)) [last_ms, sequence] = [ms, step]
  }
  sequence = now_ms > last_ms ? 0 : sequence + 1
  last_ms = Math.max(last_ms, now_ms)
  return prefixes[kind] + last_ms.toString(16).padStart(12, '0') + sequence.toString(16).padStart(8, '0') + randomHex(6)
}
