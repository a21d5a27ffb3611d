import type { Tx } from '../storage/database.ts'
import { insertRow, type Table } from '../storage/rows.ts'
import { type Shape, shape } from '../storage/shapes.ts'

/** Every table with what clients and operators store. */
export const contentTables = [
  'accounts',
  'api_keys',
  'services',
  'conversations',
  'participants',
  'messages',
  'receipts',
  'conversation_webhooks',
  'users',
  'roles',
  'bindings',
  'credentials',
  'addresses',
  'deliveries',
  'channels',
  'contents',
  'external_ids',
  'media',
  'removals',
  'tombstones',
  'mutations',
  'presence',
  'erasures',
  'erasure_files',
  'mirrors',
  'mirror_work',
] as const satisfies readonly Table[]

type ContentTable = (typeof contentTables)[number]

/** All rows of a database, by table. Plain data. */
export type AllRows = Readonly<Record<ContentTable, readonly object[]>>

type None = { readonly none?: null }

// What the tables hold is of no interest here: rows come back as they are.
const selections = byTable((table) => shape<None>()<object>((db) => db.selectFrom(table).selectAll()))
const deletions = byTable((table) => shape<None>()<unknown>((db) => db.deleteFrom(table)))

function byTable<T>(make: (table: ContentTable) => T): Readonly<Record<ContentTable, T>> {
  // One entry for each table.
  return Object.fromEntries(contentTables.map((table) => [table, make(table)])) as Record<ContentTable, T>
}

/** Reads all rows. The whole database is held in memory: for tests. */
export async function readAll(tx: Pick<Tx, 'all'>): Promise<AllRows> {
  const entries = await Promise.all(contentTables.map(async (table) => [table, await tx.all(selections[table], {})] as const))
  // One entry for each table.
  return Object.fromEntries(entries) as Record<ContentTable, object[]>
}

/** Deletes all rows. Whatever keeps state in memory is notified. */
export async function deleteAll(tx: Tx): Promise<void> {
  for (const table of contentTables) await tx.run(deletions[table], {})
  for (const table of ['accounts', 'services'] as const) tx.notify({ topic: 'changed', table, sid: '', revision: 0 })
  tx.notify({ topic: 'emptied' })
}

/** Inserts rows as they were read by `readAll`. */
export async function insertAll(tx: Tx, rows: AllRows): Promise<void> {
  for (const table of contentTables) {
    const [first] = rows[table]
    if (!first) continue
    const query: Shape<Record<string, unknown>, unknown> = insertRow(table, Object.keys(first))
    await Promise.all(rows[table].map((row) => tx.run(query, { ...row })))
  }
  // Deadlines may have passed, and removals be under way.
  tx.notify({ topic: 'due', at: 0 })
  tx.notify({ topic: 'removal' })
}
