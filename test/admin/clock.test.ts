import { expect } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { openInstallation } from '../../src/installation/open.ts'
import { ask } from '../support/admin.ts'
import { newDatabase } from '../support/databases.ts'
import { test } from '../support/fixtures.ts'
import { all_events, eventsOf, gate, isEvent } from '../support/hooked.ts'
import { adminToken, startServer } from '../support/server.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'

const minuteMs = 60_000
const nobody = `AC${'0'.repeat(32)}`

async function listen({ sdk }: Tenant, postWebhookUrl: string): Promise<void> {
  await sdk.conversations.v1.configuration.webhooks().update({ postWebhookUrl, filters: all_events })
}

async function state({ sdk }: Tenant, sid: string): Promise<string> {
  return (await sdk.conversations.v1.conversations(sid).fetch()).state
}

test('a move with deliver returns when every webhook of it has been answered, round after round', async ({ tenant, catcher }) => {
  await listen(tenant, catcher.url())
  const { conversations } = tenant.sdk.conversations.v1
  for (let round = 1; round <= 40; round++) {
    await conversations.create({ 'timers.inactive': 'PT1M', 'timers.closed': 'PT10M' })
    await conversations.create({ 'timers.inactive': 'PT2M' })
    await tenant.admin('POST', '/clock', { advance: 'PT10M', deliver: true })
    expect(catcher.requests).toHaveLength(3 * round)
  }
  const { deliveries } = await tenant.admin('GET', '/deliveries?status=pending')
  expect(deliveries).toEqual([])
})

test('it waits for an endpoint that takes its time, and goes on when that has answered', async ({ tenant, catcher }) => {
  await listen(tenant, catcher.url())
  using answer = gate()
  catcher.reply(() => ({ delayUntil: answer.opened }))
  await tenant.sdk.conversations.v1.conversations.create({ 'timers.inactive': 'PT1M' })
  let moved = false
  const move = tenant.admin('POST', '/clock', { advance: 'PT1M', deliver: true, account_sid: tenant.account_sid }).then(() => {
    moved = true
  })
  await catcher.next()
  // One more request goes through the server meanwhile.
  await tenant.sdk.conversations.v1.conversations.list()
  expect(moved).toBe(false)
  answer.open()
  await move
})

test('what an endpoint does before it answers counts for the next deadline', async ({ tenant, catcher }) => {
  await listen(tenant, catcher.url())
  const { conversations } = tenant.sdk.conversations.v1
  const { sid } = await conversations.create({ 'timers.inactive': 'PT1M', 'timers.closed': 'PT10M' })
  catcher.reply(async ({ params }) => {
    if (params.StateTo === 'inactive') await conversations(sid).messages.create({ body: 'Still here' })
    return {}
  })
  await tenant.admin('POST', '/clock', { advance: 'PT10M30S', deliver: true })
  expect(await state(tenant, sid)).not.toBe('closed')
  expect(eventsOf(catcher.requests.filter(({ params }) => params.StateTo === 'inactive')).length).toBe(10)
})

test('a retry that becomes due on the way is made', async () => {
  await using server = await startServer({ webhookRetries: 2 })
  const { catchWebhooks } = await import('../support/webhook-catcher.ts')
  await using catcher = await catchWebhooks({ authToken: server.auth_token })
  catcher.reply(() => ({ status: 503 }))
  await listen(server, catcher.url())
  await server.sdk.conversations.v1.conversations.create({ 'timers.inactive': 'PT1M' })
  await server.admin('POST', '/clock', { advance: 'PT2M', deliver: true })
  expect(catcher.requests.map(({ params }) => params.RetryCount)).toEqual(['0', '1', '2'])
})

test('the clock of one account moves its timers and dates alone', async ({ server, tenant, catcher }) => {
  const other = await newTenant(server)
  await listen(tenant, catcher.url())
  const make = ({ sdk }: Tenant) =>
    sdk.conversations.v1.conversations.create({ 'timers.inactive': 'PT1M', 'timers.closed': 'PT10M' })
  const [own, others] = [await make(tenant), await make(other)]
  const before = server.clock.now()
  const moved = await tenant.admin('POST', '/clock', { advance: 'PT1H', account_sid: tenant.account_sid, deliver: true })
  expect(Date.parse(moved.now)).toBeGreaterThanOrEqual(before + 60 * minuteMs)
  expect(await state(tenant, own.sid)).toBe('closed')
  expect(catcher.requests.filter(isEvent('onConversationStateUpdated')).map(({ params }) => params.StateTo)).toEqual([
    'inactive',
    'closed',
  ])
  expect(await state(other, others.sid)).toBe('active')
  const [later, now] = [await make(tenant), await make(other)]
  expect(later.dateCreated.getTime() - now.dateCreated.getTime()).toBeGreaterThan(59 * minuteMs)
  expect(later.timers).toMatchObject({ date_inactive: expect.stringContaining('T') })
  const ofOther = await tenant.admin('GET', `/clock?account_sid=${other.account_sid}`)
  expect(ofOther.offset_ms).toBe((await tenant.admin('GET', '/clock')).offset_ms)
  // What the server moves, all accounts move.
  await tenant.advance('PT2M')
  expect(await state(other, others.sid)).toBe('inactive')
  expect(await state(tenant, later.sid)).toBe('inactive')
})

test('a temporary link to a file expires by the clock of its account', async ({ server, tenant }) => {
  const { defaultChatServiceSid } = await tenant.sdk.conversations.v1.configuration().fetch()
  const { username, password } = tenant.credentials
  const upload = await fetch(`${server.url}/v1/Services/${defaultChatServiceSid}/Media`, {
    method: 'POST',
    headers: { authorization: `Basic ${btoa(`${username}:${password}`)}`, 'content-type': 'text/plain' },
    body: 'hello',
  })
  const { sid, links } = (await upload.json()) as { sid: string; links: { content_direct_temporary: string } }
  const { sid: conversation } = await tenant.sdk.conversations.v1.conversations.create({})
  await tenant.sdk.conversations.v1.conversations(conversation).messages.create({ mediaSid: sid })
  expect((await fetch(links.content_direct_temporary)).status).toBe(200)
  await tenant.admin('POST', '/clock', { advance: 'P1D', account_sid: tenant.account_sid })
  expect((await fetch(links.content_direct_temporary)).status).toBe(403)
})

test('accounts that move their clocks at the same time do not meet', async ({ server }) => {
  const tenants = await Promise.all(Array.from({ length: 8 }, () => newTenant(server)))
  const states = await Promise.all(
    tenants.map(async (tenant, i) => {
      const { sid } = await tenant.sdk.conversations.v1.conversations.create({ 'timers.inactive': 'PT10M' })
      await tenant.admin('POST', '/clock', { advance: i % 2 ? 'PT10M' : 'PT9M', account_sid: tenant.account_sid, deliver: true })
      return state(tenant, sid)
    }),
  )
  expect(states).toEqual(tenants.map((_, i) => (i % 2 ? 'inactive' : 'active')))
})

test('a moved clock keeps a plain start out, which says how to set it back; then it starts', async () => {
  await using database = await newDatabase()
  const open = (settings: Parameters<typeof readConfig>[0]) =>
    openInstallation({ ...readConfig(settings), ...database.config, adminToken }, {})
  {
    await using server = await startServer(database.config)
    await server.admin('POST', '/clock', { advance: 'PT1H', account_sid: server.account_sid })
  }
  await expect(open({})).rejects.toThrow(/moved ahead by a test\. Set it back: .*PARLEY_TEST_CLOCK=true.*\{"reset":true\}/)
  {
    await using server = await startServer(database.config)
    const offset = async () => (await server.admin('GET', `/clock?account_sid=${server.account_sid}`)).offset_ms
    expect(await offset()).toBeGreaterThan(59 * minuteMs)
    await server.admin('POST', '/clock', { reset: true })
    expect(await offset()).toBe(0)
  }
  const { database: opened, closeLog } = await open({ PARLEY_LOG_LEVEL: 'silent' })
  await opened.close()
  await closeLog()
})

test.for([
  [{}, 400, 'one of advance, now and reset is required'],
  [{ reset: false }, 400, 'one of advance, now and reset is required'],
  [{ advance: 'PT1M', reset: true }, 400, 'one of advance, now and reset is required'],
  [{ reset: true, account_sid: 'self' }, 400, 'reset is for all clocks: leave out account_sid'],
  [{ advance: 'PT1M', account_sid: nobody }, 404, `there is no account ${nobody}`],
  [{ advance: 'PT1M', deliver: 'soon' }, 400, 'deliver must be of type boolean'],
] as const)('POST /clock %j is refused: %d, %s', async ([body, status, error], { tenant }) => {
  const given = 'account_sid' in body && body.account_sid === 'self' ? { ...body, account_sid: tenant.account_sid } : body
  expect(await ask(tenant, 'POST', '/clock', given)).toEqual({ status, body: { error } })
})
