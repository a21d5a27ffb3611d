import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** Who changed a message last: client SDKs show it. Of what was changed before, nobody knows. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const text = db.getExecutor().adapter instanceof PostgresAdapter ? sql`text collate "C"` : ('text' as const)
  await db.schema.alterTable('messages').addColumn('last_updated_by', text).execute()
}
