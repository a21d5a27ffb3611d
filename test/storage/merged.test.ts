import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Database } from '../../src/storage/database.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { maxAlternatives, type PageQuery, pageOf } from '../../src/storage/rows.ts'
import type { RemovalRow } from '../../src/storage/schema.ts'
import type { TestCommands } from '../support/batch-commands.ts'
import { inspect, newDatabase, type TestDatabase } from '../support/databases.ts'

const module = new URL('../support/batch-commands.ts', import.meta.url)
const lists = ['a', 'b', 'c', 'd']

/** Few dates, so that most rows share theirs with others, of the same list and of another one. */
const stored = Array.from({ length: 120 }, (_, i) => ({
  service_sid: lists[(i * 7) % 3] ?? '',
  sid: `sid${String((i * 37) % 120).padStart(3, '0')}`,
  date_created: (i * 11) % 9,
}))

let place: TestDatabase
let database: Database<TestCommands>

beforeAll(async () => {
  place = await newDatabase()
  database = await openDatabase<TestCommands>(place.config.database, { commands: module, failed: () => {} })
  await using inspection = inspect(place.config)
  for (const row of stored) await inspection.insert('removals', row)
})
afterAll(async () => {
  await database.close()
  await place.dispose()
})

const key = fc.record({ date: fc.integer({ min: -1, max: 9 }), sid: fc.constantFrom(...stored.map(({ sid }) => sid)) })

interface Wanted {
  readonly of: readonly string[]
  /** All of them, which nobody names: the table is divided by them. */
  readonly whole: boolean
  readonly direction: PageQuery['direction']
  readonly after: PageQuery['after']
  readonly at: { readonly date: number; readonly sid: string }
  readonly limit: number
}

const page: fc.Arbitrary<Wanted> = fc.record({
  // The last has no rows, and too many are one condition instead of several lists.
  of: fc.oneof(
    fc.subarray(lists, { minLength: 1 }),
    fc.constant([...lists, ...Array.from({ length: maxAlternatives }, (_, i) => `none${i}`)]),
  ),
  whole: fc.boolean(),
  direction: fc.constantFrom('asc', 'desc'),
  after: fc.constantFrom('behind', 'from', null),
  at: key,
  limit: fc.integer({ min: 1, max: 130 }),
})

/** What is merged, put together by hand. */
function sorted({ of, whole, direction, after, at, limit }: Wanted): RemovalRow[] {
  const sign = direction === 'asc' ? 1 : -1
  const order = (a: readonly [number, string], b: readonly [number, string]) =>
    sign * (a[0] - b[0] || (a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0))
  const keyOf = (row: RemovalRow) => [row.date_created, row.sid] as const
  return stored
    .filter(({ service_sid }) => whole || of.includes(service_sid))
    .filter((row) => {
      const place = order(keyOf(row), [at.date, at.sid])
      return after === null || place > 0 || (after === 'from' && place === 0)
    })
    .toSorted((a, b) => order(keyOf(a), keyOf(b)))
    .slice(0, limit)
}

test('a page of several lists has the rows of all in their order, and from any place on', async () => {
  await fc.assert(
    fc.asyncProperty(page, async (wanted) => {
      const query: PageQuery = {
        table: 'removals',
        columns: ['service_sid', 'sid', 'date_created'],
        where: wanted.whole ? [] : [{ column: 'service_sid', operator: 'in', places: wanted.of.length }],
        division: wanted.whole ? { column: 'service_sid', values: lists } : undefined,
        by: 'date_created',
        direction: wanted.direction,
        after: wanted.after,
      }
      const values = Object.fromEntries(wanted.of.map((list, i) => [`where0_${i}`, list]))
      const args = { ...values, after_key: wanted.at.date, after_sid: wanted.at.sid, limit: wanted.limit }
      expect(await database.read.all(pageOf<RemovalRow>(query), args)).toEqual(sorted(wanted))
    }),
    { numRuns: 300 },
  )
})
