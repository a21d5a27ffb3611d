import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** How long accounts and services keep what they have, and indexes by which what is too old is found. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter
  const text = postgres ? sql`text collate "C"` : ('text' as const)
  await db.schema
    .createTable('retention')
    .addColumn('account_sid', text, (c) => c.notNull())
    .addColumn('service_sid', text, (c) => c.notNull())
    .addColumn('closed_conversation_days', 'bigint')
    .addColumn('message_days', 'bigint')
    .addColumn('media_days', 'bigint')
    .addColumn('delivered_days', 'bigint')
    .addColumn('failed_days', 'bigint')
    .addColumn('date_updated', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('retention_key', ['account_sid', 'service_sid'])
    .execute()
  // It goes with its service.
  await db.schema.createIndex('retention_by_service').on('retention').columns(['service_sid']).execute()
  await db.schema
    .createIndex('conversations_closed')
    .on('conversations')
    .columns(['service_sid', 'date_state', 'sid'])
    .where(sql.ref('state'), '=', sql.lit('closed'))
    .execute()
  // Each message pays for it: as short as it can be.
  await db.schema.createIndex('messages_by_date').on('messages').columns(['service_sid', 'date_created']).execute()
  await db.schema.createIndex('media_by_date').on('media').columns(['service_sid', 'date_created', 'sid']).execute()
}
