import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parse } from 'node:querystring'
import { text } from 'node:stream/consumers'
import pg from 'pg'
import { newSid } from '../../src/sids.ts'
import { slots } from '../../src/storage/postgres/leases.ts'
import type { ConversationRow } from '../../src/storage/schema.ts'
import { createdRow, deliveryOf, type Target } from '../added-rows.ts'
import { input, serveParent } from '../child.ts'
import type { Owner } from '../population.ts'
import { toJson } from './objects.ts'

/**
 * A usual server: `node:http` over a connection pool, one query for each fetch, one transaction of four prepared statements for
 * each creation and its event. No authentication, no validation, no log.
 */
const { url, owner, target } = input<{ url: string; owner: Owner; target: Target }>()
// As many connections as a node of Parley has.
const pool = new pg.Pool({ connectionString: url, max: 10 })
pg.types.setTypeParser(pg.types.builtins.INT8, Number)

function insertion(table: string, row: object): pg.QueryConfig {
  const columns = Object.keys(row)
  const values = `insert into ${table} (${columns}) values (${columns.map((_, i) => `$${i + 1}`)})`
  return { name: table, text: values, values: Object.values(row) }
}

async function create(form: string): Promise<ConversationRow> {
  const now = Date.now()
  const { FriendlyName, UniqueName, Attributes } = parse(form) as Record<string, string>
  const fields = { friendly_name: FriendlyName ?? null, unique_name: UniqueName ?? null, attributes: Attributes ?? '{}' }
  const row = { ...createdRow(newSid('conversation', now), 0, owner, now), ...fields }
  const client = await pool.connect()
  try {
    await client.query('begin')
    await client.query(insertion('conversations', row))
    await client.query(insertion('deliveries', deliveryOf(row.sid, 0, target, owner.account_sid, slots, now)))
    await client.query('commit')
  } finally {
    client.release()
  }
  return row
}

async function fetched(sid: string): Promise<ConversationRow | undefined> {
  const fetch = 'select * from conversations where service_sid = $1 and sid = $2'
  return (await pool.query<ConversationRow>({ name: 'fetch', text: fetch, values: [owner.service_sid, sid] })).rows[0]
}

function send(response: ServerResponse, status: number, row: ConversationRow | undefined): void {
  const answer = row ? JSON.stringify(toJson(row)) : '{}'
  const head = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) }
  response.writeHead(row ? status : 404, head).end(answer)
}

const server = createServer(async (request, response) => {
  try {
    if (request.method === 'GET') send(response, 200, await fetched(request.url?.split('/').at(-1) ?? ''))
    else send(response, 201, await create(await text(request)))
  } catch (error) {
    console.error(error)
    response.writeHead(500, { 'content-length': 0 }).end()
  }
})
server.listen(0, '127.0.0.1', () => serveParent({ port: (server.address() as AddressInfo).port }, () => ({})))
