import { randomFillSync } from 'node:crypto'

/** The prefix of each kind of SID. */
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
  erasure: 'ER',
  auditEntry: 'AU',
  operator: 'OP',
} as const

export type SidKind = keyof typeof prefixes

export function prefixOf(kind: SidKind): string {
  return prefixes[kind]
}

/** Random bytes, read 8 KiB at a time: one system call for several hundred SIDs. */
const pool = Buffer.allocUnsafe(8192)
let used = pool.length

/** Returns where in the pool so many bytes are that nobody has had yet. */
function takeRandom(bytes: number): number {
  if (used + bytes > pool.length) {
    randomFillSync(pool)
    used = 0
  }
  used += bytes
  return used - bytes
}

function randomHex(bytes: number): string {
  const at = takeRandom(bytes)
  return pool.toString('hex', at, at + bytes)
}

function randomInteger(bytes: number): number {
  return pool.readUIntBE(takeRandom(bytes), bytes)
}

/** The last place within a millisecond, of the last milliseconds in which a SID was made: the clocks of accounts differ. */
const lastPlaces = new Map<number, number>()
const keptMs = 256

/**
 * Returns 8 hex digits that grow within a millisecond. They begin at random and grow by random steps of all magnitudes: nobody can
 * tell from their own SIDs how many other accounts have made in between.
 */
function orderWithin(ms: number): string {
  const last = lastPlaces.get(ms)
  if (last === undefined && lastPlaces.size >= keptMs) {
    const [oldest = ms] = lastPlaces.keys()
    lastPlaces.delete(oldest)
  }
  const place = last === undefined ? randomInteger(4) >>> 1 : last + 1 + (randomInteger(2) >>> (randomInteger(1) & 15))
  lastPlaces.set(ms, place)
  return Math.min(place, 0xffff_ffff).toString(16).padStart(8, '0')
}

/**
 * Returns a new SID. Its first 12 digits are the time in ms, so that inserts land at the end of their index and SIDs order rows
 * of the same date in pages; the next 8 order what one thread makes in the same millisecond, as a clock that stands makes it.
 */
export function newSid(kind: SidKind, nowMs: number): string {
  return prefixes[kind] + nowMs.toString(16).padStart(12, '0') + orderWithin(nowMs) + randomHex(6)
}

/** Returns 20 random hex digits, which nobody can guess. */
export function randomTag(): string {
  return randomHex(10)
}

/** Returns the time in a SID that `newSid` has made, in epoch ms. */
export function timeOf(sid: string): number {
  return Number.parseInt(sid.slice(2, 14), 16)
}

/** Returns the lowest SID that a row created at `nowMs` can have: the bound of a query for older rows. */
export function lowestSid(kind: SidKind, nowMs: number): string {
  return prefixes[kind] + nowMs.toString(16).padStart(12, '0') + '0'.repeat(20)
}

/** Returns a SID without a time, for what is not a row, such as a request. */
export function randomSid(kind: SidKind): string {
  return prefixes[kind] + randomHex(16)
}

/** What a secret that somebody chooses may be. The SDK for Go refuses any other character before it sends a request. */
export const secretForm = {
  pattern: /^[0-9A-Za-z]{8,256}$/,
  words: '8 to 256 letters and digits, as SDKs refuse other characters',
}

/** Returns a secret of 32 hex digits: an auth token or the secret of an API key. */
export function randomToken(): string {
  return randomHex(16)
}

const patterns = new Map<SidKind, RegExp>()

/** Whether `text` is a SID of this kind. Hex digits may be in either case, as the official description allows. */
export function isSid(kind: SidKind, text: string): boolean {
  let pattern = patterns.get(kind)
  if (!pattern) {
    pattern = new RegExp(`^${prefixes[kind]}[0-9a-fA-F]{32}$`)
    patterns.set(kind, pattern)
  }
  return pattern.test(text)
}

/**
 * Returns a new SID that is also above `after`, which may come from another process with another clock: for rows that are processed in
 * order. Its time is that of the clock wherever that is enough.
 */
export function orderedSid(kind: SidKind, nowMs: number, after: string | undefined): string {
  const sid = newSid(kind, nowMs)
  if (after === undefined || sid > after) return sid
  const order = Number.parseInt(after.slice(14, 22), 16) + 1 + randomInteger(1)
  const [ms, place] = order > 0xffff_ffff ? [timeOf(after) + 1, 0] : [timeOf(after), order]
  return prefixes[kind] + ms.toString(16).padStart(12, '0') + place.toString(16).padStart(8, '0') + randomHex(6)
}

/** Returns what sorts before each SID that `newSid` or `orderedSid` makes at this instant or later. */
export function beforeSidsOf(kind: SidKind, ms: number): string {
  return prefixes[kind] + Math.max(0, ms).toString(16).padStart(12, '0')
}
