import { readFileSync } from 'node:fs'
import fastify from 'fastify'
import { describe, expect, test as plain } from 'vitest'
import { ruleOf } from '../../src/admin/access.ts'
import { Operator } from '../../src/api/operator.ts'
import { newOperatorToken } from '../../src/api/operator-tokens.ts'
import type { Reader } from '../../src/storage/database.ts'
import type { OperatorRow, OperatorTokenRow } from '../../src/storage/schema.ts'
import { Vault } from '../../src/vault.ts'
import { ask } from '../support/admin.ts'
import { followEvents } from '../support/events.ts'
import { testWithRows as test } from '../support/fixtures.ts'
import { adminToken, startServer, type TestServer } from '../support/server.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'

type Server = { readonly url: string }

/** Operations of the published description, with the right that each needs; undefined: none. */
const described: Record<
  string,
  Record<string, { readonly 'x-right'?: string; readonly security?: readonly unknown[] }>
> = JSON.parse(readFileSync(new URL('../../docs/generated/admin-openapi.json', import.meta.url), 'utf8')).paths
const operations = Object.entries(described).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, { 'x-right': right, security }]) => {
    return { method: method.toUpperCase(), path: path.slice('/admin/v1'.length), right, isPublic: security?.length === 0 }
  }),
)

let made = 0
/** Makes an operator; returns their SID and token. */
async function operator(server: Server, role: string, given: object = {}): Promise<{ sid: string; token: string; id: string }> {
  const { status, body } = await ask(server, 'POST', '/operators', { name: `${role} ${++made}`, role, ...given })
  expect(status).toBe(201)
  return { sid: body.sid, token: body.token, id: body.tokens.at(-1).id }
}

const statusOf = async (server: Server, token: string, method = 'GET', path = '/accounts', body?: object) =>
  (await ask(server, method, path, body, token)).status

/** A request of `/v1` in the name of an account. */
async function acting({ url }: Server, token: string, account_sid: string, method: string, path: string, form?: object) {
  const response = await fetch(`${url}/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, 'x-parley-account': account_sid },
    ...(form && { body: new URLSearchParams({ ...form }) }),
  })
  return { status: response.status, text: await response.text() }
}

test('passwords in the URLs of webhooks are for those who may set them', async ({ server }) => {
  const tenant = await newTenant(server)
  const as = { as: tenant.credentials }
  const hook = { PostWebhookUrl: 'https://anna:pass%40word@example.test/in?a=b' }
  expect((await server.call('POST', '/v1/Configuration/Webhooks', hook, as)).status).toBe(200)
  const { body } = await server.call('POST', '/v1/Conversations', {}, as)
  const scoped = {
    Target: 'webhook',
    'Configuration.Url': 'https://anna@example.test/"in',
    'Configuration.Filters': 'onMessageAdded',
  }
  expect((await server.call('POST', `/v1/Conversations/${body.sid}/Webhooks`, scoped, as)).status).toBe(201)
  for (const path of ['/Configuration/Webhooks', `/Conversations/${body.sid}/Webhooks`]) {
    const seen = async (role: string) =>
      (await acting(server, (await operator(server, role)).token, tenant.account_sid, 'GET', path)).text
    for (const role of ['viewer', 'support']) {
      const text = await seen(role)
      expect(text).toContain('https://example.test/')
      expect(text).not.toMatch(/anna|pass/)
    }
    expect(await seen('admin')).toContain('https://anna')
  }
})

test('a token is shown once, has its form, and is stored as a hash alone', async ({ server }) => {
  const { status, body } = await ask(server, 'POST', '/operators', { name: 'Ann', role: 'admin' })
  expect(status).toBe(201)
  expect(body.token).toMatch(/^plo_[0-9a-f]{24}_[\w-]{43}$/)
  expect(body.token).toContain(body.tokens[0].id)
  expect(await statusOf(server, body.token)).toBe(200)
  const secret = body.token.slice('plo_'.length + 25)
  const rows = JSON.stringify([await server.rows('operators'), await server.rows('operator_tokens')])
  expect(rows).toContain(body.sid)
  expect(rows).not.toContain(secret)
  for (const path of ['/operators', `/operators/${body.sid}`]) {
    expect(JSON.stringify((await ask(server, 'GET', path)).body)).not.toContain(secret)
  }
})

test('what is not exactly a token is refused', async ({ server }) => {
  const { token } = await operator(server, 'admin')
  const [, id = '', secret = ''] = /^plo_([^_]+)_(.+)$/.exec(token) ?? []
  const others = ['plo_', id, secret, `plo_${id}_`, `plo_${id}_${'A'.repeat(43)}`, `plo_${'0'.repeat(24)}_${secret}`]
  for (const bad of [...others, token.slice(1), token.slice(0, -1), `${token}A`, token.toUpperCase(), `${token},${token}`]) {
    expect(await statusOf(server, bad), bad).toBe(401)
  }
})

describe('each route declares a right', () => {
  plain('a route without one does not start', () => {
    expect(() => ruleOf({ url: '/x', config: {} })).toThrow('the route /x does not declare who may call it')
  })

  plain('all operations have one, but for those that anyone may call', () => {
    const without = operations.filter(({ right, isPublic }) => right === undefined && !isPublic)
    expect(without.map(({ method, path }) => `${method} ${path}`)).toEqual(['POST /session/links'])
    expect(operations.length).toBeGreaterThan(70)
  })

  test.for([
    ['viewer', ['read']],
    ['support', ['read', 'text', 'act']],
    ['auditor', ['audit']],
  ] as const)('%s is refused everything else', async ([role, rights], { server }) => {
    const { token } = await operator(server, role)
    for (const { method, path, right } of operations) {
      if (right === undefined || rights.some((own) => own === right)) continue
      const { status, body } = await ask(server, method, path.replace(/\{\w+\}/g, 'x'), undefined, token)
      // A part that this server does not have.
      if (status === 404) continue
      expect([status, body.error], `${method} ${path}`).toEqual([
        403,
        `this needs the right ${right}, which the role ${role} does not have`,
      ])
    }
    const own = operations.filter(({ method, right }) => method === 'GET' && rights.some((one) => one === right))
    for (const { path } of own) {
      if (path === '/events') continue
      expect(await statusOf(server, token, 'GET', path.replace(/\{\w+\}/g, 'x')), path).not.toBe(403)
    }
  })
})

test('a token can be rotated without a gap: two are valid, a third is refused, an old one ends at once', async ({ server }) => {
  const { sid, token: first, id } = await operator(server, 'support')
  const rotated = await ask(server, 'POST', `/operators/${sid}/rotate`)
  expect(rotated.status).toBe(201)
  const second = rotated.body.token
  expect([await statusOf(server, first), await statusOf(server, second)]).toEqual([200, 200])
  expect((await ask(server, 'POST', `/operators/${sid}/rotate`, {})).status).toBe(409)
  expect((await ask(server, 'DELETE', `/operators/${sid}/tokens/${id}`)).status).toBe(204)
  expect((await ask(server, 'DELETE', `/operators/${sid}/tokens/${id}`)).status).toBe(404)
  expect([await statusOf(server, first), await statusOf(server, second)]).toEqual([401, 200])
  const third = (await ask(server, 'POST', `/operators/${sid}/rotate`, { end_old: true })).body
  expect(third.tokens).toHaveLength(1)
  expect([await statusOf(server, second), await statusOf(server, third.token)]).toEqual([401, 200])
  const other = await operator(server, 'support')
  expect((await ask(server, 'DELETE', `/operators/${other.sid}/tokens/${third.tokens[0].id}`)).status).toBe(404)
  expect((await ask(server, 'DELETE', `/operators/${sid}`)).status).toBe(204)
  expect(await statusOf(server, third.token)).toBe(401)
  expect(await server.rows('operator_tokens')).not.toContainEqual(expect.objectContaining({ operator_sid: sid }))
})

test('nobody changes what they may do themselves, and the last admin of all accounts stays', async () => {
  await using server = await startServer()
  const admin = await operator(server, 'admin')
  for (const change of [{ role: 'viewer' }, { text: true }, { accounts: [server.account_sid] }, { name: 'x', role: 'admin' }]) {
    expect(await statusOf(server, admin.token, 'POST', `/operators/${admin.sid}`, change)).toBe(403)
  }
  expect(await statusOf(server, admin.token, 'POST', `/operators/${admin.sid}`, { name: 'Renamed' })).toBe(200)
  expect(await statusOf(server, admin.token, 'DELETE', `/operators/${admin.sid}`)).toBe(403)
  await operator(server, 'admin', { accounts: [server.account_sid] })
  const last = async (method: string, change?: object) => (await ask(server, method, `/operators/${admin.sid}`, change)).status
  expect([
    await last('DELETE'),
    await last('POST', { role: 'viewer' }),
    await last('POST', { accounts: [server.account_sid] }),
  ]).toEqual([409, 409, 409])
  const second = await operator(server, 'admin')
  const both = await Promise.all([last('DELETE'), ask(server, 'DELETE', `/operators/${second.sid}`).then(({ status }) => status)])
  expect(both.sort()).toEqual([204, 409])
})

test('a change counts from the next request on', async ({ server }) => {
  const { sid, token } = await operator(server, 'viewer')
  expect(await statusOf(server, token, 'POST', '/deliveries/redeliver', { since: '2020-01-01' })).toBe(403)
  expect((await ask(server, 'POST', `/operators/${sid}`, { role: 'support' })).body.role).toBe('support')
  expect(await statusOf(server, token, 'POST', '/deliveries/redeliver', { since: '2020-01-01' })).toBe(200)
})

test('names are unique, and bad values are refused in words', async ({ server, tenant }) => {
  const { sid } = await operator(server, 'viewer', { name: 'Only one' })
  expect((await ask(server, 'POST', '/operators', { name: 'Only one', role: 'viewer' })).status).toBe(409)
  const other = await operator(server, 'viewer')
  expect((await ask(server, 'POST', `/operators/${other.sid}`, { name: 'Only one' })).status).toBe(409)
  expect((await ask(server, 'POST', `/operators/${sid}`, { name: 'Only one' })).status).toBe(200)
  const good = { name: 'Bob', role: 'viewer' }
  const none = `AC${'0'.repeat(32)}`
  for (const bad of [
    {},
    { name: 'x' },
    { role: 'viewer' },
    ...['', 'a\nb', 'x'.repeat(65), 7, null, 'a\0b', '\ud800'].map((name) => ({ ...good, name })),
    ...['', 'Admin', 'root', null, 7].map((role) => ({ ...good, role })),
    ...['yes', 1, null].map((text) => ({ ...good, text })),
    ...[[], none, [none], ['x'], [tenant.account_sid, tenant.account_sid], [7], {}].map((accounts) => ({ ...good, accounts })),
    ...['', 'soon', '2020-01-01', '9'.repeat(300), 7].map((date_expires) => ({ ...good, date_expires })),
    { ...good, sid: 'OP1' },
  ]) {
    expect((await ask(server, 'POST', '/operators', bad)).status, JSON.stringify(bad)).toBe(400)
  }
  for (const path of ['/operators/x', `/operators/OP${'0'.repeat(32)}`, '/operators/%00']) {
    expect((await ask(server, 'GET', path)).status, path).toBeOneOf([400, 404])
  }
})

describe('an operator who has not all accounts', () => {
  interface Scene {
    readonly mine: Tenant
    readonly other: Tenant
    readonly token: string
    readonly conversations: { readonly mine: string; readonly other: string }
  }

  async function scene(server: TestServer, role = 'admin', given: object = {}): Promise<Scene> {
    const [mine, other] = [await newTenant(server), await newTenant(server)]
    const conversation = async (tenant: Tenant) => {
      const { sid } = await tenant.sdk.conversations.v1.conversations.create({ friendlyName: 'Zebra', 'timers.closed': 'PT10M' })
      await tenant.sdk.conversations.v1.conversations(sid).messages.create({ author: 'ann', body: 'zebra crossing' })
      return sid
    }
    const { token } = await operator(server, role, { accounts: [mine.account_sid], ...given })
    return { mine, other, token, conversations: { mine: await conversation(mine), other: await conversation(other) } }
  }

  test('sees, searches and follows nothing of the others', async ({ server }) => {
    const { mine, other, token, conversations } = await scene(server)
    const get = async (path: string) => (await ask(server, 'GET', path, undefined, token)).body
    const text = async (path: string) => JSON.stringify(await get(path))
    expect((await get('/accounts')).accounts).toEqual([expect.objectContaining({ sid: mine.account_sid })])
    expect((await get('/search?q=zebra')).hits.length).toBe(2)
    expect((await ask(server, 'GET', '/search?q=zebra')).body.hits.length).toBeGreaterThan(2)
    expect((await get(`/search?q=zebra&account_sid=${other.account_sid}`)).hits).toEqual([])
    for (const path of ['/timers', '/targets', '/deliveries?limit=1000', '/server', '/search?q=zebra', '/session']) {
      expect(await text(path), path).not.toContain(other.account_sid)
    }
    expect((await get('/timers')).timers).toEqual([expect.objectContaining({ conversation_sid: conversations.mine })])
    expect((await get('/server')).first_account_sid).toBe(mine.account_sid)
    expect((await get(`/sids/${conversations.mine}`)).conversation_sid).toBe(conversations.mine)
    const service = async (tenant: Tenant) =>
      (await ask(server, 'GET', `/accounts/${tenant.account_sid}`)).body.default_chat_service_sid
    const hidden = await service(other)
    const unknown = `IS${'0'.repeat(32)}`
    for (const path of ['/conversations?service_sid=', '/conversations?from=x&service_sid=', '/threads?address=x&service_sid=']) {
      const answers = [hidden, unknown].map(async (sid) => {
        const { status, body } = await ask(server, 'GET', path + sid, undefined, token)
        return [status, body.error.replace(sid, 'it')]
      })
      expect(await Promise.all(answers)).toEqual([
        [404, 'it was not found'],
        [404, 'it was not found'],
      ])
    }
    for (const path of [`/sids/${conversations.other}`, `/sids/${other.account_sid}`, `/sids/${hidden}`]) {
      expect((await ask(server, 'GET', path, undefined, token)).status).toBe(404)
    }
    expect((await ask(server, 'GET', `/conversations?service_sid=${await service(mine)}`, undefined, token)).status).toBe(200)
  })

  test('cannot touch the others, by whatever road', async ({ server }) => {
    const { mine, other, token, conversations } = await scene(server)
    const [hidden, service] = [other.account_sid, (await ask(server, 'GET', `/accounts/${other.account_sid}`)).body]
    const pair = { from: '+15551234567', to: '+15557654321' }
    const all: [string, string, object?][] = [
      ['GET', `/accounts/${hidden}`],
      ['POST', `/accounts/${hidden}`, { friendly_name: 'x' }],
      ['POST', `/accounts/${hidden}/rotate`],
      ['GET', `/accounts/${hidden}/keys`],
      ['POST', `/accounts/${hidden}/keys`, {}],
      ['GET', `/accounts/${hidden}/retention`],
      ['POST', `/accounts/${hidden}/erasures`, { identity: 'ann' }],
      ['POST', `/accounts/${hidden}/disclosures`, { identity: 'ann' }],
      ['GET', `/accounts/${hidden}/mail-blocks`],
      ['POST', `/services/${service.default_chat_service_sid}/conversations/${conversations.other}/reopen`],
      ['POST', '/tokens', { identity: 'ann', account_sid: hidden }],
      ['POST', '/tokens', { identity: 'ann' }],
      ['POST', '/inbound', { ...pair, account_sid: hidden }],
      ['POST', '/inbound', pair],
      ['POST', '/receipts', { channel_message_sid: `SM${'0'.repeat(32)}`, status: 'read', account_sid: hidden }],
      ['POST', '/gateway', { account_sid: hidden }],
      ['POST', '/gateway'],
    ]
    for (const [method, path, body] of all) {
      const { status, body: answer } = await ask(server, method, path, body, token)
      expect([status, JSON.stringify(answer).includes(server.account_sid)], `${method} ${path}`).toEqual([404, false])
    }
    for (const [method, path, body] of [
      ['POST', '/accounts', {}],
      ['DELETE', `/accounts/${mine.account_sid}`],
      ['GET', '/operators'],
      ['GET', '/nodes'],
      ['GET', '/storage'],
      ['POST', '/clock', { advance: 'PT1S' }],
      ['POST', '/import', { records: [] }],
    ] as const) {
      expect(await statusOf(server, token, method, path, body), path).toBe(403)
    }
    expect(await statusOf(server, token, 'GET', `/clock?account_sid=${hidden}`)).toBe(404)
    const list = (sid: string) => acting(server, token, sid, 'GET', '/Conversations')
    expect([(await list(mine.account_sid)).status, (await list(hidden)).status]).toEqual([200, 404])
    const unknown = `AC${'0'.repeat(32)}`
    expect((await list(hidden)).text.replaceAll(hidden, unknown)).toBe((await list(unknown)).text)
  })

  test('finds and repeats only deliveries of their own', async ({ server, catcher }) => {
    const { mine, other, token } = await scene(server, 'support')
    const id = async (tenant: Tenant) => {
      await tenant.sdk.conversations.v1.configuration
        .webhooks()
        .update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
      await tenant.sdk.conversations.v1.conversations.create({ xTwilioWebhookEnabled: 'true' })
      const log = () => ask(server, 'GET', '/deliveries?limit=1000')
      const found = async () =>
        (await log()).body.deliveries.find(({ account_sid }: { account_sid: string }) => account_sid === tenant.account_sid)
      await expect.poll(found).toBeDefined()
      return (await found()).id
    }
    const [own, hidden] = [await id(mine), await id(other)]
    const { deliveries } = (await ask(server, 'GET', '/deliveries?limit=1000', undefined, token)).body
    expect(deliveries.map((each: { id: string }) => each.id)).toEqual([own])
    expect([
      await statusOf(server, token, 'GET', `/deliveries/${own}`),
      await statusOf(server, token, 'GET', `/deliveries/${hidden}`),
    ]).toEqual([200, 404])
    expect(await statusOf(server, token, 'POST', `/deliveries/${hidden}/redeliver`)).toBe(404)
    expect(await statusOf(server, token, 'POST', `/deliveries/${own}/redeliver`)).toBe(201)
    const service = (await ask(server, 'GET', `/accounts/${other.account_sid}`)).body.default_chat_service_sid
    expect((await ask(server, 'GET', `/deliveries?service_sid=${service}`, undefined, token)).body.deliveries).toEqual([])
    expect((await ask(server, 'DELETE', `/deliveries?target_sid=${other.account_sid}`, undefined, token)).body).toEqual({
      dropped: 0,
    })
  })

  test('is told of changes in their own accounts only', async ({ server }) => {
    const { mine, other, token } = await scene(server, 'viewer')
    await using events = await followEvents(server, undefined, token)
    await events.next(({ type }) => type === 'start')
    const hidden = await other.sdk.conversations.v1.conversations.create({})
    const shown = await mine.sdk.conversations.v1.conversations.create({})
    const seen: unknown[] = []
    await events.next(({ type, data }) => {
      if (type === 'conversation') seen.push(data.sid)
      return data.sid === shown.sid
    })
    expect(seen).not.toContain(hidden.sid)
  })
})

test('a viewer reads no texts unless it is said so', async ({ server, tenant, catcher }) => {
  const { conversations, configuration } = tenant.sdk.conversations.v1
  await configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onMessageAdded'] })
  const { sid } = await conversations.create({ friendlyName: 'Quagga' })
  const { sid: message } = await conversations(sid).messages.create({
    author: 'ann',
    body: 'quagga secret',
    xTwilioWebhookEnabled: 'true',
  })
  const [plainly, reader] = [await operator(server, 'viewer'), await operator(server, 'viewer', { text: true })]
  const service = (await ask(server, 'GET', `/accounts/${tenant.account_sid}`)).body.default_chat_service_sid
  const paths = [
    `/threads?service_sid=${service}&address=x`,
    `/conversations?service_sid=${service}&text=quagga`,
    '/search?q=quagga&type=message',
    '/deliveries?text=quagga',
  ]
  for (const path of paths) {
    expect([await statusOf(server, plainly.token, 'GET', path), await statusOf(server, reader.token, 'GET', path)], path).toEqual(
      [403, 200],
    )
  }
  const search = async (token: string) =>
    JSON.stringify((await ask(server, 'GET', '/search?q=quagga', undefined, token)).body.hits)
  expect(await search(plainly.token)).toContain('Quagga')
  expect(await search(plainly.token)).not.toContain(message)
  expect(await search(reader.token)).toContain(message)
  const log = `/deliveries?conversation_sid=${sid}`
  await expect.poll(async () => (await ask(server, 'GET', log)).body.deliveries).not.toEqual([])
  const texts = async (token: string) => JSON.stringify((await ask(server, 'GET', log, undefined, token)).body)
  expect(await texts(plainly.token)).not.toContain('quagga secret')
  expect(await texts(reader.token)).toContain('quagga secret')
  const { account_sid } = tenant
  const v1 = async (token: string, method: string, path: string, form?: object) =>
    (await acting(server, token, account_sid, method, path, form)).status
  for (const path of ['/Messages', `/Messages/${message}`]) {
    const at = `/Conversations/${sid}${path}`
    expect([await v1(plainly.token, 'GET', at), await v1(reader.token, 'GET', at)], at).toEqual([403, 200])
  }
  expect(await v1(plainly.token, 'GET', `/Conversations/${sid}`)).toBe(200)
  expect(await v1(reader.token, 'POST', `/Conversations/${sid}/Messages`, { Body: 'x' })).toBe(403)
  expect(await v1(plainly.token, 'DELETE', `/Conversations/${sid}`)).toBe(403)
  expect(await v1(plainly.token, 'GET', '/Nothing')).toBe(404)
})

test('support works in conversations and changes no setting; an auditor does neither', async ({ server, tenant }) => {
  const { account_sid } = tenant
  const { sid } = await tenant.sdk.conversations.v1.conversations.create({})
  const [support, auditor, admin] = [
    await operator(server, 'support'),
    await operator(server, 'auditor'),
    await operator(server, 'admin'),
  ]
  // One after the other: the first of them that may add the participant does.
  const all = async (method: string, path: string, form?: object) => {
    const statuses: number[] = []
    for (const { token } of [support, auditor, admin]) {
      statuses.push((await acting(server, token, account_sid, method, path, form)).status)
    }
    return statuses
  }
  expect(await all('POST', `/Conversations/${sid}/Messages`, { Body: 'x' })).toEqual([201, 403, 201])
  expect(await all('POST', `/Conversations/${sid}/Participants`, { Identity: 'x' })).toEqual([201, 403, 409])
  expect(await all('POST', '/Services', { FriendlyName: 'x' })).toEqual([403, 403, 201])
  expect(await all('POST', '/Configuration/Webhooks', { Method: 'GET' })).toEqual([403, 403, 200])
  expect(await all('POST', '/Roles', { FriendlyName: 'x', Type: 'service', Permission: 'editOwnUserInfo' })).toEqual([
    403, 403, 201,
  ])
  expect(
    await all('POST', `/Conversations/${sid}/Webhooks`, {
      Target: 'webhook',
      'Configuration.Url': 'https://e.x/',
      'Configuration.Filters': 'onMessageAdded',
    }),
  ).toEqual([403, 403, 201])
  expect(await all('GET', '/Conversations')).toEqual([200, 403, 200])
})

describe('sessions of browsers', () => {
  const ownPage = { 'sec-fetch-site': 'same-origin' }
  async function signIn({ url }: Server, by: object) {
    const response = await fetch(`${url}/admin/v1/session`, {
      method: 'POST',
      headers: { ...ownPage, 'content-type': 'application/json' },
      body: JSON.stringify(by),
    })
    return { status: response.status, cookie: response.headers.getSetCookie()[0]?.split(';')[0] ?? '' }
  }
  async function session({ url }: Server, cookie: string) {
    const response = await fetch(`${url}/admin/v1/session`, { headers: { ...ownPage, cookie } })
    // As described: see `SessionState`.
    return (await response.json()) as { signed_in: boolean; operator: object | null }
  }

  test('tell who is signed in, and end everywhere when the token is rotated or the operator deleted', async ({
    server,
    tenant,
  }) => {
    const { sid, token } = await operator(server, 'viewer', { name: 'Vera', accounts: [tenant.account_sid] })
    const { cookie } = await signIn(server, { token })
    expect(await session(server, cookie)).toEqual({
      signed_in: true,
      operator: { id: sid, name: 'Vera', role: 'viewer', rights: ['read'], accounts: [tenant.account_sid] },
      openid: null,
    })
    const rotated = (await ask(server, 'POST', `/operators/${sid}/rotate`)).body.token
    expect(await session(server, cookie)).toEqual({ signed_in: false, operator: null, openid: null })
    const [old, next] = [await signIn(server, { token }), await signIn(server, { token: rotated })]
    expect((await session(server, old.cookie)).signed_in).toBe(true)
    const [{ id }] = (await ask(server, 'GET', `/operators/${sid}`)).body.tokens
    await ask(server, 'DELETE', `/operators/${sid}/tokens/${id}`)
    expect([(await session(server, old.cookie)).signed_in, (await session(server, next.cookie)).signed_in]).toEqual([false, true])
    await ask(server, 'DELETE', `/operators/${sid}`)
    expect((await session(server, next.cookie)).signed_in).toBe(false)
    expect((await signIn(server, { token: rotated })).status).toBe(401)
  })

  test('a link signs in as whoever has made it, and as nobody once their token has ended', async ({ server }) => {
    const { sid, token } = await operator(server, 'viewer')
    const link = async () => (await ask(server, 'POST', '/session/links', undefined, token)).body.path.split('code=')[1]
    const [one, other] = [await link(), await link()]
    const { cookie } = await signIn(server, { code: one })
    expect((await session(server, cookie)).operator).toMatchObject({ id: sid, role: 'viewer' })
    await ask(server, 'POST', `/operators/${sid}/rotate`, { end_old: true })
    expect((await signIn(server, { code: other })).status).toBe(401)
  })

  test('the stream of an operator ends when they are changed', async ({ server }) => {
    const { sid, token } = await operator(server, 'viewer')
    await using events = await followEvents(server, undefined, token)
    await events.next(({ type }) => type === 'start')
    await ask(server, 'POST', `/operators/${sid}/rotate`, { end_old: true })
    await events.ended
  })
})

plain('a token ends at its date, and its last use is recorded once a minute', async () => {
  const minuteMs = 60_000
  let now = Date.now()
  const made = newOperatorToken('OP1', now, now + 10 * minuteMs)
  const row: OperatorRow = {
    ...{ sid: 'OP1', name: 'Ann', role: 'admin', text: 0, accounts: null, sessions: 0 },
    ...{ date_created: now, date_updated: now },
  }
  const tables: { operator_tokens: OperatorTokenRow } = { operator_tokens: made.row }
  // The two queries of an operator, told apart by their arguments.
  const one = async (_query: object, args: object) => ('id' in args ? tables.operator_tokens : row)
  const used: number[] = []
  const operator = new Operator({
    vault: new Vault('ab'.repeat(32)),
    adminToken,
    read: { one } as unknown as Reader,
    logins: null,
    onTokenUsed: (_id, at) => used.push(at),
    clock: { now: () => now, offset: () => 0 },
  })
  await using server = fastify()
  server.decorateRequest('access', null)
  server.get('/', async (request) => (await operator.admit(request))?.name ?? 'nobody')
  const ask = async () => (await server.inject({ url: '/', headers: { authorization: `Bearer ${made.token}` } })).body
  const start = now
  expect(await ask()).toBe('Ann')
  now += minuteMs - 1
  expect(await ask()).toBe('Ann')
  expect(used).toEqual([start])
  now += 1
  expect(await ask()).toBe('Ann')
  expect(used).toEqual([start, now])
  now = start + 10 * minuteMs
  expect(await ask()).toBe('nobody')
})

test('guessing tokens is slowed down, and no token is logged', async () => {
  await using server = await startServer({ maxFailedLogins: 3 })
  const { token } = await operator(server, 'admin')
  expect(await statusOf(server, token)).toBe(200)
  const wrong = `${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`
  for (let i = 0; i < 3; i++) expect(await statusOf(server, wrong)).toBe(401)
  expect(await statusOf(server, wrong)).toBe(429)
  // Who has been right before is let in.
  expect(await statusOf(server, token)).toBe(200)
})
