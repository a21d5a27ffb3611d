import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { HttpLimits } from '../../src/api/limits.ts'
import { readConfig } from '../../src/config.ts'
import { adminToken, startServer, type TestServer } from '../support/server.ts'
import { connectTo, head, parsedResponse } from '../support/sockets.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

async function serverWith(limits: Partial<HttpLimits>): Promise<TestServer> {
  const server = await startServer({}, { limits })
  onTestFinished(server.stop)
  return server
}

function connection(server: TestServer) {
  const opened = connectTo(server.url)
  onTestFinished(() => void opened.socket.destroy())
  return opened
}

function basic({ account_sid, auth_token }: TestServer): string {
  return `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}`
}

/** Sends for as long as the other side takes it. */
function sendOn(socket: Socket): void {
  const chunk = Buffer.alloc(65_536, 'a')
  const more = () => {
    while (!socket.destroyed && socket.write(chunk));
  }
  socket.on('drain', more)
  more()
}

const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
const late = { status: 408, code: 20408, message: 'Request Timeout' }

describe('a request that is not complete in time', () => {
  test.each([
    ['nothing at all', ''],
    ['half a head', 'GET /v1/Services HTTP/1.1\r\nHost: x\r\n'],
  ])('%s: 408 in the form of the API, and the connection is closed', async (_what, bytes) => {
    const { socket, closed } = connection(await serverWith({ headTimeoutMs: 100 }))
    socket.write(bytes)
    expect(parsedResponse(await closed)).toMatchObject({ status: 408, body: late })
  })

  test('half a form: 408, in /v1 and in /admin/v1', async () => {
    const server = await serverWith({ bodyTimeoutMs: 100, drainTimeoutMs: 50 })
    const half = { ...form, 'Content-Length': 100 }
    const v1 = connection(server)
    v1.socket.write(`${head('POST', '/v1/Services', { ...half, Authorization: basic(server) })}Friendly`)
    expect(parsedResponse(await v1.closed)).toMatchObject({ status: 408, body: late })
    const admin = connection(server)
    const json = { 'Content-Type': 'application/json', 'Content-Length': 100, Authorization: `Bearer ${adminToken}` }
    admin.socket.write(`${head('POST', '/admin/v1/accounts', json)}{`)
    expect(parsedResponse(await admin.closed)).toMatchObject({ status: 408, body: { error: 'Request Timeout' } })
  })

  test('a connection that sent its form in time is kept', async () => {
    const server = await serverWith({ bodyTimeoutMs: 100 })
    const { socket, until } = connection(server)
    const body = 'FriendlyName=x'
    const post = `${head('POST', '/v1/Services', { ...form, 'Content-Length': body.length, Authorization: basic(server) })}${body}`
    socket.write(post)
    await until(/ 201 /)
    // Longer than the limit, by the server's own timers: a request on another connection runs into it.
    const other = connection(server)
    other.socket.write(head('POST', '/v1/Services', { ...form, 'Content-Length': 9, Authorization: basic(server) }))
    await other.until(/ 408 /)
    socket.write(post)
    await until(/ 201 .* 201 /s)
  })
})

describe('a body that nobody reads', () => {
  const endless = { 'Transfer-Encoding': 'chunked', ...form }

  test.each([
    ['an unknown path', 'POST', '/foo', 404, {}],
    ['an unknown path of the API', 'POST', '/v1/Nothing', 404, { authorized: true }],
    ['a path of the API without credentials', 'POST', '/v1/Services', 401, {}],
    ['an unsupported method', 'PUT', '/v1/Services', 405, { authorized: true }],
    ['a path of the operator without the token', 'POST', '/admin/v1/accounts', 401, {}],
    ['a health check', 'POST', '/healthz', 404, {}],
    ['a read', 'GET', '/v1/Services', 200, { authorized: true }],
    ['a preflight', 'OPTIONS', '/v1/Services', 204, {}],
    ['a removal of nothing', 'DELETE', '/v1/Conversations/nobody', 404, { authorized: true }],
  ] as const)('%s is answered at once, before the body has come', async (_what, method, path, status, options) => {
    const server = await serverWith({})
    const { socket, until } = connection(server)
    const authorization = 'authorized' in options ? { Authorization: basic(server) } : {}
    socket.write(head(method, path, { ...form, 'Content-Length': 1000, ...authorization }))
    expect(await until(/\r\n\r\n/)).toMatch(new RegExp(`^HTTP/1.1 ${status} `))
  })

  test.each([
    ['of more bytes than it reads', { drainBytes: 1024 * 1024, drainTimeoutMs: 3_600_000 }, sendOn],
    ['that takes longer than it waits', { drainTimeoutMs: 50 }, () => {}],
  ])('%s is cut off', async (_what, limits, send) => {
    const { socket, until, closed } = connection(await serverWith(limits))
    socket.write(`${head('POST', '/foo', endless)}40000000\r\n`)
    await until(/ 404 /)
    send(socket)
    await closed
  })

  test('an upload that was refused is cut off, too', async () => {
    const server = await serverWith({ drainBytes: 1024 * 1024, drainTimeoutMs: 3_600_000 })
    const { socket, until, closed } = connection(server)
    const path = `/v1/Services/IS${'0'.repeat(32)}/Media`
    socket.write(`${head('POST', path, { 'Transfer-Encoding': 'chunked', Authorization: basic(server) })}40000000\r\n`)
    await until(/ 404 /)
    sendOn(socket)
    await closed
  })

  test('is read when it ends within the bounds, and the connection goes on', async () => {
    const { socket, until } = connection(await serverWith({}))
    socket.write(head('POST', '/foo', { ...form, 'Content-Length': 100_000 }))
    await until(/ 404 /)
    socket.write('a'.repeat(100_000))
    socket.write(head('GET', '/healthz'))
    await until(/ 404 .* 200 /s)
  })
})

test('a response that nobody reads is cut off', async () => {
  const server = await serverWith({ writeTimeoutMs: 100 })
  const attributes = JSON.stringify({ a: 'x'.repeat(16_000) })
  const { body: made } = await server.call('POST', '/v1/Conversations', { Attributes: attributes })
  const { socket, closed } = connection(server)
  await once(socket, 'connect')
  socket.pause()
  const many = head('GET', `/v1/Conversations/${made.sid}`, { Authorization: basic(server) }).repeat(2000)
  socket.write(many)
  // Who reads nothing learns that the connection is gone by writing to it.
  sendOn(socket)
  expect(await closed).toBe('')
})

describe('connections', () => {
  test('beyond the limit are closed, those below it are served', async () => {
    const server = await serverWith({ maxConnections: 2 })
    const [first, second] = [connection(server), connection(server)]
    for (const { socket, until } of [first, second]) {
      socket.write(head('GET', '/healthz'))
      await until(/ 200 /)
    }
    const third = connection(server)
    third.socket.write(head('GET', '/healthz'))
    expect(await third.closed).toBe('')
    first.socket.destroy()
    const fourth = () => {
      const { socket, closed } = connection(server)
      socket.write(head('GET', '/healthz', { Connection: 'close' }))
      return closed
    }
    await expect.poll(fourth).toMatch(/ 200 /)
  })

  test('the limit is a setting', () => {
    expect(readConfig({}).maxConnections).toBeNull()
    expect(readConfig({ PARLEY_MAX_CONNECTIONS: '5' }).maxConnections).toBe(5)
    expect(() => readConfig({ PARLEY_MAX_CONNECTIONS: '0' })).toThrow(
      'PARLEY_MAX_CONNECTIONS must be a whole number from 1 to 1000000, not 0',
    )
  })
})

test('a caller that closes its side after the request still gets the response', async () => {
  const server = await serverWith({})
  const catcher = await catchWebhooks()
  onTestFinished(catcher.close)
  await server.call('POST', '/v1/Configuration/Webhooks', { PreWebhookUrl: catcher.url(), Filters: 'onConversationAdd' })
  const { promise: ended, resolve: end } = Promise.withResolvers<void>()
  catcher.reply(() => ({ delayUntil: ended }))
  const body = 'FriendlyName=half'
  const headers = { ...form, Authorization: basic(server), 'Content-Length': body.length, 'X-Twilio-Webhook-Enabled': 'true' }
  const { socket, closed } = connection(server)
  socket.end(`${head('POST', '/v1/Conversations', headers)}${body}`)
  await once(socket, 'finish')
  await catcher.next()
  // A second exchange: by now the server has read the end of the first connection.
  await server.call('GET', '/v1/Configuration')
  end()
  expect(parsedResponse(await closed)).toMatchObject({ status: 201, body: { friendly_name: 'half' } })
  // And one that asks for nothing is not kept open.
  const idle = connection(server)
  idle.socket.end()
  expect(await idle.closed).toBe('')
})

test('a compressed form is refused; a request without a body may name any encoding', async () => {
  const server = await serverWith({})
  const send = async (method: string, encoding: string, body = '') => {
    const encoded = { ...form, 'Content-Encoding': encoding, Authorization: basic(server), Connection: 'close' }
    const { socket, closed } = connection(server)
    const headers = { ...encoded, ...(body !== '' && { 'Content-Length': body.length }) }
    socket.write(`${head(method, '/v1/Services', headers)}${body}`)
    return parsedResponse(await closed)
  }
  const refused = { status: 415, body: { status: 415, code: 20415, message: 'Unsupported Media Type' } }
  for (const encoding of ['gzip', 'br', 'x', 'identity, gzip']) {
    expect(await send('POST', encoding, 'FriendlyName=x')).toMatchObject(refused)
  }
  expect((await send('POST', 'Identity', 'FriendlyName=x')).status).toBe(201)
  expect((await send('GET', 'gzip')).status).toBe(200)
})
