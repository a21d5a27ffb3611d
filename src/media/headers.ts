import type { IncomingHttpHeaders } from 'node:http'
import { MIMEType } from 'node:util'
import { refuse } from '../errors.ts'
import type { MediaRow } from '../storage/schema.ts'

/** The vendor documents no limit; registered types are far shorter. */
const maxTypeLength = 255

/** Whether an upload is the form of a browser, of which a part is the file. */
export function isForm(header: string | undefined): boolean {
  return mimeType(header?.trim() ?? '')?.essence === 'multipart/form-data'
}

/** Returns the content type of an upload. Throws a refusal when it is invalid or multipart. */
export function uploadedType(header: string | undefined): string {
  const given = header?.trim() || 'application/octet-stream'
  const type = mimeType(given)
  // The boundaries of a multipart form would be stored as part of the file.
  if (!type || type.type === 'multipart' || given.length > maxTypeLength) throw refuse('invalidMediaType')
  return given
}

/** Returns the last part of a path, which some clients send as file name; null if there is none. */
export function baseName(given: string | null | undefined): string | null {
  const name = given?.toWellFormed().split(/[/\\]/).at(-1)
  return !name || name === '.' || name === '..' ? null : name
}

/** Types that a browser may execute when it opens them. */
const executable =
  /^(?:text\/(?:html|xml|xsl)|application\/xml|.*\+xml|.*(?:java|ecma|j|live)script.*|application\/(?:wasm|x-shockwave-flash))$/

/**
 * Returns the headers of a download. What comes from strangers has the host of the API: browsers are made to save files rather
 * than open them, and the sandbox gives a file opened all the same an origin of its own without scripts.
 */
export function downloadHeaders(content_type: string, filename: string | null) {
  const type = mimeType(content_type)
  return {
    'content-type': type && !executable.test(type.essence) ? content_type : 'application/octet-stream',
    'content-disposition': disposition(filename),
    'x-content-type-options': 'nosniff',
    'content-security-policy': "default-src 'none'; sandbox",
  }
}

/** The headers of a download of media. */
export function contentHeaders({ content_type, filename, sha256, date_created }: MediaRow): string[] {
  return [
    ...Object.entries(downloadHeaders(content_type, filename)).flat(),
    'etag',
    `"${sha256}"`,
    'last-modified',
    lastModified(date_created),
    // The content never changes, but access to it does.
    'cache-control',
    'private, no-cache',
    'accept-ranges',
    'bytes',
  ]
}

/** Control and bidirectional formatting characters can make a file name look like another. */
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
  /** The last byte, inclusive. */
  readonly end: number
}

/** A file never changes, so it is as old as its upload. */
function lastModified(date_created: number): string {
  return new Date(date_created).toUTCString()
}

/** Whether the caller has the file already: by its ETag, or without one by date. */
export function isUnmodified(headers: IncomingHttpHeaders, { sha256, date_created }: MediaRow): boolean {
  const tags = headers['if-none-match']
  if (tags !== undefined)
    return tags.trim() === '*' || tags.split(',').some((tag) => tag.trim().replace(/^W\//, '') === `"${sha256}"`)
  const since = Date.parse(headers['if-modified-since'] ?? '')
  return Math.floor(date_created / 1000) * 1000 <= since
}

/** Returns the requested range; undefined for the whole file. Throws a refusal when no byte of the file is in it. */
export function rangeOf({ range, 'if-range': condition }: IncomingHttpHeaders, row: MediaRow): Range | undefined {
  const [, from = '', to = ''] = /^bytes=(\d*)-(\d*)$/.exec(range ?? '') ?? []
  const [first, last] = [Number(from), Number(to)]
  // Not a single range, or not of these bytes: ignored.
  if ((from === '' && to === '') || (from !== '' && to !== '' && first > last)) return undefined
  if (condition !== undefined && condition !== `"${row.sha256}"`) return undefined
  const start = from === '' ? Math.max(0, row.size - last) : first
  if (start >= row.size) throw refuse('rangeNotSatisfiable', { contentRange: `bytes */${row.size}` })
  return { start, end: from === '' || to === '' ? row.size - 1 : Math.min(last, row.size - 1) }
}
