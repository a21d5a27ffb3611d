import { request } from 'node:http'
import fc from 'fast-check'
import { describe, expect, onTestFinished } from 'vitest'
import type { ConnectionLimits } from '../../src/client/connection.ts'
import { formatFrame, payloadText } from '../../src/client/frames.ts'
import { RawClient, sdkClient, statusOf, tokenFor } from '../support/client.ts'
import { engine } from '../support/databases.ts'
import { test } from '../support/fixtures.ts'
import { startServer } from '../support/server.ts'

async function serverWith(clientLimits: Partial<ConnectionLimits>) {
  const server = await startServer({}, { clientLimits })
  onTestFinished(server.stop)
  return server
}

/** The status of a request with these headers that may upgrade its connection. */
function upgrade(url: string, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const asked = request(url, { headers })
    asked.on('response', (response) => {
      response.resume()
      resolve(response.statusCode)
    })
    asked.on('upgrade', (response, socket) => {
      socket.destroy()
      resolve(response.statusCode)
    })
    asked.on('error', reject)
    asked.end()
  })
}

const websocket = {
  connection: 'Upgrade',
  upgrade: 'websocket',
  'sec-websocket-version': '13',
  'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
}

describe('the upgrade', () => {
  test('any other upgrade is an ordinary request', async ({ server }) => {
    const { authorization } = {
      authorization: `Basic ${Buffer.from(`${server.account_sid}:${server.auth_token}`).toString('base64')}`,
    }
    const tls = { connection: 'Upgrade', upgrade: 'TLS/1.2', authorization }
    expect(await upgrade(`${server.url}/v1/Services`, tls)).toBe(200)
    expect(await upgrade(`${server.url}/v1/Services`, { ...websocket, authorization })).toBe(200)
    expect(await upgrade(`${server.url}/v3/wsconnect`, tls)).toBe(404)
    expect(await upgrade(`${server.url}/v3/wsconnect`, {})).toBe(404)
    expect(await upgrade(`${server.url}/v3/wsconnect/more`, websocket)).toBe(404)
    expect(await upgrade(`${server.url}/elsewhere`, websocket)).toBe(404)
  })

  test('a websocket of the client SDKs is accepted, also behind a region with a slash', async ({ server }) => {
    expect(await upgrade(`${server.url}/v3/wsconnect`, websocket)).toBe(101)
    expect(await upgrade(`${server.url}/v3/wsconnect?x=1`, { ...websocket, upgrade: 'WebSocket' })).toBe(101)
    expect(await upgrade(`${server.url}/.twilio.com/v3/wsconnect`, websocket)).toBe(101)
  })

  test('what is no proper handshake, or for another host, is refused', async ({ server }) => {
    expect(await upgrade(`${server.url}/v3/wsconnect`, { ...websocket, 'sec-websocket-key': 'x' })).toBe(400)
    expect(await upgrade(`${server.url}/v3/wsconnect`, { ...websocket, host: 'evil.example' })).toBe(421)
  })
})

describe('a connection', () => {
  test('gets the configuration of its user', async ({ tenant }) => {
    const raw = await RawClient.admitted(tenant, 'ann')
    const { status, body } = await raw.request('GET', '/Client/v2/Configuration')
    const { sid } = await tenant.sdk.conversations.v1.users('ann').fetch()
    expect([status, body.identity, body.sync_objects]).toEqual([
      200,
      'ann',
      { my_conversations: `${sid}.channels`, my_user_info: `${sid}.info` },
    ])
    for (const link of Object.values<string>(body.links)) expect(link.startsWith(`${tenant.url}/`)).toBe(true)
    expect((await raw.request('GET', '/v3/Configuration')).body.links.subscriptions).toBe(`${tenant.url}/v4/Subscriptions`)
    expect((await raw.request('GET', '/.twilio.com/Client/v2/Configuration')).status).toBe(200)
  })

  test.each([
    ['a text message', (raw: RawClient) => raw.socket.send('TWILSOCK V3.0 2\r\n{}\r\n'), 1003],
    ['bytes that are no frame', (raw: RawClient) => raw.socket.send(Buffer.from('hello')), 1002],
    ['a request before its init', (raw: RawClient) => raw.send('message', { http_request: {} }), 1002],
    ['a second init', (raw: RawClient) => [raw.send('init', { token: '' }), raw.send('init', { token: '' })], 1002],
    ['a frame that is too large', (raw: RawClient) => raw.socket.send(Buffer.alloc(600_000)), 1009],
    ['close', (raw: RawClient) => raw.send('close'), 1000],
  ])('is closed by %s', async (_what, send, code) => {
    const server = await serverWith({})
    const raw = await RawClient.open(server)
    send(raw)
    expect(await raw.closed).toBe(code)
  })

  test('that sends no init is closed', async () => {
    const raw = await RawClient.open(await serverWith({ initTimeoutMs: 50 }))
    await raw.closed
  })

  test('beyond those that one user may have is refused for a while', async () => {
    const server = await serverWith({ maxPerUser: 2 })
    const [first] = [await RawClient.admitted(server, 'ann'), await RawClient.admitted(server, 'ann')]
    const third = await RawClient.open(server)
    const reply = await third.ask('init', { token: await tokenFor(server, 'ann') })
    expect(statusOf(reply).code).toBe(429)
    const { backoff_policy } = JSON.parse(payloadText(reply))
    expect(backoff_policy.reconnect_min_ms).toBeLessThan(backoff_policy.reconnect_max_ms)
    await RawClient.admitted(server, 'bob')
    first.socket.close()
    await first.closed
    await expect
      .poll(async () => statusOf(await (await RawClient.open(server)).ask('init', { token: await tokenFor(server, 'ann') })).code)
      .toBe(200)
  })

  // Twenty thousand answers, which no engine changes, take PostgreSQL longer than a minute.
  test.runIf(engine === 'sqlite')('that does not read is sent elsewhere instead of filling memory', async () => {
    const server = await serverWith({ maxUnsentBytes: 1000, maxInFlight: 1000 })
    const raw = await RawClient.admitted(server, 'ann')
    raw.socket.pause()
    const http_request = { path: '/Client/v2/Configuration', method: 'GET', host: 'x' }
    const frame = formatFrame('message', 'TM-x', { http_request })
    for (let i = 0; i < 20_000; i++) raw.socket.send(frame)
    // Once nothing is read from it, it is dropped as a dead one would be; here it reads again.
    raw.socket.resume()
    await raw
      .next(({ method }) => method === 'close')
      .then(
        (close) => expect(statusOf(close).code).toBe(308),
        () => {},
      )
    raw.socket.terminate()
    expect((await (await RawClient.admitted(server, 'ann')).request('GET', '/v3/Configuration')).status).toBe(200)
  })

  test('is sent elsewhere when the server stops', async () => {
    const server = await startServer()
    const raw = await RawClient.admitted(server, 'ann')
    const stopped = server.stop()
    const close = await raw.next(({ method }) => method === 'close')
    expect(statusOf(close).code).toBe(308)
    expect(JSON.parse(payloadText(close)).backoff_policy.reconnect_min_ms).toBeGreaterThan(0)
    await Promise.all([raw.closed, stopped])
  })
})

describe('a request in a frame', () => {
  test('never has a response of 5xx, whatever it is', { timeout: 120_000 }, async ({ tenant }) => {
    const raw = await RawClient.admitted(tenant, 'ann')
    const word = fc.constantFrom(
      'Client',
      'v1',
      'v2',
      'v3',
      'v4',
      'Configuration',
      'Maps',
      '..',
      '',
      '%',
      '%00',
      '%ff',
      'Items',
      '😀',
    )
    const value = fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.constantFrom('%', '%zz', 'a%20b', ['1', '%'], { a: 1 }))
    const header = fc.record({
      http_request: fc.oneof(
        fc.jsonValue(),
        fc.record({
          host: fc.string(),
          path: fc.oneof(
            fc.array(word, { maxLength: 6 }).map((words) => `/${words.join('/')}`),
            fc.jsonValue(),
          ),
          method: fc.constantFrom('GET', 'POST', 'DELETE', 'PUT', 'get', 7, null),
          params: fc.oneof(fc.dictionary(fc.string(), value), fc.jsonValue()),
          headers: fc.jsonValue(),
        }),
      ),
      payload_type: fc.constantFrom('application/json', 'text/plain', 'application/x-www-form-urlencoded', 7, undefined),
    })
    await fc.assert(
      fc.asyncProperty(header, fc.oneof(fc.json(), fc.string({ unit: 'grapheme' })), async (fields, payload) => {
        const reply = await raw.ask('message', fields, payload)
        const { code } = reply.header.http_status as { code: number }
        expect(code).toBeGreaterThanOrEqual(200)
        expect(code).toBeLessThan(500)
      }),
      { numRuns: 2000 },
    )
    expect((await raw.request('GET', '/Client/v2/Configuration')).status).toBe(200)
  })
})

describe('the SDK', () => {
  test('is denied with a bad token, and told of an expired one', async ({ tenant }) => {
    const bad = sdkClient(tenant, 'bad')
    const error = await new Promise<{ terminal: boolean; errorCode?: number | undefined }>((resolve) =>
      bad.on('connectionError', resolve),
    )
    expect(error).toMatchObject({ terminal: true, errorCode: 20101 })
    const short = await tokenFor(tenant, 'ann', { lifetime: 1 })
    await tenant.advance('PT2S')
    const expired = sdkClient(tenant, short)
    await new Promise<void>((resolve) => expired.on('tokenExpired', () => resolve()))
  })
})
