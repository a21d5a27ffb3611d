import { METHODS } from 'node:http'
import { connect } from 'node:net'
import fc from 'fast-check'
import { describe, expect } from 'vitest'
import { bodyLimit } from '../../src/api/server.ts'
import { operations, resources } from '../../src/resources/index.ts'
import { checkAnswer, officialOperations } from '../support/contract.ts'
import { test } from '../support/fixtures.ts'
import { sdkFor } from '../support/sdk.ts'
import { adminToken, type TestServer } from '../support/server.ts'
import type { Credentials } from '../support/tenant.ts'

let server: TestServer
let as: Credentials

test.beforeAll(async ({ server: started }) => {
  server = started
  as = await newAccount()
})

async function newAccount(): Promise<Credentials> {
  const made = await server.admin('POST', '/accounts', {})
  return { username: made.sid, password: made.auth_token }
}

async function newKey(account_sid: string): Promise<Credentials> {
  const made = await server.admin('POST', `/accounts/${account_sid}/keys`, {})
  return { username: made.sid, password: made.secret }
}

function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

function call(method: string, path: string, form?: Parameters<TestServer['call']>[2], headers: Record<string, string> = {}) {
  return server.call(method, path, form, { as, headers })
}

/** Bytes as they are, for what no client library would send; answers all that comes back until the server hangs up. */
async function send(...parts: (string | Buffer)[]): Promise<string> {
  return open(Buffer.concat(parts.map((part) => Buffer.from(part)))).rest
}

/** A connection of its own that sends `bytes`. */
function open(bytes: string | Buffer) {
  const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
  const { promise: rest, resolve } = Promise.withResolvers<string>()
  const { promise: first, resolve: begun } = Promise.withResolvers<void>()
  let received = ''
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    received += text
    begun()
  })
  // A server that refuses early resets what is still being sent.
  socket.on('error', () => {})
  socket.on('close', () => resolve(received))
  socket.write(bytes)
  return { socket, rest, first }
}

/** One raw request; the server closes the connection after it. */
function raw(
  method: string,
  path: string,
  headers: Record<string, string> = {},
  body: Buffer = Buffer.alloc(0),
): string | Buffer {
  const given = { Host: 'localhost', Authorization: basic(as), Connection: 'close', ...headers }
  const lines = Object.entries(given).map(([name, value]) => `${name}: ${value}\r\n`)
  const length = body.length > 0 ? `Content-Length: ${body.length}\r\n` : ''
  return Buffer.concat([Buffer.from(`${method} ${path} HTTP/1.1\r\n${lines.join('')}${length}\r\n`, 'latin1'), body])
}

function parsed(answer: string) {
  const end = answer.indexOf('\r\n\r\n')
  const [line = '', ...lines] = answer.slice(0, end).split('\r\n')
  const headers = Object.fromEntries(lines.map((each) => [each.split(':')[0]?.toLowerCase(), each.replace(/^[^:]*: */, '')]))
  return { status: Number(line.split(' ')[1]), headers, body: answer.slice(end + 4) }
}

async function stillAnswers(): Promise<void> {
  expect((await call('GET', '/v1/Conversations?PageSize=1')).status).toBe(200)
}

function notFound(path: string) {
  return { status: 404, code: 20404, message: `The requested resource ${path} was not found` }
}

function sample(path: string): string {
  return path.replace(/\{\w+\}/g, 'any')
}

const challenge = 'Basic realm="Twilio API"'
const messages = {
  none: 'Authentication Error - No credentials provided',
  username: 'Authentication Error - invalid username',
  wrong: 'Authenticate',
}
const zeros = '0'.repeat(32)

describe('authentication', () => {
  test('nothing, no user name of ours, and a wrong secret are three different 401s', async () => {
    const cases: [Credentials | null, string][] = [
      [null, messages.none],
      [{ username: 'admin', password: as.password }, messages.username],
      [{ username: '', password: '' }, messages.username],
      [{ username: `US${zeros}`, password: as.password }, messages.username],
      [{ username: `${as.username}0`, password: as.password }, messages.username],
      [{ username: ` ${as.username}`, password: as.password }, messages.username],
      [{ username: as.username, password: 'wrong' }, messages.wrong],
      [{ username: as.username, password: '' }, messages.wrong],
      [{ username: as.username, password: `${as.password} ` }, messages.wrong],
      [{ username: as.username, password: `${as.password}:` }, messages.wrong],
      [{ username: `AC${zeros}`, password: as.password }, messages.wrong],
      [{ username: `SK${zeros}`, password: as.password }, messages.wrong],
      [{ username: as.username, password: 'ü🎈\0' }, messages.wrong],
      [{ username: server.account_sid, password: as.password }, messages.wrong],
    ]
    for (const [credentials, message] of cases) {
      const { status, body, headers } = await server.call('GET', '/v1/Services', undefined, { as: credentials })
      expect([status, body.code, body.message, headers['www-authenticate']]).toEqual([401, 20003, message, challenge])
      expect(Object.keys(body)).toEqual(['code', 'message', 'more_info', 'status'])
    }
  })

  test.each([
    '',
    ' ',
    'Basic',
    'Basic ',
    'Basic !!!',
    'Basic ====',
    'Basic Og==',
    'Basic 4pi6',
    'Basic AAAA',
    'Basic a b',
    'Bearer token',
    'Bearer',
    'Digest username="x"',
    'null',
  ])('the header %j is refused with a 401 and its challenge', async (authorization) => {
    const { status, body, headers } = await server.call('GET', '/v1/Services', undefined, {
      as: null,
      headers: { authorization },
    })
    expect([status, body.code, headers['www-authenticate']]).toEqual([401, 20003, challenge])
    expect(Object.values(messages)).toContain(body.message)
  })

  test('credentials in any other place are none', async () => {
    const { username, password } = as
    const tries: [string, Record<string, string>][] = [
      [`/v1/Services?AccountSid=${username}&AuthToken=${password}`, {}],
      ['/v1/Services', { cookie: `Authorization=${basic(as)}` }],
      ['/v1/Services', { 'proxy-authorization': basic(as) }],
      ['/v1/Services', { 'x-authorization': basic(as) }],
    ]
    for (const [path, headers] of tries) {
      const { body } = await server.call('GET', path, undefined, { as: null, headers })
      expect(body).toMatchObject({ status: 401, message: messages.none })
    }
  })

  test('the scheme may have any letter case', async () => {
    for (const scheme of ['basic', 'BASIC']) {
      const headers = { authorization: basic(as).replace('Basic', scheme) }
      expect((await server.call('GET', '/v1/Services', undefined, { as: null, headers })).status).toBe(200)
    }
  })

  test('an API key works for everything of its account, and for no other', async () => {
    const key = await newKey(as.username)
    const { v1 } = sdkFor(server, as.username, '', { keySid: key.username, keySecret: key.password }).conversations
    const { sid, accountSid } = await v1.conversations.create({ friendlyName: 'by key' })
    expect(accountSid).toBe(as.username)
    expect((await call('GET', `/v1/Conversations/${sid}`)).body.friendly_name).toBe('by key')
    expect(await v1.conversations(sid).remove()).toBe(true)
    const other = await newAccount()
    const made = await server.call('POST', '/v1/Conversations', {}, { as: other })
    await expect(v1.conversations(made.body.sid).fetch()).rejects.toMatchObject({ status: 404, code: 20404 })
    const swapped = { username: key.username, password: as.password }
    expect((await server.call('GET', '/v1/Services', undefined, { as: swapped })).status).toBe(401)
    const crossed = { username: as.username, password: key.password }
    expect((await server.call('GET', '/v1/Services', undefined, { as: crossed })).status).toBe(401)
  })

  test('a rotated token, a rotated key and a deleted key stop working at once, and only they', async () => {
    const account = await newAccount()
    const [rotated, deleted, kept] = [
      await newKey(account.username),
      await newKey(account.username),
      await newKey(account.username),
    ]
    const status = async (credentials: Credentials) =>
      (await server.call('GET', '/v1/Services', undefined, { as: credentials })).status
    // All of them known to the server before.
    for (const credentials of [account, rotated, deleted, kept]) expect(await status(credentials)).toBe(200)
    const token = await server.admin('POST', `/accounts/${account.username}/rotate`)
    expect(await status(account)).toBe(401)
    expect(await status({ ...account, password: token.auth_token })).toBe(200)
    expect(await status(rotated)).toBe(200)
    const secret = await server.admin('POST', `/accounts/${account.username}/keys/${rotated.username}/rotate`)
    expect(await status(rotated)).toBe(401)
    expect(await status({ ...rotated, password: secret.secret })).toBe(200)
    await server.admin('DELETE', `/accounts/${account.username}/keys/${deleted.username}`)
    expect([await status(deleted), await status(kept)]).toEqual([401, 200])
  })

  test('a suspended account is told 403 whatever it asks, until it is active again', async () => {
    const account = await newAccount()
    const key = await newKey(account.username)
    const { body: made } = await server.call('POST', '/v1/Conversations', {}, { as: account })
    await server.call('GET', `/v1/Conversations/${made.sid}`, undefined, { as: key })
    await server.admin('POST', `/accounts/${account.username}`, { status: 'suspended' })
    for (const credentials of [account, key]) {
      for (const [method, path] of [
        ['GET', `/v1/Conversations/${made.sid}`],
        ['DELETE', `/v1/Conversations/${made.sid}`],
        ['GET', '/v1/Nothing'],
        ['PUT', '/v1/Conversations'],
        ['GET', '/v1/Users'],
      ] as const) {
        const { body, headers } = await server.call(method, path, undefined, { as: credentials })
        expect(body).toMatchObject({ status: 403, code: 20403, message: 'Forbidden' })
        expect(headers).not.toHaveProperty('www-authenticate')
      }
    }
    const wrong = { ...account, password: 'wrong' }
    expect((await server.call('GET', '/v1/Services', undefined, { as: wrong })).status).toBe(401)
    await server.admin('POST', `/accounts/${account.username}`, { status: 'active' })
    expect((await server.call('GET', `/v1/Conversations/${made.sid}`, undefined, { as: account })).body).toEqual(made)
  })

  test('a deleted account and its keys are unknown at once', async () => {
    const account = await newAccount()
    const key = await newKey(account.username)
    for (const credentials of [account, key]) await server.call('GET', '/v1/Services', undefined, { as: credentials })
    await server.admin('DELETE', `/accounts/${account.username}`)
    for (const credentials of [account, key]) {
      const { body } = await server.call('GET', '/v1/Services', undefined, { as: credentials })
      expect(body).toMatchObject({ status: 401, message: messages.wrong })
    }
  })

  test.each([
    ['an unknown path', 'GET', '/v1/Nothing/at/all'],
    ['a missing conversation', 'GET', `/v1/Conversations/CH${zeros}`],
    ['an unsupported verb', 'PUT', '/v1/Conversations'],
    ['a list', 'GET', '/v1/Users'],
    ['bad parameters', 'GET', '/v1/Conversations?PageSize=0'],
    ['a path that cannot be decoded', 'GET', '/v1/Conversations/%E0%A4'],
    ['the version alone', 'GET', '/v1'],
  ])('who is unknown is told 401 before %s', async (_what, method, path) => {
    for (const Authorization of ['', basic({ ...as, password: 'wrong' })]) {
      const { status, body, headers } = parsed(await send(raw(method, path, { Authorization })))
      expect([status, headers['www-authenticate']]).toEqual([401, challenge])
      expect(JSON.parse(body)).toMatchObject({ code: 20003 })
    }
  })
})

describe('routing', () => {
  test.each([
    '/Nothing',
    '/',
    '/conversations',
    '//Conversations',
    '/Conversation',
    '/Conversations/CHx/Nothing',
    `/Conversations/CH${zeros}/Export`,
    `/Services/IS${zeros}`,
    `/Services/IS${zeros}/Conversations`,
    `/Services/IS${zeros}/Conversations/any`,
    `/Services/IS${zeros}/Conversations/any/Messages`,
    `/Services/IS${zeros}/Configuration/Webhooks`,
    '/Services//Conversations',
    '/Services/any/Services',
    '/Services/any/Credentials',
    '/Services/any/Configuration/Addresses',
    '/Bindings',
    '/Configuration/Notifications',
    '/Configuration/Nothing/any',
    '/Conversations/a%20b%2Fc%3Fd',
    '/Conversations/%F0%9F%8E%88',
    '/Conversations/\u007eplain~',
    '/Conversations;a=b',
  ])('%s is not found, and named as it was asked for', async (path) => {
    for (const query of ['', '?PageSize=2&a=%20']) {
      const { status, body } = parsed(await send(raw('GET', `/v1${path}${query}`)))
      expect(status).toBe(404)
      expect(JSON.parse(body)).toMatchObject(notFound(path))
    }
  })

  test('a missing parent is not found for any verb, and the path below it is named', async () => {
    const path = `/Services/IS${zeros}/Conversations`
    expect((await call('POST', `/v1${path}`, {})).body).toMatchObject(notFound(path))
    expect((await call('POST', `/v1${path}/any`, { State: 'closed' })).body).toMatchObject(notFound(`${path}/any`))
    expect((await call('DELETE', `/v1${path}/any`)).body).toMatchObject(notFound(`${path}/any`))
    expect((await call('POST', `/v1/Services/IS${zeros}/Configuration/Webhooks`, { Method: 'GET' })).status).toBe(404)
  })

  test.each(['%', '%zz', '%2', 'a%', '%E0%A4', '%C0%AF', '%FF', '%ED%A0%80', 'a%2Fb%', '%u0041'])(
    'a path that cannot be decoded, %s, is not found',
    async (segment) => {
      for (const tail of ['', '/Messages', '?PageSize=2']) {
        const { status, headers, body } = parsed(await send(raw('GET', `/v1/Conversations/${segment}${tail}`)))
        const path = `/Conversations/${segment}${tail.startsWith('/') ? tail : ''}`
        expect([status, headers['content-type']]).toEqual([404, expect.stringMatching(/^application\/json/)])
        expect(JSON.parse(body)).toMatchObject(notFound(path))
      }
    },
  )

  test('a very long path is not found; one that no server reads is refused', async () => {
    for (const length of [257, 1000, 8192, 8193, 12_000]) {
      const path = `/Conversations/${'a'.repeat(length)}`
      expect((await call('GET', `/v1${path}`)).body).toMatchObject(notFound(path))
    }
    const deep = '/a'.repeat(5000)
    expect((await call('GET', `/v1${deep}`)).body).toMatchObject(notFound(deep))
    const { status } = parsed(await send(raw('GET', `/v1/Conversations/${'a'.repeat(20_000)}`)))
    expect([414, 431]).toContain(status)
    await stillAnswers()
  })

  test.each([
    ['POST', '/'],
    ['POST', '/v2/Conversations'],
    ['GET', '/V1/Conversations'],
    ['GET', '/nowhere/%zz'],
    ['GET', '/v1x'],
    ['TRACE', '/healthz'],
    ['QUERY', '/nowhere'],
  ] as const)('%s %s, which nobody serves, is not found in the form of the API', async (method, path) => {
    const answer = parsed(await send(raw(method, path)))
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([404, notFound(path)])
  })

  test.each(['/accounts/%zz', `/accounts/${'a'.repeat(9000)}`, '/accounts/%E0%A4/keys'])(
    'a path of the operator that is none, %.20s…, is not found in the form of that API',
    async (path) => {
      const stranger = parsed(await send(raw('GET', `/admin/v1${path}`)))
      expect([stranger.status, JSON.parse(stranger.body)]).toEqual([401, { error: expect.any(String) }])
      const Authorization = `Bearer ${adminToken}`
      const operator = parsed(await send(raw('GET', `/admin/v1${path}`, { Authorization })))
      expect([operator.status, JSON.parse(operator.body)]).toEqual([404, { error: 'this path was not found' }])
    },
  )

  test('a slash at the end of a path means nothing, and urls of responses are without it', async () => {
    const call = (method: string, path: string, form?: Record<string, string>) =>
      server.call(method, path, form, { as, check: false })
    const { body: made } = await call('POST', '/v1/Conversations/', { UniqueName: 'slash' })
    expect(made.url).toMatch(new RegExp(`/v1/Conversations/${made.sid}$`))
    expect((await call('GET', `/v1/Conversations/${made.sid}/`)).body).toEqual(made)
    expect((await call('GET', '/v1/Conversations/slash/?a=b')).body).toEqual(made)
    const { body: page } = await call('GET', '/v1/Conversations/?PageSize=1')
    expect(page.meta.url).toContain('/v1/Conversations?PageSize=1')
    expect((await call('GET', '/v1/Nothing/')).body).toMatchObject(notFound('/Nothing'))
    expect((await call('PUT', '/v1/Conversations/')).status).toBe(405)
    expect((await call('DELETE', `/v1/Conversations/${made.sid}/`)).status).toBe(204)
  })

  test('an expectation that nobody knows changes nothing', async () => {
    const { status, body } = parsed(await send(raw('GET', '/v1/Conversations/any', { Expect: 'nothing' })))
    expect([status, JSON.parse(body)]).toMatchObject([404, notFound('/Conversations/any')])
  })

  const verbs = ['GET', 'POST', 'DELETE', 'PUT', 'PATCH']
  const paths = [...new Set(officialOperations().map((operation) => operation.path))]
  const methodsOf = (path: string) =>
    officialOperations().flatMap((operation) => (operation.path === path ? [operation.method] : []))

  test.each(paths)('%s refuses every verb that it does not have', async (path) => {
    const supported = methodsOf(path)
    for (const method of verbs.filter((verb) => !supported.includes(verb))) {
      const { body } = await call(method, sample(path), method === 'GET' ? undefined : { FriendlyName: 'x' })
      expect(body, method).toMatchObject({ status: 405, code: 20004, message: 'Method not allowed' })
    }
    if (!supported.includes('GET'))
      expect((await server.call('HEAD', sample(path), undefined, { as, check: false })).status).toBe(405)
  })

  test.each(['TRACE', 'PROPFIND', 'LOCK', 'PURGE', 'REPORT'])('a known path refuses the verb %s as any other', async (method) => {
    for (const path of ['/v1/Conversations', '/v1/Conversations/any', '/v1/Users']) {
      const { status, body } = parsed(await send(raw(method, path)))
      expect([status, JSON.parse(body)]).toMatchObject([405, { code: 20004, message: 'Method not allowed' }])
    }
  })

  test('there are 103 official operations', () => {
    expect(officialOperations()).toHaveLength(103)
  })

  test.each(officialOperations().map((operation) => [operation.method, operation.path] as const))(
    '%s %s is known: done, or refused for what it was asked',
    async (method, path) => {
      const { body: service } = await call('POST', '/v1/Services', { FriendlyName: 'x' })
      const { body: conversation } = await call('POST', `/v1/Services/${service.sid}/Conversations`, { UniqueName: 'any' })
      const target = path
        .replace('{ChatServiceSid}', service.sid)
        .replace('/Services/{Sid}', `/Services/${service.sid}`)
        .replace(/\{\w+\}/g, 'any')
      const { status, body } = await call(method, target, method === 'POST' ? { FriendlyName: 'x' } : undefined)
      // What does not exist is not found, by its own path: the operation itself is known.
      if (status === 404) expect(body).toMatchObject({ code: 20404, message: expect.stringContaining(target.slice(3)) })
      else expect([200, 201, 204, 400]).toContain(status)
      if (status !== 204) await call('DELETE', `/v1/Services/${service.sid}/Conversations/${conversation.sid}`)
    },
  )

  test.each(officialOperations().map((operation) => [operation.method, operation.path] as const))(
    '%s %s with names of nothing and no body is answered or refused in the official form',
    async (method, path) => {
      const own = await newAccount()
      for (const name of ['any', `XX${zeros}`, `CH${zeros}`, '%F0%9F%8E%88']) {
        const target = path.replace(/\{\w+\}/g, name)
        const { status, body } = await server.call(method, target, undefined, { as: own })
        if (path.includes('{')) expect(body).toMatchObject(notFound(target.slice(3)))
        else expect([200, 201, 202, 400]).toContain(status)
      }
    },
  )
})

describe('requests', () => {
  const missing = { status: 400, code: 20001, message: 'Missing required parameter FriendlyName in the post body' }
  const multipart = '--b\r\nContent-Disposition: form-data; name="FriendlyName"\r\n\r\nx\r\n--b--\r\n'

  test.each([
    ['application/json', '{"FriendlyName":"x"}'],
    ['application/json; charset=utf-8', '{"FriendlyName":"x"}'],
    ['application/json', '{"FriendlyName":'],
    ['multipart/form-data; boundary=b', multipart],
    ['multipart/form-data', multipart],
    ['text/plain', 'FriendlyName=x'],
    ['application/x-www-form-urlencoded-not', 'FriendlyName=x'],
    ['application/octet-stream', 'FriendlyName=x'],
    ['*/*', 'FriendlyName=x'],
    ['x', 'FriendlyName=x'],
    [';', 'FriendlyName=x'],
    ['/', 'FriendlyName=x'],
    ['"application/x-www-form-urlencoded"', 'FriendlyName=x'],
    ['', 'FriendlyName=x'],
  ])('a body of type %j is not read', async (type, body) => {
    expect((await call('POST', '/v1/Services', body, { 'content-type': type })).body).toMatchObject(missing)
    const { body: conversation } = await call('POST', '/v1/Conversations', body, { 'content-type': type })
    expect(conversation.friendly_name).toBeNull()
  })

  test.each([
    'application/x-www-form-urlencoded',
    'Application/X-WWW-Form-URLEncoded',
    'application/x-www-form-urlencoded; charset=UTF-8',
    'application/x-www-form-urlencoded;charset="utf-8"',
    'application/x-www-form-urlencoded ; charset=utf-8',
    'application/x-www-form-urlencoded;',
    'application/x-www-form-urlencoded; charset',
    'application/x-www-form-urlencoded; =',
  ])('a body of type %j is read as a form', async (type) => {
    const { body } = await call('POST', '/v1/Conversations', 'FriendlyName=a+b%2Bc%C3%A9', { 'content-type': type })
    expect(body.friendly_name).toBe('a b+cé')
  })

  test('parameters of the query are not those of the body', async () => {
    expect((await call('POST', '/v1/Services?FriendlyName=x', {})).body).toMatchObject(missing)
    const { body } = await call('POST', '/v1/Conversations?FriendlyName=x&State=junk', { UniqueName: 'q' })
    expect(body).toMatchObject({ friendly_name: null, unique_name: 'q', state: 'active' })
  })

  test('unknown parameters are ignored; names have one spelling', async () => {
    const names = [
      'friendlyName',
      'FRIENDLYNAME',
      'friendly_name',
      'FriendlyName ',
      ' FriendlyName',
      'FriendlyName[]',
      'FriendlyName[0]',
    ]
    for (const name of [...names, 'Friendly Name', '__proto__', 'constructor', 'toString', 'hasOwnProperty', '']) {
      expect((await call('POST', '/v1/Services', { [name]: 'x', Unknown: 'y' })).body, name).toMatchObject(missing)
    }
    const { body } = await call('POST', '/v1/Services', [
      ['__proto__', 'x'],
      ['FriendlyName', 'good'],
      ['constructor', 'y'],
    ])
    expect(body.friendly_name).toBe('good')
    expect((await call('GET', '/v1/Services?pagesize=0&state=junk&__proto__=1&PageSize=3')).body.meta.page_size).toBe(3)
  })

  test('a name may be encoded like a value', async () => {
    expect((await call('POST', '/v1/Services', '%46riendly%4Eame=x')).body.friendly_name).toBe('x')
    const { body } = await call('POST', '/v1/Conversations', 'Timers%2EClosed=PT1H')
    expect(Object.keys(body.timers)).toEqual(['date_closed'])
  })

  test('of a repeated query parameter the last one counts', async () => {
    const { body } = await call('GET', '/v1/Conversations?PageSize=0&PageSize=junk&PageSize=7&Page=x&Page=2')
    expect(body.meta).toMatchObject({ page_size: 7, page: 2 })
  })

  test.each(['', '&', '&&&', '=', '=&=', 'a', '=x', '%', '%=%', 'FriendlyName', '\0', '\ufeff', '+', '🎈', '{}'])(
    'the odd body %j is a form without known parameters or with an empty one',
    async (body) => {
      expect((await call('POST', '/v1/Services', body)).body).toMatchObject(missing)
      expect((await call('POST', '/v1/Conversations', body)).status).toBe(201)
    },
  )

  test('a body of the limit is read and one byte more refused, whatever its type and however it is sent', async () => {
    const most = bodyLimit({ resources, operations })
    const tooLarge = { status: 413, code: 20413, message: 'Request Entity Too Large' }
    const fits = `FriendlyName=fits&Ignored=${'a'.repeat(most)}`.slice(0, most)
    expect((await call('POST', '/v1/Conversations', fits)).body.friendly_name).toBe('fits')
    for (const type of ['application/x-www-form-urlencoded', 'application/json', 'text/plain']) {
      expect((await call('POST', '/v1/Conversations', `${fits}a`, { 'content-type': type })).body).toMatchObject(tooLarge)
    }
    const chunk = Buffer.from(`${(65_536).toString(16)}\r\n${'a'.repeat(65_536)}\r\n`)
    const chunked = raw('POST', '/v1/Conversations', {
      'Content-Type': 'application/x-www-form-urlencoded',
      'Transfer-Encoding': 'chunked',
    })
    const chunks = Array<Buffer>(Math.ceil(most / 65_536) + 1).fill(chunk)
    const answer = parsed(await send(chunked, ...chunks, '0\r\n\r\n'))
    expect([answer.status, JSON.parse(answer.body)]).toMatchObject([413, tooLarge])
    const { body } = await call('GET', '/v1/Conversations?PageSize=1000')
    expect(body.conversations.filter((c: { friendly_name: string }) => c.friendly_name === 'fits')).toHaveLength(1)
  })

  test('the largest requests that the limits of their parameters allow fit, each byte percent-encoded', async () => {
    const encoded = (text: string) => Buffer.from(text).toString('hex').replace(/../g, '%$&')
    const json = (bytes: number) => JSON.stringify({ a: '"'.repeat((bytes - 8) / 2) })
    const form = (values: Record<string, string>) =>
      Object.entries(values)
        .map(([name, value]) => `${name}=${encoded(value)}`)
        .join('&')
    const name = '\u{1f388}'.repeat(256)
    const member = JSON.stringify({ identity: name, attributes: json(4096) })
    const participants = Array(10).fill(`Participant=${encoded(member)}`)
    const values = { FriendlyName: name, UniqueName: name, Attributes: json(16_384) }
    const { body: made } = await call('POST', '/v1/ConversationWithParticipants', [form(values), ...participants].join('&'))
    // The identities are alike: read, and refused for that.
    expect(made).toMatchObject({ status: 409 })
    const { body: conversation } = await call('POST', '/v1/Conversations', {})
    const variables = JSON.stringify(Object.fromEntries(Array.from({ length: 100 }, (_, i) => [i, name])))
    const message = { Author: name, Body: '\u{1f388}'.repeat(8192), Subject: name, Attributes: json(4096) }
    const content = { ContentSid: `HX${zeros}`, ContentVariables: variables }
    const template = { types: { 'twilio/text': { body: 'x' } } }
    await server.admin('PUT', `/accounts/${as.username}/contents/${content.ContentSid}`, template)
    const sent = await call('POST', `/v1/Conversations/${conversation.sid}/Messages`, form({ ...message, ...content }))
    expect(sent.status).toBe(201)
  })

  test('a thousand parameters are read and one more refused, in the body and in the query', async () => {
    const many = (count: number): [string, string][] => Array.from({ length: count }, (_, i) => [`p${i}`, ''])
    expect((await call('POST', '/v1/Services', [...many(999), ['FriendlyName', 'x']])).status).toBe(201)
    expect((await call('POST', '/v1/Services', [...many(1000), ['FriendlyName', 'x']])).body).toMatchObject({
      status: 400,
      code: 20001,
    })
    const query = (count: number) => `/v1/Conversations?${'a=&'.repeat(count - 1)}a=`
    expect((await call('GET', query(1000))).status).toBe(200)
    expect((await call('GET', query(1001))).body).toMatchObject({ status: 400, code: 20001 })
  })

  test('a body of a GET or a DELETE is not read', async () => {
    const { body: made } = await call('POST', '/v1/Conversations', {})
    for (const body of ['PageSize=0', '{', 'State=junk']) {
      const form = { 'Content-Type': 'application/x-www-form-urlencoded' }
      const { status } = parsed(await send(raw('GET', '/v1/Conversations', form, Buffer.from(body))))
      expect(status).toBe(200)
    }
    expect((await call('DELETE', `/v1/Conversations/${made.sid}`, 'State=junk')).status).toBe(204)
  })

  test('a client that waits for 100 Continue is let on', async () => {
    const form = { 'Content-Type': 'application/x-www-form-urlencoded', Expect: '100-continue' }
    const answer = await send(raw('POST', '/v1/Services', form, Buffer.from('FriendlyName=x')))
    expect(answer).toMatch(/^HTTP\/1\.1 100 Continue\r\n\r\nHTTP\/1\.1 201 /)
  })

  test.each(['true', 'TRUE', 'false', 'False', '', 'junk', '1', 'true, true'])(
    'X-Twilio-Webhook-Enabled: %s is fine where there are no webhooks',
    async (value) => {
      const header = { 'X-Twilio-Webhook-Enabled': value }
      const { status, body } = await call('POST', '/v1/Conversations', {}, header)
      expect(status).toBe(201)
      expect((await call('POST', `/v1/Conversations/${body.sid}`, { State: 'closed' }, header)).status).toBe(200)
      expect((await call('DELETE', `/v1/Conversations/${body.sid}`, undefined, header)).status).toBe(204)
    },
  )

  test('other headers change nothing', async () => {
    const headers = {
      'X-Twilio-Anything': 'x',
      'X-HTTP-Method-Override': 'DELETE',
      'X-Forwarded-Host': 'evil.example',
      'X-Forwarded-Proto': 'https',
      Forwarded: 'host=evil.example',
      'If-Match': '"x"',
      'If-None-Match': '*',
      'If-Modified-Since': 'Mon, 01 Jan 2035 00:00:00 GMT',
      'Idempotency-Key': 'x',
      Accept: 'text/html',
      'Accept-Version': '2',
      'Accept-Encoding': 'br, gzip',
      Range: 'bytes=0-1',
      Cookie: 'a=b',
      'X-Request-Id': 'x',
    }
    const { body: made } = await call('POST', '/v1/Conversations', {}, headers)
    expect(made.url).toBe(`${server.url}/v1/Conversations/${made.sid}`)
    const answer = await call('GET', `/v1/Conversations/${made.sid}`, undefined, headers)
    expect([answer.status, answer.body]).toEqual([200, made])
    for (const name of ['etag', 'last-modified', 'content-encoding', 'set-cookie', 'location']) {
      expect(answer.headers).not.toHaveProperty(name)
    }
  })
})

describe('answers', () => {
  const cors = {
    'access-control-allow-origin': '*',
    'access-control-allow-methods': 'GET, POST, DELETE, OPTIONS',
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': 'ETag',
    'access-control-allow-headers': expect.stringContaining('Accept, Authorization, Content-Type, If-Match, If-Modified-Since'),
  }

  test.each([
    [200, 'GET', '/v1/Conversations', {}],
    [201, 'POST', '/v1/Conversations', {}],
    [204, 'DELETE', '/v1/Conversations/{sid}', {}],
    [400, 'GET', '/v1/Conversations?PageSize=0', {}],
    [401, 'GET', '/v1/Conversations', { Authorization: '' }],
    [404, 'GET', '/v1/Conversations/nobody', {}],
    [404, 'GET', '/v1/Nothing', {}],
    [404, 'GET', '/v1/Conversations/%E0%A4', {}],
    [405, 'PUT', '/v1/Conversations', {}],
    [200, 'GET', '/v1/Users', {}],
  ])('a %i to %s %s has every header of the vendor', async (status, method, path, headers) => {
    const { body: made } = await call('POST', '/v1/Conversations', {})
    const answer = parsed(await send(raw(method, path.replace('{sid}', made.sid), headers)))
    expect(answer.status).toBe(status)
    expect(answer.headers).toMatchObject({
      ...cors,
      'twilio-request-id': expect.stringMatching(/^RQ[0-9a-f]{32}$/),
      'twilio-request-duration': expect.stringMatching(/^\d+\.\d{3}$/),
      'twilio-concurrent-requests': expect.stringMatching(/^[1-9]\d*$/),
    })
    if (status === 204) expect(answer.body).toBe('')
    else expect(answer.headers['content-type']).toMatch(/^application\/json/)
    expect(answer.headers).not.toHaveProperty('location')
  })

  test('every request has an id of its own', async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => call('GET', '/v1/Conversations?PageSize=1')))
    expect(new Set(answers.map((answer) => answer.headers['twilio-request-id'])).size).toBe(20)
  })

  test('requests that are over are not counted as concurrent', async () => {
    for (const path of ['/v1/Nothing', '/v1/Conversations?PageSize=0', '/v1/Conversations']) await call('GET', path)
    await server.call('GET', '/v1/Conversations', undefined, { as: null })
    await expect.poll(async () => (await call('GET', '/v1/Services')).headers['twilio-concurrent-requests']).toBe('1')
  })

  test('a preflight needs no credentials and does nothing', async () => {
    const { body: made } = await call('POST', '/v1/Conversations', {})
    const headers = {
      Authorization: '',
      Origin: 'https://app.example',
      'Access-Control-Request-Method': 'DELETE',
      'Access-Control-Request-Headers': 'authorization, x-twilio-webhook-enabled',
    }
    for (const path of [`/v1/Conversations/${made.sid}`, '/v1/Conversations', '/v1/Users', '/v1/Configuration']) {
      const { status, headers: told, body } = parsed(await send(raw('OPTIONS', path, headers)))
      expect([status, body]).toEqual([204, ''])
      expect(told).toMatchObject(cors)
      expect(told['access-control-allow-headers']).toMatch(/X-Twilio-Webhook-Enabled/i)
      expect(told).not.toHaveProperty('www-authenticate')
    }
    expect((await call('GET', `/v1/Conversations/${made.sid}`)).body).toEqual(made)
  })

  test('HEAD answers as GET would, without a body', async () => {
    const { body: made } = await call('POST', '/v1/Conversations', {})
    for (const [path, status] of [
      [`/v1/Conversations/${made.sid}`, 200],
      ['/v1/Conversations', 200],
      ['/v1/Services', 200],
      ['/v1/Configuration', 200],
      ['/v1/Conversations/nobody', 404],
      ['/v1/Nothing', 404],
      ['/v1/Conversations?PageSize=0', 400],
    ] as const) {
      const head = parsed(await send(raw('HEAD', path)))
      const get = parsed(await send(raw('GET', path)))
      expect([head.status, get.status, head.body]).toEqual([status, status, ''])
      expect(head.headers['content-type']).toBe(get.headers['content-type'])
      expect(head.headers['content-length']).toBe(String(Buffer.byteLength(get.body)))
    }
    const stranger = parsed(await send(raw('HEAD', '/v1/Conversations', { Authorization: '' })))
    expect([stranger.status, stranger.headers['www-authenticate']]).toEqual([401, challenge])
  })

  test('every official path that can be read answers to HEAD', async () => {
    const { body: service } = await call('POST', '/v1/Services', { FriendlyName: 'x' })
    const read = officialOperations().filter(({ method }) => method === 'GET')
    for (const { path } of read) {
      const target = sample(path.replace('{ChatServiceSid}', service.sid))
      const head = parsed(await send(raw('HEAD', target)))
      const get = parsed(await send(raw('GET', target)))
      expect([head.status, head.body], target).toEqual([get.status, ''])
      expect(head.headers['content-length'], target).toBe(String(Buffer.byteLength(get.body)))
    }
    expect(read).toHaveLength(47)
  })

  test('no answer is a redirect', async () => {
    for (const path of ['/v1', '/v1/', '/v1/Conversations//', '/v1//Services', '/v1/Services/../Services', '/v1/./Services']) {
      const { status, headers } = parsed(await send(raw('GET', path)))
      expect(status).toBe(404)
      expect(headers).not.toHaveProperty('location')
    }
  })
})

describe('hostile input', () => {
  const refused = expect.toSatisfy((status: number) => status >= 400 && status < 500)
  const statusesOf = (answer: string) => [...answer.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]))

  test.each([
    ['garbage', 'garbage\r\n\r\n'],
    ['an unknown method', 'FOO /v1/Services HTTP/1.1\r\nHost: x\r\n\r\n'],
    ['no version', 'GET /v1/Services\r\n\r\n'],
    ['a wrong version', 'GET /v1/Services HTTP/9.9\r\nHost: x\r\n\r\n'],
    ['a header without a colon', 'GET /v1/Services HTTP/1.1\r\nHost: x\r\nBad\r\n\r\n'],
    ['a NUL in a header', 'GET /v1/Services HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n'],
    ['two lengths', 'POST /v1/Services HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['a negative length', 'POST /v1/Services HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n'],
    [
      'a length and chunks',
      'POST /v1/Services HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['a bad chunk', 'POST /v1/Services HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n'],
    ['a raw byte in the path', Buffer.from('GET /v1/\xff HTTP/1.1\r\nHost: x\r\n\r\n', 'latin1')],
    ['too many headers', `GET /v1/Services HTTP/1.1\r\nHost: x\r\n${'X: y\r\n'.repeat(5000)}\r\n`],
    ['a TLS hello', Buffer.from([22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3])],
  ])('%s is refused, alone, behind a good request and together with one, and the server lives', async (_what, bytes) => {
    const good = Buffer.from(raw('GET', '/v1/Services?PageSize=1', { Connection: 'keep-alive' }))
    expect(statusesOf(await send(bytes))).toEqual([refused])
    const { socket, first, rest } = open(good)
    await first
    socket.write(bytes)
    expect(statusesOf(await rest)).toEqual([200, refused])
    expect(statusesOf(await send(good, bytes))).toContainEqual(refused)
    await stillAnswers()
  })

  test('pipelined requests are each answered, in order', async () => {
    const keep = { Connection: 'keep-alive' }
    const answer = await send(
      raw('GET', '/v1/Services?PageSize=1', keep),
      raw('GET', '/v1/Nothing', keep),
      raw('PUT', '/v1/Services', keep),
      raw('GET', '/v1/Conversations/%', keep),
      raw('GET', '/v1/Users'),
    )
    expect(statusesOf(answer)).toEqual([200, 404, 405, 404, 200])
  })

  test('a client that hangs up in the middle does no harm', async () => {
    const socket = connect(Number(new URL(server.url).port), '127.0.0.1')
    const closed = new Promise<void>((resolve) => socket.on('close', () => resolve()))
    const head = raw('POST', '/v1/Services', { 'Content-Type': 'application/x-www-form-urlencoded', 'Content-Length': '1000' })
    socket.write(head, () => socket.destroy())
    await closed
    await stillAnswers()
  })

  /** Pieces that mean something, and some that mean nothing. */
  const segment = fc.oneof(
    fc.constantFrom('Conversations', 'Services', 'Configuration', 'Webhooks', 'Messages', 'Participants', 'Users', 'Receipts'),
    fc.constantFrom(
      'Roles',
      'Credentials',
      'Addresses',
      'Bindings',
      'Notifications',
      'Export',
      'ConversationWithParticipants',
      'ParticipantConversations',
      'Media',
      `CH${zeros}`,
      `IS${zeros}`,
    ),
    { weight: 3, arbitrary: fc.constant('any') },
    fc.constantFrom(
      '',
      '.',
      '..',
      '%',
      '%00',
      '%2F',
      '%zz',
      '%FF',
      '%25',
      '*',
      ':key',
      '__proto__',
      ';',
      '(',
      '[',
      '{',
      '\\',
      '|',
      '^',
      '`',
    ),
    fc.string({ maxLength: 20 }).map(encodeURIComponent),
    fc.stringMatching(/^[!-~]{0,30}$/),
    fc.string({ unit: 'binary', maxLength: 10 }).map((given) => Buffer.from(given).toString('hex').replace(/../g, '%$&')),
  )
  const parameter = fc.constantFrom(
    'FriendlyName',
    'UniqueName',
    'Attributes',
    'State',
    'Timers.Inactive',
    'DateCreated',
    'MessagingServiceSid',
    'Filters',
    'Method',
    'PreWebhookUrl',
    'DefaultClosedTimer',
    'Identity',
    'Address',
    'Type',
    'Permission',
    'RoleSid',
    'Author',
    'Body',
    'MediaSid',
    'ContentVariables',
    'Order',
    'Participant',
    'MessagingBinding.Address',
    'MessagingBinding.ProxyAddress',
    'MessagingBinding.ProjectedAddress',
    'LastReadMessageIndex',
    'NotificationLevel',
    'Target',
    'Configuration.Url',
    'Configuration.Filters',
    'Configuration.ReplayAfter',
    'PageSize',
    'Page',
    'PageToken',
    'StartDate',
    '__proto__',
  )
  const value = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 30 }),
    fc.constantFrom(
      '',
      '\0',
      'PT1M',
      'P1D',
      '2026-01-01',
      'any',
      '+15551234567',
      '{"identity":"any"}',
      'webhook',
      'onMessageAdded',
      'https://example.com/',
      'active',
      'closed',
      '1',
      '1e9',
      'null',
      '{}',
      'PTWyJ4IiwxLCJ5Il0',
      '🎈'.repeat(300),
    ),
  )
  const form = fc.array(fc.tuple(parameter, value), { maxLength: 8 }).map((pairs) => new URLSearchParams(pairs).toString())
  const printable = fc.stringMatching(/^[ -~]{0,40}$/)
  const header = fc.constantFrom(
    'Content-Type',
    'Accept',
    'Accept-Encoding',
    'Content-Encoding',
    'X-Twilio-Webhook-Enabled',
    'If-Match',
    'Range',
    'Origin',
    'Cookie',
    'Host',
    'Accept-Version',
    'X-Forwarded-For',
  )
  const request = fc.record({
    method: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom('GET', 'POST', 'DELETE') },
      { weight: 1, arbitrary: fc.constantFrom(...METHODS) },
    ),
    path: fc.array(segment, { maxLength: 6 }).map((segments) => `/v1/${segments.join('/')}`),
    query: fc.oneof(fc.constant(''), form, fc.stringMatching(/^[!-~]{0,30}$/)),
    headers: fc.dictionary(
      header,
      fc.oneof(printable, fc.constantFrom('application/x-www-form-urlencoded', 'application/json', 'true')),
    ),
    typed: fc.boolean(),
    body: fc.oneof(
      form.map((given) => Buffer.from(given)),
      fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
    ),
  })

  test('no request makes the server fail, and every refusal has the form of an error', async () => {
    // So that paths lead somewhere.
    await call('POST', '/v1/Conversations', { UniqueName: 'any' })
    await call('POST', '/v1/Conversations/any/Participants', { Identity: 'any' })
    await fc.assert(
      fc.asyncProperty(request, async ({ method, path, query, headers, typed, body }) => {
        // A tunnel is no request for a resource.
        fc.pre(method !== 'CONNECT')
        const type = typed ? { 'Content-Type': 'application/x-www-form-urlencoded' } : {}
        const target = query === '' ? path : `${path}?${query}`
        const answer = parsed(await send(raw(method, target, { ...headers, ...type }, body)))
        expect(answer.status >= 200 && answer.status < 500, `${answer.status}`).toBe(true)
        expect(answer.headers).not.toHaveProperty('location')
        if (method === 'HEAD' || answer.status === 204) expect(answer.body).toBe('')
        else if (answer.status >= 400) checkAnswer(method, target, answer.status, JSON.parse(answer.body))
        else JSON.parse(answer.body)
      }),
      { numRuns: 600 },
    )
    await stillAnswers()
  })

  test('no user name, password or header text makes signing in fail otherwise than with 401', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          printable,
          fc
            .tuple(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }))
            .map(([username, password]) => basic({ username, password })),
          fc.string().map((password) => basic({ ...as, password })),
        ),
        async (Authorization) => {
          const { status, headers, body } = parsed(await send(raw('GET', '/v1/Services', { Authorization })))
          expect([status, headers['www-authenticate']]).toEqual([401, challenge])
          checkAnswer('GET', '/v1/Services', status, JSON.parse(body))
        },
      ),
      { numRuns: 200 },
    )
    await stillAnswers()
  })
})
