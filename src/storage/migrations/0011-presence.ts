import { type Kysely, PostgresAdapter, sql } from 'kysely'

/**
 * Which users are connected, and to which node: a row for as long as they are. What is said of a user counts while the service has
 * reachability on without a break, which `reachability_epoch` tells.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const text = db.getExecutor().adapter instanceof PostgresAdapter ? sql`text collate "C"` : ('text' as const)
  await db.schema
    .createTable('presence')
    .addColumn('service_sid', text, (c) => c.notNull())
    .addColumn('user_sid', text, (c) => c.notNull())
    .addColumn('node', text, (c) => c.notNull())
    .addColumn('account_sid', text, (c) => c.notNull())
    .addPrimaryKeyConstraint('presence_key', ['service_sid', 'user_sid', 'node'])
    .execute()
  await db.schema.createIndex('presence_by_node').on('presence').columns(['node', 'user_sid']).execute()
  for (const table of ['services', 'users']) {
    await db.schema
      .alterTable(table)
      .addColumn('reachability_epoch', 'bigint', (c) => c.notNull().defaultTo(0))
      .execute()
  }
}
