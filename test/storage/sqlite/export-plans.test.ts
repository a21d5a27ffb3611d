import Sqlite from 'better-sqlite3'
import { Kysely, type LogEvent, SqliteDialect } from 'kysely'
import { expect, test } from 'vitest'
import type { Row } from '../../../src/copy/tables.ts'
import { migrate } from '../../../src/storage/migrations/index.ts'
import { rowsBelow, rowsOfMessages } from '../../../src/transfer/read.ts'

/** Returns how SQLite goes about what `read` asks, on tables of which it knows nothing. */
async function planOf(read: (db: Kysely<Record<string, Row>>) => Promise<unknown>): Promise<string[]> {
  const sqlite = new Sqlite(':memory:')
  const dialect = new SqliteDialect({ database: sqlite })
  await migrate(new Kysely<unknown>({ dialect }))
  const queries: [sql: string, parameters: readonly unknown[]][] = []
  const log = ({ query }: LogEvent) => void queries.push([query.sql, query.parameters])
  await using db = new Kysely<Record<string, Row>>({ dialect, log })
  await read(db)
  expect(queries).toHaveLength(1)
  // Columns of SQLite's own.
  const plan = (sql: string) => sqlite.prepare<unknown[], { detail: string }>(`explain query plan ${sql}`)
  return queries.flatMap(([sql, parameters]) => plan(sql).all(...parameters)).map(({ detail }) => detail)
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
