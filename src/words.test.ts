import Sqlite from 'better-sqlite3'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { documentOf, parseQuery, type Query, snippetOf } from './words.ts'

/** Whether a document of this text is found: what both engines do. */
function finds(text: string, query: string): boolean {
  const words = ` ${documentOf([text], []) ?? ''} `
  const parsed = parseQuery(query)
  const has = (word: Query[number][number][number]) => words.includes(` ${word.text}${word.prefix ? '' : ' '}`)
  return parsed.length > 0 && parsed.every((term) => term.some((all) => all.every(has)))
}

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.string({ unit: 'grapheme', maxLength: 80 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 80 }).map((units) => String.fromCharCode(...units)),
  fc
    .array(
      fc.constantFrom(
        '"',
        '*',
        '(',
        ')',
        ':',
        '^',
        '-',
        '+',
        'NEAR',
        'AND',
        'OR',
        'NOT',
        '\0',
        ' ',
        'a',
        '7',
        '東',
        '👍',
        "'",
        '\\',
        '&',
        '|',
        '!',
      ),
      {
        maxLength: 40,
      },
    )
    .map((parts) => parts.join('')),
)

describe('what is found', () => {
  test.each([
    ['Where is my Parcel?', 'parcel'],
    ['Where is my parcel?', 'where parc'],
    ['Straße nach Übach', 'STRASSE ubach'],
    ['ΟΔΟΣ', 'οδος'],
    ['Crème brûlée', 'creme brulee'],
    ['call +49 (151) 1234-5678 today', '+4915112345678'],
    ['call +49 (151) 1234-5678 today', '4915112345678'],
    ['+4915112345678', '+49 151 1234 5678'],
    ['+4915112345678', '0049 151 123'],
    ['+4915112345678', '49151'],
    ['on 2030-01-02 10:00', '2030-01-02'],
    ['room 5 2030-01-02', '2030-01-02'],
    ['ada.lovelace@example.com', 'ada.lovelace@example.com'],
    ['ada.lovelace@example.com', 'lovelace@exam'],
    ['order-1234', '1234'],
    ['user_42', 'USER_42'],
    ['東京都に住んでいます', '京都'],
    ['東京都に住んでいます', '住'],
    ['東京', '京'],
    ['서울에서 만나요', '서울'],
    // Longer than any word, and without a space.
    [`${'今日は天気がいいので散歩に行きます'.repeat(4)}東京タワー`, '東京タワー'],
    [`${'สวัสดีครับ'.repeat(8)}กรุงเทพ`, 'กรุงเทพ'],
    ['สวัสดีครับ', 'ครับ'],
    ['الرِّسَالَة وصلت', 'الرسالة'],
    ['أهلا', 'اهلا'],
    ['well done 👍🏽', '👍'],
    ['from 🇩🇪', '🇩🇪'],
    ['Ⅳ ﬁne', 'fine'],
    ['ﷺ', 'محمد'.slice(0, 0) || 'صلى'],
  ])('%s by %s', (text, query) => {
    expect(finds(text, query)).toBe(true)
    expect(snippetOf(text, parseQuery(query))?.some(({ match }) => match)).toBe(true)
  })

  test.each([
    ['Where is my parcel?', 'arcel'],
    ['Where is my parcel?', 'parcel lost'],
    ['Where is my parcel?', 'whe parcel'],
    ['東京', '京東'],
    ['+4915112345678', '4915199'],
  ])('%s is not found by %s', (text, query) => expect(finds(text, query)).toBe(false))
})

test.each(['', ' ', '"', '*', '()', '-:^', '\0', '\ud800', '🏽', '+', 'ـ'])('%j is no query', (text) => {
  expect(parseQuery(text)).toEqual([])
})

test('a long query has 16 terms, a long word is found by its beginning, and neither takes long', () => {
  const long = 'x'.repeat(10_000)
  expect(parseQuery(Array.from({ length: 5000 }, (_, i) => `w${i}`).join(' '))).toHaveLength(16)
  expect(finds(long, long)).toBe(true)
  expect(finds('1 '.repeat(20_000), '1')).toBe(true)
  expect(snippetOf(`${'a '.repeat(200_000)}`, parseQuery('a'))?.length).toBeGreaterThan(0)
})

test('both engines take the words of any text as they are', () => {
  const db = new Sqlite(':memory:')
  db.exec(`create virtual table t using fts5(words, tokenize = 'ascii', detail = 'none');
    create virtual table v using fts5vocab(t, 'row')`)
  const add = db.prepare('insert into t (words) values (?)')
  const all = db.prepare('select term from v').pluck()
  fc.assert(
    fc.property(anyText, (text) => {
      const words = documentOf([text], ['IS00', 'im'])
      if (words === null) return
      // No sign that either engine's syntax knows, and no surrogate alone.
      expect(words).not.toMatch(/["'\\:*&|!()<>\0]|\s\s|^\s|\s$/)
      expect(words.isWellFormed()).toBe(true)
      db.exec('delete from t')
      add.run(words)
      expect(new Set(all.all())).toEqual(new Set(words.split(' ')))
    }),
    { numRuns: 300 },
  )
  db.close()
})

test('every text is found by each of its own words, and by itself', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      const query = parseQuery(text)
      if (query.length > 0) expect(finds(text, text)).toBe(true)
      expect(query.flat(2).every(({ text }) => /^[\p{L}\p{N}\p{M}\p{RI}\p{Extended_Pictographic}]+$/u.test(text))).toBe(true)
    }),
    { numRuns: 500 },
  )
})

test('a snippet is the text itself in pieces, whatever is looked for', () => {
  const flat = (text: string) => text.toWellFormed().replaceAll('\ufffd', '').replace(/\s+/g, ' ')
  fc.assert(
    fc.property(anyText, anyText, (text, looked) => {
      for (const query of [looked, text, text.slice(0, 5)]) {
        const pieces = snippetOf(text, parseQuery(query))
        if (pieces === null) continue
        expect(pieces.some(({ match }) => match)).toBe(true)
        const shown = pieces.map((piece) => piece.text).join('')
        expect(flat(text).replaceAll(' ', '')).toContain(shown.replace(/^…|…$/g, '').replaceAll(' ', '').slice(0, 50))
      }
    }),
    { numRuns: 500 },
  )
})
