import fc from 'fast-check'
import { expect, test as plainTest } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { openInstallation } from '../../src/installation/open.ts'
import { ask } from '../support/admin.ts'
import { officialOperations } from '../support/contract.ts'
import { newDatabase } from '../support/databases.ts'
import { testOn } from '../support/fixtures.ts'
import { all_events, enabled, eventsOf, gate } from '../support/hooked.ts'
import { adminToken, auth_token, startServer } from '../support/server.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

const test = testOn(() => startServer({ testMode: true }))
const nobody = `AC${'0'.repeat(32)}`

test('reset empties the database and goes back to the first account, on either engine', async ({ server }) => {
  const before = await server.admin('GET', '/accounts')
  const other = await server.admin('POST', '/accounts', { friendly_name: 'Other' })
  await server.admin('POST', `/accounts/${server.account_sid}/keys`)
  await server.sdk.conversations.v1.conversations.create({ uniqueName: 'one', 'timers.inactive': 'PT1M' })
  await server.advance('PT1H')
  expect(await ask(server, 'POST', '/reset')).toEqual({ status: 204, body: null })
  const { accounts } = await server.admin('GET', '/accounts')
  expect(accounts).toMatchObject([
    { sid: server.account_sid, default_chat_service_sid: before.accounts[0].default_chat_service_sid },
  ])
  expect((await ask(server, 'GET', `/accounts/${other.sid}`)).status).toBe(404)
  expect(await server.admin('GET', `/accounts/${server.account_sid}/keys`)).toEqual({ keys: [] })
  expect(await server.sdk.conversations.v1.conversations.list()).toEqual([])
  expect((await server.admin('GET', '/clock')).offset_ms).toBe(0)
  expect((await server.admin('GET', '/deliveries')).deliveries).toEqual([])
})

test('what waits for an endpoint is gone after a reset, and the next webhook is sent', async ({ server }) => {
  await using dead = await catchWebhooks({ authToken: auth_token })
  dead.reply(() => ({ status: 503 }))
  const { configuration, conversations } = server.sdk.conversations.v1
  await configuration.webhooks().update({ postWebhookUrl: dead.url(), filters: all_events })
  const { sid } = await conversations.create(enabled)
  await conversations(sid).messages.create({ body: 'x', ...enabled })
  await server.admin('POST', '/reset')
  await using catcher = await catchWebhooks({ authToken: auth_token })
  await configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: all_events })
  await conversations.create({ friendlyName: 'new', ...enabled })
  await server.admin('GET', '/deliveries?wait=idle')
  expect(eventsOf(catcher.requests)).toEqual(['onConversationAdded'])
  expect(catcher.requests[0]?.params.FriendlyName).toBe('new')
})

test('reset and restore give up the webhooks under way, and a snapshot does not wait for them', async ({ server }) => {
  const { configuration, conversations } = server.sdk.conversations.v1
  await using silent = await catchWebhooks({ authToken: auth_token })
  // Nothing is ever answered: whoever waits for it waits for the whole time of a webhook, which is recorded then.
  silent.reply(() => new Promise(() => {}))
  const hang = async (friendlyName: string) => {
    await configuration.webhooks().update({ postWebhookUrl: silent.url(), filters: all_events })
    await conversations.create({ friendlyName, ...enabled })
    expect((await silent.next()).params.FriendlyName).toBe(friendlyName)
  }
  await server.admin('POST', '/reset')
  const { snapshot: empty } = await server.admin('POST', '/snapshot')
  await hang('first')
  const { snapshot } = await server.admin('POST', '/snapshot')
  expect((await server.admin('GET', '/deliveries')).deliveries).toMatchObject([{ status: 'pending', attempts: [] }])
  await server.admin('POST', '/reset')
  expect((await server.admin('GET', '/deliveries')).deliveries).toEqual([])
  await hang('second')
  // It is under way in the snapshot, so it is sent once more.
  await server.admin('POST', '/restore', { snapshot })
  expect((await silent.next()).params.FriendlyName).toBe('first')
  expect((await server.admin('GET', '/deliveries')).deliveries).toMatchObject([{ status: 'pending', attempts: [] }])
  await server.admin('POST', '/restore', { snapshot: empty })
  expect((await server.admin('GET', '/deliveries')).deliveries).toEqual([])
})

test('reset takes a seed, with the account of the server, and goes back to it from then on', async () => {
  const server = await startServer({ testMode: true })
  const { account_sid } = server
  const identities = async () => (await server.sdk.conversations.v1.users.list()).map(({ identity }) => identity)
  const seed = { accounts: [{ friendly_name: 'Shop', users: [{ identity: 'alice' }] }, { friendly_name: 'Other' }] }
  expect(await ask(server, 'POST', '/reset', { seed })).toEqual({ status: 204, body: null })
  const { accounts } = await server.admin('GET', '/accounts')
  expect(accounts.map(({ friendly_name }: { friendly_name: string }) => friendly_name).sort()).toEqual(['Other', 'Shop'])
  // It has the token that it had: the client goes on.
  expect(await identities()).toEqual(['alice'])
  await server.sdk.conversations.v1.users.create({ identity: 'bob' })
  await server.admin('POST', '/reset')
  expect(await identities()).toEqual(['alice'])
  // As text, JSON or YAML.
  await server.admin('POST', '/reset', { seed: `accounts:\n  - sid: ${account_sid}\n    users: [{ identity: carol }]` })
  expect(await identities()).toEqual(['carol'])
  await server.admin('POST', '/reset', { seed: JSON.stringify(seed) })
  expect(await identities()).toEqual(['alice'])
  // Refused before anything is changed: neither what is stored nor what a reset goes back to.
  const refused = async (wrong: unknown) => {
    const { status, body } = await ask(server, 'POST', '/reset', { seed: wrong })
    expect(status, body?.error).toBe(400)
    return body.error
  }
  const twice = { identity: 'a' }
  expect(await refused({ accounts: [{ users: [{ identiy: 'x' }] }] })).toMatch(/identiy/)
  expect(await refused({ accounts: [{ users: [twice, twice] }] })).toMatch(/accounts\[0\]\.users\[1\] is refused/)
  expect(await refused({ accounts: [{ sid: nobody }] })).toContain(account_sid)
  expect(await refused('accounts: [')).toMatch(/^the seed that was given is not YAML: line 1/)
  expect(await refused('accounts: 1\naccounts: 2')).toMatch(/twice/)
  for (const wrong of [
    '',
    'text',
    {},
    '[]',
    '&a [*a]',
    `${'['.repeat(20_000)}`,
    `x: ${'&a [*a,'.repeat(50)}`,
    { accounts: [] },
    { accounts: 7 },
  ]) {
    await refused(wrong)
  }
  for (const wrong of [7, null, [], true]) expect((await ask(server, 'POST', '/reset', { seed: wrong })).status).toBe(400)
  expect(await identities()).toEqual(['alice'])
  await server.admin('POST', '/reset')
  expect(await identities()).toEqual(['alice'])
  await server.stop()
})

test.for(['/reset', '/snapshot'])('%s takes no unknown fields, and no body that is not an object', async (path, { server }) => {
  for (const body of [{ snapshot: 'x' }, { seed: {} }, [], [1], 'true', '7', '"text"']) {
    expect((await ask(server, 'POST', path, body)).status, JSON.stringify(body)).toBe(400)
  }
  expect((await ask(server, 'POST', path, { extra: 1 })).body.error).toBe('extra is not a field of this request')
  const done = path === '/reset' ? 204 : 201
  for (const body of [undefined, '', 'null', {}]) expect((await ask(server, 'POST', path, body)).status).toBe(done)
})

test('a snapshot holds rows of every kind, and its deliveries, on either engine', async ({ server, tenant, catcher }) => {
  const { v1 } = tenant.sdk.conversations
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: all_events })
  const { sid } = await v1.conversations.create({ 'timers.closed': 'PT10M', ...enabled })
  await v1.conversations(sid).participants.create({ identity: 'alice', ...enabled })
  await v1.conversations(sid).messages.create({ author: 'alice', body: 'ä🙂', attributes: '{"a":1}', ...enabled })
  await server.admin('GET', '/deliveries?wait=idle')
  const view = async () => [
    await v1.conversations(sid).fetch(),
    await v1.conversations(sid).messages.list(),
    await v1.conversations(sid).participants.list(),
    await v1.users.list(),
    (await server.admin('GET', '/deliveries')).deliveries,
  ]
  const before = JSON.stringify(await view())
  const { snapshot, now } = await server.admin('POST', '/snapshot')
  expect((await server.admin('GET', '/snapshots')).snapshots.at(-1)).toEqual({ snapshot, now })
  await v1.conversations(sid).remove()
  await server.admin('POST', '/clock', { advance: 'P1D', account_sid: tenant.account_sid, deliver: true })
  expect(await ask(server, 'POST', '/restore', { snapshot })).toEqual({ status: 204, body: null })
  expect(JSON.stringify(await view())).toBe(before)
  expect((await server.admin('GET', `/clock?account_sid=${tenant.account_sid}`)).offset_ms).toBeLessThan(60_000)
})

test('wait=idle responds when every webhook has been answered, round after round', async ({ server, tenant, catcher }) => {
  const { v1 } = tenant.sdk.conversations
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: all_events })
  for (let round = 1; round <= 30; round++) {
    const { sid } = await v1.conversations.create(enabled)
    await Promise.all(Array.from({ length: 3 }, () => v1.conversations(sid).messages.create({ body: 'x', ...enabled })))
    const { deliveries } = await server.admin('GET', '/deliveries?wait=idle&status=pending')
    expect(deliveries).toEqual([])
    expect(catcher.requests).toHaveLength(4 * round)
  }
})

test('a fault can be asked for by every name of the official description', async ({ server }) => {
  for (const { operationId } of officialOperations()) {
    const { status } = await ask(server, 'POST', '/faults', { operation: operationId, latency: 'PT0S' })
    expect(status, operationId).toBe(201)
  }
  const { faults } = await server.admin('GET', '/faults')
  expect(faults).toHaveLength(officialOperations().length)
  await server.admin('DELETE', '/faults')
  expect((await server.admin('GET', '/faults')).faults).toEqual([])
})

test('a fault hits its own operation in its own path family, and that many times', async ({ server }) => {
  const { sid } = await server.sdk.conversations.v1.conversations.create({})
  await server.admin('POST', '/faults', { operation: 'FetchConversation', status: 502, times: 2 })
  const fetchIt = (path: string) => server.call('GET', path, undefined, { check: false })
  const { body } = await fetchIt('/v1/Configuration')
  const inService = `/v1/Services/${body.default_chat_service_sid}/Conversations/${sid}`
  expect((await fetchIt(inService)).status).toBe(200)
  expect((await server.admin('GET', '/faults')).faults).toMatchObject([{ operation: 'FetchConversation', times: 2 }])
  const own = `/v1/Conversations/${sid}`
  expect([await fetchIt(own), await fetchIt(own), await fetchIt(own)].map(({ status }) => status)).toEqual([502, 502, 200])
  const { message } =
    (await server.admin('POST', '/faults', { operation: 'FetchConversation', status: 418 })) && (await fetchIt(own)).body
  expect(message).toBe("I'm a Teapot")
})

plainTest('a database that was not made in test mode cannot be opened in it, and the other way round it can', async () => {
  await using made = await newDatabase()
  const open = async (testMode: boolean, place = made) => {
    const config = { ...readConfig({ PARLEY_LOG_LEVEL: 'silent' }), ...place.config, testMode, adminToken }
    const { database, closeLog } = await openInstallation(config)
    await database.close()
    await closeLog()
  }
  await open(false)
  await expect(open(true)).rejects.toThrow('this database was not made in test mode, in which it can be emptied by a request')
  await open(false)
  await using tests = await newDatabase()
  await open(true, tests)
  await open(false, tests)
  await open(true, tests)
})

plainTest('a reset after a restart goes back to the account as it was made, with the token of now', async () => {
  await using database = await newDatabase()
  {
    await using server = await startServer({ ...database.config, testMode: true })
    await server.sdk.conversations.v1.configuration.webhooks().update({ postWebhookUrl: 'http://127.0.0.1:1/' })
    await server.sdk.conversations.v1.services.create({ friendlyName: 'Another' })
  }
  await using server = await startServer({ ...database.config, testMode: true, auth_token: 'another-token-of-the-tests' })
  await server.admin('POST', '/reset')
  const { v1 } = server.sdk.conversations
  expect((await v1.configuration.webhooks().fetch()).postWebhookUrl).toBeNull()
  expect(await v1.services.list()).toHaveLength(1)
})

plainTest('deliveries that wait for another attempt are gone after a reset, and are back after a restore', async () => {
  await using server = await startServer({ testMode: true, webhookRetries: 3 })
  await using catcher = await catchWebhooks({ authToken: server.auth_token })
  catcher.reply(() => ({ status: 503 }))
  const { configuration, conversations } = server.sdk.conversations.v1
  await configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: all_events })
  await conversations.create(enabled)
  await server.admin('GET', '/deliveries?wait=idle')
  const { snapshot } = await server.admin('POST', '/snapshot')
  const before = catcher.requests.length
  await server.admin('POST', '/reset')
  await server.admin('POST', '/clock', { advance: 'PT1H', deliver: true })
  expect(catcher.requests).toHaveLength(before)
  await server.admin('POST', '/restore', { snapshot })
  await server.admin('POST', '/clock', { advance: 'PT1H', deliver: true })
  expect(catcher.requests.map(({ params }) => params.RetryCount).slice(before)).toEqual(['1', '2', '3'].slice(before - 1))
  const { deliveries } = await server.admin('GET', '/deliveries')
  expect(deliveries).toMatchObject([{ status: 'failed', attempts: { length: 4 } }])
})

plainTest('a caller that gives up waiting does not keep the next one', async () => {
  await using server = await startServer({ testMode: true })
  await using catcher = await catchWebhooks({ authToken: server.auth_token })
  using answer = gate()
  catcher.reply(() => ({ delayUntil: answer.opened }))
  const { configuration, conversations } = server.sdk.conversations.v1
  await configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: all_events })
  await conversations.create({ 'timers.inactive': 'PT1M' })
  const impatient = new AbortController()
  const move = fetch(`${server.url}/admin/v1/clock`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: '{"advance":"PT1M","deliver":true}',
    signal: impatient.signal,
  })
  await catcher.next()
  impatient.abort()
  await expect(move).rejects.toThrow()
  await server.admin('POST', '/clock', { advance: 'PT1M' })
  expect(catcher.requests).toHaveLength(1)
})

plainTest('without test mode there is nothing of it', async () => {
  await using server = await startServer()
  for (const path of ['/reset', '/snapshot', '/restore', '/faults']) {
    const answer = await fetch(`${server.url}/admin/v1${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${adminToken}` },
    })
    expect(answer.status, path).toBe(404)
  }
  expect((await ask(server, 'GET', '/snapshots')).status).toBe(404)
  const error = 'wait is only available with PARLEY_TEST_MODE'
  expect(await ask(server, 'GET', '/deliveries?wait=idle')).toEqual({ status: 400, body: { error } })
})

const operation = 'CreateConversation'

test.for([
  [{}, 400, 'operation is required'],
  [{ operation: 'MakeConversation', status: 500 }, 400, /^MakeConversation is not the name of an operation, such as/],
  [{ operation: '', status: 500 }, 400, /is not the name of an operation/],
  [{ operation }, 400, 'one of status, latency and drop is required'],
  [{ operation, drop: false }, 400, 'one of status, latency and drop is required'],
  [{ operation, status: 200 }, 400, 'status must be >= 400'],
  [{ operation, status: 600 }, 400, 'status must be <= 599'],
  [{ operation, status: 429.5 }, 400, 'status must be of type integer'],
  [{ operation, status: 500, drop: true }, 400, 'a dropped connection has no status: leave out status or drop'],
  [{ operation, latency: 'soon' }, 400, /^latency must be an ISO 8601 duration of at most a minute/],
  [{ operation, latency: '-PT1S' }, 400, /^latency must be/],
  [{ operation, latency: 'PT61S' }, 400, /^latency must be/],
  [{ operation, latency: `P${'9'.repeat(300)}D` }, 400, /^latency must be/],
  [{ operation, status: 500, times: 0 }, 400, 'times must be >= 1'],
  [{ operation, status: 500, times: 1e9 }, 400, 'times must be <= 1000000'],
  [{ operation, status: 500, account_sid: nobody }, 404, `there is no account ${nobody}`],
  [{ operation, status: 500, every: 2 }, 400, 'every is not a field of this request'],
] as const)('POST /faults %j is refused: %d %s', async ([body, status, error], { server }) => {
  const answer = await ask(server, 'POST', '/faults', body)
  expect(answer).toEqual({ status, body: { error: typeof error === 'string' ? error : expect.stringMatching(error) } })
  expect((await server.admin('GET', '/faults')).faults).toEqual([])
})

test.for([
  ['POST', '/restore', {}, 400],
  ['POST', '/restore', { snapshot: 'x' }, 404],
  ['POST', '/restore', { snapshot: '__proto__' }, 404],
  ['POST', '/restore', { snapshot: 'a\0b' }, 400],
  ['POST', '/restore', '[]', 400],
  ['GET', '/deliveries?wait=', undefined, 400],
  ['GET', '/deliveries?wait=busy', undefined, 400],
  ['GET', '/deliveries?wait=idle&wait=idle', undefined, 400],
] as const)('%s %s %j is refused', async ([method, path, body, status], { server }) => {
  const answer = await ask(server, method, path, body)
  expect(answer).toEqual({ status, body: { error: expect.stringMatching(/\w+ \w+/) } })
})

test('no body of a fault or a restore breaks the server', async ({ server }) => {
  const value = fc.oneof(fc.string(), fc.integer(), fc.double(), fc.boolean(), fc.constant(null), fc.array(fc.string()))
  const keys = fc.constantFrom('operation', 'status', 'latency', 'drop', 'times', 'snapshot', 'account_sid', 'x')
  const bodies = fc.dictionary(keys, fc.oneof(value, fc.constantFrom(operation, 429, 'PT0S', true)))
  await fc.assert(
    fc.asyncProperty(fc.constantFrom('/faults', '/restore'), bodies, async (path, body) => {
      const { status } = await ask(server, 'POST', path, body)
      expect(status).toBeLessThan(500)
    }),
    { numRuns: 150 },
  )
  await server.admin('DELETE', '/faults')
})
