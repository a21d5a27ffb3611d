import { type Kysely, sql } from 'kysely'

/** Uploads that no message has taken expire, and an account may have a quota. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createIndex('media_unused')
    .on('media')
    .columns(['date_created'])
    .where(sql.ref('message_sid'), 'is', null)
    .execute()
  await db.schema.createIndex('media_of_account').on('media').columns(['account_sid', 'size']).execute()
}
