import { readdirSync, readFileSync } from 'node:fs'
import Sqlite from 'better-sqlite3'
import { Kysely, PostgresDialect, SqliteDialect, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import { Pool } from 'pg'
import { expect, test } from 'vitest'
import { migrateSchema } from '../../src/copy/migrate.ts'
import { commandModule } from '../../src/installation/command-module.ts'
import { migrate, migrations } from '../../src/storage/migrations/index.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { engine, newDatabase, type TestDatabase } from '../support/databases.ts'

function connect({ config: { database } }: TestDatabase): Kysely<unknown> {
  return new Kysely({
    dialect:
      database.engine === 'postgres'
        ? new PostgresDialect({ pool: new Pool({ connectionString: database.url }) })
        : new SqliteDialect({ database: new Sqlite(database.file) }),
  })
}

/** Connects to a database, and gives it the schema that a version before this one had. */
async function migratedTo(database: TestDatabase, name: string): Promise<Kysely<unknown>> {
  const db = connect(database)
  const migrator = new Migrator({ db, provider: { getMigrations: async () => ({ ...migrations }) } })
  expect((await migrator.migrateTo(name)).error).toBeUndefined()
  return db
}

/** A line of the delivery log as the first schema had it. */
function delivery(id: string, target_sid: string, event_type: string, url: string, form: object) {
  const made = { account_sid: 'AC1', service_sid: 'IS1', subject_sid: 'CH1', slot: 0, method: 'POST', status: 'pending' }
  return {
    id,
    target_sid,
    event_type,
    url,
    form: JSON.stringify(form),
    idempotency_token: id,
    due: 1,
    attempts: '[]',
    date_created: 1,
    ...made,
  }
}

test('a delivery of the first schema gets its kind, its message and its participant', async () => {
  await using database = await newDatabase({ untouched: true })
  const db = await migratedTo(database, '0001-first')
  const form = { MessageSid: 'IM1', ParticipantSid: 'MB1' }
  for (const row of [
    delivery('WD1', 'AC1', 'onMessageAdded', 'https://example.com/hook', form),
    delivery('WD2', 'CN1', 'channelMessage', 'https://example.com/channel', form),
    delivery('WD3', 'loopback:', 'channelMessage', 'loopback:', form),
  ]) {
    const values = sql.join(Object.values(row).map((value) => sql.val(value)))
    await sql`insert into deliveries (${sql.join(Object.keys(row).map(sql.ref))}) values (${values})`.execute(db)
  }
  await migrate(db)
  const { rows } = await sql`
    select id, kind, target_sid, url, message_sid, participant_sid from deliveries order by id`.execute(db)
  expect(rows).toEqual([
    { id: 'WD1', kind: 'webhook', target_sid: 'AC1', url: 'https://example.com/hook', message_sid: null, participant_sid: null },
    {
      id: 'WD2',
      kind: 'message',
      target_sid: 'CN1',
      url: 'https://example.com/channel',
      message_sid: 'IM1',
      participant_sid: 'MB1',
    },
    { id: 'WD3', kind: 'loopback', target_sid: '', url: '', message_sid: 'IM1', participant_sid: 'MB1' },
  ])
  await db.destroy()
})

test('a conversation from before has been in its state since its last change', async () => {
  await using database = await newDatabase({ untouched: true })
  const db = await migratedTo(database, '0015-mail')
  await sql`insert into conversations
    (service_sid, sid, account_sid, messaging_service_sid, attributes, state, created_by, last_message_index, webhook_count,
      date_activity, date_created, date_updated, revision)
    values ('IS1', 'CH1', 'AC1', 'MG1', '{}', 'inactive', 'system', -1, 0, 1, 1, 7, 3)`.execute(db)
  await migrate(db)
  const { rows } = await sql<{ date_state: unknown }>`select date_state from conversations`.execute(db)
  expect(rows.map(({ date_state }) => Number(date_state))).toEqual([7])
  await db.destroy()
})

test('a mailbox of a conversation from before yields to the configurations that there are, and to no later one', async () => {
  await using database = await newDatabase({ untouched: true })
  const db = await migratedTo(database, '0016-state-changed')
  const conversation = (sid: string, mailbox: string | null) => sql`insert into conversations
    (service_sid, sid, account_sid, messaging_service_sid, attributes, state, created_by, last_message_index, webhook_count,
      date_activity, date_created, date_updated, revision, email_address)
    values ('IS1', ${sid}, 'AC1', 'MG1', '{}', 'active', 'system', -1, 0, 1, 1, 7, 3, ${mailbox})`
  await conversation('CH1', 'a@example.com').execute(db)
  await conversation('CH2', null).execute(db)
  await sql`insert into addresses (account_sid, sid, address, type, auto_creation, date_created, date_updated, revision)
    values ('AC2', 'IG1', 'a@example.com', 'email', '{}', 5, 6, 1)`.execute(db)
  await migrate(db)
  const { rows } = await sql<{ date_mailbox: unknown }>`select date_mailbox from conversations order by sid`.execute(db)
  expect(rows.map(({ date_mailbox }) => (date_mailbox === null ? null : Number(date_mailbox)))).toEqual([5, null])
  await db.destroy()
})

test('files that an erasure from before has left are deleted by it yet', async () => {
  await using database = await newDatabase({ untouched: true })
  const db = await migratedTo(database, '0020-retention')
  for (const [id, files] of [
    ['ER1', '["a","b","a"]'],
    ['ER2', '[]'],
  ]) {
    await sql`insert into erasures (id, account_sid, status, dry_run, messages, subject, subject_hash, pseudonym, requested_by, counts, files,
      date_created) values (${id}, 'AC1', 'running', 0, 'redact', 'identity', '', 'erased-1', 'console', '{}', ${files}, 1)`.execute(
      db,
    )
  }
  await migrate(db)
  const { rows } = await sql`select erasure_id, sha256 from erasure_files order by sha256`.execute(db)
  expect(rows).toEqual([
    { erasure_id: 'ER1', sha256: 'a' },
    { erasure_id: 'ER1', sha256: 'b' },
  ])
  await db.destroy()
})

async function insertMessage(db: Kysely<unknown>, [conversation, sid, index, body]: readonly [string, string, number, string]) {
  await sql`insert into messages (service_sid, conversation_sid, sid, account_sid, message_index, author, body, attributes, source,
    date_created, date_updated, revision, event_id, created_event_id) values ('IS1', ${conversation}, ${sid}, 'AC1', ${index}, 'a',
    ${body}, '{}', 'API', 5, 6, 1, 3, 2)`.execute(db)
}

test.runIf(engine === 'sqlite')('messages from before have their SID first in their key; nothing else has changed', async () => {
  await using database = await newDatabase({ untouched: true })
  const db = await migratedTo(database, '0029-lists-by-state-additive')
  for (const [conversation, sid, index] of [
    ['CH2', 'IM1', 0],
    ['CH1', 'IM3', 0],
    ['CH2', 'IM2', 1],
  ] as const) {
    await insertMessage(db, [conversation, sid, index, `words of ${sid}`])
    await sql`insert into search_documents (id, service_sid, sid, account_sid, conversation_sid, words)
      values (${Number(sid.slice(2))}, 'IS1', ${sid}, 'AC1', ${conversation}, 'words')`.execute(db)
  }
  const schema = async () =>
    (
      await sql<{ name: string; sql: string | null }>`
        select name, sql from sqlite_master where tbl_name = 'messages' order by name`.execute(db)
    ).rows.map(({ name, sql }) => [name, sql?.replaceAll(/\s+/g, ' ')])
  const stored = async () => (await sql`select rowid, * from messages order by rowid`.execute(db)).rows
  const [definitions, messages] = [await schema(), await stored()]
  await migrate(db)
  expect(await stored()).toEqual(messages)
  const keyed = (key: string) =>
    definitions.map(([name, text]) => [name, text?.replace(/primary key \(.*?\)/, `primary key (${key})`)])
  expect(await schema()).toEqual(keyed('"sid", "conversation_sid", "service_sid"'))
  // Triggers work on the new table.
  await sql`update messages set body = 'others' where sid = 'IM2'`.execute(db)
  await sql`delete from messages where sid = 'IM3'`.execute(db)
  expect((await sql`select sid from search_documents`.execute(db)).rows).toEqual([{ sid: 'IM1' }])
  await db.destroy()
})

test.runIf(engine === 'sqlite')('texts that a migration has moved are nowhere else in the file', async () => {
  await using database = await newDatabase({ untouched: true })
  const db = await migratedTo(database, '0029-lists-by-state-additive')
  await sql`pragma secure_delete = on`.execute(db)
  const count = 100
  for (let i = 0; i < count; i++) await insertMessage(db, ['CH1', `IM${i}`, i, `once ${'and again '.repeat(20)}`])
  await db.destroy()
  const location = database.config.database
  if (location.engine !== 'sqlite') throw new Error('not on this engine')
  await migrateSchema(location)
  expect(readFileSync(location.file, 'latin1').split('once and').length - 1).toBe(count)
})

test('a schema to which a newer version has only added is left as it is; any other is refused', async () => {
  await using database = await newDatabase()
  const db = connect(database)
  const apply = (name: string) => sql`insert into kysely_migration (name, timestamp) values (${name}, '2027-01-01')`.execute(db)
  const forget = (name: string) => sql`delete from kysely_migration where name = ${name}`.execute(db)
  await migrate(db)
  await apply('9001-colours-additive')
  await migrate(db)
  // Started as a whole, too: each engine looks by itself whether there is something to do.
  await (await openDatabase(database.config.database, { ...commandModule, failed: () => {} })).close()
  const [last = ''] = Object.keys(migrations).slice(-1)
  // What this version lacks itself cannot be applied behind what it does not know.
  await forget(last)
  await expect(migrate(db)).rejects.toThrow('made by a newer Parley (schema 9001-colours-additive)')
  await apply(last)
  await apply('9002-title')
  await expect(migrate(db)).rejects.toThrow('made by a newer Parley (schema 9001-colours-additive, 9002-title)')
  await db.destroy()
})

test('migrations are numbered one after the other, and every file is one', () => {
  const files = readdirSync(new URL('../../src/storage/migrations/', import.meta.url)).filter((name) => name !== 'index.ts')
  expect(files.toSorted().map((name) => name.slice(0, -'.ts'.length))).toEqual(Object.keys(migrations))
  const numbers = Object.keys(migrations).map((name) => Number(name.slice(0, 4)))
  expect(numbers).toEqual(numbers.map((_, i) => i + 1))
})
