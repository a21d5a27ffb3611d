import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** What a mail participant is called, and how it is addressed. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const text = db.getExecutor().adapter instanceof PostgresAdapter ? sql`text collate "C"` : ('text' as const)
  await db.schema.alterTable('participants').addColumn('binding_level', text).execute()
  await db.schema.alterTable('participants').addColumn('binding_name', text).execute()
  await db.schema.alterTable('participants').addColumn('address_as_given', text).execute()
}
