import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** Content templates that the operator registers. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const text = db.getExecutor().adapter instanceof PostgresAdapter ? sql`text collate "C"` : ('text' as const)
  await db.schema
    .createTable('contents')
    .addColumn('account_sid', text, (c) => c.notNull())
    .addColumn('sid', text, (c) => c.notNull())
    .addColumn('friendly_name', text)
    .addColumn('variables', text, (c) => c.notNull())
    .addColumn('types', text, (c) => c.notNull())
    .addColumn('date_created', 'bigint', (c) => c.notNull())
    .addColumn('date_updated', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('contents_key', ['account_sid', 'sid'])
    .execute()
}
