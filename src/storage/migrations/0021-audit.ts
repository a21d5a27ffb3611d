import { type Kysely, PostgresAdapter, sql } from 'kysely'

/**
 * What operators have done, as a chain of hashes with signed checkpoints. Rows are only added: triggers refuse to change one, and to
 * delete one that no anchor stands for. That prevents slips; whoever owns the database can drop them.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter
  const text = postgres ? sql`text collate "C"` : ('text' as const)
  await db.schema
    .createTable('audit_entries')
    .addColumn('id', text, (c) => c.primaryKey())
    .addColumn('seq', 'bigint', (c) => c.notNull().unique())
    .addColumn('at', 'bigint', (c) => c.notNull())
    .addColumn('actor_type', text, (c) => c.notNull())
    .addColumn('actor_id', text, (c) => c.notNull())
    .addColumn('actor_name', text, (c) => c.notNull())
    .addColumn('address', text)
    .addColumn('agent', text)
    .addColumn('interface', text, (c) => c.notNull())
    .addColumn('action', text, (c) => c.notNull())
    .addColumn('target_type', text)
    .addColumn('target_sid', text)
    .addColumn('account_sid', text)
    .addColumn('outcome', text, (c) => c.notNull())
    .addColumn('code', 'bigint')
    .addColumn('before', text)
    .addColumn('after', text)
    .addColumn('count', 'bigint', (c) => c.notNull())
    .addColumn('request_id', text)
    .addColumn('node', text, (c) => c.notNull())
    .addColumn('version', text, (c) => c.notNull())
    .addColumn('hash', text, (c) => c.notNull())
    .execute()
  // Entries are few: each of the usual questions has its index.
  for (const column of ['account_sid', 'actor_id', 'action', 'target_sid', 'at']) {
    await db.schema.createIndex(`audit_entries_by_${column}`).on('audit_entries').columns([column, 'seq']).execute()
  }
  await db.schema
    .createTable('audit_checkpoints')
    .addColumn('id', text, (c) => c.primaryKey())
    .addColumn('seq', 'bigint', (c) => c.notNull())
    .addColumn('hash', text, (c) => c.notNull())
    .addColumn('at', 'bigint', (c) => c.notNull())
    .addColumn('note', text, (c) => c.notNull())
    .execute()
  await db.schema
    .createTable('audit_head')
    .addColumn('name', text, (c) => c.primaryKey())
    .addColumn('seq', 'bigint', (c) => c.notNull())
    .addColumn('hash', text, (c) => c.notNull())
    .addColumn('removed_seq', 'bigint', (c) => c.notNull())
    .addColumn('removed_hash', text, (c) => c.notNull())
    .addColumn('anchor', text)
    .execute()
  await (postgres ? onPostgres(db) : onSqlite(db))
}

const tables = ['audit_entries', 'audit_checkpoints'] as const
const removedUpTo = sql`coalesce((select removed_seq from audit_head where name = 'head'), 0)`

async function onSqlite(db: Kysely<unknown>): Promise<void> {
  for (const table of tables) {
    await sql`create trigger ${sql.ref(`${table}_unchanged`)} before update on ${sql.table(table)}
      begin select raise(abort, 'the audit log is only added to'); end`.execute(db)
    await sql`create trigger ${sql.ref(`${table}_kept`)} before delete on ${sql.table(table)}
      when old.seq > ${removedUpTo} begin select raise(abort, 'the audit log is only added to'); end`.execute(db)
  }
}

async function onPostgres(db: Kysely<unknown>): Promise<void> {
  await sql`create function audit_only_added() returns trigger language plpgsql as $$
    begin
      if tg_op = 'DELETE' then
        if old.seq <= ${removedUpTo} then return old; end if;
      end if;
      raise exception 'the audit log is only added to';
    end $$`.execute(db)
  for (const table of tables) {
    await sql`create trigger ${sql.ref(`${table}_only_added`)} before update or delete on ${sql.table(table)}
      for each row execute function audit_only_added()`.execute(db)
    await sql`create trigger ${sql.ref(`${table}_not_emptied`)} before truncate on ${sql.table(table)}
      for each statement execute function audit_only_added()`.execute(db)
  }
}
