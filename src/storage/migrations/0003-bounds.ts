import { type Kysely, PostgresAdapter, sql } from 'kysely'

/**
 * Indexes and columns by which the cost of a request depends on its page, or on what it changes, and not on what else is stored.
 * `deliveries_by_status` aside, every index leads with the service or the account.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await lists(db)
  await memberships(db)
  await roles(db)
  await deliveries(db)
}

/** Filters of lists that had to be checked row by row. */
async function lists(db: Kysely<unknown>): Promise<void> {
  // In place of an index by date alone: a page of all states is merged from a page of each.
  await db.schema.dropIndex('conversations_by_date').execute()
  await db.schema
    .createIndex('conversations_by_state_and_date')
    .on('conversations')
    .columns(['service_sid', 'state', 'date_created', 'sid'])
    .execute()
  await db.schema
    .createIndex('addresses_by_type')
    .on('addresses')
    .columns(['account_sid', 'type', 'date_created', 'sid'])
    .execute()
  await db.schema
    .createIndex('bindings_by_type')
    .on('bindings')
    .columns(['service_sid', 'binding_type', 'date_created', 'sid'])
    .execute()
  await db.schema
    .createIndex('bindings_by_identity')
    .on('bindings')
    .columns(['service_sid', 'identity', 'date_created', 'sid'])
    .execute()
}

/** Somebody's memberships: those in open conversations are few; those in closed ones keep the order that they have for good. */
async function memberships(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('participants').addColumn('closed_activity', 'bigint').execute()
  await sql`
    update participants set closed_activity = coalesce(
      (select date_activity from conversations as c where c.service_sid = participants.service_sid and c.sid = conversation_sid),
      date_created)
    where open = 0`.execute(db)
  await db.schema
    .createIndex('participants_closed_of_user')
    .on('participants')
    .columns(['service_sid', 'user_sid', 'closed_activity', 'sid'])
    .where(sql.ref('open'), '=', sql.lit(0))
    .where(sql.ref('user_sid'), 'is not', null)
    .execute()
  // With the sid, which breaks ties: the order of ParticipantConversations.
  for (const [name, column] of [
    ['participants_of_user', 'identity'],
    ['participants_by_address', 'address'],
  ] as const) {
    await db.schema.dropIndex(name).execute()
    await db.schema
      .createIndex(name)
      .on('participants')
      .columns(['service_sid', column, 'conversation_sid', 'sid'])
      .where(sql.ref(column), 'is not', null)
      .execute()
  }
  // Of the user that a removal is about only the SID is left.
  await db.schema.alterTable('removals').addColumn('service_sid', textOf(db)).execute()
}

/** Who has a role that is deleted, and which role they have then. */
async function roles(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createIndex('participants_by_role')
    .on('participants')
    .columns(['service_sid', 'role_sid'])
    .where(sql.ref('role_sid'), 'is not', null)
    .execute()
  await db.schema.createIndex('users_by_role').on('users').columns(['service_sid', 'role_sid']).execute()
  await db.schema
    .alterTable('services')
    .addColumn('replaced_roles', textOf(db), (c) => c.notNull().defaultTo('{}'))
    .execute()
}

/** The operator's log by status. In place of an index by id alone, which could only be walked past all others. */
async function deliveries(db: Kysely<unknown>): Promise<void> {
  await db.schema.createIndex('deliveries_by_status').on('deliveries').columns(['status', 'id']).execute()
  await db.schema.dropIndex('deliveries_by_id').execute()
}

function textOf(db: Kysely<unknown>) {
  return db.getExecutor().adapter instanceof PostgresAdapter ? sql`text collate "C"` : 'text'
}
