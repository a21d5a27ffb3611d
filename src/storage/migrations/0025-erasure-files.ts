import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** Files that an erasure leaves are rows, and an erasure that has failed is tried again later. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter
  const text = postgres ? sql`text collate "C"` : ('text' as const)
  await db.schema
    .createTable('erasure_files')
    .addColumn('erasure_id', text, (c) => c.notNull())
    .addColumn('sha256', text, (c) => c.notNull())
    .addPrimaryKeyConstraint('erasure_files_key', ['erasure_id', 'sha256'])
    .execute()
  const elements = postgres
    ? sql`erasures cross join lateral json_array_elements_text(files::json) as element`
    : sql`erasures cross join json_each(files) as element`
  const value = postgres ? sql.ref('element') : sql.ref('element.value')
  await sql`insert into erasure_files (erasure_id, sha256) select distinct erasures.id, ${value} from ${elements}`.execute(db)
  await db.schema.alterTable('erasures').dropColumn('files').execute()
  await db.schema
    .alterTable('erasures')
    .addColumn('failures', 'bigint', (c) => c.notNull().defaultTo(0))
    .execute()
  await db.schema.alterTable('erasures').addColumn('date_retry', 'bigint').execute()
}
