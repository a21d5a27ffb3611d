import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** The tables whose rows are found, and the columns that their documents are made of. */
const searched = {
  conversations: ['friendly_name', 'unique_name', 'email_address'],
  participants: ['identity', 'address', 'address_as_given', 'binding_name'],
  users: ['identity', 'friendly_name'],
  messages: ['body', 'subject'],
} as const

/**
 * The words by which rows are found, a document for each. They are written beside the row; that they go with it, whatever deletes it
 * or changes its text, is up to the schema.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter
  const text = postgres ? sql`text collate "C"` : 'text'
  if (postgres) await sql`create sequence search_documents_id`.execute(db)
  await db.schema
    .createTable('search_documents')
    .addColumn('id', postgres ? 'bigint' : 'integer', (c) =>
      postgres ? c.notNull().defaultTo(sql`nextval('search_documents_id')`) : c.primaryKey(),
    )
    .addColumn('service_sid', text, (c) => c.notNull())
    .addColumn('sid', text, (c) => c.notNull())
    .addColumn('account_sid', text, (c) => c.notNull())
    .addColumn('conversation_sid', text)
    .addColumn('words', postgres ? sql`tsvector` : 'text', (c) => c.notNull())
    .addUniqueConstraint('search_documents_key', ['service_sid', 'sid'])
    .execute()
  // How far the documents of rows from before have been written, by table.
  await db.schema
    .createTable('search_progress')
    .addColumn('name', text, (c) => c.primaryKey())
    .addColumn('place', text)
    .execute()
  await (postgres ? onPostgres(db) : onSqlite(db))
}

async function onSqlite(db: Kysely<unknown>): Promise<void> {
  // Words are whole tokens already: this tokenizer splits at spaces alone. The text is where it is stored anyway, in the documents.
  // Nothing is ranked: how long each is need not be stored.
  await sql`create virtual table search_words using fts5(
    words, content = 'search_documents', content_rowid = 'id', tokenize = 'ascii', detail = 'none', columnsize = 0)`.execute(db)
  // What is deleted is overwritten in the index, not only marked.
  await sql`insert into search_words (search_words, rank) values ('secure-delete', 1)`.execute(db)
  // Each commit adds a part to the index: merged later, they cost a write less.
  await sql`insert into search_words (search_words, rank) values ('automerge', 8)`.execute(db)
  // Documents of the transaction in progress, which are added to the index right before its commit (`BatchRunner`), all at once: FTS5
  // writes out what it has in memory before each statement that may be undone, which would be a part for each document.
  await sql`create table search_waiting (id integer primary key)`.execute(db)
  await sql`create trigger search_documents_added after insert on search_documents begin
    insert or ignore into search_waiting (id) values (new.id); end`.execute(db)
  await sql`create trigger search_documents_removed after delete on search_documents
    when not exists (select 1 from search_waiting where id = old.id) begin
    insert into search_words (search_words, rowid, words) values ('delete', old.id, old.words); end`.execute(db)
  const forget = sql`delete from search_documents where service_sid = old.service_sid and sid = old.sid`
  for (const [table, columns] of Object.entries(searched)) {
    const differs = sql.join(
      columns.map((column) => sql`old.${sql.ref(column)} is not new.${sql.ref(column)}`),
      sql` or `,
    )
    await sql`create trigger ${sql.ref(`${table}_deleted_search`)} after delete on ${sql.table(table)}
      begin ${forget}; end`.execute(db)
    await sql`create trigger ${sql.ref(`${table}_changed_search`)} after update of ${sql.join(columns.map((c) => sql.ref(c)))}
      on ${sql.table(table)} when ${differs} begin ${forget}; end`.execute(db)
  }
}

async function onPostgres(db: Kysely<unknown>): Promise<void> {
  // The pending list is read by every search.
  await sql`create index search_documents_by_word on search_documents using gin (words)
    with (fastupdate = on, gin_pending_list_limit = 256)`.execute(db)
  await db.schema.createIndex('search_documents_by_id').on('search_documents').columns(['id']).execute()
  await sql`create function forget_search_documents() returns trigger language plpgsql as $$
    begin
      delete from search_documents where service_sid = old.service_sid and sid = old.sid;
      return null;
    end $$`.execute(db)
  for (const [table, columns] of Object.entries(searched)) {
    const differs = sql.join(
      columns.map((column) => sql`old.${sql.ref(column)} is distinct from new.${sql.ref(column)}`),
      sql` or `,
    )
    await sql`create trigger ${sql.ref(`${table}_deleted_search`)} after delete on ${sql.table(table)}
      for each row execute function forget_search_documents()`.execute(db)
    await sql`create trigger ${sql.ref(`${table}_changed_search`)} after update of ${sql.join(columns.map((c) => sql.ref(c)))}
      on ${sql.table(table)} for each row when (${differs}) execute function forget_search_documents()`.execute(db)
  }
}
