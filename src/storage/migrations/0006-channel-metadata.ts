import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** A message keeps what its channel said about it: until now only its events did. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const text = db.getExecutor().adapter instanceof PostgresAdapter ? sql`text collate "C"` : ('text' as const)
  await db.schema.alterTable('messages').addColumn('channel_metadata', text).execute()
}
