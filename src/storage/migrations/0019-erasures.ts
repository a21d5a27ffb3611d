import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** Erasures of persons: the work that is left of each, and afterwards the proof of it. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter
  const text = postgres ? sql`text collate "C"` : ('text' as const)
  await db.schema
    .createTable('erasures')
    .addColumn('id', text, (c) => c.primaryKey())
    .addColumn('account_sid', text, (c) => c.notNull())
    .addColumn('status', text, (c) => c.notNull())
    .addColumn('dry_run', 'bigint', (c) => c.notNull())
    .addColumn('messages', text, (c) => c.notNull())
    .addColumn('subject', text, (c) => c.notNull())
    .addColumn('subject_hash', text, (c) => c.notNull())
    .addColumn('pseudonym', text, (c) => c.notNull())
    .addColumn('requested_by', text, (c) => c.notNull())
    .addColumn('reference', text)
    .addColumn('sealed', text)
    .addColumn('step', text)
    .addColumn('counts', text, (c) => c.notNull())
    .addColumn('files', text, (c) => c.notNull())
    .addColumn('storage', text)
    .addColumn('owner', text)
    .addColumn('date_created', 'bigint', (c) => c.notNull())
    .addColumn('date_started', 'bigint')
    .addColumn('date_finished', 'bigint')
    .execute()
  await db.schema.createIndex('erasures_of_account').on('erasures').columns(['account_sid', 'id']).execute()
  await db.schema
    .createIndex('erasures_open')
    .on('erasures')
    .columns(['id'])
    .where(sql.ref('date_finished'), 'is', null)
    .execute()
}
