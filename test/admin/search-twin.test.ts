import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openDatabase } from '../../src/storage/open.ts'
import { findDocuments, newest, type SearchRequest } from '../../src/storage/search.ts'
import { documentOf, parseQuery, type Query } from '../../src/words.ts'
import type { TestCommands } from '../support/batch-commands.ts'
import { engine, inspect, newDatabase } from '../support/databases.ts'

const commands = new URL('../support/batch-commands.ts', import.meta.url)

/** Words that differ in what a search must not tell apart, begin with each other, or have no spaces between them. */
const texts = [
  'Order',
  'ordered',
  'órdér',
  'order-1234',
  'Straße',
  'STRASSE',
  '東京都',
  '京都',
  'ไทย',
  '+49 151 1234567',
  'a',
  'zebra',
]
const accounts = ['AC0000000000000000000000000000aaaa', 'AC0000000000000000000000000000bbbb']
const services = accounts.map((sid) => sid.replace('AC', 'IS'))
const prefixes = ['IM', 'CH', 'MB']

interface Kept {
  readonly id: number
  readonly sid: string
  readonly owner: number
  readonly words: ReadonlySet<string>
}

/** What has to be found, by going through everything. */
function twin(documents: readonly Kept[], query: Query, request: Omit<SearchRequest, 'query'>): string[] {
  return documents
    .filter(
      ({ sid, owner, words }) =>
        (request.prefixes.length === 0 || request.prefixes.includes(sid.slice(0, 2))) &&
        (request.account_sid ?? accounts[owner]) === accounts[owner] &&
        (request.service_sid ?? services[owner]) === services[owner] &&
        query.every((term) =>
          term.some((all) =>
            all.every(({ text, prefix }) => (prefix ? [...words].some((word) => word.startsWith(text)) : words.has(text))),
          ),
        ),
    )
    .toSorted((a, b) => b.id - a.id)
    .map(({ sid }) => sid)
}

test('a search finds what a walk through all documents finds, in its order, page by page', async () => {
  await using place = await newDatabase()
  const failures: Error[] = []
  const database = await openDatabase<TestCommands>(place.config.database, { commands, failed: (error) => failures.push(error) })
  const documents: Kept[] = []
  {
    await using inside = inspect(place.config)
    // A few of each kind, far apart, also older than the index; and above them more than are looked at first, without most of the words.
    const sample = fc.sample(
      fc.record({
        words: fc.uniqueArray(fc.constantFrom(...texts), { minLength: 1, maxLength: 4 }),
        owner: fc.nat(1),
        prefix: fc.constantFrom(...prefixes),
        gap: fc.constantFrom(1, 2, 900, 40_000),
      }),
      { numRuns: 700, seed: 28 },
    )
    const lowest = -2_000_000
    const above = sample.reduce((sum, { gap }) => sum + gap, lowest)
    const all = [
      ...sample.map((one, i) => ({ ...one, id: sample.slice(0, i).reduce((sum, { gap }) => sum + gap, lowest) })),
      ...Array.from({ length: 2100 }, (_, i) => ({
        words: [i % 150 === 0 ? 'zebra' : 'lion'],
        owner: 0,
        prefix: 'IM',
        id: above + i,
      })),
    ]
    const rows: string[] = []
    for (const [i, { words, owner, prefix, id }] of all.entries()) {
      const sid = `${prefix}${String(i).padStart(32, '0')}`
      const scope = [prefix, services[owner] ?? '', accounts[owner] ?? '']
      const document = documentOf([words.join(' ')], scope) ?? ''
      // Some are deleted again, below.
      if (i % 10 !== 0) documents.push({ id, sid, owner, words: new Set(document.split(' ')) })
      const words_sql = engine === 'postgres' ? `array_to_tsvector(string_to_array('${document}', ' '))` : `'${document}'`
      rows.push(`(${id}, '${services[owner]}', '${sid}', '${accounts[owner]}', ${words_sql})`)
    }
    for (let from = 0; from < rows.length; from += 200) {
      const some = rows.slice(from, from + 200).join(', ')
      await inside.query(`insert into search_documents (id, service_sid, sid, account_sid, words) values ${some}`)
    }
    if (engine === 'sqlite') {
      await inside.query(`insert into search_words (rowid, words)
        select d.id, d.words from search_waiting as w join search_documents as d on d.id = w.id`)
      await inside.query('delete from search_waiting')
    }
    await inside.query("delete from search_documents where sid like '%0'")
  }
  const part = fc.tuple(fc.constantFrom(...texts, 'lion', 'nothing'), fc.integer({ min: 1, max: 12 }))
  const request = fc.record({
    q: fc
      .array(part, { minLength: 1, maxLength: 3 })
      .map((parts) => parts.map(([text, length]) => text.slice(0, length)).join(' ')),
    prefixes: fc.subarray(prefixes, { maxLength: 2 }),
    account_sid: fc.option(fc.constantFrom(...accounts), { nil: undefined }),
    service_sid: fc.option(fc.constantFrom(...services), { nil: undefined }),
    limit: fc.constantFrom(3, 20, 100),
  })
  const check = fc.asyncProperty(request, async ({ q, limit, ...scope }) => {
    const query = parseQuery(q)
    const expected = query.length === 0 ? [] : twin(documents, query, scope)
    const found: string[] = []
    for (let before: number | null = newest; before !== null; ) {
      const page = await findDocuments(database.read, { query, ...scope }, { before, limit })
      expect(page.found.length).toBeLessThanOrEqual(limit)
      if (!page.capped) expect(found.length + page.total).toBe(expected.length)
      found.push(...page.found.map(({ sid }) => sid))
      before = page.next_before ?? (page.found.length === limit ? (page.found.at(-1)?.id ?? null) : null)
      before = before === null ? null : Number(before)
      // Enough of a word that very many have.
      if (found.length > 300) break
    }
    expect(found).toEqual(expected.slice(0, found.length > 300 ? found.length : undefined))
  })
  await fc.assert(check, { numRuns: 60 })
  expect(failures).toEqual([])
  await database.close()
})
