import { describe, expect, onTestFinished, test } from 'vitest'
import { proxyCheck } from '../../src/api/origin.ts'
import { type Config, readConfig } from '../../src/config.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { connectTo, head, parsedResponse } from '../support/sockets.ts'

async function started(overrides: Partial<Config> = {}): Promise<TestServer> {
  const server = await startServer(overrides)
  onTestFinished(server.stop)
  return server
}

async function send({ url, account_sid, auth_token }: TestServer, path: string, headers: Record<string, string>) {
  const { socket, closed } = connectTo(url)
  const Authorization = `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}`
  socket.write(head('GET', path, { Connection: 'close', Authorization, ...headers }))
  return parsedResponse(await closed)
}

/** The base of the links in a response. */
async function base(server: TestServer, headers: Record<string, string>): Promise<string> {
  const { body } = await send(server, '/v1/Services?PageSize=1', headers)
  const bases = new Set(
    [body.meta.url, body.meta.first_page_url, body.services[0].url].map((url: string) => url.split('/v1/')[0]),
  )
  expect(bases.size).toBe(1)
  return [...bases].join()
}

describe('PARLEY_TRUSTED_PROXIES', () => {
  const check = (text: string) => proxyCheck(readConfig({ PARLEY_TRUSTED_PROXIES: text }).trustedProxies)

  test.each([
    ['10.0.0.0/8, 192.0.2.1', '10.1.2.3', true],
    ['10.0.0.0/8, 192.0.2.1', '::ffff:10.1.2.3', true],
    ['10.0.0.0/8, 192.0.2.1', '192.0.2.1', true],
    ['10.0.0.0/8, 192.0.2.1', '192.0.2.2', false],
    ['10.0.0.0/8', '2001:db8::1', false],
    ['2001:db8::/32,::1', '2001:DB8:1::2', true],
    ['2001:db8::/32,::1', '0:0:0:0:0:0:0:1', true],
    ['::ffff:192.0.2.1', '192.0.2.1', true],
    ['0.0.0.0/0', '', false],
    ['0.0.0.0/0', 'unknown', false],
  ])('%s: %s is %s', (networks, address, expected) => {
    const isTrusted = check(networks)
    expect([isTrusted?.(address), isTrusted?.(address)]).toEqual([expected, expected])
  })

  test.each(['x', '10.0.0.0/33', '10.0.0', '1', '10.0.0.0/8;::1', '10.0.0.0/8,', 'localhost', '::1/129', '/8'])(
    '%j is no value',
    (text) => expect(() => check(text)).toThrow(/PARLEY_TRUSTED_PROXIES must be addresses or networks/),
  )

  test('is empty by default: nobody is trusted', () => expect(check('')).toBeNull())
})

describe('links', () => {
  const forwarded = { 'X-Forwarded-Proto': 'https', 'X-Forwarded-Host': 'chat.example.com' }

  test('are those that a trusted proxy was asked for, and page two stays https', async () => {
    const server = await started({ trustedProxies: ['127.0.0.0/8'] })
    expect(await base(server, forwarded)).toBe('https://chat.example.com')
    await server.call('POST', '/v1/Services', { FriendlyName: 'Second' })
    const { body } = await send(server, '/v1/Services?PageSize=1', forwarded)
    expect(body.meta.next_page_url).toMatch(/^https:\/\/chat\.example\.com\/v1\/Services\?.*Page=1/)
    const { pathname, search } = new URL(body.meta.next_page_url)
    expect((await send(server, pathname + search, forwarded)).body.meta.previous_page_url).toMatch(
      /^https:\/\/chat\.example\.com\//,
    )
  })

  test('come from nobody else', async () => {
    const server = await started({ trustedProxies: ['192.0.2.0/24'] })
    expect(await base(server, forwarded)).toBe('http://localhost')
    expect(await base(await started(), forwarded)).toBe('http://localhost')
  })

  test.each([
    [{ 'X-Forwarded-Proto': 'https' }, 'https://localhost:81'],
    [{ 'X-Forwarded-Proto': 'HTTPS' }, 'https://localhost:81'],
    [{ 'X-Forwarded-Proto': 'https, http' }, 'http://localhost:81'],
    [{ 'X-Forwarded-Proto': 'http,https' }, 'https://localhost:81'],
    [{ 'X-Forwarded-Proto': 'javascript' }, 'http://localhost:81'],
    [{ 'X-Forwarded-Proto': '' }, 'http://localhost:81'],
    [{ 'X-Forwarded-Host': 'evil.example, chat.example.com:8443' }, 'http://chat.example.com:8443'],
    [{ 'X-Forwarded-Host': '[2001:db8::1]:8443' }, 'http://[2001:db8::1]:8443'],
    [{ 'X-Forwarded-Host': 'x:65535' }, 'http://x:65535'],
    [{ 'X-Forwarded-Host': 'x:65536' }, 'http://localhost:81'],
    [{ 'X-Forwarded-Host': 'x:99999' }, 'http://localhost:81'],
    [{ 'X-Forwarded-Host': '[::1]:0' }, 'http://localhost:81'],
    [{ 'X-Forwarded-Host': 'x:0' }, 'http://localhost:81'],
    [{ 'X-Forwarded-Host': 'a b' }, 'http://localhost:81'],
    [{ 'X-Forwarded-Host': 'a/b"' }, 'http://localhost:81'],
    [{ 'X-Forwarded-Host': '' }, 'http://localhost:81'],
  ])('with %j have the base %s', async (headers: Record<string, string>, expected) => {
    const server = await started({ trustedProxies: ['127.0.0.1'] })
    expect(await base(server, { Host: 'localhost:81', ...headers })).toBe(expected)
  })

  test('have the public URL where it is set, whatever a proxy says', async () => {
    const server = await started({ trustedProxies: ['127.0.0.1'], publicUrl: 'https://public.example', allowedHosts: [] })
    expect(await base(server, forwarded)).toBe('https://public.example')
  })

  test('with a name of Twilio are https even where the caller is not: its credentials never go there in clear text', async () => {
    const server = await started()
    for (const Host of ['conversations.twilio.com', 'Conversations.dublin.ie1.twilio.com:443']) {
      expect(await base(server, { Host })).toBe(`https://${Host}`)
    }
  })
})

describe('a Host that is forwarded', () => {
  test('does not make up for one that is not served', async () => {
    const server = await started({ trustedProxies: ['127.0.0.1'] })
    const { status } = await send(server, '/v1/Services', { Host: 'evil.example', 'X-Forwarded-Host': 'localhost' })
    expect(status).toBe(421)
  })
})

describe('failed logins', () => {
  const fail = (server: TestServer, headers: Record<string, string>) =>
    send(server, '/v1/Services', { ...headers, Authorization: `Basic ${Buffer.from('nobody:x').toString('base64')}` })

  test('behind a trusted proxy are counted by the address of the caller', async () => {
    const server = await started({ trustedProxies: ['127.0.0.1', '10.0.0.0/8'], maxFailedLogins: 1 })
    const from = (address: string) => ({ 'X-Forwarded-For': address })
    expect((await fail(server, from('192.0.2.1'))).status).toBe(401)
    // The same caller, whatever it claims itself and however many proxies it comes through.
    for (const address of ['192.0.2.1', '198.51.100.7, 192.0.2.1', '192.0.2.1:4711, 10.0.0.5', 'unknown, 192.0.2.1']) {
      expect((await fail(server, from(address))).status).toBe(429)
    }
    expect((await fail(server, from('192.0.2.2'))).status).toBe(401)
    expect((await fail(server, from('[2001:db8::1]:80'))).status).toBe(401)
    expect((await fail(server, from('2001:db8::1'))).status).toBe(429)
  })

  test('are counted by the connection where the proxy is not trusted', async () => {
    const server = await started({ maxFailedLogins: 1 })
    expect((await fail(server, { 'X-Forwarded-For': '192.0.2.1' })).status).toBe(401)
    expect((await fail(server, { 'X-Forwarded-For': '192.0.2.2' })).status).toBe(429)
  })
})

describe('a request to change the protocol', () => {
  test.each([
    { Connection: 'Upgrade, close', Upgrade: 'TLS/1.2' },
    { Connection: 'Upgrade', Upgrade: 'TLS/1.0' },
    { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQCAAAAAAIAAAAA' },
  ])('such as %j is an ordinary request, as the Java SDK sends it', async (headers) => {
    const server = await started()
    const { socket, until, closed } = connectTo(server.url)
    const Authorization = `Basic ${Buffer.from(`${server.account_sid}:${server.auth_token}`).toString('base64')}`
    const form = 'FriendlyName=upgraded'
    const type = { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': form.length }
    socket.write(head('POST', '/v1/Services', { Authorization, ...type, ...headers }) + form)
    const created = parsedResponse(await until(/\}$/))
    expect(created).toMatchObject({ status: 201, body: { friendly_name: 'upgraded' } })
    expect(created.head).not.toMatch(/^upgrade:/im)
    socket.end()
    await closed
  })
})
