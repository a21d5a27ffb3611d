import type { Kysely } from 'kysely'

/** A field to count the edits by. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('conversations').addColumn('colour', 'text').execute()
}
