import { Writable } from 'node:stream'
import { pino } from 'pino'
import { describe, expect, onTestFinished } from 'vitest'
import { type Config, readConfig } from '../../src/config.ts'
import { type Running, start } from '../../src/main.ts'
import { type AdminAnswer, ask } from '../support/admin.ts'
import { newDatabase, passingDatabase } from '../support/databases.ts'
import { startFileServer } from '../support/file-server.ts'
import { test } from '../support/fixtures.ts'
import { all_events, asking, enabled, eventsOf, log, ms_date, settled } from '../support/hooked.ts'
import { adminToken, auth_token, startServer } from '../support/server.ts'
import type { Credentials, Tenant } from '../support/tenant.ts'
import { catchWebhooks, type WebhookCatcher } from '../support/webhook-catcher.ts'

const nobody = `AC${'0'.repeat(32)}`

const secret_form = /^[0-9a-f]{32}$/

/** What these credentials get: 200, or the status and code of the refusal. */
async function entrance(server: Tenant, as: Credentials): Promise<string> {
  const { status, body } = await server.call('GET', '/v1/Conversations', undefined, { as })
  return status === 200 ? '200' : `${status}/${body.code}`
}

describe('accounts', () => {
  test('one is made with a token that is shown this once, and can be used at once', async ({ server }) => {
    const { status, body } = await ask(server, 'POST', '/accounts', { friendly_name: 'Second' })
    expect(status).toBe(201)
    expect(body).toEqual({
      sid: expect.stringMatching(/^AC[0-9a-f]{32}$/),
      friendly_name: 'Second',
      status: 'active',
      default_chat_service_sid: expect.stringMatching(/^IS[0-9a-f]{32}$/),
      date_created: expect.stringMatching(ms_date),
      date_updated: body.date_created,
      auth_token: expect.stringMatching(secret_form),
    })
    expect(await entrance(server, { username: body.sid, password: body.auth_token })).toBe('200')

    const { auth_token: _, ...shown } = body
    expect((await ask(server, 'GET', `/accounts/${body.sid}`)).body).toEqual(shown)
    const list = (await ask(server, 'GET', '/accounts')).body
    expect(list.accounts.at(0).sid).toBe(server.account_sid)
    expect(list.accounts.at(-1)).toEqual(shown)
    expect(JSON.stringify(list)).not.toContain(body.auth_token)
    expect(JSON.stringify(list)).not.toContain(auth_token)
  })

  test('a name is not needed', async ({ tenant }) => {
    expect(await ask(tenant, 'POST', '/accounts', {})).toMatchObject({ status: 201, body: { friendly_name: '' } })
    expect(await ask(tenant, 'POST', '/accounts')).toMatchObject({ status: 201, body: { friendly_name: '' } })
  })

  test('accounts do not see each other', async ({ tenant }) => {
    const { body: other } = await ask(tenant, 'POST', '/accounts', {})
    const as = { username: other.sid, password: other.auth_token }
    const { sid } = await tenant.sdk.conversations.v1.conversations.create({ uniqueName: 'mine' })
    expect((await tenant.call('GET', `/v1/Conversations/${sid}`, undefined, { as })).status).toBe(404)
    expect((await tenant.call('POST', '/v1/Conversations', { UniqueName: 'mine' }, { as })).status).toBe(201)
    const { body } = await tenant.call('GET', '/v1/Conversations', undefined, { as })
    expect(body.conversations.map((each: { account_sid: string }) => each.account_sid)).toEqual([other.sid])
  })

  test('rotated: the new token works and the old one does not, at once', async ({ tenant }) => {
    const old = { username: tenant.account_sid, password: tenant.auth_token }
    expect(await entrance(tenant, old)).toBe('200')
    const { status, body } = await ask(tenant, 'POST', `/accounts/${tenant.account_sid}/rotate`)
    expect(status).toBe(200)
    expect(body).toEqual({ sid: tenant.account_sid, auth_token: expect.stringMatching(secret_form) })
    expect(await entrance(tenant, old)).toBe('401/20003')
    expect(await entrance(tenant, { ...old, password: body.auth_token })).toBe('200')
  })

  test('suspended: refused with 403, keys too, and let in again', async ({ tenant }) => {
    const self = { username: tenant.account_sid, password: tenant.auth_token }
    const { body: key } = await ask(tenant, 'POST', `/accounts/${tenant.account_sid}/keys`, {})
    const by_key = { username: key.sid, password: key.secret }
    expect([await entrance(tenant, self), await entrance(tenant, by_key)]).toEqual(['200', '200'])
    const suspended = await ask(tenant, 'POST', `/accounts/${tenant.account_sid}`, { status: 'suspended' })
    expect(suspended).toMatchObject({ status: 200, body: { sid: tenant.account_sid, status: 'suspended' } })
    expect([await entrance(tenant, self), await entrance(tenant, by_key)]).toEqual(['403/20403', '403/20403'])
    await ask(tenant, 'POST', `/accounts/${tenant.account_sid}`, { status: 'active' })
    expect([await entrance(tenant, self), await entrance(tenant, by_key)]).toEqual(['200', '200'])
  })

  test('renamed: nothing else changes', async ({ tenant }) => {
    const { body: before } = await ask(tenant, 'GET', `/accounts/${tenant.account_sid}`)
    const { body: after } = await ask(tenant, 'POST', `/accounts/${tenant.account_sid}`, { friendly_name: 'Main' })
    expect(after).toEqual({ ...before, friendly_name: 'Main', date_updated: expect.stringMatching(ms_date) })
  })

  test('deleted: its credentials and keys stop working at once and its webhooks are not called any more', async ({
    server,
    catcher,
  }) => {
    const { body: other } = await ask(server, 'POST', '/accounts', {})
    const { body: key } = await ask(server, 'POST', `/accounts/${other.sid}/keys`, {})
    const as = { username: other.sid, password: other.auth_token }
    const hook = { PostWebhookUrl: catcher.url(), Filters: 'onConversationStateUpdated' }
    await server.call('POST', '/v1/Configuration/Webhooks', hook, { as })
    await server.call('POST', '/v1/Conversations', { 'Timers.Inactive': 'PT1M' }, { as })
    const by_key = { username: key.sid, password: key.secret }
    expect(await entrance(server, by_key)).toBe('200')

    expect(await ask(server, 'DELETE', `/accounts/${other.sid}`)).toEqual({ status: 204, body: null })
    expect([await entrance(server, as), await entrance(server, by_key)]).toEqual(['401/20003', '401/20003'])
    expect((await ask(server, 'GET', `/accounts/${other.sid}`)).status).toBe(404)
    const { body: list } = await ask(server, 'GET', '/accounts')
    expect(list.accounts.map(({ sid }: { sid: string }) => sid)).not.toContain(other.sid)
    await server.advance('PT1H')
    const pending = async () => (await ask(server, 'GET', '/deliveries?status=pending')).body.deliveries
    await expect.poll(pending).toEqual([])
    expect(catcher.requests).toEqual([])
    expect(await entrance(server, { username: server.account_sid, password: auth_token })).toBe('200')
  })

  test('one that does not exist: 404, whatever is asked of it', async ({ tenant }) => {
    const named = { friendly_name: 'x' }
    const requests: [string, string, object?][] = [
      ['GET', ''],
      ['POST', '', named],
      ['DELETE', ''],
      ['POST', '/rotate'],
      ['GET', '/keys'],
      ['POST', '/keys', named],
      ['GET', '/keys/SK0'],
      ['DELETE', '/keys/SK0'],
      ['POST', '/keys/SK0/rotate'],
      ['GET', '/channels'],
      ['PUT', '/channels/+15557654321', { url: 'https://channel.example' }],
      ['GET', '/contents'],
      ['PUT', `/contents/HX${'0'.repeat(32)}`, { types: { 'twilio/text': { body: 'x' } } }],
    ]
    for (const [method, path, body] of requests) {
      const answer = await ask(tenant, method, `/accounts/${nobody}${path}`, body)
      const named = path.includes('SK0') ? `SK0 of ${nobody}` : nobody
      expect(answer).toEqual({ status: 404, body: { error: `${named} was not found` } })
    }
    for (const [body, what] of [
      [{ account_sid: nobody }, nobody],
      [{ service_sid: 'IS0' }, `IS0 of ${tenant.account_sid}`],
    ] as const) {
      const asked = { account_sid: tenant.account_sid, identity: 'ann', ...body }
      expect(await ask(tenant, 'POST', '/tokens', asked)).toEqual({ status: 404, body: { error: `${what} was not found` } })
    }
  })
})

describe('keys', () => {
  test('one is made with a secret that is shown this once, and stands for its account', async ({ tenant }) => {
    const keys = `/accounts/${tenant.account_sid}/keys`
    const { status, body } = await ask(tenant, 'POST', keys, { friendly_name: 'CI' })
    expect(status).toBe(201)
    expect(body).toEqual({
      sid: expect.stringMatching(/^SK[0-9a-f]{32}$/),
      account_sid: tenant.account_sid,
      friendly_name: 'CI',
      type: 'standard',
      policy: null,
      date_created: expect.stringMatching(ms_date),
      date_updated: body.date_created,
      secret: expect.stringMatching(secret_form),
    })
    const as = { username: body.sid, password: body.secret }
    const made = await tenant.call('POST', '/v1/Conversations', {}, { as })
    expect(made.body.account_sid).toBe(tenant.account_sid)
    const { secret: _, ...shown } = body
    expect((await ask(tenant, 'GET', keys)).body).toEqual({ keys: [shown] })
    expect((await ask(tenant, 'GET', `${keys}/${body.sid}`)).body).toEqual(shown)
  })

  test('rotated: the new secret works and the old one does not, at once', async ({ tenant }) => {
    const keys = `/accounts/${tenant.account_sid}/keys`
    const { body: key } = await ask(tenant, 'POST', keys, {})
    expect(await entrance(tenant, { username: key.sid, password: key.secret })).toBe('200')
    const { body } = await ask(tenant, 'POST', `${keys}/${key.sid}/rotate`)
    expect(body).toEqual({ sid: key.sid, secret: expect.stringMatching(secret_form) })
    expect(await entrance(tenant, { username: key.sid, password: key.secret })).toBe('401/20003')
    expect(await entrance(tenant, { username: key.sid, password: body.secret })).toBe('200')
  })

  test('deleted: it stops working at once, other keys go on', async ({ tenant }) => {
    const keys = `/accounts/${tenant.account_sid}/keys`
    const { body: gone } = await ask(tenant, 'POST', keys, {})
    const { body: kept } = await ask(tenant, 'POST', keys, {})
    expect(await entrance(tenant, { username: gone.sid, password: gone.secret })).toBe('200')
    expect(await ask(tenant, 'DELETE', `${keys}/${gone.sid}`)).toEqual({ status: 204, body: null })
    expect(await entrance(tenant, { username: gone.sid, password: gone.secret })).toBe('401/20003')
    expect(await entrance(tenant, { username: kept.sid, password: kept.secret })).toBe('200')
    expect((await ask(tenant, 'DELETE', `${keys}/${gone.sid}`)).status).toBe(404)
  })

  test('of one account cannot be had by the path of another', async ({ tenant }) => {
    const { body: other } = await ask(tenant, 'POST', '/accounts', {})
    const { body: key } = await ask(tenant, 'POST', `/accounts/${tenant.account_sid}/keys`, {})
    const foreign = `/accounts/${other.sid}/keys/${key.sid}`
    for (const [method, path] of [
      ['GET', foreign],
      ['DELETE', foreign],
      ['POST', `${foreign}/rotate`],
    ] as const) {
      expect((await ask(tenant, method, path)).status).toBe(404)
    }
    expect(await entrance(tenant, { username: key.sid, password: key.secret })).toBe('200')
  })
})

test('no secret can be read in the database', async () => {
  await using server = await startFileServer()
  const { body: account } = await ask(server, 'POST', '/accounts', { friendly_name: 'findable' })
  const { body: rotated } = await ask(server, 'POST', `/accounts/${account.sid}/rotate`)
  const { body: key } = await ask(server, 'POST', `/accounts/${account.sid}/keys`, {})
  const secrets = [auth_token, adminToken, account.auth_token, rotated.auth_token, key.secret]
  // The search is sound: what is not secret is found.
  for (const open of ['findable', key.sid]) expect(await server.holds(open)).toBe(true)
  for (const secret of [...secrets, ...secrets.map(btoa)]) expect(await server.holds(secret), secret).toBe(false)
})

describe('who may ask', () => {
  test.for([null, 'wrong', `${adminToken}x`, adminToken.slice(1), auth_token])(
    'token %j: 401 and nothing done',
    async (token, { tenant }) => {
      const requests: [string, string, unknown?][] = [
        ['GET', '/accounts'],
        ['POST', '/accounts', {}],
        ['DELETE', `/accounts/${tenant.account_sid}`],
        ['POST', `/accounts/${tenant.account_sid}/rotate`],
        ['GET', '/deliveries'],
        ['GET', '/nonsense'],
      ]
      const { body: accounts } = await ask(tenant, 'GET', '/accounts')
      for (const [method, path, body] of requests) {
        const answer = await ask(tenant, method, path, body, token)
        expect(answer).toEqual({ status: 401, body: { error: 'the operator token is missing or wrong' } })
      }
      expect((await ask(tenant, 'GET', '/accounts')).body).toEqual(accounts)
      expect(await entrance(tenant, { username: tenant.account_sid, password: tenant.auth_token })).toBe('200')
    },
  )

  test('the operator token opens nothing of the wire', async ({ tenant }) => {
    expect(await entrance(tenant, { username: tenant.account_sid, password: adminToken })).toBe('401/20003')
    const headers = { authorization: `Bearer ${adminToken}` }
    expect((await tenant.call('GET', '/v1/Conversations', undefined, { as: null, headers })).status).toBe(401)
  })
})

describe('bad requests', () => {
  const bodies: [string, unknown][] = [
    ['/accounts', '{"friendly_name":'],
    ['/accounts', '"text"'],
    ['/accounts', []],
    ['/accounts', { friendly_name: 'x'.repeat(257) }],
    ['/accounts', { friendly_name: { first: 'x' } }],
    ['/accounts', { friendly_nam: 'misspelt' }],
    ['/accounts', { auth_token: 'of-my-own-choice' }],
    ['/accounts/self', {}],
    ['/accounts/self', { status: 'gone' }],
    ['/accounts/self', { status: 'active', auth_token: 'of-my-own-choice' }],
    ['/accounts/self', { auth_token: 'of-my-own-choice' }],
    ['/accounts/self/keys', { friendly_name: 'x'.repeat(257) }],
    ['/accounts/self/keys', { secret: 'of-my-own-choice' }],
  ]
  test.for(bodies)('POST %s %j: 400 with a reason, and nothing done', async ([path, body], { tenant }) => {
    const keys = async () => (await ask(tenant, 'GET', `/accounts/${tenant.account_sid}/keys`)).body
    const accounts = async () => (await ask(tenant, 'GET', '/accounts')).body
    const before = [await accounts(), await keys()]
    const answer = await ask(tenant, 'POST', path.replace('self', tenant.account_sid), body)
    expect(answer).toEqual({ status: 400, body: { error: expect.stringMatching(/\w+ \w+/) } })
    expect([await accounts(), await keys()]).toEqual(before)
  })

  test.for(['limit=0', 'limit=1001', 'limit=many', 'status=lost', 'conversation=CH0'])(
    'GET /deliveries?%s: 400',
    async (query, { tenant }) => {
      expect(await ask(tenant, 'GET', `/deliveries?${query}`)).toEqual({ status: 400, body: { error: expect.any(String) } })
    },
  )

  test('a body that is no JSON by its type: 415; an unknown path: 404; an unknown delivery: 404', async ({ tenant }) => {
    const headers = { authorization: `Bearer ${adminToken}`, 'content-type': 'application/x-www-form-urlencoded' }
    const form = await fetch(`${tenant.url}/admin/v1/accounts`, { method: 'POST', headers, body: 'friendly_name=x' })
    expect([form.status, await form.json()]).toEqual([415, { error: expect.any(String) }])
    for (const [method, path, what] of [
      ['GET', '/nonsense', 'this path'],
      ['DELETE', '/accounts', 'this path'],
      ['GET', '/deliveries/WD0', 'WD0'],
      ['POST', '/deliveries/WD0/redeliver', 'WD0'],
    ] as const) {
      expect(await ask(tenant, method, path)).toEqual({ status: 404, body: { error: `${what} was not found` } })
    }
  })
})

describe('the delivery log', () => {
  /** Everything goes to the catcher, with credentials in its address. */
  async function listen({ sdk }: Tenant, catcher: WebhookCatcher): Promise<void> {
    await sdk.conversations.v1.configuration.webhooks().update({
      postWebhookUrl: catcher.url('/hook?tenant=7').replace('//', '//alice:s3cret@'),
      filters: all_events,
    })
  }

  test('shows what was told to whom and each attempt, without the credentials of the url', async ({ tenant, catcher }) => {
    await listen(tenant, catcher)
    const { sid, chatServiceSid } = await tenant.sdk.conversations.v1.conversations.create({ friendlyName: 'Room', ...enabled })
    const { params } = await catcher.next()
    await settled(tenant)
    const [delivery, ...more] = await log(tenant)
    expect(more).toEqual([])
    const { RetryCount: _, ...event } = params
    expect(delivery).toEqual({
      id: expect.stringMatching(/^WD[0-9a-f]{32}$/),
      account_sid: tenant.account_sid,
      service_sid: chatServiceSid,
      target_sid: tenant.account_sid,
      subject_sid: sid,
      kind: 'webhook',
      message_sid: null,
      participant_sid: null,
      event_type: 'onConversationAdded',
      method: 'POST',
      url: catcher.url('/hook?tenant=7'),
      params: event,
      status: 'delivered',
      attempts: [
        { at: expect.stringMatching(ms_date), duration_ms: expect.any(Number), status: 200, error: null, response: null },
      ],
      date_created: expect.stringMatching(ms_date),
      date_finished: expect.any(String),
    })
    expect(await ask(tenant, 'GET', `/deliveries/${delivery?.id}`)).toMatchObject({ status: 200, body: delivery ?? {} })
  })

  test('is filtered by service, conversation and status, alone and together', async ({ tenant, catcher }) => {
    await listen(tenant, catcher)
    const { v1 } = tenant.sdk.conversations
    const { sid: service } = await v1.services.create({ friendlyName: 'Support' })
    catcher.reply(({ params }) => ({ status: params.FriendlyName === 'bad' ? 500 : 200 }))
    const good = await v1.conversations.create({ friendlyName: 'good', ...enabled })
    const bad = await v1.conversations.create({ friendlyName: 'bad', ...enabled })
    const there = await v1.services(service).conversations.create({ friendlyName: 'bad', ...enabled })
    await v1.conversations(good.sid).update({ friendlyName: 'better', ...enabled })
    await settled(tenant)
    const found = async (query: string) => (await log(tenant, query)).map(({ subject_sid }) => subject_sid)
    expect(await found('')).toEqual([good.sid, there.sid, bad.sid, good.sid])
    expect(await found(`&conversation_sid=${good.sid}`)).toEqual([good.sid, good.sid])
    expect(await found(`&service_sid=${service}`)).toEqual([there.sid])
    expect(await found('&status=failed')).toEqual([there.sid, bad.sid])
    expect(await found('&status=delivered')).toEqual([good.sid, good.sid])
    expect(await found(`&status=failed&service_sid=${good.chatServiceSid}`)).toEqual([bad.sid])
    expect(await found(`&status=failed&conversation_sid=${good.sid}`)).toEqual([])
    expect(await found('&status=pending')).toEqual([])
  })

  test('comes in pages, newest first, each delivery once, to the end', async () => {
    await using server = await startServer()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    await listen(server, catcher)
    for (let i = 0; i < 7; i++) await server.sdk.conversations.v1.conversations.create(enabled)
    await settled(server)
    const all = (await log(server)).map(({ id }) => id)
    expect(all).toEqual(all.toSorted().reverse())
    const pages: string[][] = []
    for (let before: string | null = ''; before !== null; ) {
      const { body }: AdminAnswer = await ask(server, 'GET', `/deliveries?limit=3${before && `&before=${before}`}`)
      pages.push(body.deliveries.map(({ id }: { id: string }) => id))
      before = body.next_before
    }
    expect(pages.map(({ length }) => length)).toEqual([3, 3, 1])
    expect(pages.flat()).toEqual(all)
  })

  test('a page that is just full is the last one', async () => {
    await using server = await startServer()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    await listen(server, catcher)
    for (let i = 0; i < 3; i++) await server.sdk.conversations.v1.conversations.create(enabled)
    await settled(server)
    const { body } = await ask(server, 'GET', '/deliveries?limit=3')
    expect(body.deliveries).toHaveLength(3)
    expect(body.next_before).toBeNull()
  })

  test('redelivered: once more with the same form and token, as a line of its own', async ({ tenant, catcher }) => {
    await listen(tenant, catcher)
    catcher.reply(() => ({ status: 500 }))
    await tenant.sdk.conversations.v1.conversations.create({ friendlyName: 'Room', ...enabled })
    await settled(tenant)
    const [failed] = await log(tenant)
    catcher.reply(() => ({}))
    const { status, body } = await ask(tenant, 'POST', `/deliveries/${failed?.id}/redeliver`)
    expect(status).toBe(201)
    expect(body).toMatchObject({ status: 'pending', attempts: [], params: failed?.params })
    expect(body.id).not.toBe(failed?.id)
    await settled(tenant)
    const [first, second] = catcher.requests
    expect(catcher.requests).toHaveLength(2)
    expect(second?.params).toEqual(first?.params)
    expect(second?.signed).toBe(true)
    expect(second?.headers['i-twilio-idempotency-token']).toBe(first?.headers['i-twilio-idempotency-token'])
    expect((await log(tenant)).map(({ id, status }) => [id, status])).toEqual([
      [body.id, 'delivered'],
      [failed?.id, 'failed'],
    ])
  })

  test('finished lines are forgotten after the days that are set, pending ones never', async () => {
    await using database = await newDatabase()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    const settings = { ...database.config, deliveryLogDays: 7, webhookRetries: 1 }
    const first = await startServer(settings)
    catcher.reply(({ params }) => ({ status: params.FriendlyName === 'waits' ? 503 : 200 }))
    await first.sdk.conversations.v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: all_events })
    await first.sdk.conversations.v1.conversations.create({ friendlyName: 'old', ...enabled })
    await settled(first)
    await first.advance('P8D')
    await first.sdk.conversations.v1.conversations.create({ friendlyName: 'new', ...enabled })
    await settled(first)
    await first.stop()
    // It looks when it starts.
    await using second = await startServer(settings)
    const names = async () => (await log(second)).map(({ params }) => params.FriendlyName)
    await expect.poll(names).toEqual(['new'])
  })
})

describe('for the machine room', () => {
  test('/healthz and /readyz need no token', async ({ server }) => {
    for (const [path, status] of [
      ['/healthz', 'ok'],
      ['/readyz', 'ready'],
    ]) {
      const answer = await fetch(server.url + path)
      expect([answer.status, await answer.json()]).toEqual([200, { status }])
    }
  })

  test('/metrics counts requests, attempts, timers and waiting writes, as Prometheus reads it', async () => {
    await using server = await startServer()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    const { v1 } = server.sdk.conversations
    await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: all_events })
    catcher.reply(({ params }) => ({ status: params.EventType === 'onConversationAdded' ? 200 : 500 }))
    await v1.conversations.create({ 'timers.inactive': 'PT1M', ...enabled })
    await server.call('GET', '/v1/Conversations/nobody')
    await server.advance('PT1M')
    await settled(server)
    const answer = await fetch(`${server.url}/metrics`)
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain; version=0\.0\.4/)
    const lines = (await answer.text()).split('\n')
    const metric = (name: string) => Number(lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1))
    expect(metric('parley_http_requests_total{method="POST",status="201"}')).toBe(1)
    expect(metric('parley_http_requests_total{method="GET",status="404"}')).toBe(1)
    for (const operation of ['UpdateConfigurationWebhook', 'CreateConversation', 'FetchConversation']) {
      expect(metric(`parley_http_request_duration_seconds_count{operation="${operation}"}`)).toBe(1)
      expect(metric(`parley_http_request_duration_seconds_bucket{operation="${operation}",le="+Inf"}`)).toBe(1)
    }
    expect(lines.filter((line) => line.startsWith('parley_http_request_duration_seconds_count'))).toHaveLength(3)
    expect(metric('parley_database_size_bytes')).toBeGreaterThan(10_000)
    expect(metric('parley_disk_free_bytes')).toBeGreaterThan(10_000)
    expect(lines.filter((line) => line.startsWith('parley_build_info{'))).toEqual([
      expect.stringMatching(/^parley_build_info\{version="\d+\.\d+\.\d+[^"]*",node="v\d+[^"]*",engine="(sqlite|postgres)"\} 1$/),
    ])
    expect(metric('parley_webhook_attempts_total{outcome="2xx"}')).toBe(1)
    expect(metric('parley_webhook_attempts_total{outcome="5xx"}')).toBe(1)
    expect(metric('parley_webhook_duration_seconds_count')).toBe(2)
    expect(metric('parley_timers_applied_total')).toBe(1)
    expect(metric('parley_timer_lateness_seconds_count')).toBe(1)
    expect(metric('parley_writes_waiting')).toBe(0)
    expect(lines.some((line) => line.startsWith('process_resident_memory_bytes '))).toBe(true)
    expect(lines.join()).not.toContain(server.account_sid)
  })

  test('with the database gone the process lives, is not ready, and says 503 to callers', async () => {
    const running = await started({})
    await running.installation.database.close()
    const { url } = running
    expect((await fetch(`${url}/healthz`)).status).toBe(200)
    expect((await fetch(`${url}/readyz`)).status).toBe(503)
    const headers = { authorization: `Basic ${btoa(`${running.installation.account.sid}:${auth_token}`)}` }
    const answer = await fetch(`${url}/v1/Conversations`, { headers })
    expect([answer.status, ((await answer.json()) as { code: number }).code]).toEqual([503, 20503])
    const write = await fetch(`${url}/v1/Conversations`, { method: 'POST', headers })
    expect(write.status).toBe(503)
    await running.stop()
  })
})

/** A server whose log is kept. */
async function started(overrides: Partial<Config>, lines: string[] = []): Promise<Running> {
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString())
      done()
    },
  })
  const database = await passingDatabase()
  const given = { ...readConfig({ PORT: '0', PARLEY_TEST_CLOCK: 'true' }), ...database.config }
  const running = await start({ ...given, auth_token, adminToken, ...overrides }, { log: pino({ level: 'trace' }, stream) })
  const stop = async () => {
    await running.stop()
    await database.dispose()
  }
  return { ...running, stop }
}

describe('the log of the server', () => {
  async function logged() {
    const lines: string[] = []
    const running = await started({}, lines)
    const catcher = await catchWebhooks()
    onTestFinished(async () => {
      await catcher.close()
      await running.stop()
    })
    const { sid } = running.installation.account
    const call = (method: string, path: string, form?: Record<string, string>, password = auth_token) =>
      fetch(running.url + path, {
        method,
        headers: { authorization: `Basic ${btoa(`${sid}:${password}`)}`, ...asking.headers },
        ...(form && { body: new URLSearchParams(form) }),
      })
    return { lines, running, catcher, call }
  }

  test('has sids but no names and identities, known or not', async () => {
    const { lines, call } = await logged()
    const made = (await (await call('POST', '/v1/Conversations', { UniqueName: 'hidden-name' })).json()) as { sid: string }
    await call('GET', `/v1/Conversations/${made.sid}/Messages/0`)
    await call('GET', '/v1/Conversations/hidden-name/Participants')
    await call('GET', '/v1/Users/hidden@example.com/Conversations/')
    await call('GET', '/v1/hidden/nowhere')
    await call('GET', '/v1/Conversations/hidden%zz')
    const paths = lines.map((line) => JSON.parse(line)).flatMap(({ msg, path }) => (msg === 'request' ? [path] : []))
    expect(paths).toEqual([
      '/v1/Conversations',
      `/v1/Conversations/${made.sid}/Messages/:key`,
      '/v1/Conversations/:key/Participants',
      '/v1/Users/:key/Conversations',
      '/v1/:key/:key',
    ])
    expect(lines.join()).not.toContain('hidden')
  })

  test('has one line for each request, with its path but not its query', async () => {
    const { lines, call } = await logged()
    await call('GET', '/v1/Conversations?PageSize=7&State=active')
    await call('GET', '/v1/Nonsense')
    const requests = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request')
    expect(requests).toMatchObject([
      { method: 'GET', path: '/v1/Conversations', status: 200, request: expect.stringMatching(/^RQ/) },
      { method: 'GET', path: '/v1/:key', status: 404 },
    ])
    expect(lines.join()).not.toContain('PageSize')
  })

  test('tells of webhooks that fail', async () => {
    const { lines, catcher, call } = await logged()
    catcher.reply(({ path }) => (path === '/pre' ? { body: 'OK' } : { hangUp: true }))
    const urls = { PreWebhookUrl: catcher.url('/pre'), PostWebhookUrl: catcher.url('/post') }
    await call('POST', '/v1/Configuration/Webhooks', { ...urls, Filters: 'onConversationAdd' })
    await call('POST', '/v1/Conversations', {})
    const warnings = () => lines.map((line) => JSON.parse(line)).filter(({ level }) => level === 40)
    expect(warnings()).toMatchObject([{ msg: 'pre-action webhook', event: 'onConversationAdd', code: 50057 }])
    await call('POST', '/v1/Configuration/Webhooks', { PreWebhookUrl: '', Filters: 'onConversationAdded' })
    await call('POST', '/v1/Conversations', {})
    await expect.poll(() => warnings().length).toBe(2)
    expect(warnings()[1]).toMatchObject({
      msg: 'webhook failed',
      event: 'onConversationAdded',
      delivery: expect.stringMatching(/^WD/),
    })
  })

  test('has no secret in it, whatever goes wrong', async () => {
    const { lines, running, catcher, call } = await logged()
    const hidden = catcher.url('/hook?key=hidden-in-query').replace('//', '//alice:s3cret-of-the-hook@')
    const filters = { Filters: 'onConversationAdd' }
    await call('POST', '/v1/Configuration/Webhooks', { PreWebhookUrl: hidden, PostWebhookUrl: hidden, ...filters })
    for (const reply of [{ hangUp: true }, { body: 'OK' }, { status: 401, headers: { 'www-authenticate': 'Basic realm=x' } }]) {
      catcher.reply(() => reply)
      await call('POST', '/v1/Conversations', { Attributes: '{"pin":"hidden-in-attributes"}' })
    }
    await call('POST', '/v1/Configuration/Webhooks', { PreWebhookUrl: '', Filters: 'onConversationAdded' })
    catcher.reply(() => ({ hangUp: true }))
    await call('POST', '/v1/Conversations', { Attributes: '{"pin":"hidden-in-attributes"}' })
    await call('GET', '/v1/Conversations', undefined, 'hidden-wrong-password')
    await call('POST', '/v1/Conversations?Token=hidden-in-the-query', { Attributes: '{"hidden-not-json' })
    await fetch(`${running.url}/v1/Conversations`, { headers: { authorization: 'Basic %%hidden-malformed' } })
    await ask(running, 'GET', '/accounts', undefined, 'hidden-operator-token')
    await ask(running, 'POST', '/accounts', '{"hidden-body')
    const { body: account } = await ask(running, 'POST', '/accounts', {})
    const { body: key } = await ask(running, 'POST', `/accounts/${account.sid}/keys`, {})
    const settledLog = async () => (await ask(running, 'GET', '/deliveries?status=pending')).body.deliveries
    await expect.poll(settledLog).toEqual([])

    const all = lines.join('')
    expect(all).toContain('webhook failed')
    expect(all).toContain('pre-action webhook')
    const { installation } = running
    const plain = [auth_token, adminToken, account.auth_token, key.secret, 's3cret-of-the-hook', 'alice']
    const basic = btoa(`${installation.account.sid}:${auth_token}`)
    expect([...plain, basic].filter((secret) => all.includes(secret))).toEqual([])
    expect(/.{0,60}hidden.{0,60}/.exec(all)?.[0]).toBeUndefined()
  })
})

test('events of the log are those of the catcher', async ({ tenant, catcher }) => {
  const { v1 } = tenant.sdk.conversations
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: all_events })
  const { sid } = await v1.conversations.create(enabled)
  await v1.conversations(sid).update({ state: 'inactive', ...enabled })
  await v1.conversations(sid).remove(enabled)
  await settled(tenant)
  const logged = (await log(tenant)).map(({ event_type }) => event_type).reverse()
  expect(logged).toEqual(eventsOf(catcher.requests))
  expect(logged).toHaveLength(4)
})
