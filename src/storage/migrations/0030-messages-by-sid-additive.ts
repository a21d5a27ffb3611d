import { type Kysely, PostgresAdapter, sql } from 'kysely'

/**
 * On SQLite the key of messages begins with the SID, so that new ones are next to each other in its index, whichever conversations they
 * are of. A key can only be changed by writing the table anew, with its indexes and triggers. Columns stay as they are: to an older program
 * nothing has changed.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  if (db.getExecutor().adapter instanceof PostgresAdapter) return
  const { rows } = await sql<{ type: string; sql: string }>`
    select type, sql from sqlite_master where tbl_name = 'messages' and sql is not null`.execute(db)
  const table = rows.find(({ type }) => type === 'table')
  const old = 'primary key ("conversation_sid", "sid", "service_sid")'
  if (!table?.sql.includes(old)) throw new Error(`the table "messages" does not have the key that is to be replaced: ${old}`)
  const columns = table.sql.slice(table.sql.indexOf('(')).replace(old, 'primary key ("sid", "conversation_sid", "service_sid")')

  await sql.raw(`create table messages_by_sid ${columns}`).execute(db)
  // In the order of the rows, lest reads by date or index go back and forth in the file.
  await sql`insert into messages_by_sid select * from messages order by rowid`.execute(db)
  await db.schema.dropTable('messages').execute()
  await sql`alter table messages_by_sid rename to messages`.execute(db)
  for (const made of rows) if (made !== table) await sql.raw(made.sql).execute(db)
}
