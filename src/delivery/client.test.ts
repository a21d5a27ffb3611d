import { createHash } from 'node:crypto'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { LookupAddress, lookup } from 'node:dns'
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, connect, createServer as createTcpServer, type Server, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import tls from 'node:tls'
import twilio from 'twilio'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { createWebhookClient, publicLookup, type SendResult, specialRange, type WebhookClientOptions } from './client.ts'
import { type Prepared, prepare } from './signature.ts'

/** Never expires in a test that does not test the time-out: an exchange ends as soon as there is a response. */
const PATIENT_MS = 30_000
const auth_token = '0123456789abcdef0123456789abcdef'

/** Fakes only the timers that the client uses. */
const timers: NonNullable<Parameters<typeof vi.useFakeTimers>[0]> = { toFake: ['setTimeout', 'clearTimeout', 'performance'] }

const cleanups: (() => Promise<void> | void)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

async function listening<T extends Server>(server: T): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.on('error', () => {}).on('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise<void>((resolve) => server.close(() => resolve()))
  })
  return (server.address() as AddressInfo).port
}

/** Starts an endpoint that records its requests. */
async function endpoint(answer: (request: IncomingMessage, response: ServerResponse, body: string) => void) {
  const seen: { method: string; url: string; headers: IncomingMessage['headers']; body: string }[] = []
  const connections: Socket[] = []
  const listener: RequestListener = async (request, response) => {
    const body = await text(request)
    seen.push({ method: request.method ?? '', url: request.url ?? '', headers: request.headers, body })
    answer(request, response, body)
  }
  const server = createServer(listener)
  server.on('connection', (socket) => connections.push(socket))
  const port = await listening(server)
  return { port, authority: `127.0.0.1:${port}`, seen, connections }
}

function client(options: Partial<WebhookClientOptions> = {}) {
  const created = createWebhookClient({ allowPrivate: true, verifyTls: true, ...options })
  cleanups.push(() => created.close())
  return created
}

function request(url: string, method: 'GET' | 'POST' = 'POST'): Prepared {
  const form = { EventType: 'onMessageAdded', Body: 'héllo + world 😀', token: 'in-the-form' }
  return prepare({ method, url, form, auth_token, idempotency_token: 'f3c2fbd4-6f0c-4c1e-9d7d-0b8a3f1f0a55' })
}

function once<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}

function expectNoSecrets(result: SendResult): void {
  expect(result.error).toEqual(expect.any(String))
  expect(result.error).not.toMatch(/al:?ice|s3cret|hidden|in-the-form|tenant/)
}

describe('an exchange', () => {
  test.each(['POST', 'GET'] as const)('%s: arrives as prepared, validates, and the answer comes back', async (method) => {
    const { authority, seen } = await endpoint((_, response) => response.writeHead(200).end('{"body":"ünë"}'))
    const result = await client().send(request(`http://${authority}/hook?tenant=7`, method), PATIENT_MS)
    expect(result).toEqual({
      status: 200,
      headers: expect.objectContaining({ connection: 'keep-alive' }),
      body: '{"body":"ünë"}',
      error: null,
      kind: 'answered',
      duration_ms: expect.any(Number),
    })
    const [arrived] = seen
    expect(arrived?.method).toBe(method)
    expect(arrived?.headers).toMatchObject({
      host: authority,
      accept: '*/*',
      'user-agent': 'TwilioProxy/1.1',
      'i-twilio-idempotency-token': 'f3c2fbd4-6f0c-4c1e-9d7d-0b8a3f1f0a55',
    })
    expect(arrived?.headers['content-type']).toBe(
      method === 'POST' ? 'application/x-www-form-urlencoded; charset=utf-8' : undefined,
    )
    const fields = Object.fromEntries(new URLSearchParams(arrived?.body))
    const signature = String(arrived?.headers['x-twilio-signature'])
    expect(twilio.validateRequest(auth_token, signature, `http://${authority}${arrived?.url}`, fields)).toBe(true)
  })

  test.each([204, 302, 403, 503])('a %i is an answer like any other, and no redirect is followed', async (status) => {
    const { authority, seen } = await endpoint((_, response) => response.writeHead(status, { location: '/elsewhere' }).end())
    const result = await client().send(request(`http://${authority}/`), PATIENT_MS)
    expect(result).toMatchObject({ status, body: '', error: null, kind: 'answered' })
    expect(seen).toHaveLength(1)
  })

  test('an interim response is not the response', async () => {
    const { authority } = await endpoint((_, response) => {
      response.writeEarlyHints({ link: '</style.css>; rel=preload' })
      response.writeHead(200).end('final')
    })
    expect(await client().send(request(`http://${authority}/`), PATIENT_MS)).toMatchObject({ status: 200, body: 'final' })
  })

  test('a byte order mark is not part of the body', async () => {
    const { authority } = await endpoint((_, response) => response.end('\uFEFF{}'))
    expect((await client().send(request(`http://${authority}/`), PATIENT_MS)).body).toBe('{}')
  })

  test('connections are kept and shared', async () => {
    const { authority, connections } = await endpoint((_, response) => response.end())
    const { send } = client({ connectionsPerOrigin: 2 })
    for (let i = 0; i < 5; i++) {
      const results = await Promise.all(Array.from({ length: 20 }, () => send(request(`http://${authority}/`), PATIENT_MS)))
      expect(results.map(({ status }) => status)).toEqual(Array(20).fill(200))
    }
    expect(connections).toHaveLength(2)
  })

  test('exactly 64 KiB are read in full, and the connection lives on', async () => {
    const { authority, connections } = await endpoint((_, response) => response.end('a'.repeat(65_536)))
    const { send } = client({ connectionsPerOrigin: 1 })
    expect((await send(request(`http://${authority}/`), PATIENT_MS)).body).toBe('a'.repeat(65_536))
    expect((await send(request(`http://${authority}/`), PATIENT_MS)).body).toHaveLength(65_536)
    expect(connections).toHaveLength(1)
  })

  test('of an endless body 64 KiB are read, the rest is cut off', async () => {
    const closed = once<void>()
    const { authority } = await endpoint((_, response) => {
      const more = () => {
        while (response.write('x'.repeat(10_000))) {}
      }
      response.on('drain', more).on('close', closed.resolve).writeHead(403)
      more()
    })
    const { send } = client({ connectionsPerOrigin: 1 })
    const result = await send(request(`http://${authority}/`), PATIENT_MS)
    expect(result).toMatchObject({ status: 403, error: null, kind: 'answered', body: 'x'.repeat(65_536) })
    await closed.promise
    expect(await send(request(`http://${authority}/`), PATIENT_MS)).toMatchObject({ status: 403, kind: 'answered' })
  })
})

describe('the time budget', () => {
  test('covers the wait for a response', async () => {
    const { authority } = await endpoint(() => {})
    const result = await client().send(request(`http://${authority}/?hidden=1`), 30)
    expect(result).toMatchObject({ status: null, body: '', kind: 'timeout' })
    expectNoSecrets(result)
  })

  test('covers the body: a response that does not end is a time-out, with its status', async () => {
    const begun = once<unknown>()
    subscribe('undici:request:headers', begun.resolve)
    cleanups.push(() => void unsubscribe('undici:request:headers', begun.resolve))
    const { authority } = await endpoint((_, response) => response.writeHead(200).write('{'))
    const { send } = client()
    vi.useFakeTimers(timers)
    const sent = send(request(`http://${authority}/`), PATIENT_MS)
    await begun.promise
    vi.advanceTimersByTime(PATIENT_MS)
    expect(await sent).toMatchObject({ status: 200, body: '', kind: 'timeout', error: 'no complete response in time' })
  })

  test('covers connecting, and close does not wait for connections being opened', async () => {
    const silent = await listening(createTcpServer())
    const { send, close } = client()
    expect(await send(request(`https://127.0.0.1:${silent}/`), 30)).toMatchObject({ status: null, kind: 'timeout' })
    await close()
  })

  test('close gives up a download that has no end', async () => {
    const { authority } = await endpoint((_request, response) => void response.writeHead(200).write('begun'))
    const { download, close } = client()
    const { status, body } = await download(`http://${authority}/endless`, {}, PATIENT_MS)
    const received = expect(text(body)).rejects.toThrow()
    await close()
    await received
    expect(status).toBe(200)
    await expect(download(`http://${authority}/endless`, {}, PATIENT_MS)).rejects.toThrow('the client is closed')
  })

  test('covers waiting for a free connection; what times out there is not sent later', async () => {
    const held = once<ServerResponse>()
    const { authority, seen } = await endpoint((incoming, response) => {
      if (incoming.url === '/slow') held.resolve(response)
      else response.end('quick')
    })
    const { send } = client({ connectionsPerOrigin: 1 })
    const slow = send(request(`http://${authority}/slow`), PATIENT_MS)
    const response = await held.promise
    const patient = send(request(`http://${authority}/patient`), PATIENT_MS)
    expect(await send(request(`http://${authority}/hasty`), 30)).toMatchObject({ status: null, kind: 'timeout' })
    response.end('slow')
    expect(await slow).toMatchObject({ body: 'slow' })
    expect(await patient).toMatchObject({ body: 'quick' })
    expect(await send(request(`http://${authority}/last`), PATIENT_MS)).toMatchObject({ body: 'quick' })
    expect(seen.map(({ url }) => url)).toEqual(['/slow', '/patient', '/last'])
  })

  test('frees the connection of an exchange that ran out of it', async () => {
    const { authority } = await endpoint((incoming, response) => {
      if (incoming.url !== '/slow') response.end()
    })
    const { send } = client({ connectionsPerOrigin: 1 })
    expect(await send(request(`http://${authority}/slow`), 30)).toMatchObject({ kind: 'timeout' })
    expect(await send(request(`http://${authority}/`), PATIENT_MS)).toMatchObject({ status: 200 })
  })
})

describe('failures are results', () => {
  test('nobody listens', async () => {
    const server = createTcpServer()
    const port = await listening(server)
    await new Promise((resolve) => server.close(resolve))
    const result = await client().send(request(`http://al:ice@127.0.0.1:${port}/s3cret?hidden=1`, 'GET'), PATIENT_MS)
    expect(result).toMatchObject({ status: null, body: '', kind: 'failed', error: `connect ECONNREFUSED 127.0.0.1:${port}` })
  })

  test.each([
    ['hangs up', '', null],
    ['talks nonsense', 'SSH-2.0-OpenSSH_9.9\r\n', null],
    ['breaks off', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{', 200],
    ['switches protocols unasked', 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n', null],
  ])('the endpoint %s', async (_, answer, status) => {
    const port = await listening(createTcpServer((socket) => socket.once('data', () => socket.end(answer))))
    const result = await client().send(request(`http://al:ice@127.0.0.1:${port}/s3cret?hidden=1`), PATIENT_MS)
    expect(result).toMatchObject({ status, body: '', kind: 'failed' })
    expectNoSecrets(result)
  })

  test.each(['ftp://al:ice@127.0.0.1/?hidden=1', 'nonsense', 'http://h.test?hidden=1', ''])('%j is not sendable', async (url) => {
    const result = await client().send({ ...request('http://h.test/'), url }, PATIENT_MS)
    expect(result).toMatchObject({ status: null, kind: 'failed' })
    expectNoSecrets(result)
  })

  test('a header that cannot be sent', async () => {
    const { authority } = await endpoint((_, response) => response.end())
    const prepared = request(`http://${authority}/`)
    const result = await client().send({ ...prepared, headers: { Accept: 's3cret\r\nX: y' } }, PATIENT_MS)
    expect(result).toMatchObject({ status: null, kind: 'failed' })
    expectNoSecrets(result)
  })

  test('after close', async () => {
    const { authority, seen } = await endpoint((_, response) => response.end())
    const { send, close } = client()
    await close()
    expect(await send(request(`http://${authority}/`), PATIENT_MS)).toMatchObject({ status: null, kind: 'failed' })
    expect(seen).toEqual([])
  })

  test('close waits for exchanges in flight', async () => {
    const held = once<ServerResponse>()
    const { authority } = await endpoint((_, response) => held.resolve(response))
    const { send, close } = client()
    const sent = send(request(`http://${authority}/`), PATIENT_MS)
    const response = await held.promise
    const closed = Promise.all([close(), close()])
    response.end('done')
    expect(await sent).toMatchObject({ status: 200, body: 'done' })
    await closed
  })
})

describe('the private-address rule', () => {
  test.each([
    ['8.8.8.8', null],
    ['2606:4700:4700::1111', null],
    ['::ffff:8.8.8.8', null],
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['::7f00:1', 'unassigned'],
    ['10.0.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['192.168.1.1', 'private'],
    ['::ffff:10.0.0.1', 'private'],
    ['fd00::1', 'uniqueLocal'],
    ['169.254.169.254', 'linkLocal'],
    ['::ffff:a9fe:a9fe', 'linkLocal'],
    ['fe80::1', 'linkLocal'],
    ['fe80::1%eth0', 'linkLocal'],
    ['fec0::1', 'deprecatedSiteLocal'],
    ['100.64.0.1', 'carrierGradeNat'],
    ['0.0.0.0', 'unspecified'],
    ['::', 'unspecified'],
    ['224.0.0.1', 'multicast'],
    ['ff02::1', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['240.0.0.1', 'reserved'],
    ['198.18.0.1', 'reserved'],
    ['192.0.2.1', 'reserved'],
    ['2001:db8::1', 'reserved'],
    ['64:ff9b::8.8.8.8', 'rfc6052'],
    ['64:ff9b:1::1', 'rfc6052'],
    ['2002:7f00:1::', '6to4'],
    ['2001:0:7f00:1::', 'teredo'],
    ['4000::1', 'unassigned'],
    ['168.63.129.16', 'cloud platform'],
    ['::ffff:168.63.129.16', 'cloud platform'],
    ['168.63.129.17', null],
    ['h.test', 'invalid'],
  ])('%s: %s', (address, range) => {
    expect(specialRange(address)).toBe(range)
  })

  test.each([
    '127.0.0.1',
    '127.1',
    '2130706433',
    '0x7f000001',
    '0177.0.0.1',
    '127.0.0.1.',
    '0.0.0.0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    'localhost',
  ])('http://%s is not connected to', async (host) => {
    const { port, connections } = await endpoint((_, response) => response.end())
    const { send } = client({ allowPrivate: false })
    for (const scheme of ['http', 'https']) {
      const result = await send(request(`${scheme}://al:ice@${host}:${port}/?hidden=1`), PATIENT_MS)
      expect(result).toMatchObject({ status: null, body: '', kind: 'refused_address' })
      expect(result.error).toMatch(/public addresses only.*PARLEY_WEBHOOK_ALLOW_PRIVATE/)
      expectNoSecrets(result)
    }
    expect(connections).toEqual([])
  })

  test('holds for a client of its own, whatever a more permissive one has connected to', async () => {
    const { authority, seen } = await endpoint((_, response) => response.end())
    const [open, strict] = [client(), client({ allowPrivate: false })]
    expect(await open.send(request(`http://${authority}/`), PATIENT_MS)).toMatchObject({ status: 200 })
    expect(await strict.send(request(`http://${authority}/`), PATIENT_MS)).toMatchObject({ kind: 'refused_address' })
    expect(seen).toHaveLength(1)
  })

  test('is not sidestepped by a redirect', async () => {
    const { authority, seen } = await endpoint((_, response) =>
      response.writeHead(307, { location: 'http://169.254.169.254/' }).end(),
    )
    expect(await client().send(request(`http://${authority}/`), PATIENT_MS)).toMatchObject({ status: 307 })
    expect(seen).toHaveLength(1)
  })
})

describe('publicLookup', () => {
  /** Returns a `dns.lookup` with a given result. */
  function resolver(...addresses: string[]): typeof lookup {
    const found = addresses.map((address): LookupAddress => ({ address, family: address.includes(':') ? 6 : 4 }))
    const resolve = (_host: string, _options: object, callback: (error: Error | null, found: LookupAddress[]) => void) =>
      callback(found.length > 0 ? null : new Error('ENOTFOUND'), found)
    return resolve as typeof lookup
  }
  const resolved = (all: boolean, ...addresses: string[]) =>
    new Promise<unknown[]>((resolve) => {
      publicLookup(resolver(...addresses))('h.test', { all }, (...result) => resolve(result))
    })

  test('yields the public ones of several addresses', async () => {
    const mixed = ['10.0.0.1', '8.8.8.8', '::1', '2606:4700::1111']
    const both = [
      { address: '8.8.8.8', family: 4 },
      { address: '2606:4700::1111', family: 6 },
    ]
    expect(await resolved(true, ...mixed)).toEqual([null, both])
    expect(await resolved(false, ...mixed)).toEqual([null, '8.8.8.8', 4])
  })

  test('refuses a name without public addresses, and reports that a name does not exist', async () => {
    const [refused] = await resolved(true, '10.0.0.1', '::1')
    expect(String(refused)).toMatch(/h\.test at 10\.0\.0\.1 \(private\)/)
    const [unknown] = await resolved(false)
    expect(String(unknown)).toMatch(/ENOTFOUND/)
  })

  test('checks every resolution, so a name that moves to a private address is refused on its next connection', async () => {
    const { port } = await endpoint((_, response) => response.end())
    const attempt = (...addresses: string[]) =>
      new Promise<string>((resolve) => {
        const socket = connect({ host: 'h.test', port, lookup: publicLookup(resolver(...addresses)) })
        socket.on('error', (error) => resolve(error.message)).on('connect', () => resolve('connected'))
        cleanups.push(() => void socket.destroy())
      })
    expect(await attempt('127.0.0.1')).toMatch(/refused to connect to h\.test at 127\.0\.0\.1/)
  })
})

describe('credentials in the URL', () => {
  const md5 = (text: string) => createHash('md5').update(text).digest('hex')

  test('are sent when Basic is asked for, with the same signed request', async () => {
    const { authority, seen } = await endpoint((incoming, response) => {
      if (incoming.headers.authorization === `Basic ${Buffer.from('al:ice:s3cret').toString('base64')}`) response.end('in')
      else response.writeHead(401, { 'www-authenticate': 'Basic realm="hooks"' }).end('out')
    })
    const result = await client().send(request(`http://al%3Aice:s3cret@${authority}/hook?tenant=7`), PATIENT_MS)
    expect(result).toMatchObject({ status: 200, body: 'in', kind: 'answered' })
    const [first, second] = seen
    expect(first?.headers).not.toHaveProperty('authorization')
    expect(second).toEqual({ ...first, headers: { ...first?.headers, authorization: expect.any(String) } })
  })

  test('are sent as a digest over the request line', async () => {
    const { authority, seen } = await endpoint((incoming, response) => {
      const [, nonce, cnonce] = /nonce="(\w+)".*cnonce="([^"]+)"/.exec(incoming.headers.authorization ?? '') ?? []
      const target = md5('GET:/hook?tenant=7&EventType=onMessageAdded&Body=h%C3%A9llo+%2B+world+%F0%9F%98%80&token=in-the-form')
      const expected = md5(`${md5('alice:hooks:s3cret')}:${nonce}:00000001:${cnonce}:auth:${target}`)
      if (incoming.headers.authorization?.includes(`response="${expected}"`)) response.end()
      else
        response.writeHead(401, { 'www-authenticate': ['Basic realm="x"', 'Digest realm="hooks", nonce="n1", qop="auth"'] }).end()
    })
    const result = await client().send(request(`http://alice:s3cret@${authority}/hook?tenant=7`, 'GET'), PATIENT_MS)
    expect(result).toMatchObject({ status: 200, kind: 'answered' })
    expect(seen).toHaveLength(2)
  })

  test('are tried once', async () => {
    const { authority, seen } = await endpoint((_, response) =>
      response.writeHead(401, { 'www-authenticate': 'Basic realm="x"' }).end('no'),
    )
    const result = await client().send(request(`http://alice:wrong@${authority}/`), PATIENT_MS)
    expect(result).toMatchObject({ status: 401, body: 'no', kind: 'answered' })
    expect(seen).toHaveLength(2)
  })

  test.each([
    ['there are none', '', { 'www-authenticate': 'Basic realm="x"' }],
    ['the challenge is not understood', 'alice:s3cret@', { 'www-authenticate': 'Negotiate' }],
    ['there is no challenge', 'alice:s3cret@', {}],
  ])('nothing is repeated when %s', async (_, userinfo, headers) => {
    const { authority, seen } = await endpoint((_, response) => response.writeHead(401, headers).end())
    expect(await client().send(request(`http://${userinfo}${authority}/`), PATIENT_MS)).toMatchObject({ status: 401 })
    expect(seen).toHaveLength(1)
  })

  test('both requests share one time budget', async () => {
    const repeated = once<void>()
    const { authority } = await endpoint((incoming, response) => {
      if (incoming.headers.authorization) return repeated.resolve()
      vi.advanceTimersByTime(PATIENT_MS - 10)
      response.writeHead(401, { 'www-authenticate': 'Basic' }).end()
    })
    const { send } = client()
    vi.useFakeTimers(timers)
    const sent = send(request(`http://alice:s3cret@${authority}/?hidden=1`), PATIENT_MS)
    await repeated.promise
    vi.advanceTimersByTime(10)
    const result = await sent
    expect(result).toMatchObject({ status: null, kind: 'timeout', duration_ms: PATIENT_MS })
    expectNoSecrets(result)
  })
})

describe('TLS', () => {
  /** Self-signed for `localhost`, valid until 2120; protects nothing. */
  const key = `-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg5USdGDH/+2nEGJ4g
e+XbiCpDvYEqPHGeXPuCtHWinMahRANCAATveScdxb6AtFd2bMecSMyQiMlath3Y
s1Nga9MBpFFrxlPJpNgFm8NFoB5oHFHJ7csbi/rxh1/bclaMoqz9gRXx
-----END PRIVATE KEY-----`
  const cert = `-----BEGIN CERTIFICATE-----
MIIBYTCCAQegAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABO95Jx3FvoC0V3Zs
x5xIzJCIyVq2HdizU2Br0wGkUWvGU8mk2AWbw0WgHmgcUcntyxuL+vGHX9tyVoyi
rP2BFfGjSDBGMA8GA1UdEwEB/wQFMAMBAf8wFAYDVR0RBA0wC4IJbG9jYWxob3N0
MB0GA1UdDgQWBBSG1/mcaRFVo0Dr3RZB/3nB/poGHzAKBggqhkjOPQQDAgNIADBF
AiEA9WSkpdHvVpt+RtZCc6AyzJflLmYDsFauo5mu3cKydJgCIGMKbwMbYFBGfQvM
8zyc/H8M2oQLpcQGjxbkR3VDY5O2
-----END CERTIFICATE-----`
  const secure = () => listening(createTlsServer({ key, cert }, (incoming, response) => response.end(incoming.httpVersion)))

  test('an untrusted certificate is refused', async () => {
    const result = await client().send(request(`https://al:ice@localhost:${await secure()}/?hidden=1`), PATIENT_MS)
    expect(result).toMatchObject({ status: null, kind: 'failed', error: expect.stringMatching(/^self-signed certificate/) })
    expectNoSecrets(result)
  })

  test('unless verification is switched off', async () => {
    const result = await client({ verifyTls: false }).send(request(`https://127.0.0.1:${await secure()}/`), PATIENT_MS)
    expect(result).toMatchObject({ status: 200, body: '1.1', kind: 'answered' })
  })

  test('a trusted one is accepted for its own name only', async () => {
    const trusted = tls.getCACertificates('default')
    tls.setDefaultCACertificates([cert])
    cleanups.push(() => tls.setDefaultCACertificates(trusted))
    const { send } = client()
    const port = await secure()
    expect(await send(request(`https://localhost:${port}/`), PATIENT_MS)).toMatchObject({ status: 200 })
    const elsewhere = await send(request(`https://127.0.0.1:${port}/?hidden=1`), PATIENT_MS)
    expect(elsewhere).toMatchObject({ status: null, kind: 'failed' })
    expectNoSecrets(elsewhere)
  })
})
