import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** Documents of which the index is made at once; that of more is made while the database is in use (`postgres/segment-index.ts`). */
const few = 10_000

/**
 * Words by segments, on PostgreSQL: of 16,384 consecutive documents each. A GIN index tells neither which of the documents with a word
 * are the latest, nor less than all of them; here each word is indexed together with the number of its document's segment, so that
 * segments are asked one by one, from the latest on, until a page is full. In a query, U+E002 stands where the segment comes.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  if (!(db.getExecutor().adapter instanceof PostgresAdapter)) return
  // Words have no quotes in them: text is replaced in a fraction of the time that arrays take.
  await sql`create function search_segment_words(id bigint, words tsvector) returns tsvector
    language sql immutable parallel safe
    as $$ select replace(' ' || words::text, ' ''', ' ''' || to_hex(id >> 14) || ':')::tsvector $$`.execute(db)
  // As search_by_words was: bitmap scans are off in sessions of the server. The id is an expression, lest the bitmap of all ids be made as well.
  await sql`create function search_by_word_index(query tsquery, before bigint, most integer)
    returns table (id bigint, service_sid text, sid text, account_sid text, conversation_sid text)
    language sql stable rows 1000
    set enable_bitmapscan = on set enable_seqscan = off set enable_indexscan = off
    as $$
      select d.id, d.service_sid, d.sid, d.account_sid, d.conversation_sid
      from search_documents as d where d.words @@ query and d.id + 0 < before limit most
    $$`.execute(db)
  // Returns at most so many rows, the latest first; then, where it has not come to the oldest segment for want of "segments", a row
  // without a SID, whose id is the lowest that was looked at. Until the index is there it takes the one of words alone, and where that
  // leads to too many rows, looks at all documents of two segments.
  await sql`create function search_segments(
      query text, before bigint, most bigint, newest bigint, oldest bigint, segments bigint)
    returns table (id bigint, service_sid text, sid text, account_sid text, conversation_sid text)
    language plpgsql stable strict rows 1000
    set enable_bitmapscan = on set enable_seqscan = off set enable_indexscan = off
    as $$
      declare
        mark constant text := chr(57346);
        plain constant tsquery := replace(query, mark, '')::tsquery;
        ready constant boolean := exists (select from pg_catalog.pg_index as i
          where i.indexrelid = to_regclass('search_documents_by_segment') and i.indisvalid);
        sorted constant integer := 20000;
        segment bigint := newest;
        remaining bigint := most;
        found bigint;
      begin
        if not ready then
          segments := least(segments, 2);
          if to_regclass('search_documents_by_word') is not null then
            select count(*) into found from search_by_word_index(plain, before, sorted);
            if found < sorted then
              return query select * from search_by_word_index(plain, before, sorted) as d order by d.id desc limit most;
              return;
            end if;
          end if;
        end if;
        while segment >= oldest and segment > newest - segments loop
          if ready then
            return query select d.id, d.service_sid, d.sid, d.account_sid, d.conversation_sid from search_documents as d
              where search_segment_words(d.id, d.words) @@ replace(query, mark, to_hex(segment) || ':')::tsquery
                and d.id + 0 < before
              order by d.id desc limit remaining;
          else
            return query select d.id, d.service_sid, d.sid, d.account_sid, d.conversation_sid from search_documents as d
              where d.id >= segment << 14 and d.id < least(before, (segment + 1) << 14) and (d.words @@ plain) is true
              order by d.id desc limit remaining;
          end if;
          get diagnostics found = row_count;
          remaining := remaining - found;
          if remaining <= 0 then return; end if;
          segment := segment - 1;
        end loop;
        if segment >= oldest then
          return query select (segment + 1) << 14, null::text, null::text, null::text, null::text;
        end if;
      end $$`.execute(db)
  // For nodes of an older version, when the index of words alone is gone.
  await sql`create or replace function search_by_words(query tsquery, before bigint, most integer)
    returns table (id bigint, service_sid text, sid text, account_sid text, conversation_sid text)
    language plpgsql stable rows 1000
    as $$
      begin
        if to_regclass('search_documents_by_word') is not null then
          return query select * from search_by_word_index(query, before, most);
        else
          return query select s.* from
            (select max(d.id) >> 14 as newest, min(d.id) >> 14 as oldest from search_documents as d) as e
            cross join lateral search_segments(
              regexp_replace(query::text, '''([^'']+)''', '''' || chr(57346) || '\\1''', 'g'), before, most, e.newest, e.oldest, 1000000) as s
            where s.sid is not null;
        end if;
      end $$`.execute(db)
  const { rows } = await sql`select from search_documents limit ${sql.lit(few)}`.execute(db)
  if (rows.length === few) return
  await sql`create index search_documents_by_segment on search_documents using gin (search_segment_words(id, words))
    with (fastupdate = on, gin_pending_list_limit = 128)`.execute(db)
  await sql`drop index search_documents_by_word`.execute(db)
}
