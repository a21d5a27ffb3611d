import { linesOf } from './parse.ts'

/** What is checked of a mail; beyond it a mail is hostile. */
const maxHead = 128 * 1024
const maxHeadLines = 2000
const maxSignatures = 10
const maxSignature = 4 * 1024
/** Of the name of a header, whose blanks cost their square. */
const maxName = 1000
/** Of bodies: each signature may ask for a hash of its own. */
const maxHashed = 64 * 1024 * 1024

/** A mail whose signatures are checked in bounded time. */
export interface Checkable {
  readonly raw: Buffer
  readonly signatures: number
}

/** Where a header begins, as the library that checks sees it: other lines belong to the one above. */
const fieldStart = /(?<=\n)(?=[\x21-\x39\x3b-\x7e]+[ \t\r]*(?:\n[ \t\r]*)?:)/

/**
 * Returns a mail with as many signatures as are checked: the first ones, none of them long, fewer of a large mail. The others, and
 * those of ARC, which are not asked for, get another name. That can make a check fail, never pass. Null when its headers are too large
 * to be checked.
 */
export function checkable(given: Uint8Array): Checkable | null {
  const raw = Buffer.from(given.buffer, given.byteOffset, given.byteLength)
  const end = endOfHead(raw)
  if (end > maxHead) return null
  if (linesOf(raw.subarray(0, end), maxHeadLines) >= maxHeadLines) return null
  // One byte is one character.
  const fields = raw.toString('latin1', 0, end).split(fieldStart)
  if (fields.some((field) => lengthOfName(field) > maxName)) return null
  const most = Math.max(1, Math.min(maxSignatures, Math.floor(maxHashed / (raw.length + 1))))
  let signatures = 0
  const named = fields.map((field) => {
    const name = nameOf(field)
    if (name.startsWith('arc-')) return `X-${field}`
    if (name !== 'dkim-signature') return field
    return field.length <= maxSignature && ++signatures <= most ? field : `X-${field}`
  })
  const head = Buffer.from(named.join(''), 'latin1')
  return { raw: Buffer.concat([head, raw.subarray(end)]), signatures: Math.min(signatures, most) }
}

function lengthOfName(field: string): number {
  const end = field.indexOf(':')
  return end === -1 ? field.length : end
}

/** As the library that checks reads it. */
function nameOf(field: string): string {
  return field
    .slice(0, lengthOfName(field))
    .replaceAll(/\r?\n/g, '')
    .replaceAll(/^[ \t]+|[ \t]+$/g, '')
    .toLowerCase()
}

/** Returns where the headers end, before the empty line; the end of the mail when there is none. */
function endOfHead(raw: Buffer): number {
  for (let at = -1; ; ) {
    const next = at + 1
    if (raw[next] === 10 || (raw[next] === 13 && raw[next + 1] === 10)) return next
    at = raw.indexOf(10, next)
    if (at === -1) return raw.length
    if (at > maxHead) return at
  }
}
