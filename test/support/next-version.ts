import { sql } from 'kysely'
import type { Migration } from 'kysely/migration'
import { migrations } from '../../src/storage/migrations/index.ts'

/**
 * Makes this program the next version: `node --import` of this file adds migrations as a later release would. The program itself is
 * the version before.
 */
const additive: Migration = {
  async up(db) {
    // What the policy allows: columns that are null or have a default, tables, indexes, triggers.
    await sql`alter table conversations add column colour text`.execute(db)
    await sql`alter table messages add column weight bigint not null default 7`.execute(db)
    await sql`alter table deliveries add column priority bigint not null default 0`.execute(db)
    await sql`alter table participants add column pronouns text default 'none'`.execute(db)
    await sql`create table colours (sid text primary key, colour text not null)`.execute(db)
    await sql`create index conversations_by_colour on conversations (account_sid, colour)`.execute(db)
    // The next version writes what the version before does not know: every new conversation has a colour.
    await sql`
      create function colour_conversation() returns trigger language plpgsql as $$
      begin
        new.colour := coalesce(new.colour, 'blue');
        return new;
      end $$`.execute(db)
    await sql`create trigger colour before insert on conversations for each row execute function colour_conversation()`.execute(
      db,
    )
  },
}

const breaking: Migration = {
  up: (db) => sql`alter table conversations rename column friendly_name to title`.execute(db).then(() => {}),
}

const next: Readonly<Record<string, Migration>> =
  process.env.PARLEY_FAULT_NEXT_SCHEMA === 'breaking' ? { '9001-title': breaking } : { '9001-colours-additive': additive }
// Read-only for the program, which never adds to it while it runs.
Object.assign(migrations, next)
