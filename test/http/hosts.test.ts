import { describe, expect, onTestFinished, test } from 'vitest'
import { hostCheck } from '../../src/api/hosts.ts'
import { type Config, readConfig } from '../../src/config.ts'
import { adminToken, startServer, type TestServer } from '../support/server.ts'
import { connectTo, head, parsedResponse } from '../support/sockets.ts'

async function started(overrides: Partial<Config> = {}): Promise<TestServer> {
  const server = await startServer(overrides)
  onTestFinished(server.stop)
  return server
}

async function send(url: string, method: string, path: string, headers: Record<string, string>) {
  const { socket, closed } = connectTo(url)
  socket.write(head(method, path, { Connection: 'close', ...headers }))
  return closed
}

function basic({ account_sid, auth_token }: TestServer): string {
  return `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}`
}

describe('the Host header', () => {
  const check = (settings: Record<string, string>, header: string) => hostCheck(readConfig(settings))?.(header) ?? null

  test.each([
    'localhost',
    'LOCALHOST:8080',
    'localhost.:80',
    '127.0.0.1',
    '127.0.0.1:8080',
    '[::1]:8080',
    '127.1.2.3',
    '10.0.0.7:80',
  ])('%s is served on loopback', (header) => expect(check({}, header)).toBe(true))

  test.each([
    'evil.example',
    'evil.example:8080',
    'localhost.evil.example',
    '127.0.0.1.evil.example',
    'x',
    '',
    '[',
    'a b',
    '2130706433',
  ])('%j is not', (header) => expect(check({}, header)).toBe(false))

  test('with a public url its host is served, and those that are allowed', () => {
    const settings = {
      HOST: '0.0.0.0',
      PARLEY_PUBLIC_URL: 'https://Chat.example.com/twilio',
      PARLEY_ALLOWED_HOSTS: 'parley, parley-1',
    }
    for (const host of ['chat.example.com', 'chat.example.com:443', 'parley:8080', 'Parley-1'])
      expect(check(settings, host)).toBe(true)
    for (const host of ['example.com', 'parley-2', 'evil.example']) expect(check(settings, host)).toBe(false)
    expect(check({ HOST: 'parley.lan', PARLEY_ALLOWED_HOSTS: 'b' }, 'parley.lan:80')).toBe(true)
  })

  test('elsewhere any is', () => expect(check({ HOST: '0.0.0.0' }, 'evil.example')).toBeNull())

  test('names that are none are refused when Parley starts', () => {
    for (const PARLEY_ALLOWED_HOSTS of ['a,,b', 'https://a', 'a:80', '*']) {
      expect(() => readConfig({ PARLEY_ALLOWED_HOSTS })).toThrow(/^PARLEY_ALLOWED_HOSTS must be host names without ports/)
    }
  })

  test('of another server is 421 everywhere, in the form of each API', async () => {
    const server = await started({ metricsPort: 0 })
    const Host = 'evil.example'
    const misdirected = { status: 421, body: { code: 20421, message: 'Misdirected Request' } }
    for (const path of ['/v1/Services', '/healthz', '/readyz', '/nowhere', '/v1/Nothing']) {
      const sent = performance.now()
      const answer = await send(server.url, 'GET', path, { Host, Authorization: basic(server) })
      expect(parsedResponse(answer), path).toMatchObject(misdirected)
      expect(answer, path).toMatch(/^twilio-request-id: RQ[0-9a-f]{32}\r$/im)
      // Of this request, not of the process: as long as it took to get here.
      const [, seconds] = /^twilio-request-duration: (\d+\.\d{3})\r$/im.exec(answer) ?? []
      expect(Number(seconds) * 1000, path).toBeLessThan(performance.now() - sent + 1)
    }
    const admin = await send(server.url, 'GET', '/admin/v1/accounts', { Host, Authorization: `Bearer ${adminToken}` })
    expect(parsedResponse(admin)).toMatchObject({ status: 421, body: { error: 'Misdirected Request' } })
    const metrics = await send(server.metricsUrl, 'GET', '/metrics', { Host })
    expect(parsedResponse(metrics)).toMatchObject({ status: 421, body: { error: 'Misdirected Request' } })
    expect(await send(server.url, 'GET', '/healthz', {})).toMatch(/ 200 /)
  })
})

describe('a page of another site', () => {
  const cross = { 'Sec-Fetch-Site': 'cross-site', Origin: 'https://evil.example' }

  test.each(['no-cors', 'navigate'])('does not write with the credentials of the browser (%s)', async (mode) => {
    const server = await started()
    const headers = { ...cross, 'Sec-Fetch-Mode': mode, Authorization: basic(server) }
    const { body: made } = await server.call('POST', '/v1/Conversations', {})
    for (const [method, path] of [
      ['POST', '/v1/Conversations'],
      ['POST', `/v1/Conversations/${made.sid}`],
      ['DELETE', `/v1/Conversations/${made.sid}`],
    ] as const) {
      const answer = parsedResponse(await send(server.url, method, path, { ...headers, 'Content-Length': '0' }))
      expect(answer).toMatchObject({ status: 403, body: { code: 20403 } })
    }
    expect((await server.call('GET', '/v1/Conversations')).body.conversations).toHaveLength(1)
  })

  test('writes with credentials of its own, and pages of this site with any', async () => {
    const server = await started()
    const Authorization = basic(server)
    for (const headers of [
      { ...cross, 'Sec-Fetch-Mode': 'cors' },
      { 'Sec-Fetch-Site': 'same-origin', 'Sec-Fetch-Mode': 'navigate' },
      { 'Sec-Fetch-Site': 'none', 'Sec-Fetch-Mode': 'navigate' },
    ]) {
      expect(await send(server.url, 'POST', '/v1/Conversations', { ...headers, Authorization, 'Content-Length': '0' })).toMatch(
        / 201 /,
      )
    }
    expect(await send(server.url, 'GET', '/v1/Conversations', { ...cross, 'Sec-Fetch-Mode': 'no-cors', Authorization })).toMatch(
      / 200 /,
    )
  })
})

describe('metrics', () => {
  test('may have a token', async () => {
    const server = await started({ metricsToken: 'token-of-the-metrics' })
    expect((await fetch(`${server.url}/metrics`)).status).toBe(401)
    const wrong = await fetch(`${server.url}/metrics`, { headers: { authorization: 'Bearer wrong' } })
    expect([wrong.status, await wrong.json()]).toEqual([401, { error: 'the token of the metrics is missing or wrong' }])
    const right = await fetch(`${server.url}/metrics`, { headers: { authorization: 'Bearer token-of-the-metrics' } })
    expect(await right.text()).toContain('parley_http_requests_total')
    expect(() => readConfig({ PARLEY_METRICS_TOKEN: 'short' })).toThrow(
      'PARLEY_METRICS_TOKEN must be 16 to 256 printable characters',
    )
  })

  test('may have a port of their own, which has nothing else', async () => {
    const server = await started({ metricsPort: 0 })
    expect(server.metricsUrl).not.toBe(server.url)
    expect((await fetch(`${server.url}/metrics`)).status).toBe(404)
    expect(await (await fetch(`${server.metricsUrl}/metrics`)).text()).toContain('parley_http_requests_total')
    const other = await fetch(`${server.metricsUrl}/v1/Services`)
    expect([other.status, await other.json()]).toEqual([404, { error: 'not found' }])
  })
})
