import { spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import https from 'node:https'
import type { LookupFunction } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Agent, type Dispatcher, request } from 'undici'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { RawClient, statusOf, tokenFor } from '../support/client.ts'
import { hasNginx, insideName, type Nginx, publicName, startNginx } from '../support/nginx.ts'
import { adminToken, startServer, type TestServer } from '../support/server.ts'

const toThisMachine: LookupFunction = (_name, options, found) =>
  options.all ? found(null, [{ address: '127.0.0.1', family: 4 }]) : found(null, '127.0.0.1', 4)

describe.runIf(hasNginx || process.env.CI)('deploy/nginx.conf', () => {
  let server: TestServer
  let nginx: Nginx
  let agent: Agent
  let base: string
  let inside: string

  beforeAll(async () => {
    server = await startServer({ trustedProxies: ['127.0.0.1'], allowedHosts: [publicName, insideName], maxFailedLogins: 5 })
    nginx = await startNginx([Number(new URL(server.url).port)])
    agent = newAgent()
    base = `https://${publicName}:${nginx.port}`
    inside = `https://${insideName}:${nginx.insidePort}`
  })
  afterAll(async () => {
    await agent?.close()
    await nginx?.[Symbol.asyncDispose]()
    await server?.stop()
  })

  const newAgent = () => new Agent({ connect: { ca: nginx.certificate, lookup: toThisMachine } })

  const basic = (password = server.auth_token) => `Basic ${Buffer.from(`${server.account_sid}:${password}`).toString('base64')}`

  async function call(url: string, { headers = {}, ...options }: Partial<Dispatcher.RequestOptions> = {}) {
    const answer = await request(url, {
      dispatcher: agent,
      ...options,
      headers: { authorization: basic(), ...(headers as Record<string, string>) },
    })
    return { status: answer.statusCode, headers: answer.headers, body: Buffer.from(await answer.body.arrayBuffer()) }
  }

  test('links have the name and the scheme of the outside, whatever a caller claims', async () => {
    const answer = await call(`${base}/v1/Conversations?PageSize=1`, {
      headers: { 'x-forwarded-host': 'evil.example', 'x-forwarded-proto': 'http', 'x-forwarded-for': '203.0.113.1' },
    })
    expect(answer.status).toBe(200)
    expect(JSON.parse(String(answer.body)).meta.url).toMatch(`https://${publicName}/v1/Conversations?`)
  })

  test('what is not for the public is 404 there', async () => {
    for (const path of ['/admin/v1/accounts', '/console', '/metrics', '/readyz', '/healthz', '/']) {
      expect([path, (await call(base + path)).status]).toEqual([path, 404])
    }
    expect((await call(`${base}/channels/none`)).headers.server).toMatch(/nginx/)
  })

  test('a file goes up and comes down, larger than any buffer; one that is too large is refused', async () => {
    const bytes = randomBytes(12 * 1024 * 1024)
    const sent = await call(`${base}/v1/Services/${await serviceSid()}/Media`, {
      method: 'POST',
      body: bytes,
      headers: { 'content-type': 'application/octet-stream' },
    })
    expect(sent.status).toBe(201)
    const { links } = JSON.parse(String(sent.body))
    const direct = new URL(links.content ?? links.content_direct_temporary)
    expect(direct.hostname).toBe(publicName)
    direct.port = String(nginx.port)
    const got = await call(direct.href)
    expect(got.status).toBe(200)
    expect(got.body.equals(bytes)).toBe(true)
    // Refused by its length alone: nothing of it is sent.
    const huge = https.request(`${base}/v1/Services/${await serviceSid()}/Media`, {
      method: 'POST',
      headers: { authorization: basic(), 'content-length': 200 * 1024 * 1024 },
      ca: nginx.certificate,
      lookup: toThisMachine,
    })
    huge.flushHeaders()
    const [refused] = await once(huge, 'response')
    expect(refused.statusCode).toBe(413)
    huge.destroy()
  })

  const serviceSid = async () => JSON.parse(String((await call(`${base}/v1/Configuration`)).body)).default_chat_service_sid

  test('a client SDK is connected by websocket, admitted, and answered', async () => {
    const options = { ca: nginx.certificate, lookup: toThisMachine }
    const raw = await RawClient.open({ url: base }, options)
    const reply = await raw.ask('init', { token: await tokenFor(server, 'alice') })
    expect(statusOf(reply).code).toBe(200)
  })

  test('the operator has the console and the stream of events from inside, event by event', async () => {
    expect((await call(`${inside}/admin/v1/accounts`, { headers: { authorization: `Bearer ${adminToken}` } })).status).toBe(200)
    const stream = await request(`${inside}/admin/v1/events`, {
      dispatcher: agent,
      headers: { authorization: `Bearer ${adminToken}`, accept: 'text/event-stream' },
    })
    expect(stream.headers['content-type']).toMatch('text/event-stream')
    const { sid } = await server.sdk.conversations.v1.conversations.create()
    let text = ''
    for await (const chunk of stream.body) {
      text += chunk
      if (text.includes(sid)) break
    }
    expect(text).toContain(sid)
  })

  test('a node that is not there is passed over: no request fails', async () => {
    const port = Number(new URL(server.url).port)
    // A reload closes the connections of callers that are idle.
    await agent.close()
    await nginx.reload([1, port])
    agent = newAgent()
    const made = await Promise.all(
      Array.from({ length: 20 }, () => call(`${base}/v1/Conversations`, { method: 'POST', body: '' })),
    )
    expect(made.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 201))
  })

  // The last one: this address is let in no more for a while.
  test('failed logins are counted for the peer of nginx, not for an address that it makes up', async () => {
    const attempt = (address: string) =>
      call(`${base}/v1/Conversations`, { headers: { authorization: basic('wrong'), 'x-forwarded-for': address } })
    // Together, so that none of them is old enough to be forgotten.
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => attempt(`203.0.113.${i}`)))
    const statuses = answers.map(({ status }) => status)
    expect(statuses).toContain(401)
    expect(statuses).toContain(429)
  })
})

test.runIf(spawnSync('caddy', ['version']).status === 0 || process.env.CI)('Caddy accepts its Caddyfile', () => {
  const file = fileURLToPath(new URL('../../deploy/Caddyfile', import.meta.url))
  const { status, stderr } = spawnSync('caddy', ['validate', '--config', file, '--adapter', 'caddyfile'], { encoding: 'utf8' })
  expect({ status, said: stderr.trim().split('\n').at(-1) }).toMatchObject({ status: 0 })
  expect(spawnSync('caddy', ['fmt', file], { encoding: 'utf8' }).status).toBe(0)
})
