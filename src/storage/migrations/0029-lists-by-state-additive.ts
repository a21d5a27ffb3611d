import { type Kysely, PostgresAdapter } from 'kysely'

/**
 * On SQLite a list of conversations in all states is merged from one of each state, and needs no index of its own (`../merged.ts`). An older
 * program finds the same rows without it: it sorts those of the service.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  if (db.getExecutor().adapter instanceof PostgresAdapter) return
  await db.schema.dropIndex('conversations_by_activity').execute()
}
