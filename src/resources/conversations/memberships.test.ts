import Sqlite from 'better-sqlite3'
import { Kysely, SqliteDialect } from 'kysely'
import { expect, test } from 'vitest'
import type { Facts, Slice } from '../../model/declare.ts'
import type { Reader } from '../../storage/database.ts'
import { migrate } from '../../storage/migrations/index.ts'
import type { Shape } from '../../storage/shapes.ts'
import { type MemberColumn, membershipPage } from './memberships.ts'

/** Returns the query of one page. */
async function queryOf(column: MemberColumn, unread: boolean, slice: Slice): Promise<Shape<object, unknown>> {
  let found: Shape<object, unknown> | undefined
  const read: Reader = {
    one: async () => undefined,
    hold: async () => undefined,
    all: async (query) => {
      found = query as Shape<object, unknown>
      return []
    },
  }
  await membershipPage(read, { service: null, now: 0 } as unknown as Facts, { column, member: 'x', unread }, slice)
  return found as Shape<object, unknown>
}

const slices: Slice[] = [
  { direction: 'desc', after: null, limit: 51 },
  { direction: 'desc', after: { key: 1, sid: 'MB', inclusive: false }, limit: 51 },
  { direction: 'asc', after: { key: 1, sid: 'MB', inclusive: false }, limit: 51 },
]
const cases = (['identity', 'address'] as const).flatMap((column) =>
  [true, false].flatMap((unread) => slices.map((slice) => ({ column, unread, slice }))),
)

test.each(cases)('a page by $column touches only rows of its own: $slice.direction', async ({ column, unread, slice }) => {
  const db = new Sqlite(':memory:')
  await migrate(new Kysely<unknown>({ dialect: new SqliteDialect({ database: db }) }))
  const { sql, placeholders } = (await queryOf(column, unread, slice)).compile('sqlite')
  const plan = db.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...placeholders.map(() => 1)) as { detail: string }[]
  const steps = plan.map(({ detail }) => detail)
  const index = column === 'identity' ? 'participants_of_user' : 'participants_by_address'
  expect(steps.some((step) => step.startsWith('SEARCH p USING') && step.includes(index))).toBe(true)
  // Only the page itself is scanned.
  expect(steps.filter((step) => step.startsWith('SCAN') && !/^SCAN (page|some)\b/.test(step))).toEqual([])
  expect(steps.some((step) => step.startsWith('SEARCH m USING') && step.includes('messages_by_index'))).toBe(true)
  db.close()
})

test.each(cases)('compiles for PostgreSQL: $column $slice.direction', async ({ column, unread, slice }) => {
  const { sql } = (await queryOf(column, unread, slice)).compile('postgres')
  expect(sql).toContain('from (select')
})
