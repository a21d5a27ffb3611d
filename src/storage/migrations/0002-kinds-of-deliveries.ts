import { type Kysely, PostgresAdapter, sql } from 'kysely'

/** A delivery says in columns of its own what it is about: until now its url and its form did. */
export async function up(db: Kysely<unknown>): Promise<void> {
  const postgres = db.getExecutor().adapter instanceof PostgresAdapter
  const text = postgres ? sql`text collate "C"` : ('text' as const)
  const form = postgres ? sql`form::json` : sql`form`
  await db.schema
    .alterTable('deliveries')
    .addColumn('kind', text, (c) => c.notNull().defaultTo('webhook'))
    .execute()
  await db.schema.alterTable('deliveries').addColumn('message_sid', text).execute()
  await db.schema.alterTable('deliveries').addColumn('participant_sid', text).execute()
  await sql`
    update deliveries set
      kind = case when url = 'loopback:' then 'loopback' else 'message' end,
      message_sid = ${form} ->> 'MessageSid',
      participant_sid = ${form} ->> 'ParticipantSid',
      target_sid = case when url = 'loopback:' then '' else target_sid end,
      url = case when url = 'loopback:' then '' else url end
    where event_type = 'channelMessage'`.execute(db)
}
