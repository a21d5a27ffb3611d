import { describe, expect, onTestFinished, test } from 'vitest'
import { ActionLimits } from '../../src/api/action-limits.ts'
import { Admission } from '../../src/api/admission.ts'
import { type Config, readConfig } from '../../src/config.ts'
import type { StartOptions } from '../../src/main.ts'
import { conversations } from '../../src/resources/conversations/conversation.ts'
import { ask } from '../support/admin.ts'
import { tokenFor } from '../support/client.ts'
import { sdkFor } from '../support/sdk.ts'
import { adminToken, startServer, type TestServer } from '../support/server.ts'
import { connectTo, head, parsedResponse } from '../support/sockets.ts'
import { type Credentials, newTenant } from '../support/tenant.ts'

const tooMany = { code: 20429, message: 'Too Many Requests', more_info: 'https://www.twilio.com/docs/errors/20429', status: 429 }

async function started(overrides: Partial<Config>, options: StartOptions = {}): Promise<TestServer> {
  const limits = { bodyTimeoutMs: 3_600_000, idleTimeoutMs: 3_600_000 }
  const server = await startServer(overrides, { limits, ...options })
  onTestFinished(server.stop)
  return server
}

const basic = ({ username, password }: Credentials) => ({
  Authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`,
})

function connection(server: TestServer) {
  const opened = connectTo(server.url)
  onTestFinished(() => void opened.socket.destroy())
  return opened
}

/** How many requests the account has in progress. The operator, who is not counted, asks: so no other is refused because of it. */
async function inProgress({ url, account_sid }: TestServer): Promise<number> {
  const acting = { authorization: `Bearer ${adminToken}`, 'x-parley-account': account_sid }
  const answer = await fetch(`${url}/v1/Services`, { headers: acting })
  await answer.arrayBuffer()
  return Number(answer.headers.get('twilio-concurrent-requests')) - 1
}

/** Keeps further requests in progress: those of a form whose end does not come. Returns what ends the first of them. */
async function hold(server: TestServer, count: number, as: Credentials = server.credentials): Promise<() => void> {
  const before = await inProgress(server)
  const sockets = Array.from({ length: count }, () => {
    const { socket } = connection(server)
    const form = { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': 100 }
    socket.write(`${head('POST', '/v1/Conversations', { ...form, ...basic(as) })}Friendly`)
    return socket
  })
  await expect.poll(() => inProgress(server)).toBe(before + count)
  return () => void sockets[0]?.destroy()
}

const get = (server: TestServer, as: Credentials = server.credentials) => server.call('GET', '/v1/Services', undefined, { as })

async function limited(server: TestServer): Promise<Record<string, number>> {
  const text = await (await fetch(`${server.metricsUrl}/metrics`)).text()
  return Object.fromEntries(
    [...text.matchAll(/^parley_limited_total\{limit="(\w+)"\} (\d+)$/gm)].map(([, limit, count]) => [limit, Number(count)]),
  )
}

async function keyOf(server: TestServer): Promise<Credentials> {
  const { body } = await ask(server, 'POST', `/accounts/${server.account_sid}/keys`, {})
  return { username: body.sid, password: body.secret }
}

describe('requests of an account in progress', () => {
  test('beyond the limit are 429 before their body is read, until one of the others is over', async () => {
    const server = await started({ maxConcurrentRequests: 2 })
    const release = await hold(server, 2)
    const { status, headers, body } = await get(server)
    expect([status, headers['retry-after'], headers['twilio-concurrent-requests']]).toEqual([429, '1', '3'])
    expect(body).toEqual(tooMany)
    const { socket, until } = connection(server)
    socket.write(head('POST', '/v1/Conversations', { 'Content-Length': 1000, ...basic(server.credentials) }))
    expect(parsedResponse(await until(/}$/))).toMatchObject({ status: 429, body: tooMany })
    expect((await limited(server)).concurrent_requests).toBeGreaterThanOrEqual(2)
    release()
    await expect.poll(async () => (await get(server)).status).toBe(200)
  })

  test('are nobody else’s, and the operator is let in', async () => {
    const server = await started({ maxConcurrentRequests: 1 })
    const other = await newTenant(server)
    await hold(server, 1)
    expect((await get(server)).status).toBe(429)
    const answer = await other.call('GET', '/v1/Services')
    expect([answer.status, answer.headers['twilio-concurrent-requests']]).toEqual([200, '1'])
    for (const path of ['/healthz', '/readyz', '/metrics']) expect((await fetch(server.url + path)).status).toBe(200)
    expect((await ask(server, 'GET', `/accounts/${server.account_sid}`)).status).toBe(200)
    expect((await ask(server, 'POST', '/clock', { advance: 'PT1S' })).status).toBe(200)
    const acting = { authorization: `Bearer ${adminToken}`, 'x-parley-account': server.account_sid }
    expect((await fetch(`${server.url}/v1/Services`, { headers: acting })).status).toBe(200)
  })

  test('of an API key are half', async () => {
    const server = await started({ maxConcurrentRequests: 4 })
    const [key, other] = [await keyOf(server), await keyOf(server)]
    await hold(server, 2, key)
    expect((await get(server, key)).status).toBe(429)
    expect((await get(server, other)).status).toBe(200)
    await hold(server, 2)
    expect([(await get(server)).status, (await get(server, other)).status]).toEqual([429, 429])
  })

  test('of all its apps together are half', async () => {
    const server = await started({ maxConcurrentRequests: 2 })
    const service = (await server.sdk.conversations.v1.configuration().fetch()).defaultChatServiceSid
    const [ann, bob] = [await tokenFor(server, 'ann'), await tokenFor(server, 'bob')]
    const upload = (token: string) => {
      const opened = connection(server)
      opened.socket.write(`${head('POST', `/v1/Services/${service}/Media`, { 'Content-Length': 100, 'X-Twilio-Token': token })}a`)
      return opened
    }
    upload(ann)
    await expect.poll(() => inProgress(server)).toBe(1)
    expect(parsedResponse(await upload(bob).until(/}$/))).toMatchObject({ status: 429, body: tooMany })
    expect((await get(server)).status).toBe(200)
  })

  test('do not count any more when the caller has disconnected', async () => {
    const server = await started({ maxConcurrentRequests: 2 })
    for (let i = 0; i < 5; i++) {
      const release = await hold(server, 1)
      release()
      await expect.poll(() => inProgress(server)).toBe(0)
    }
  })

  test('the official client gets in with autoRetry, and reports the error without', async () => {
    const server = await started({ maxConcurrentRequests: 1 })
    const release = await hold(server, 1)
    await expect(server.sdk.conversations.v1.services.list()).rejects.toMatchObject({ status: 429, code: 20429 })
    const patient = sdkFor(server, server.account_sid, server.auth_token, { autoRetry: true }).conversations.v1
    const before = (await limited(server)).concurrent_requests ?? 0
    const made = patient.conversations.create({ friendlyName: 'late' })
    await expect.poll(async () => (await limited(server)).concurrent_requests).toBeGreaterThan(before)
    release()
    expect((await made).friendlyName).toBe('late')
  })

  test('are divided by the nodes that are alive', () => {
    const nodes = { size: 3 }
    const admission = new Admission({ maxConcurrent: 100, maxPerSecond: 0, now: () => 0, nodes, onRefused: () => {} })
    const enter = (share: string | null) => admission.enter({ concurrent: 0 }, { account_sid: 'AC', share }) === undefined
    const entered = (share: string | null) => {
      let count = 0
      while (enter(share)) count++
      return count
    }
    expect([entered('SK'), entered(null)]).toEqual([17, 17])
    nodes.size = 1
    expect([entered('SK'), entered(null)]).toEqual([33, 33])
  })
})

describe('requests of an account per second', () => {
  async function paced(maxRequestsPerSecond: number) {
    const clock = { ms: 0 }
    const server = await started({ maxRequestsPerSecond }, { monotonicMs: () => clock.ms })
    return { clock, server, status: async () => (await get(server)).status }
  }

  test('beyond the limit are 429 before their body is read, until time has passed', async () => {
    const { clock, server, status } = await paced(2)
    expect([await status(), await status()]).toEqual([200, 200])
    const { socket, until } = connection(server)
    socket.write(head('POST', '/v1/Conversations', { 'Content-Length': 1000, ...basic(server.credentials) }))
    expect(parsedResponse(await until(/}$/))).toMatchObject({ status: 429, body: tooMany })
    const { status: refused, headers } = await get(server)
    expect([refused, headers['retry-after']]).toEqual([429, '1'])
    expect(await limited(server)).toEqual({ requests_per_second: 2 })
    clock.ms += 500
    expect([await status(), await status()]).toEqual([200, 429])
    clock.ms += 3_600_000
    expect([await status(), await status(), await status()]).toEqual([200, 200, 429])
  })

  test('are nobody else’s, and the operator is let in', async () => {
    const { server, status } = await paced(1)
    const other = await newTenant(server)
    expect([await status(), await status()]).toEqual([200, 429])
    expect((await other.call('GET', '/v1/Services')).status).toBe(200)
    expect((await fetch(`${server.url}/readyz`)).status).toBe(200)
    expect((await ask(server, 'POST', '/clock', { advance: 'PT1S' })).status).toBe(200)
    const acting = { authorization: `Bearer ${adminToken}`, 'x-parley-account': server.account_sid }
    expect((await fetch(`${server.url}/v1/Services`, { headers: acting })).status).toBe(200)
  })

  test('weigh what they are answered, but make nobody wait for more than 10 seconds and one more', async () => {
    const { clock, server, status } = await paced(4)
    const { defaultChatServiceSid: service } = await server.sdk.conversations.v1.configuration().fetch()
    const upload = async (size: number) => {
      const path = `/v1/Services/${service}/Media`
      const { body } = await server.call('POST', path, 'a'.repeat(size), { check: false })
      return new URL(body.links.content).pathname
    }
    const [some, many] = [await upload(3 * 65_536), await upload(100 * 65_536)]
    let downloads = 0
    const download = async (path: string) => {
      await (await fetch(server.url + path, { headers: basic(server.credentials) })).arrayBuffer()
      // The metrics count what is over.
      const over = new RegExp(`^parley_http_request_duration_seconds_count{operation="FetchMediaContent"} ${++downloads}$`, 'm')
      await expect.poll(async () => (await fetch(`${server.url}/metrics`)).text()).toMatch(over)
    }
    clock.ms += 1000
    await download(some)
    expect([await status(), await status()]).toEqual([200, 429])
    clock.ms += 1000
    await download(many)
    expect((await get(server)).headers['retry-after']).toBe('11')
    clock.ms += 10_000
    expect(await status()).toBe(429)
    clock.ms += 250
    expect([await status(), await status()]).toEqual([200, 429])
  })

  test('the official client gets in with autoRetry', async () => {
    const { clock, server, status } = await paced(1)
    expect([await status(), await status()]).toEqual([200, 429])
    const patient = sdkFor(server, server.account_sid, server.auth_token, { autoRetry: true }).conversations.v1
    const made = patient.conversations.create({ friendlyName: 'late' })
    await expect.poll(async () => (await limited(server)).requests_per_second).toBeGreaterThan(1)
    clock.ms += 1000
    expect((await made).friendlyName).toBe('late')
  })
})

describe('actions per second', () => {
  const actions = { code: 50063, message: 'Actions per second limit exceeded', status: 429 }
  const allActions = { code: 50074, message: 'Global actions per second limit exceeded', status: 429 }

  async function paced(overrides: Partial<Config>) {
    const clock = { ms: 0 }
    const server = await started(overrides, { monotonicMs: () => clock.ms })
    const post = (path: string, form: Record<string, string> = {}) => server.call('POST', `/v1${path}`, form)
    /** How many of the requests are let through until one is refused. */
    const untilRefused = async (path: string, form: Record<string, string> = {}) => {
      for (let count = 0; ; count++) {
        const { status, body, headers } = await post(path, form)
        if (status >= 300) return [count, body.code, headers['retry-after']]
      }
    }
    return { clock, server, post, untilRefused }
  }

  test('on a service and on a conversation are counted apart, over five seconds; reads are free', async () => {
    const { clock, server, post, untilRefused } = await paced({ maxActionsPerSecond: 1 })
    const { sid } = (await post('/Conversations')).body
    // Users and conversations are the service's: one is made already.
    expect((await post('/Users', { Identity: 'ann' })).status).toBe(201)
    expect(await untilRefused('/Conversations')).toEqual([3, 50063, '1'])
    const refused = await post('/Roles', { FriendlyName: 'r', Type: 'service', Permission: 'createConversation' })
    expect(refused).toMatchObject({ status: 429, body: actions })
    expect(await untilRefused(`/Conversations/${sid}/Messages`, { Body: 'x' })).toEqual([5, 50063, '1'])
    expect((await post(`/Conversations/${sid}`, { FriendlyName: 'x' })).body).toMatchObject(actions)
    expect((await server.call('DELETE', `/v1/Conversations/${sid}`)).body).toMatchObject(actions)
    expect(
      (await post(`/Conversations/${sid}/Webhooks`, { Target: 'studio', 'Configuration.FlowSid': `FW${'0'.repeat(32)}` })).status,
    ).toBe(201)
    for (let i = 0; i < 10; i++) expect((await get(server)).status).toBe(200)
    expect((await limited(server)).actions_per_second).toBeGreaterThanOrEqual(5)
    clock.ms += 5000
    expect((await post('/Conversations')).status).toBe(429)
    // A fifth of the last five seconds is over.
    clock.ms += 1000
    expect(await untilRefused('/Conversations')).toEqual([1, 50063, '1'])
    clock.ms += 10_000
    expect(await untilRefused('/Conversations')).toEqual([5, 50063, '1'])
  })

  test('that are refused for another reason are not counted, and an operation is one', async () => {
    const { post, untilRefused } = await paced({ maxActionsPerSecond: 1 })
    for (let i = 0; i < 10; i++) expect((await post('/Conversations', { 'Timers.Closed': 'never' })).status).toBe(400)
    expect(await untilRefused('/ConversationWithParticipants')).toEqual([5, 50063, '1'])
  })

  test('of an account together, and nobody else’s', async () => {
    const { server, post, untilRefused } = await paced({ maxAccountActionsPerSecond: 1 })
    const { sid } = (await post('/Conversations')).body
    expect(await untilRefused(`/Conversations/${sid}/Messages`, { Body: 'x' })).toEqual([4, 50074, '1'])
    expect((await post('/Users', { Identity: 'ann' })).body).toMatchObject(allActions)
    const other = await newTenant(server)
    expect((await other.call('POST', '/v1/Conversations', {})).status).toBe(201)
    expect(await limited(server)).toEqual({ account_actions_per_second: 2 })
  })

  test('the official client gets through with autoRetry', async () => {
    const { clock, server, untilRefused } = await paced({ maxActionsPerSecond: 1 })
    expect(await untilRefused('/Conversations')).toEqual([5, 50063, '1'])
    const patient = sdkFor(server, server.account_sid, server.auth_token, { autoRetry: true }).conversations.v1
    const made = patient.conversations.create({ friendlyName: 'late' })
    await expect.poll(async () => (await limited(server)).actions_per_second).toBeGreaterThan(1)
    clock.ms += 10_000
    expect((await made).friendlyName).toBe('late')
  })

  test('are divided by the nodes that are alive', () => {
    const none = { now: () => 0, onRefused: () => {}, maxPerSecondOfAccount: 0 }
    const limits = new ActionLimits({ ...none, maxPerSecond: 30, nodes: { size: 3 } })
    const path = { account_sid: 'AC', service_sid: null, parents: [], key: null, text: '' }
    for (let i = 0; i < 50; i++) limits.count(conversations, 'create', path)
    expect(() => limits.count(conversations, 'create', path)).toThrow(actions.message)
  })
})

test.each([
  ['PARLEY_MAX_CONCURRENT_REQUESTS', 'maxConcurrentRequests', 100],
  ['PARLEY_MAX_REQUESTS_PER_SECOND', 'maxRequestsPerSecond', 0],
  ['PARLEY_MAX_ACTIONS_PER_SECOND', 'maxActionsPerSecond', 0],
  ['PARLEY_MAX_ACCOUNT_ACTIONS_PER_SECOND', 'maxAccountActionsPerSecond', 0],
] as const)('%s is a whole number', (env, name, standard) => {
  expect(readConfig({})[name]).toBe(standard)
  expect(readConfig({ [env]: '0' })[name]).toBe(0)
  expect(readConfig({ [env]: '1000000' })[name]).toBe(1_000_000)
  for (const wrong of ['-1', '1.5', 'many', '1000001', '1e3']) {
    expect(() => readConfig({ [env]: wrong })).toThrow(`${env} must be a whole number from 0 to 1000000, not ${wrong}`)
  }
})
