import { type Kysely, sql } from 'kysely'

/**
 * When a conversation came to be in its state: client SDKs compare it to find out whether the state has changed. Of conversations from
 * before, the last change of any kind is what they have been shown.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('conversations')
    .addColumn('date_state', 'bigint', (c) => c.notNull().defaultTo(0))
    .execute()
  await sql`update conversations set date_state = date_updated`.execute(db)
}
