/**
 * What texts are found by. Words are folded (case, accents, width); scripts that put no spaces between words are cut into pairs of
 * characters; a phone number is also one word of its digits. The same function makes the words of documents and of queries.
 */

/** A word of a query. */
export interface QueryWord {
  readonly text: string
  /** Whether words that begin with it match as well. */
  readonly prefix: boolean
}

/** One of these alternatives has to match, with all of its words. */
export type Term = readonly (readonly QueryWord[])[]

/** Terms that all have to match; none: nothing does. */
export type Query = readonly Term[]

/** UTF-16 units of a word that count. */
const maxLength = 40
/** Words of a document that count. */
const maxWords = 5000
/** UTF-16 units from which on a word may be the beginning of another one: shorter ones begin a large part of all words. */
const minPrefix = 3
/** Terms of a query that count. */
const maxTerms = 16

/** Precedes the words that no text contains: what a document is about. A private character, which no word has. */
const scopeMark = '\ue001'

const wordPattern = /[\p{L}\p{N}][\p{L}\p{N}\p{M}]*|\p{RI}{2}|\p{Extended_Pictographic}/gu
const folded = /[\p{L}\p{N}\p{M}\p{RI}\p{Extended_Pictographic}]+/gu
/** Accents of Latin, Greek and Cyrillic; vowel signs of Hebrew and Arabic; the Arabic stretch. */
const ignored =
  /[\u0300-\u036f\u0483-\u0487\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]/g
const unspaced = '\\p{scx=Han}\\p{scx=Hira}\\p{scx=Kana}\\p{scx=Hang}\\p{sc=Thai}\\p{sc=Laoo}\\p{sc=Khmr}\\p{sc=Mymr}'
const isUnspaced = new RegExp(`[${unspaced}]`, 'u')
const runs = new RegExp(`[${unspaced}]+|[^${unspaced}]+`, 'gu')
const ascii = /^[\0-\x7f]*$/
/** Digits with what people put between them. What has fewer than 7 of them, or more than 15, is no phone number. */
const phonePattern = /(?<![\p{L}\p{N}])\+?\(?\d[\d() ./-]{5,28}\d(?![\p{L}\p{N}])/gu

/** Returns a word as it is compared, cut where a script without spaces begins or ends; rarely several, as of a ligature of a sentence. */
function fold(word: string): readonly string[] {
  if (ascii.test(word)) return [word.toLowerCase().slice(0, maxLength)]
  // Upper case first: ß becomes SS.
  const text = word.normalize('NFKD').replace(ignored, '').toUpperCase().toLowerCase().replaceAll('ς', 'σ').normalize('NFKC')
  return (text.match(folded) ?? [])
    .flatMap((part) => part.match(runs) ?? [])
    .map((run) => (isUnspaced.test(run) ? run : cut(run)))
}

/** Shortens a word. A text without spaces is no word: all of it counts. */
function cut(word: string): string {
  return word
    .slice(0, maxLength)
    .toWellFormed()
    .replace(/\ufffd$/, '')
}

/** Pairs of neighbours, and the last character alone: so each character begins a word. */
function pairsOf(run: string): string[] {
  const characters = [...run]
  return characters.map((character, i) => character + (characters[i + 1] ?? ''))
}

function digitsOf(phone: string): string | undefined {
  const digits = phone.replace(/\D/g, '').replace(/^00/, '')
  return digits.length >= 7 && digits.length <= 15 ? digits : undefined
}

/** Adds the words of a text. */
function addWords(words: Set<string>, text: string): void {
  if (ascii.test(text)) addAscii(words, text)
  else addAny(words, text)
  if (!/\d/.test(text)) return
  for (const [phone] of text.matchAll(phonePattern)) {
    const digits = digitsOf(phone)
    if (digits) words.add(digits)
  }
}

/** Most texts: in half the time. */
function addAscii(words: Set<string>, text: string): void {
  for (const word of text.toLowerCase().match(/[a-z0-9]+/g) ?? []) {
    if (words.size >= maxWords) return
    words.add(word.length > maxLength ? word.slice(0, maxLength) : word)
  }
}

function addAny(words: Set<string>, text: string): void {
  for (const [word] of text.matchAll(wordPattern)) {
    for (const run of fold(word)) {
      for (const each of isUnspaced.test(run) ? pairsOf(run) : [run]) {
        if (words.size >= maxWords) return
        words.add(each)
      }
    }
  }
}

/** What a document belongs to: SIDs, and the prefix of its own. */
export type Scope = readonly string[]

/** Returns the word that says that a document belongs to something. SIDs are told apart by their end, which is random. */
export function scopeWord(sid: string): string {
  return scopeMark + sid.slice(-12).toLowerCase()
}

/** Returns the words of a document, with a space between each two; null when the texts have none. */
export function documentOf(texts: readonly (string | null)[], scope: Scope): string | null {
  const words = new Set<string>()
  for (const text of texts) if (text !== null) addWords(words, text)
  if (words.size === 0) return null
  return [...words, ...scope.map(scopeWord)].join(' ')
}

/** Parses what somebody types. The last word is a prefix, because they may still be typing. Never throws. */
export function parseQuery(text: string): Query {
  const terms: Term[] = []
  let rest = text
  let lastIsPhone = false
  for (const match of text.matchAll(phonePattern)) {
    const [phone] = match
    const digits = digitsOf(phone)
    if (!digits) continue
    lastIsPhone = text.slice(match.index + phone.length).trim() === ''
    const words = wordsOfQuery(phone, true)
    terms.push([[{ text: digits, prefix: true }], ...(words.length > 1 ? [words] : [])])
    rest = rest.replace(phone, ' ')
  }
  for (const word of wordsOfQuery(rest, !lastIsPhone)) terms.push([[word]])
  return terms.slice(0, maxTerms)
}

function wordsOfQuery(text: string, open: boolean): QueryWord[] {
  const words = new Map<string, boolean>()
  let last: string | undefined
  for (const [word] of text.matchAll(wordPattern)) {
    for (const run of fold(word)) {
      last = undefined
      if (isUnspaced.test(run)) {
        const pairs = pairsOf(run)
        // A single character is the beginning of a pair. Of several, the last alone would say nothing more.
        if (pairs.length === 1) words.set(run, true)
        else for (const pair of pairs.slice(0, -1)) words.set(pair, words.get(pair) ?? false)
      } else {
        words.set(run, words.get(run) ?? false)
        last = run
      }
    }
  }
  if (open && last !== undefined && last.length >= minPrefix) words.set(last, true)
  return [...words].map(([text, prefix]) => ({ text, prefix }))
}

/** A part of a snippet, and whether it is what was looked for. */
export interface Piece {
  readonly text: string
  readonly match: boolean
}

/** UTF-16 units of a snippet, and of what it shows before the first match. */
const snippetLength = 200
const snippetLead = 60

/** Returns the part of a text around the first words that match, in pieces; null when none does. */
export function snippetOf(text: string, query: Query): readonly Piece[] | null {
  const wanted = query.flat(2)
  const spans = matchesIn(text, wanted)
  const [first] = spans
  if (!first) return null
  const start = first.from <= snippetLead ? 0 : startOfWord(text, first.from - snippetLead)
  const end = Math.min(text.length, Math.max(start + snippetLength, first.to))
  const pieces: Piece[] = []
  const add = (from: number, to: number, match: boolean) => {
    const part = text.slice(from, to).replace(/\s+/g, ' ').toWellFormed().replaceAll('\ufffd', '')
    if (part !== '') pieces.push({ text: part, match })
  }
  if (start > 0) pieces.push({ text: '…', match: false })
  let at = start
  for (const { from, to } of spans) {
    if (to > end) break
    if (from > at) add(at, from, false)
    add(Math.max(at, from), to, true)
    at = Math.max(at, to)
  }
  add(at, end, false)
  if (end < text.length) pieces.push({ text: '…', match: false })
  return pieces
}

/** The place after the first space from `at` on, if there is one nearby. */
function startOfWord(text: string, at: number): number {
  const space = text.indexOf(' ', at)
  return space >= 0 && space < at + 20 ? space + 1 : at
}

/** How much of a text is looked through for what to show. */
const maxShown = 100_000

function matchesIn(text: string, wanted: readonly QueryWord[]): { from: number; to: number }[] {
  const found: { from: number; to: number }[] = []
  const matches = (word: string) =>
    wanted.some(({ text: each, prefix }) => (prefix ? word.startsWith(each) || isDigitsOf(each, word) : word === each))
  for (const { 0: word, index } of text.slice(0, maxShown).matchAll(wordPattern)) {
    const parts = fold(word)
    if (isUnspaced.test(word)) {
      // Character by character: folding may change how many there are, and then the whole word is marked.
      const characters = [...word]
      const pairs = pairsOf(parts.join(''))
      const exact = pairs.length === characters.length
      let at = index
      for (const [i, character] of characters.entries()) {
        const pair = pairs[i] ?? ''
        const before = pairs[i - 1] ?? ''
        if (exact && (matches(pair) || (before !== '' && wanted.some(({ text, prefix }) => !prefix && text === before)))) {
          found.push({ from: at, to: at + character.length })
        }
        at += character.length
      }
      if (!exact && pairs.some(matches)) found.push({ from: index, to: at })
    } else if (parts.some(matches)) found.push({ from: index, to: index + word.length })
  }
  return joined(found)
}

/** Of a phone number that is written in groups, each group is a part of its digits. */
function isDigitsOf(digits: string, word: string): boolean {
  return word.length > 1 && digits.length >= 7 && /^\d+$/.test(word) && digits.includes(word)
}

function joined(spans: readonly { from: number; to: number }[]): { from: number; to: number }[] {
  const all: { from: number; to: number }[] = []
  for (const span of spans) {
    const last = all.at(-1)
    if (last && span.from <= last.to) last.to = Math.max(last.to, span.to)
    else all.push({ ...span })
  }
  return all
}
