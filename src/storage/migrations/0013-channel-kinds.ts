import { type Kysely, PostgresAdapter, sql } from 'kysely'

/**
 * A channel is of a kind that has settings: until now each was an endpoint with a URL. And messages are known by what their carrier
 * calls them, so that one that comes twice is received once and a status finds its receipt.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter
  const text = postgres ? sql`text collate "C"` : ('text' as const)
  await db.schema
    .alterTable('channels')
    .addColumn('kind', text, (c) => c.notNull().defaultTo('webhook'))
    .execute()
  await db.schema
    .alterTable('channels')
    .addColumn('settings', text, (c) => c.notNull().defaultTo('{}'))
    .execute()
  await (postgres
    ? sql`update channels set settings = json_build_object('url', url)::text`.execute(db)
    : sql`update channels set settings = json_object('url', url)`.execute(db))
  await db.schema.alterTable('channels').dropColumn('url').execute()
  // Providers call a channel by its SID alone.
  await db.schema.createIndex('channels_by_sid').unique().on('channels').columns(['sid']).execute()

  // Some kinds listen.
  await db.schema.createIndex('channels_by_kind').on('channels').columns(['kind']).execute()

  await db.schema
    .createTable('external_ids')
    .addColumn('id', text, (c) => c.notNull())
    .addColumn('account_sid', text, (c) => c.notNull())
    .addColumn('channel', text, (c) => c.notNull())
    .addColumn('external_id', text, (c) => c.notNull())
    .addColumn('direction', text, (c) => c.notNull())
    .addColumn('service_sid', text)
    .addColumn('conversation_sid', text)
    .addColumn('participant_sid', text)
    .addColumn('message_sid', text)
    .addColumn('message_index', 'bigint')
    .addColumn('channel_message_sid', text)
    .addColumn('early', text)
    .addColumn('date_created', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('external_ids_key', ['id'])
    .execute()
  await db.schema.createIndex('external_ids_of_account').on('external_ids').columns(['account_sid', 'external_id']).execute()
  await db.schema
    .createIndex('external_ids_of_conversation')
    .on('external_ids')
    .columns(['conversation_sid', 'direction', 'message_index'])
    .execute()
  await db.schema.createIndex('external_ids_by_date').on('external_ids').columns(['date_created']).execute()
  await db.schema
    .createIndex('external_ids_early')
    .on('external_ids')
    .columns(['date_created'])
    .where(sql.ref('early'), 'is not', null)
    .execute()
}
