import { beginningOf } from '../long-text.ts'
import { cutHtml, htmlToText } from './html.ts'
import type { ParsedMail, Part } from './parse.ts'
import { cutText } from './visible.ts'

/** A file of a message: what the mail says, what it quotes, or an attachment. */
export interface MailFile {
  readonly category: 'body' | 'history' | 'media'
  readonly filename: string | null
  readonly content_type: string
  readonly content: Uint8Array
}

export interface MailContent {
  /** What its author has written, without quotes and signature; at most as long as the body of a message. Null when there is none. */
  readonly text: string | null
  readonly files: readonly MailFile[]
  /** Parts beyond the limit, which are in the source only. */
  readonly omitted: number
}

/** Attachments that become media of their own. */
const maxParts = 100

/** Sorts the parts of a mail. Every part becomes a file: no client's habits make one disappear. */
export function contentOf(mail: ParsedMail): MailContent {
  const parts = named(mail.parts.filter(({ content }) => content.length > 0).slice(0, maxParts))
  const html = mail.html === null ? null : cutHtml(withNames(mail.html, parts))
  const plain = cutText(mail.text ?? (html ? htmlToText(html.visible) : ''))
  const text = beginningOf(plain.visible)
  // The HTML of a quote is what clients show; without HTML it is text.
  const history = html ? html.quoted : plain.quoted
  return {
    text: text === '' ? null : text,
    files: [
      ...file('body', 'text/plain', plain.visible),
      ...file('body', 'text/html', html?.visible),
      ...file('history', html ? 'text/html' : 'text/plain', history),
      ...parts.map(({ filename, content_type, content }) => ({ category: 'media' as const, filename, content_type, content })),
    ],
    omitted: Math.max(0, mail.parts.length - maxParts),
  }
}

function file(category: MailFile['category'], content_type: string, text: string | null | undefined): MailFile[] {
  return text ? [{ category, filename: null, content_type, content: encoder.encode(text) }] : []
}

/** Gives every part a name of its own: clients find the images of HTML by it. */
function named(parts: readonly Part[]): Part[] {
  const used = new Set<string>()
  return parts.map((part, i) => {
    const given = part.filename ?? `${part.content_type.split('/')[0]}-${i + 1}${extension(part.content_type)}`
    const filename = used.has(given) ? numbered(given, i + 1) : given
    used.add(filename)
    return { ...part, filename }
  })
}

function numbered(name: string, n: number): string {
  const dot = name.lastIndexOf('.')
  return dot <= 0 ? `${name}-${n}` : `${name.slice(0, dot)}-${n}${name.slice(dot)}`
}

/** Mails are attached without a name more often than anything else. */
function extension(content_type: string): string {
  if (content_type === 'message/rfc822') return '.eml'
  const subtype = content_type.split('/')[1] ?? ''
  return /^[a-z0-9]{2,5}$/.test(subtype) ? `.${subtype}` : ''
}

const encoder = new TextEncoder()

const maxImages = 500

/**
 * Names the images of HTML that are parts of the mail in their `alt` (observed: the vendor's desktop shows an attachment in place of
 * the image whose `alt` is its file name).
 */
function withNames(html: string, parts: readonly Part[]): string {
  const byId = new Map(
    parts.flatMap(({ content_id, filename }) => (content_id && filename ? [[content_id, filename] as const] : [])),
  )
  if (byId.size === 0) return html
  let images = 0
  return html.replace(/<img\b[^>]{0,2000}>/gi, (tag) => {
    if (++images > maxImages) return tag
    const filename = byId.get(/\bsrc\s*=\s*["']?cid:([^"'\s>]{1,300})/i.exec(tag)?.[1]?.replaceAll('&amp;', '&') ?? '')
    if (filename === undefined) return tag
    const rest = tag.replace(/\s+alt\s*=\s*(?:"[^"]*"|'[^']*'|[^\s>]*)/gi, '').slice('<img'.length)
    return `<img alt="${escaped(filename)}"${rest}`
  })
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;')
}
