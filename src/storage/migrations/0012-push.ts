import type { Kysely } from 'kysely'

/** Devices register themselves: each is one binding of its service, and those that have not been seen for a year are removed. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createIndex('bindings_by_device')
    .unique()
    .on('bindings')
    .columns(['service_sid', 'endpoint', 'binding_type'])
    .execute()
  await db.schema.createIndex('bindings_by_update').on('bindings').columns(['date_updated']).execute()
}
