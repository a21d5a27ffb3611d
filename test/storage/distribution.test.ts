import { once } from 'node:events'
import Sqlite from 'better-sqlite3'
import { Kysely, SqliteDialect } from 'kysely'
import pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import WebSocket from 'ws'
import { formatFrame } from '../../src/client/frames.ts'
import { migrate } from '../../src/storage/migrations/index.ts'
import type { Table } from '../../src/storage/rows.ts'
import { inspect, newDatabase, type TestDatabase } from '../support/databases.ts'
import { secretKey } from '../support/file-server.ts'
import { postgresOnly } from '../support/only.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { tour } from '../support/tour.ts'

/** Tables whose rows lie where their service does (docs/decisions/0012); all others would be copied to every machine. */
const distributed = [
  'conversations',
  'participants',
  'messages',
  'receipts',
  'conversation_webhooks',
  'users',
  'roles',
  'bindings',
  'media',
  'deliveries',
  'tombstones',
  'mutations',
  'presence',
] as const satisfies readonly Table[]

/** Indexes that lead with neither the service nor the conversation, each with its reason. */
const other_leads: Readonly<Record<string, string>> = {
  conversations_by_email_tag: 'the tag in the address of a mail is all that it says',
  conversations_by_mailbox: 'a mail says which mailbox it is for, and nothing else',
  conversations_by_due: 'the sweep asks for the earliest deadline of all',
  deliveries_pending: 'the delivery loop asks for what is pending in a slot',
  deliveries_by_status: "the operator's log and the removal of its old end ask for all services at once",
  deliveries_by_subject: 'the subject is the conversation, or the user',
  receipts_by_channel_message: 'a channel knows its own sid only',
  media_by_hash: 'the same bytes are one file, whichever services have them',
  media_of_account: 'the quota of an account',
  media_unused: 'uploads that have expired',
  bindings_by_credential: 'credentials belong to the account',
  bindings_by_update: 'the removal of old ones asks for all services at once',
  mutations_by_date: 'the removal of old ones asks for all services at once',
  presence_by_node: 'a node that has died leaves users of all services',
  tombstones_by_date: 'the removal of old ones asks for all services at once',
  participants_open_pairs: 'a pair of addresses is in one open conversation of the account',
  participants_open_groups: 'a group MMS is compared with those of the account',
}

/** The one rule about several services at once that an index keeps. It cannot be kept so on several machines. */
const account_wide = 'participants_open_pairs'

/** Queries that ask all shards, by what only they say, and who asks them. Everything else goes to one. */
const fan_outs: readonly (readonly [text: RegExp, why: string])[] = [
  [/"next_due" (<=|is not null)/, 'the sweep'],
  [/"status" = 'pending' and "slot" = /, 'the delivery loop looks for its slots'],
  [/delete from "deliveries" where "status" = \S+ and "id" in/, 'the old end of the delivery log'],
  [/delete from "(?:tombstones|mutations)" where "date_created" /, 'what is old'],
  [/from "presence" where "node" /, 'who is connected to a node'],
  [/from "receipts" where "channel_message_sid" = /, 'a report of a channel'],
  [/from "media" where "sha256" = /, 'whether a file is still in use'],
  [/from "media" where "message_sid" is null/, 'uploads that have expired'],
  [/"url" from "(?:conversation_webhooks|deliveries)" where \(/, 'URLs stored before credentials in them were sealed'],
  [/from "(?:conversations|participants|users|messages)" where \((?:"\w+_sid", )+"sid"/, 'rows from before the search index'],
  [/"bindings" where "credential_sid" = /, 'the end of a credential'],
  [/"bindings" where "date_updated" < /, 'devices that have not been seen for long'],
  [/from "participants" where "account_sid" = \S+ and "address" = /, 'address pairs and groups of the account'],
  [/from "deliveries" where (?:.* and )?"id" (=|<) /, "the operator's log"],
  [
    /^(?:select (?:"sid"|\*) from "\w+" where "conversation_sid" = \S+ limit|delete from "\w+" where "conversation_sid" = \S+ and "sid" in )/,
    'what a conversation left behind',
  ],
]

const shards = 4

/**
 * As Citus would have the tables, in one database: PostgreSQL's own partitions stand in for shards. It too refuses what is unique
 * without the column it distributes by.
 */
function sharded(table: string): string {
  const parts = Array.from({ length: shards }, (_, i) => i)
  return [
    `alter table ${table} rename to whole`,
    `create table ${table} (like whole including all) partition by hash (service_sid)`,
    ...parts.map((i) => `create table ${table}_${i} partition of ${table} for values with (modulus ${shards}, remainder ${i})`),
    'drop table whole',
  ].join(';')
}

interface Sent {
  readonly text: string
  readonly values: readonly unknown[]
}

postgresOnly('distributed by service', () => {
  let database: TestDatabase
  let indexes: { name: string; table: string; is_unique: boolean; columns: (string | null)[] }[]
  /** Every statement that the tour sent, by its text. */
  const sent = new Map<string, Sent>()

  beforeAll(async () => {
    database = await newDatabase()
    await using inside = inspect(database.config)
    indexes = (await inside.query(
      `select c.relname as name, t.relname as table, i.indisunique as is_unique,
         (select json_agg(a.attname order by k.n) from unnest(i.indkey) with ordinality as k(attnum, n)
          left join pg_attribute a on a.attrelid = t.oid and a.attnum = k.attnum) as columns
       from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
       where t.relname in (${distributed.map((table) => `'${table}'`)})`,
    )) as typeof indexes
    await inside.query(`drop index ${account_wide}`)
    for (const table of distributed) await inside.query(sharded(table))
    await recordTour(database, sent)
  }, 120_000)

  afterAll(() => database.dispose())

  test('what is unique in a distributed table holds the service, but for one rule of the account', () => {
    const without = indexes.filter(({ is_unique, columns }) => is_unique && !columns.includes('service_sid'))
    expect(without.map(({ name }) => name)).toEqual([account_wide])
    const keyed = new Set(indexes.filter(({ is_unique }) => is_unique).map(({ table }) => table))
    expect([...keyed].sort()).toEqual([...distributed].sort())
  })

  test('indexes lead with the service or the conversation, but for those that have a reason', () => {
    const leads = ['service_sid', 'conversation_sid']
    const others = indexes.filter(({ columns }) => !leads.includes(columns[0] as string)).map(({ name }) => name)
    expect(others.sort()).toEqual(Object.keys(other_leads).sort())
  })

  test('every query names the service, but for those that ask everybody', () => {
    const asking_all = [...sent.values()].flatMap(({ text }) => (namesService(text) ? [] : [innerOf(text)]))
    expect(asking_all.filter((text) => !fan_outs.some(([pattern]) => pattern.test(text)))).toEqual([])
    const unused = fan_outs.filter(([pattern]) => !asking_all.some((text) => pattern.test(text)))
    expect(unused.map(([, who]) => who)).toEqual([])
    for (const table of distributed) expect([...sent.keys()].some((text) => referencesIn(text).includes(table))).toBe(true)
  })

  test('and each of them runs in one shard, by an index', async () => {
    const client = new pg.Client({ connectionString: database.env.PARLEY_DATABASE_URL })
    await client.connect()
    await client.query('set enable_seqscan = off')
    const off: string[] = []
    for (const { text, values } of simple(sent)) {
      const { rows } = await client.query<{ 'QUERY PLAN': string }>(`explain ${text}`, [...values])
      const plan = rows.map((row) => row['QUERY PLAN']).join('\n')
      const reached = new Set([...plan.matchAll(/ on (?:\w+_)(\d)\b/g)].map(([, shard]) => shard))
      if (reached.size > 1 || /Seq Scan on \w+_\d/.test(plan)) off.push(`${text}\n${plan}`)
    }
    await client.end()
    expect(off).toEqual([])
  })

  test('SQLite walks no more than the conversation for a query about one', async () => {
    const db = new Sqlite(':memory:')
    await migrate(new Kysely<unknown>({ dialect: new SqliteDialect({ database: db }) }))
    const off: string[] = []
    for (const { text, values } of simple(sent)) {
      // A set of values is spelt in another way there.
      if (text.includes('json_array_elements_text')) continue
      const statement = db.prepare(`explain query plan ${text.replace(/\$\d+/g, '?').replace(/ for [a-z ]+$/, '')}`)
      const plan = (statement.all(...values.map(() => 1)) as { detail: string }[]).map(({ detail }) => detail)
      // By the conversation, or one row by its key.
      const narrow = /conversation_sid=\?|\(service_sid=\? AND sid=\?\)/
      const wide = plan.filter((step) => /^(SEARCH|SCAN) (?!page|some|removals|device|owner)/.test(step) && !narrow.test(step))
      if (/ where .*"conversation_sid" = \$/s.test(text) && wide.length > 0) off.push([text, ...plan].join('\n'))
    }
    db.close()
    expect(off).toEqual([])
  })
})

/** Runs the tour and what it leaves out; keeps what goes to the database meanwhile. */
async function recordTour(database: TestDatabase, sent: Map<string, Sent>): Promise<void> {
  const query = pg.Client.prototype.query
  pg.Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const [given] = args as [string | Sent]
    if (typeof given === 'object') sent.set(given.text, given)
    return Reflect.apply(query, this, args)
  } as typeof query
  try {
    await using server = await startServer({ ...database.config, secretKey })
    await using inside = inspect(database.config)
    const { insert, rows, holds } = inside
    expect((await tour({ ...server, insert, rows, holds })).size).toBe(103)
    await walkOn(server)
    await vi.waitUntil(async () => (await rows('removals')).length === 0, { timeout: 60_000 })
  } finally {
    pg.Client.prototype.query = query
  }
}

/** What the tour has no part of: webhooks of a conversation, media, channels, deadlines, counts, the operator's log. */
async function walkOn(server: TestServer): Promise<void> {
  const { call, admin } = server
  const make = async (path: string, form: Record<string, string> = {}) =>
    (await call('POST', path, form, { headers: { 'x-twilio-webhook-enabled': 'true' } })).body.sid as string
  const service = `/v1/Services/${await make('/v1/Services', { FriendlyName: 'Further' })}`
  const room = `${service}/Conversations/${await make(`${service}/Conversations`, { 'Timers.Inactive': 'PT1M' })}`
  const pushes = ['NewMessage.Enabled', 'NewMessage.BadgeCountEnabled', 'AddedToConversation.Enabled'].map((name) => [
    name,
    'true',
  ])
  await call('POST', `${service}/Configuration/Notifications`, Object.fromEntries(pushes))
  await make(`${room}/Participants`, { Identity: 'erin' })
  await make(`${room}/Messages`, { Author: 'erin', Body: 'first' })
  const [url, proxy] = ['http://127.0.0.1:9/', '+15550009999']
  const hook = { Target: 'webhook', 'Configuration.Url': url, 'Configuration.Filters': 'onMessageAdded' }
  await make(`${room}/Webhooks`, { ...hook, 'Configuration.ReplayAfter': '0' })
  await make(`${room}/Participants`, { 'MessagingBinding.Address': '+15550000009', 'MessagingBinding.ProxyAddress': proxy })
  const file = { headers: { 'content-type': 'text/plain' }, check: false }
  const { sid: MediaSid } = (await call('POST', `${service}/Media`, 'bytes', file)).body
  const message = `${room}/Messages/${await make(`${room}/Messages`, { Author: 'erin', MediaSid })}`
  const receipt = async () => (await call('GET', `${message}/Receipts`)).body.delivery_receipts[0]
  const { channel_message_sid } = await vi.waitUntil(receipt, { timeout: 60_000 })
  await admin('POST', '/receipts', { channel_message_sid, status: 'read' })
  await admin('POST', '/inbound', { from: '+15550000009', to: proxy, body: 'answer' })
  const mine = `${service}/Users/erin/Conversations`
  await make(`${mine}/${room.split('/').at(-1)}`, { LastReadMessageIndex: '0' })
  for (const path of [mine, `${mine}/${room.split('/').at(-1)}`]) await call('GET', path)
  await call('GET', `${service}/Conversations?State=active`)
  await server.advance('PT2M')
  const { deliveries } = await admin('GET', '/deliveries')
  await admin('GET', `/deliveries/${deliveries[0].id}`)
  await make(`${room}/Participants`, { 'MessagingBinding.ProjectedAddress': proxy, Identity: 'frank' })
  await make(`${room}/Participants`, { 'MessagingBinding.Address': '+15550000008' })
  await call('POST', `${service}/Configuration`, { ReachabilityEnabled: 'true' })
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/v3/wsconnect`)
  await once(socket, 'open')
  const { token } = await admin('POST', '/tokens', {
    account_sid: server.account_sid,
    service_sid: sidOf(service),
    identity: 'erin',
  })
  socket.send(formatFrame('init', 'TM1', { token }, ''))
  const isOnline = async () => (await call('GET', `${service}/Users/erin`)).body.is_online
  await vi.waitUntil(async () => (await isOnline()) === true, { timeout: 60_000 })
  socket.send(formatFrame('close', 'TM2', {}, ''))
  await vi.waitUntil(async () => (await isOnline()) === false, { timeout: 60_000 })
  for (const path of [message, `${service}/Users/erin`, room, service]) await call('DELETE', path)
}

const sidOf = (path: string) => path.split('/').at(-1) as string

/** What of a statement for many is run for each of them; any other as it is. */
function innerOf(text: string): string {
  return /cross join lateral \((.*)\) as q$/s.exec(text)?.[1] ?? text
}

/** Every mention of a distributed table to read from or to write to. */
function referencesIn(text: string): string[] {
  const named = [...text.matchAll(/\b(?:from|join|into|update) "(\w+)"/g)].map(([, table]) => table as string)
  return named.filter((table) => distributed.some((one) => one === table))
}

/** Whether each mention of a distributed table comes with the service that is meant: on Citus, with the shard. */
function namesService(sent: string): boolean {
  // A write that fails where it does not take effect.
  const text = /^with written as \((.*)\) select case /s.exec(sent)?.[1] ?? sent
  const references = referencesIn(text).length
  if (/^insert into/.test(text)) return references === 0 || /\(([^)]*)\)/.exec(text)?.[1]?.includes('"service_sid"') === true
  const equalities = [...text.matchAll(/"service_sid" = (?:\$\d|k\.a\d|"\w+"\."service_sid")/g)].length
  return equalities >= references
}

/** Statements for one that name their service and look for rows. */
function simple(sent: ReadonlyMap<string, Sent>): Sent[] {
  const looks = ({ text }: Sent) => /^(select|update|delete)/.test(text) && !/\bunnest\(/.test(text)
  return [...sent.values()].filter((one) => looks(one) && referencesIn(one.text).length > 0 && namesService(one.text))
}
