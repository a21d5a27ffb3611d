import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** Accounts that follow a hosted one, and what of it is still to be read. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter
  const text = postgres ? sql`text collate "C"` : ('text' as const)
  await db.schema
    .createTable('mirrors')
    .addColumn('account_sid', text, (c) => c.primaryKey())
    .addColumn('url', text, (c) => c.notNull())
    .addColumn('state', text, (c) => c.notNull())
    .addColumn('report', text)
    .addColumn('date_started', 'bigint', (c) => c.notNull())
    .addColumn('date_passed', 'bigint')
    .addColumn('date_switched', 'bigint')
    .execute()
  await db.schema
    .createTable('mirror_work')
    .addColumn('account_sid', text, (c) => c.notNull())
    .addColumn('key', text, (c) => c.notNull())
    .addColumn('targets', text)
    .addColumn('marks', 'bigint', (c) => c.notNull())
    .addColumn('attempts', 'bigint', (c) => c.notNull())
    .addColumn('error', text)
    .addColumn('date_created', 'bigint', (c) => c.notNull())
    .addColumn('date_due', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('mirror_work_key', ['account_sid', 'key'])
    .execute()
  await db.schema.createIndex('mirror_work_by_due').on('mirror_work').columns(['account_sid', 'date_due', 'key']).execute()
  await db.schema.createIndex('mirror_work_by_attempts').on('mirror_work').columns(['account_sid', 'attempts', 'key']).execute()
}
