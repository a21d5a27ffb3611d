import { type Kysely, sql } from 'kysely'

/**
 * Since when a conversation has its mailbox: of several accounts the first one has it. Those from before yield to the address
 * configurations that there are, as they did, and to no later ones.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('conversations').addColumn('date_mailbox', 'bigint').execute()
  await sql`update conversations set date_mailbox = coalesce((select max(date_created) from addresses), date_created)
    where email_address is not null`.execute(db)
  await db.schema.dropIndex('conversations_by_mailbox').execute()
  await db.schema
    .createIndex('conversations_by_mailbox')
    .on('conversations')
    .expression(sql`lower(email_address), date_mailbox, sid`)
    .where(sql.ref('email_address'), 'is not', null)
    .execute()
}
