/**
 * Measures the size of a row in PostgreSQL, including indexes: creates and fills the tables in an empty database, and prints
 * bytes per row.
 *
 *     node scripts/sizes.ts postgres://…/empty [conversations, by default 200000]
 */
import pg from 'pg'
import { migratePostgres } from '../src/storage/postgres/migrate.ts'

const [, , url = '', conversations = '200000'] = process.argv

/** SIDs like those of `src/sids.ts`: the time, then random digits. `n` counts milliseconds. */
const sid = (prefix: string, n: string) =>
  `'${prefix}' || lpad(to_hex(1767225600000 + (${n})), 12, '0') || substr(md5(random()::text), 1, 20)`

const dates = '1767225600000 + n, 1767225600000 + n, 1'
const body = `'Your order is on its way; it will be with you tomorrow between 9 and 12. Reply STOP for no more.'`
const form = `json_build_object('EventType', 'onMessageAdded', 'AccountSid', account_sid, 'ChatServiceSid', service_sid,
  'Source', 'API', 'ConversationSid', conversation_sid, 'Body', body, 'Author', author, 'ParticipantSid', sid, 'Attributes', '{}',
  'MessageSid', sid, 'Index', message_index, 'DateCreated', '2026-01-01T00:00:00.000Z', 'MessagingServiceSid', service_sid)`

/** A hundred services. Each conversation has one chat and one SMS participant and five messages, one of them sent to a channel. */
const fills: readonly string[] = [
  `create temporary table s as select n as service, ${sid('IS', 'n')} as service_sid, ${sid('AC', 'n')} as account_sid
    from generate_series(0, 99) as n`,
  `insert into conversations select service_sid, ${sid('CH', 'n')}, account_sid, ${sid('MG', '0')}, 'Order ' || n, 'order-' || n,
    '{"order":' || n || '}', 'active', 'PT24H', 'P7D', 1767312000000 + n, 1767830400000 + n, 1767312000000 + n, null, null, 'system',
    4, 0, 1767225600000 + n, ${dates} from generate_series(1, ${Number(conversations)}) as n join s on service = n % 100`,
  `create temporary table c as select row_number() over () as n, service_sid, sid, account_sid from conversations`,
  `insert into users select service_sid, ${sid('US', 'n')}, account_sid, 'person-' || n || '@example.com', 'Person ' || n, '{}',
    ${sid('RL', '0')}, null, null, ${dates} from c where n % 2 = 0`,
  `insert into participants select service_sid, sid, ${sid('MB', 'n')}, account_sid, 'person-' || n / 2 || '@example.com',
    ${sid('US', 'n')}, null, null, null, null, '{}', ${sid('RL', '0')}, 4, 1767225600000 + n, 'default', 1, ${dates} from c`,
  `insert into participants select service_sid, sid, ${sid('MB', 'n')}, account_sid, null, null, 'sms', '+1555' || lpad(n::text, 8, '0'),
    '+15550000001', null, '{}', ${sid('RL', '0')}, null, null, 'default', 1, ${dates} from c`,
  `insert into messages select service_sid, c.sid, ${sid('IM', 'n * 5 + i')}, account_sid, i, 'person-' || n || '@example.com',
    ${sid('MB', 'n')}, ${body}, null, null, '{}', null, null,
    '{"total":1,"sent":"all","delivered":"all","read":"none","failed":"none","undelivered":"none"}', 'API', ${dates}
    from generate_series(0, 4) as i cross join c`,
  `insert into receipts select service_sid, conversation_sid, sid, ${sid('DY', 'n')}, account_sid, participant_sid, ${sid('SM', 'n')},
    'delivered', 0, ${dates} from (select *, row_number() over () as n from messages where message_index = 0) as m`,
  `insert into deliveries select ${sid('WD', 'n')}, account_sid, service_sid, account_sid, conversation_sid, n % 16, 'onMessageAdded',
    'POST', 'https://hooks.example.com/conversations', ${form}, gen_random_uuid(), 'delivered', 1767225600000 + n,
    '[{"at":1767225600000,"duration_ms":12,"status":200,"error":null}]', 1767225600000 + n, 1767225600000 + n
    from (select *, row_number() over () as n from messages where message_index = 0) as m`,
  `insert into conversation_webhooks select service_sid, sid, ${sid('WH', 'n')}, account_sid, 'webhook',
    'https://hooks.example.com/orders', 'post', '["onMessageAdded","onConversationStateUpdated"]', null, null, null, ${dates}
    from c where n % 10 = 0`,
  `insert into media select service_sid, ${sid('ME', 'n')}, account_sid, md5(n::text) || md5(sid), 'photo.jpg', 'image/jpeg', 123456,
    'media', null, sid, ${sid('IM', 'n')}, ${dates} from c where n % 10 = 0`,
  'vacuum analyze',
]

const sizes = `select relname as table, reltuples::bigint as rows, round(pg_table_size(oid) / reltuples) as row_bytes,
  round(pg_indexes_size(oid) / reltuples) as index_bytes from pg_class
  where relkind = 'r' and relnamespace = 'public'::regnamespace and reltuples >= 1000 order by relname`

const indexes = `select c.relname as index, round(pg_relation_size(c.oid) / nullif(t.reltuples, 0)) as bytes_per_row
  from pg_index i join pg_class c on c.oid = i.indexrelid join pg_class t on t.oid = i.indrelid
  where t.relnamespace = 'public'::regnamespace and t.reltuples >= 1000 order by 1`

await migratePostgres(url)
const client = new pg.Client({ connectionString: url })
await client.connect()
for (const fill of fills) await client.query(fill)
console.table((await client.query(sizes)).rows)
console.table((await client.query(indexes)).rows)
await client.end()
