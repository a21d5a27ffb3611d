import { type Kysely, PostgresAdapter, sql } from 'kysely'

/**
 * Documents by their words, on PostgreSQL. A GIN index is read by bitmap scans alone, which are off in the sessions of the server
 * (`postgres/connection.ts`), so that every search would read the table from its one end to the other. Here they are all that is on. The id is an
 * expression, lest the bitmap of all ids be made as well.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  if (!(db.getExecutor().adapter instanceof PostgresAdapter)) return
  await sql`create function search_by_words(query tsquery, before bigint, most integer)
    returns table (id bigint, service_sid text, sid text, account_sid text, conversation_sid text)
    language sql stable rows 1000
    set enable_bitmapscan = on set enable_seqscan = off set enable_indexscan = off
    as $$
      select d.id, d.service_sid, d.sid, d.account_sid, d.conversation_sid
      from search_documents as d where d.words @@ query and d.id + 0 < before limit most
    $$`.execute(db)
}
