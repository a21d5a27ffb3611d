import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** What a restricted API key may do. Keys from before may do everything. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const text = db.getExecutor().adapter instanceof PostgresAdapter ? sql`text collate "C"` : ('text' as const)
  await db.schema.alterTable('api_keys').addColumn('policy', text).execute()
}
