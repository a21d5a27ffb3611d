import { expect } from 'vitest'
import type { DeliveryRow } from '../../src/storage/schema.ts'
import { ask } from '../support/admin.ts'
import { testWithRows as test } from '../support/fixtures.ts'
import { enabled, settled } from '../support/hooked.ts'
import { adminToken } from '../support/server.ts'

interface LogPage {
  readonly deliveries: readonly { readonly id: string }[]
  readonly next_before: string | null
  readonly stopped_early: boolean
}

const minute = 60_000
const start = Date.parse('2030-01-01T00:00:00Z')
const idAt = (ms: number) => `WD${ms.toString(16).padStart(12, '0')}${'0'.repeat(20)}`
const iso = (ms: number) => new Date(ms).toISOString()
const noTarget = `WH${'0'.repeat(32)}`

test('deliveries are filtered by account, time and text, with every other filter', async ({ server, tenant, catcher }) => {
  await tenant.sdk.conversations.v1.configuration
    .webhooks()
    .update({ postWebhookUrl: catcher.url(), method: 'POST', filters: ['onConversationAdded'] })
  await tenant.sdk.conversations.v1.conversations.create({ ...enabled })
  await settled(tenant)
  const [model] = (await server.rows('deliveries')) as [DeliveryRow]
  const bodies = ['Grüße aus KÖLN', 'line\nnext "quoted" \\', '50% off_', 'plain', `${'x'.repeat(1000)}needle`]
  const made = Array.from({ length: 150 }, (_, i): DeliveryRow => {
    const date_created = start + i * minute
    return {
      ...model,
      id: idAt(date_created),
      date_created,
      account_sid: i % 4 === 3 ? `AC${'1'.repeat(32)}` : model.account_sid,
      service_sid: i % 5 === 4 ? `IS${'1'.repeat(32)}` : model.service_sid,
      event_type: i % 3 === 0 ? 'onMessageAdded' : model.event_type,
      target_sid: i < 20 ? noTarget : model.target_sid,
      status: i % 7 === 0 ? 'failed' : 'delivered',
      form: JSON.stringify({ EventType: 'onTest', Body: bodies[i % bodies.length], traceparent: '00-secret-trace' }),
    }
  })
  for (const row of made) await server.insert('deliveries', row)
  const { account_sid, service_sid, subject_sid } = model
  const read = async (filters: object) => {
    const found: string[] = []
    for (let before: string | null = ''; before !== null; ) {
      const query = new URLSearchParams({ ...filters, limit: '40', ...(before && { before }) })
      const page: LogPage = await tenant.admin('GET', `/deliveries?${query}`)
      expect(page.stopped_early).toBe(false)
      found.push(...page.deliveries.map(({ id }) => id))
      before = page.next_before
    }
    return found
  }
  type Case = readonly [filters: Record<string, string>, wanted: (row: DeliveryRow, i: number) => boolean]
  const bodyIs = (n: number) => (_: unknown, i: number) => i % bodies.length === n
  const from = start + 30 * minute
  const to = start + 90 * minute
  const isIn = (row: DeliveryRow) => row.date_created >= from && row.date_created <= to
  const cases: readonly Case[] = [
    [{ account_sid }, (row) => row.account_sid === account_sid],
    [{ account_sid: `AC${'2'.repeat(32)}` }, () => false],
    [{ event_type: 'onMessageAdded' }, (row) => row.event_type === 'onMessageAdded'],
    [{ target_sid: noTarget, status: 'failed' }, (row) => row.target_sid === noTarget && row.status === 'failed'],
    [{ from: iso(from), to: iso(to) }, isIn],
    [{ to: '2029-12-31' }, () => false],
    [{ to: '2030-01-01' }, () => true],
    [{ from: iso(to), to: iso(from) }, () => false],
    [{ from: iso(from), to: iso(to), service_sid }, (row) => isIn(row) && row.service_sid === service_sid],
    [
      { from: iso(from), to: iso(to), conversation_sid: subject_sid, service_sid, account_sid },
      (row) => isIn(row) && row.service_sid === service_sid && row.account_sid === account_sid,
    ],
    [{ text: 'grÜsse aus köln' }, () => false],
    [{ text: 'grÜßE AUS köln' }, bodyIs(0)],
    [{ text: 'line\nnext' }, bodyIs(1)],
    [{ text: 'nnext' }, () => false],
    [{ text: '"QUOTED" \\' }, bodyIs(1)],
    [{ text: '","' }, () => false],
    [{ text: '50% off_' }, bodyIs(2)],
    [{ text: '%' }, bodyIs(2)],
    [{ text: 'needle', status: 'failed' }, (row, i) => bodyIs(4)(row, i) && row.status === 'failed'],
    [{ text: 'plain', event_type: 'onMessageAdded', account_sid }, (row, i) => bodyIs(3)(row, i) && i % 3 === 0 && i % 4 !== 3],
    [{ text: 'secret-trace' }, () => false],
    [{ text: 'ontest', from: iso(from), to: iso(to) }, isIn],
  ]
  for (const [filters, wanted] of cases) {
    // What the tenant itself made is of another time, and says nothing of all this.
    const found = (await read({ ...filters })).filter((id) => id !== model.id)
    expect(found, JSON.stringify(filters)).toEqual(
      made
        .filter(wanted)
        .map(({ id }) => id)
        .toReversed(),
    )
  }
  for (const [query, error] of [
    ['from=yesterday', 'from must be an ISO 8601 date, such as 2030-01-01T00:00:00Z'],
    ['to=2030-02-30', 'to must be an ISO 8601 date, such as 2030-01-01T00:00:00Z'],
    ['from=', 'from must be'],
    ['text=', 'text'],
    [`text=${'x'.repeat(257)}`, 'text'],
    [`account_sid=${'x'.repeat(65)}`, 'account_sid'],
    ['text=a&text=b', 'text'],
  ] as const) {
    const refused = await fetch(`${server.url}/admin/v1/deliveries?${query}`, {
      headers: { authorization: `Bearer ${adminToken}` },
    })
    const { error: said } = (await refused.json()) as { error: string }
    expect([refused.status, said], query).toEqual([400, expect.stringContaining(error)])
  }
})

test('what has failed is sent again by account and text', async ({ server, tenant, catcher }) => {
  const v1 = tenant.sdk.conversations.v1
  const since = iso(server.clock.now() - 1000)
  catcher.reply(() => ({ status: 400 }))
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
  for (const friendlyName of ['First', 'Second', 'Third']) await v1.conversations.create({ friendlyName, ...enabled })
  await settled(tenant)
  const again = async (choice: object): Promise<number> => {
    const { redelivered } = await tenant.admin('POST', '/deliveries/redeliver', { since, ...choice })
    await settled(tenant)
    return redelivered
  }
  const { account_sid } = tenant
  expect(await again({ account_sid: `AC${'0'.repeat(32)}` })).toBe(0)
  expect(await again({ account_sid, text: 'nobody' })).toBe(0)
  catcher.requests.length = 0
  expect(await again({ account_sid, text: 'SECOND' })).toBe(1)
  expect(catcher.requests.map(({ params }) => params.FriendlyName)).toEqual(['Second'])
})

test('a page that has looked at enough says so, and the next one goes on', async ({ server, tenant, catcher }) => {
  await tenant.sdk.conversations.v1.configuration
    .webhooks()
    .update({ postWebhookUrl: catcher.url(), method: 'POST', filters: ['onConversationAdded'] })
  await tenant.sdk.conversations.v1.conversations.create({ ...enabled })
  await settled(tenant)
  const rows: readonly DeliveryRow[] = await server.rows('deliveries')
  const model = rows.find(({ account_sid }) => account_sid === tenant.account_sid) as DeliveryRow
  const later = Date.parse('2032-01-01T00:00:00Z')
  // After all others. Each of them is as large as twenty thousand usual ones.
  for (let i = 0; i < 3; i++) {
    const date_created = later + i * minute
    const form = JSON.stringify({ Body: 'x'.repeat(21_000_000) })
    await server.insert('deliveries', { ...model, id: idAt(date_created), date_created, form })
  }
  await server.insert('deliveries', {
    ...model,
    id: idAt(later - minute),
    date_created: later - minute,
    form: '{"Body":"found"}',
  })
  const pages: LogPage[] = []
  for (let before: string | null = ''; before !== null; ) {
    const page: LogPage = await tenant.admin('GET', `/deliveries?text=found&from=2031-01-01${before && `&before=${before}`}`)
    pages.push(page)
    before = page.next_before
  }
  expect(pages.map(({ stopped_early }) => stopped_early)).toEqual([true, true, true, false])
  expect(pages.flatMap(({ deliveries }) => deliveries.map(({ id }) => id))).toEqual([idAt(later - minute)])
  // Who has not the account learns nothing by it: neither that there was much to look at, nor an id from which to go on.
  const other = { name: 'Of another account', role: 'viewer', accounts: [server.account_sid] }
  const { token } = (await ask(server, 'POST', '/operators', other)).body
  const { body } = await ask(server, 'GET', `/deliveries?account_sid=${tenant.account_sid}`, undefined, token)
  expect(body).toEqual({ deliveries: [], next_before: null, stopped_early: false })
})

test('where the next page goes on tells an operator of some accounts nothing about the others', async ({
  server,
  tenant,
  catcher,
}) => {
  const v1 = tenant.sdk.conversations.v1
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
  catcher.reply(() => ({ status: 400 }))
  await v1.conversations.create({ friendlyName: 'Own', ...enabled })
  await settled(tenant)
  const model = (await server.rows('deliveries')).find(({ account_sid }) => account_sid === tenant.account_sid) as DeliveryRow
  // After it, so many of another account that a page of the operator ends among them.
  const other = await tenant.admin('POST', '/accounts', { friendly_name: 'Other' })
  const theirs = { account_sid: other.sid, service_sid: other.default_chat_service_sid, target_sid: other.sid }
  const form = JSON.stringify({ Body: 'x'.repeat(21_000_000) })
  const date_created = Date.parse('2033-01-01T00:00:00Z')
  const hidden = [0, 1].map((i) => idAt(date_created + i))
  for (const id of hidden) await server.insert('deliveries', { ...model, ...theirs, id, date_created, form })
  const { token } = await tenant.admin('POST', '/operators', { name: 'Some', role: 'support', accounts: [tenant.account_sid] })
  const get = async (query: string) => {
    const response = await fetch(`${server.url}/admin/v1/deliveries?${query}`, { headers: { authorization: `Bearer ${token}` } })
    return { status: response.status, body: (await response.json()) as LogPage & { error: string } }
  }
  const found: string[] = []
  let sealed = ''
  for (let before: string | null = ''; before !== null; ) {
    const { status, body } = await get(`from=2020-01-01${before && `&before=${before}`}`)
    expect(status).toBe(200)
    for (const id of hidden) expect(JSON.stringify(body)).not.toContain(id)
    found.push(...body.deliveries.map(({ id }) => id))
    before = body.next_before
    sealed ||= before ?? ''
  }
  expect(found).toEqual([model.id])
  expect(sealed).toMatch(/^[\w-]{91}$/)
  // Neither a made-up place nor an altered one is taken.
  for (const wrong of [
    'x'.repeat(91),
    `${sealed.slice(0, -2)}${sealed.endsWith('AA') ? 'BB' : 'AA'}`,
    'x',
    `${sealed}x`,
    '%00',
  ]) {
    expect((await get(`before=${wrong}`)).status, wrong).toBe(400)
  }
})
