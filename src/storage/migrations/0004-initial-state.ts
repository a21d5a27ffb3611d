import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** A conversation that is being set up keeps the state that it will start in. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const text = db.getExecutor().adapter instanceof PostgresAdapter ? sql`text collate "C"` : ('text' as const)
  await db.schema.alterTable('conversations').addColumn('initial_state', text).execute()
}
