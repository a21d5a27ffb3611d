import type { Kysely } from 'kysely'

/** A messaging service that was made for one account is refused in any other. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createIndex('accounts_by_messaging_service')
    .on('accounts')
    .columns(['default_messaging_service_sid', 'date_created'])
    .execute()
}
