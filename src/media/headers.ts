import { MIMEType } from 'node:util'
import { refuse } from '../errors.ts'
import type { MediaRow } from '../storage/schema.ts'

/** The vendor's own limit is not known; no registered type comes near this. */
const longest_type = 255

/** The content type of an upload, as it is kept. Throws a refusal when it is none, or the form of a browser. */
export function uploadedType(header: string | undefined): string {
  const given = header?.trim() || 'application/octet-stream'
  const type = mimeType(given)
  // Its parts would be kept with their boundaries.
  if (!type || type.type === 'multipart' || given.length > longest_type) throw refuse('invalidMediaType')
  return given
}

/** The last part of a path, as browsers and other uploads may send one: a name never says where to put a file. */
export function baseName(given: string | null | undefined): string | null {
  const name = given?.toWellFormed().split(/[/\\]/).at(-1)
  return !name || name === '.' || name === '..' ? null : name
}

/** Types that a browser may run when it is led to open them. */
const runs =
  /^(?:text\/(?:html|xml|xsl)|application\/xml|.*\+xml|.*(?:java|ecma|j|live)script.*|application\/(?:wasm|x-shockwave-flash))$/

/**
 * What goes with the bytes. Strangers choose them and their type, and they come from the host of the API: a browser is to
 * keep them, not to open them, and whatever it opens all the same gets an origin of its own where nothing runs.
 */
export function contentHeaders({ content_type, filename, sha256 }: MediaRow): string[] {
  const type = mimeType(content_type)
  return [
    'content-type',
    type && !runs.test(type.essence) ? content_type : 'application/octet-stream',
    'content-disposition',
    disposition(filename),
    'x-content-type-options',
    'nosniff',
    'content-security-policy',
    "default-src 'none'; sandbox",
    'etag',
    `"${sha256}"`,
    // The bytes never change, but who may see them does.
    'cache-control',
    'private, no-cache',
    'accept-ranges',
    'bytes',
  ]
}

/** Controls, and what turns the direction of a text, can make a name look like another. */
const unprintable = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu

function disposition(filename: string | null): string {
  if (filename === null) return 'attachment'
  const name = filename.replace(unprintable, '_')
  const plain = name.replace(/[^\x20-\x7e]|["\\%]/gu, '_')
  const exact = encodeURIComponent(name).replace(/['()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`)
  return `attachment; filename="${plain}"; filename*=UTF-8''${exact}`
}

function mimeType(text: string): MIMEType | undefined {
  try {
    return new MIMEType(text)
  } catch {
    return undefined
  }
}

interface Range {
  readonly start: number
  /** The last byte, not the one behind it. */
  readonly end: number
}

/** The part that is asked for. Undefined for all of it, which is also a proper answer to a range that cannot be served. */
export function rangeOf(headers: { range?: string | undefined; 'if-range'?: unknown }, row: MediaRow): Range | undefined {
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(headers.range ?? '') ?? []
  const condition = headers['if-range']
  if ((from === '' && to === '') || (condition !== undefined && condition !== `"${row.sha256}"`)) return undefined
  const start = from === '' ? Math.max(0, row.size - Number(to)) : Number(from)
  const end = from === '' || to === '' ? row.size - 1 : Math.min(Number(to), row.size - 1)
  return start <= end ? { start, end } : undefined
}
