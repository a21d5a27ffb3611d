import Sqlite from 'better-sqlite3'
import { Kysely, type LogEvent, SqliteDialect } from 'kysely'
import { expect, test } from 'vitest'
import type { Row } from '../../../src/copy/tables.ts'
import { plainTables } from '../../../src/records/plain.ts'
import { migrate } from '../../../src/storage/migrations/index.ts'
import { rowsBelow, rowsOfAccount, rowsOfMessages } from '../../../src/transfer/read.ts'

/** Returns how SQLite goes about what `read` asks, on tables of which it knows nothing. */
async function planOf(
  read: (db: Kysely<Record<string, Row>>) => Promise<unknown>,
  fill: (sqlite: Sqlite.Database) => void = () => {},
): Promise<string[]> {
  const sqlite = new Sqlite(':memory:')
  const dialect = new SqliteDialect({ database: sqlite })
  await migrate(new Kysely<unknown>({ dialect }))
  fill(sqlite)
  const queries: [sql: string, parameters: readonly unknown[]][] = []
  const log = ({ query }: LogEvent) => void queries.push([query.sql, query.parameters])
  await using db = new Kysely<Record<string, Row>>({ dialect, log })
  await read(db)
  // Columns of SQLite's own.
  const plan = (sql: string) => sqlite.prepare<unknown[], { detail: string }>(`explain query plan ${sql}`)
  const [sql, parameters] = queries.at(-1) ?? ['', []]
  return plan(sql)
    .all(...parameters)
    .map(({ detail }) => detail)
}

// SQLite's choice depends on how many are asked for.
const sids = Array.from({ length: 100 }, (_, i) => `XX${i}`)

test.for([
  ['participants', 'sid'],
  ['messages', 'message_index'],
  ['conversation_webhooks', 'sid'],
] as const)('an export reads %s of some conversations by their index, in order', async ([table, order]) => {
  const plan = await planOf((db) => rowsBelow(db, table, order, 'IS1', sids).next())
  expect(plan).toEqual([expect.stringMatching(/^SEARCH \w+ USING INDEX \w+ \(conversation_sid=\?\)$/)])
})

test.for(['receipts', 'media'])('an export reads %s of some messages by their index', async (table) => {
  const [search, sort] = await planOf((db) => rowsOfMessages(db, table, 'IS1', 'CH1', sids))
  expect(search).toMatch(/^SEARCH \w+ USING INDEX \w+ \(conversation_sid=\? AND message_sid=\?\)$/)
  expect(sort).toBe('USE TEMP B-TREE FOR ORDER BY')
})

test.for(Object.values(plainTables))('an export reads $table of an account by an index, in order', async ({ table, order }) => {
  const [search, ...sorts] = await planOf((db) => rowsOfAccount(db, table, order, 'AC1').next())
  expect(search).toMatch(/^SEARCH \w+ USING INDEX \w+ \(account_sid=\?/)
  // Those with the same first column are few.
  expect(sorts.filter((sort) => sort !== 'USE TEMP B-TREE FOR LAST TERM OF ORDER BY')).toEqual([])
})

test('of what carriers call messages each page begins behind the one before', async () => {
  const ids = Array.from({ length: 2500 }, (_, i) => [`id${(i * 7919) % 2500}`, `name${Math.floor(i / 2)}`] as const)
  const found: string[] = []
  const [search] = await planOf(
    async (db) => {
      for await (const { id } of rowsOfAccount(db, 'external_ids', plainTables.external_id.order, 'AC1')) found.push(String(id))
    },
    (sqlite) => {
      const insert = sqlite.prepare(
        `insert into external_ids (id, account_sid, channel, external_id, direction, date_created) values (?, 'AC1', 'x', ?, 'in', 1)`,
      )
      for (const [id, name] of ids) insert.run(id, name)
    },
  )
  expect(search).toContain('(account_sid=? AND external_id>')
  expect(found.toSorted()).toEqual(ids.map(([id]) => id).toSorted())
})
