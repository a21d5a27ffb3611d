import { type Kysely, PostgresAdapter, sql } from 'kysely'

/**
 * Mail is received and sent. A conversation is found by the tag in its mail address, a mailbox by its name in whatever case, and
 * addresses that have turned out not to exist get no more mail.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter
  const text = postgres ? sql`text collate "C"` : ('text' as const)
  await db.schema.alterTable('conversations').addColumn('email_tag', text).execute()
  // Those that have been shown keep theirs: it was the end of the SID.
  const shown = postgres ? sql`right(sid, 20)` : sql`substr(sid, -20)`
  await sql`update conversations set email_tag = lower(${shown}) where email_address is not null`.execute(db)
  await db.schema
    .createIndex('conversations_by_email_tag')
    .on('conversations')
    .columns(['email_tag'])
    .where(sql.ref('email_tag'), 'is not', null)
    .execute()
  await db.schema
    .createIndex('conversations_by_mailbox')
    .on('conversations')
    .expression(sql`lower(email_address)`)
    .where(sql.ref('email_address'), 'is not', null)
    .execute()
  await db.schema.createIndex('addresses_by_mailbox').on('addresses').expression(sql`lower(address), sid`).execute()
  await db.schema
    .createTable('mail_blocks')
    .addColumn('account_sid', text, (c) => c.notNull())
    .addColumn('address', text, (c) => c.notNull())
    .addColumn('error_code', 'bigint', (c) => c.notNull())
    .addColumn('reason', text, (c) => c.notNull())
    .addColumn('date_created', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('mail_blocks_key', ['account_sid', 'address'])
    .execute()
}
