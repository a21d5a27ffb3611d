import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** What receivers have responded, with each delivery. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const text = db.getExecutor().adapter instanceof PostgresAdapter ? sql`text collate "C"` : ('text' as const)
  await db.schema.alterTable('deliveries').addColumn('responses', text).execute()
}
