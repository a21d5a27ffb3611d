import { type Kysely, PostgresAdapter, sql } from 'kysely'

/**
 * What client SDKs keep a copy of is numbered: each conversation counts the changes of its messages and participants, each user
 * those of their memberships, and what is removed leaves a tombstone. A client that was away asks for what is newer than it has.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  for (const table of ['conversations', 'users']) await addCounter(db, table, 'last_event_id')
  for (const table of ['messages', 'participants']) {
    await addCounter(db, table, 'event_id')
    await addCounter(db, table, 'created_event_id')
  }
  await addCounter(db, 'participants', 'membership_event_id')
  await addCounter(db, 'participants', 'membership_created_event_id')
  // Gaps in the indexes of a conversation: with the last index it says how many messages there are.
  await addCounter(db, 'conversations', 'removed_messages')
  await sql`
    update conversations set removed_messages = last_message_index + 1 -
      (select count(*) from messages where conversation_sid = conversations.sid)
    where last_message_index >= 0`.execute(db)
  // New messages are found by their index: only those that have changed since need one by event.
  await db.schema
    .createIndex('messages_changed')
    .on('messages')
    .columns(['conversation_sid', 'event_id', 'sid'])
    .where(sql<boolean>`event_id > created_event_id`)
    .execute()
  await db.schema
    .createIndex('participants_memberships')
    .on('participants')
    .columns(['service_sid', 'user_sid', 'membership_event_id', 'sid'])
    .where(sql.ref('user_sid'), 'is not', null)
    .execute()
  await tombstones(db)
  await mutations(db)
}

async function addCounter(db: Kysely<unknown>, table: string, column: string): Promise<void> {
  await db.schema
    .alterTable(table)
    .addColumn(column, 'bigint', (c) => c.notNull().defaultTo(0))
    .execute()
}

/** A client that has lost the answer to a write sends it once more. */
async function mutations(db: Kysely<unknown>): Promise<void> {
  const text = textOf(db)
  await db.schema
    .createTable('mutations')
    .addColumn('service_sid', text, (c) => c.notNull())
    .addColumn('id', text, (c) => c.notNull())
    .addColumn('row_sid', text)
    .addColumn('date_created', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('mutations_key', ['service_sid', 'id'])
    .execute()
  await db.schema.createIndex('mutations_by_date').on('mutations').columns(['date_created']).execute()
}

function textOf(db: Kysely<unknown>) {
  return db.getExecutor().adapter instanceof PostgresAdapter ? sql`text collate "C"` : ('text' as const)
}

async function tombstones(db: Kysely<unknown>): Promise<void> {
  const text = textOf(db)
  await db.schema
    .createTable('tombstones')
    .addColumn('service_sid', text, (c) => c.notNull())
    .addColumn('object', text, (c) => c.notNull())
    .addColumn('event_id', 'bigint', (c) => c.notNull())
    .addColumn('created_event_id', 'bigint', (c) => c.notNull())
    .addColumn('id', text, (c) => c.notNull())
    .addColumn('item', text, (c) => c.notNull())
    .addColumn('date_created', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('tombstones_key', ['service_sid', 'object', 'event_id'])
    .execute()
  await db.schema.createIndex('tombstones_by_date').on('tombstones').columns(['date_created']).execute()
}
