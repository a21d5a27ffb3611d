import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** Operators by name, and the tokens by which they are recognised: of those, hashes only. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter
  const text = postgres ? sql`text collate "C"` : ('text' as const)
  await db.schema
    .createTable('operators')
    .addColumn('sid', text, (c) => c.primaryKey())
    .addColumn('name', text, (c) => c.notNull().unique())
    .addColumn('role', text, (c) => c.notNull())
    .addColumn('text', 'bigint', (c) => c.notNull())
    .addColumn('accounts', text)
    .addColumn('sessions', 'bigint', (c) => c.notNull())
    .addColumn('date_created', 'bigint', (c) => c.notNull())
    .addColumn('date_updated', 'bigint', (c) => c.notNull())
    .execute()
  await db.schema
    .createTable('operator_tokens')
    .addColumn('id', text, (c) => c.primaryKey())
    .addColumn('operator_sid', text, (c) => c.notNull())
    .addColumn('hash', text, (c) => c.notNull())
    .addColumn('date_expires', 'bigint')
    .addColumn('date_used', 'bigint')
    .addColumn('date_created', 'bigint', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('operator_tokens_of_operator').on('operator_tokens').columns(['operator_sid']).execute()
}
