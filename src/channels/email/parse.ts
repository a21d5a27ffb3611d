import PostalMime, { type Attachment, addressParser, type Email } from 'postal-mime'
import { type Headers, headerOf, messageIdsIn, oneLine } from './headers.ts'
import { unwrapBase64 } from './unwrap.ts'

/** A person in a header. */
export interface Mailbox {
  readonly address: string
  /** Null when there is none, or when it repeats the address. */
  readonly name: string | null
}

/** A part that is no text of the mail itself. */
export interface Part {
  readonly filename: string | null
  readonly content_type: string
  /** Without angle brackets. */
  readonly content_id: string | null
  readonly content: Uint8Array
}

/** A mail taken apart. Its texts are free of NUL and of half characters, which databases refuse. */
export interface ParsedMail {
  readonly headers: Headers
  readonly from: Mailbox | null
  readonly reply_to: readonly Mailbox[]
  readonly to: readonly Mailbox[]
  readonly cc: readonly Mailbox[]
  readonly subject: string | null
  readonly message_id: string | null
  readonly in_reply_to: readonly string[]
  readonly references: readonly string[]
  readonly text: string | null
  readonly html: string | null
  readonly parts: readonly Part[]
  /** Why it could not be taken apart: then it has headers only. */
  readonly unparsed: string | null
}

/** Far above what programs write; beyond them a mail is hostile, and is kept in one piece. */
const limits = { maxNestingDepth: 64, maxHeadersSize: 512 * 1024, maxRfc822NestingDepth: 0 }
/** The parser's cost, in time and memory, is one of lines. Those of base64 are joined before, in mails that are larger than this. */
const maxLines = 150_000
const maxWrapped = 256 * 1024
/** Of the head of a mail that cannot be taken apart. */
const maxHead = 64 * 1024
const maxBare = 128 * 1024
/** The people in one header. */
const maxMailboxes = 200
const maxAddressHeader = 32 * 1024
/** As long as the subject of a message may be. */
const maxSubject = 256
const maxName = 256
const maxFilename = 256

/**
 * Takes a mail apart, in time and memory linear in its size. Never throws: what is beyond the limits comes back `unparsed`, with the
 * headers of its first 64 KB. Mails inside a mail stay parts.
 */
export async function parseMail(given: Uint8Array): Promise<ParsedMail> {
  const raw = given.length > maxWrapped ? unwrapBase64(given) : given
  if (linesOf(raw, maxLines) >= maxLines) return unparsed(raw, `more than ${maxLines} lines`)
  try {
    const mail = mailOf(await PostalMime.parse(raw, { ...limits, forceRfc822Attachments: true }))
    const isEmpty = mail.text === null && mail.html === null && mail.parts.length === 0
    return isEmpty ? { ...mail, text: bareText(raw) } : mail
  } catch (error) {
    return unparsed(raw, error instanceof Error ? error.message : String(error))
  }
}

/** Returns the headers alone, of the first 64 KB. */
export async function parseHead(raw: Uint8Array): Promise<ParsedMail> {
  return mailOf(await headOf(raw))
}

/** Returns what is known of a mail from its headers alone. */
export async function unparsed(raw: Uint8Array, reason: string): Promise<ParsedMail> {
  return { ...mailOf(await headOf(raw)), unparsed: reason }
}

/** Counts lines, at most `max`. */
export function linesOf(raw: Uint8Array, max: number): number {
  let lines = 0
  for (let at = raw.indexOf(10); at !== -1 && lines < max; at = raw.indexOf(10, at + 1)) lines++
  return lines
}

/** Returns what is below the headers of a mail in which the parser has found no part: a multipart without a boundary. */
function bareText(raw: Uint8Array): string | null {
  const bytes = Buffer.from(raw.buffer, raw.byteOffset, Math.min(raw.byteLength, limits.maxHeadersSize + maxBare))
  const end = [bytes.indexOf('\r\n\r\n'), bytes.indexOf('\n\n')].filter((at) => at !== -1)
  if (end.length === 0) return null
  const text = clean(bytes.toString('utf8', Math.min(...end))).trim()
  return text === '' ? null : text
}

/** Parses the headers alone, fewer and fewer of them until the parser accepts. */
async function headOf(raw: Uint8Array): Promise<Email> {
  for (let size = maxHead; size >= 1024; size /= 4) {
    // Cut at the end of a line, so that no half header is read.
    const text = Buffer.from(raw.subarray(0, size)).toString('latin1')
    const end = /\r?\n\r?\n/.exec(text)?.index ?? Math.max(0, text.lastIndexOf('\n'))
    try {
      return await PostalMime.parse(Buffer.from(`${text.slice(0, end)}\r\n\r\n`, 'latin1'), limits)
    } catch {
      // The next, smaller one.
    }
  }
  return { headers: [], headerLines: [], attachments: [] }
}

function mailOf(email: Email): ParsedMail {
  const { headers } = email
  const people = (name: string) => mailboxesIn(headerOf(headers, name))
  return {
    headers,
    from: people('from')[0] ?? people('sender')[0] ?? null,
    reply_to: people('reply-to'),
    to: people('to'),
    cc: people('cc'),
    subject: cut(oneLine(clean(email.subject ?? '')), maxSubject) || null,
    message_id: messageIdsIn(headerOf(headers, 'message-id'))[0] ?? null,
    in_reply_to: messageIdsIn(headerOf(headers, 'in-reply-to')),
    references: messageIdsIn(headerOf(headers, 'references')),
    text: email.text === undefined ? null : clean(email.text),
    html: email.html === undefined ? null : clean(email.html),
    parts: email.attachments.map(partOf),
    unparsed: null,
  }
}

/** Returns the people in a header. */
export function mailboxesIn(value: string | undefined): readonly Mailbox[] {
  if (!value) return []
  return addressParser(value.slice(0, maxAddressHeader), { flatten: true })
    .slice(0, maxMailboxes)
    .flatMap(({ address, name }) => {
      const trimmed = clean(address ?? '').trim()
      if (!isAddress(trimmed)) return []
      const shown = cut(oneLine(clean(name)), maxName)
      return [{ address: trimmed, name: shown === '' || shown.toLowerCase() === trimmed.toLowerCase() ? null : shown }]
    })
}

/** Whether a mail can be sent to it. RFC 5321: 64 characters before the `@`, 254 in all. */
export function isAddress(text: string): boolean {
  return text.length <= 254 && /^[^\s@:<>()[\]\\,;"]{1,64}@[^\s@:<>()[\]\\,;"]+\.[^\s@:<>()[\]\\,;"]+$/.test(text)
}

function partOf({ filename, mimeType, contentId, content }: Attachment): Part {
  return {
    filename: cut(oneLine(clean(filename ?? '')).replace(/[/\\]/g, '_'), maxFilename) || null,
    content_type: /^[\w.+-]{1,64}\/[\w.+-]{1,64}$/.test(mimeType) ? mimeType : 'application/octet-stream',
    content_id: contentId?.replace(/^<|>$/g, '').trim() || null,
    content: typeof content === 'string' ? new TextEncoder().encode(content) : new Uint8Array(content),
  }
}

/** Returns a text that every database takes: without NUL, and with whole characters only. */
export function clean(text: string): string {
  return text.replaceAll('\0', '').toWellFormed()
}

/** Cuts between characters. */
export function cut(text: string, length: number): string {
  if (text.length <= length) return text
  const end = /[\ud800-\udbff]/.test(text.charAt(length - 1)) ? length - 1 : length
  return text.slice(0, end)
}
