import { convert } from 'html-to-text'
import { type Cut, forwardMark } from './visible.ts'

/** Characters of HTML that become text: a message has 32,768. */
const maxHtml = 512 * 1024
const maxText = 256 * 1024

/** Returns the text of HTML, with bounded depth and size. Links and images are left out: the HTML itself is kept. */
export function htmlToText(html: string): string {
  return convert(html.slice(0, maxHtml), {
    wordwrap: false,
    limits: { maxDepth: 200, maxChildNodes: 20_000, maxInputLength: maxHtml, ellipsis: '' },
    selectors: [
      { selector: 'a', options: { ignoreHref: true } },
      { selector: 'img', format: 'skip' },
      { selector: 'h1', options: { uppercase: false } },
      { selector: 'h2', options: { uppercase: false } },
      { selector: 'h3', options: { uppercase: false } },
      { selector: 'h4', options: { uppercase: false } },
      { selector: 'h5', options: { uppercase: false } },
      { selector: 'h6', options: { uppercase: false } },
      { selector: 'table', options: { uppercaseHeaderCells: false } },
    ],
  })
    .slice(0, maxText)
    .replaceAll('\u200b', '')
    .replaceAll('\u00a0', ' ')
}

/** The elements in which programs put what they quote, by an attribute of theirs. */
const containers: readonly RegExp[] = [
  // Gmail, Apple Mail and Thunderbird, Yahoo, Proton, Tutanota, Zoho, GMX and web.de, Hey, Spark, Front.
  /\bclass\s*=\s*["']?[^"'>]*\b(?:gmail_quote(?:_container)?|yahoo_quoted|protonmail_quote|tutanota_quote|zmail_extra|moz-cite-prefix|freebirdFormviewerViewHeader|front-blockquote|mcntmcntmcnt|ox-reply-quote|ycb\d+)\b/i,
  /\btype\s*=\s*["']?cite\b/i,
  // Outlook on the web and on telephones, Outlook for Mac, Hotmail, Windows Mail, QQ.
  /\bid\s*=\s*["']?(?:x_)?(?:appendonsend|divRplyFwdMsg|OLK_SRC_BODY_SECTION|stopSpelling|mail-editor-reference-message-container|isReplyContent|ms-outlook-mobile-quote|yahoo_quoted_?\d*|edo-original|reply-intro)\b/i,
  /\bname\s*=\s*["']?quote\b/i,
  // Outlook's line above its block of headers.
  /\bstyle\s*=\s*["'][^"'>]*border(?:-top)?\s*:\s*(?:none\s*;\s*border-top\s*:\s*)?solid\s+#(?:E1E1E1|B5C4DF)\b/i,
]

/** Of these, everything that follows is quoted: they stand before it, not around it. */
const openEnded =
  /(?:appendonsend|divRplyFwdMsg|stopSpelling|moz-cite-prefix|mail-editor-reference|border(?:-top)?\s*:|reply-intro|ms-outlook-mobile-quote)/i
const voids = new Set(['area', 'base', 'br', 'col', 'embed', 'hr', 'img', 'input', 'link', 'meta', 'source', 'track', 'wbr'])
/** Their content is never read. */
const hidden = new Set(['style', 'script', 'head', 'title', 'template'])
/** Longer HTML stays whole. */
const maxCut = 2 * 1024 * 1024
/** The attributes by which containers are known come early in a tag. */
const maxTag = 400

/**
 * Separates the quoted part of HTML by the elements in which known programs put it. Nothing is cut when something is written above
 * and below it. One walk over the tags.
 */
export function cutHtml(html: string): Cut {
  const whole = { visible: html, quoted: null }
  const start = html.length > maxCut ? undefined : quoteStart(html)
  if (!start || isForward(html.slice(start.end, start.end + 4000))) return whole
  const end = openEnded.test(start.tag) ? html.length : elementEnd(html, start)
  const [before, after] = [html.slice(0, start.at), html.slice(end)]
  if (hasText(before)) return hasText(after) ? whole : { visible: before, quoted: html.slice(start.at) }
  return hasText(after) ? { visible: after, quoted: html.slice(0, end) } : whole
}

/** A forwarded mail is what its sender wants to show. */
function isForward(html: string): boolean {
  return forwardMark.test(html.replace(/<[^<>]*>|&nbsp;/g, ' '))
}

interface Tag {
  readonly at: number
  /** After its `>`. */
  readonly end: number
  /** Its beginning. */
  readonly tag: string
  /** `!` of a comment. */
  readonly name: string
  readonly closes: boolean
}

function quoteStart(html: string): Tag | undefined {
  for (const found of tagsIn(html, 0)) if (!found.closes && containers.some((one) => one.test(found.tag))) return found
  return undefined
}

/** Returns the index after the end of an element: counts those of its name that are open. */
function elementEnd(html: string, start: Tag): number {
  if (voids.has(start.name)) return start.end
  let open = 0
  for (const next of tagsIn(html, start.at)) {
    if (next.name !== start.name) continue
    open += next.closes ? -1 : 1
    if (open === 0) return next.end
  }
  return html.length
}

function* tagsIn(html: string, from: number): Iterable<Tag> {
  for (let at = html.indexOf('<', from); at !== -1; ) {
    const isComment = html.startsWith('<!--', at)
    const close = isComment ? html.indexOf('-->', at + 4) : html.indexOf('>', at)
    if (close === -1) return
    const end = close + (isComment ? 3 : 1)
    const tag = html.slice(at, Math.min(end, at + maxTag))
    const name = isComment ? '!' : /^<\/?([a-z!][a-z0-9:-]{0,30})/i.exec(tag)?.[1]?.toLowerCase()
    if (name !== undefined) yield { at, end, tag, name, closes: tag.startsWith('</') }
    at = html.indexOf('<', name === undefined ? at + 1 : end)
  }
}

/** Whether anything can be read in it. */
function hasText(html: string): boolean {
  let last = 0
  let inside: string | null = null
  for (const { at, end, name, closes } of tagsIn(html, 0)) {
    if (inside === null && isText(html.slice(last, at))) return true
    if (inside === null && !closes && hidden.has(name)) inside = name
    else if (closes && name === inside) inside = null
    last = end
  }
  return inside === null && isText(html.slice(last))
}

function isText(text: string): boolean {
  return /[^\s<>]/.test(text.replace(/&(?:nbsp|zwnj|#160|#8203|#xa0);|[\u00a0\u200b\u200c]/gi, ''))
}
