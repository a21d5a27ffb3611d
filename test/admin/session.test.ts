import fastify from 'fastify'
import { expect, test as plain } from 'vitest'
import { Operator } from '../../src/api/operator.ts'
import type { Reader } from '../../src/storage/database.ts'
import { Vault } from '../../src/vault.ts'
import { checkAdminAnswer } from '../support/admin-contract.ts'
import { test } from '../support/fixtures.ts'
import { adminToken, startServer } from '../support/server.ts'

type Headers = Readonly<Record<string, string>>

const secretKey = 'ab'.repeat(32)
const ownPage = { 'sec-fetch-site': 'same-origin' }

async function send({ url }: { readonly url: string }, method: string, path: string, headers: Headers, body?: object) {
  const response = await fetch(url + path, {
    method,
    headers: { ...headers, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  })
  const text = await response.text()
  const read = { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) }
  if (path.startsWith('/admin/v1')) checkAdminAnswer(method, path.slice('/admin/v1'.length), read.status, read.body)
  return read
}

/** Signs in; returns the cookie as the browser would send it. */
async function signedIn(server: { readonly url: string }, by: object = { token: adminToken }, headers: Headers = ownPage) {
  const { status, headers: given } = await send(server, 'POST', '/admin/v1/session', headers, by)
  expect(status).toBe(201)
  const [cookie = ''] = given.getSetCookie()
  return { cookie: cookie.split(';')[0] ?? '', attributes: cookie }
}

test('a browser that has signed in uses both APIs by its cookie, which no script reads and no other site sends', async ({
  tenant,
}) => {
  const { cookie, attributes } = await signedIn(tenant)
  expect(attributes).toMatch(/^parley-[0-9a-f]{8}=[\w-]+; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict$/)
  expect(attributes).not.toContain(adminToken)
  expect((await send(tenant, 'GET', '/admin/v1/session', ownPage)).body).toEqual({
    signed_in: false,
    operator: null,
    openid: null,
  })
  expect((await send(tenant, 'GET', '/admin/v1/session', { cookie, ...ownPage })).body).toMatchObject({
    signed_in: true,
    operator: { id: 'operator', role: 'admin', accounts: null },
  })
  expect((await send(tenant, 'GET', '/admin/v1/accounts', { cookie, ...ownPage })).status).toBe(200)
  const { sid } = await tenant.sdk.conversations.v1.conversations.create({})
  const asTenant = { cookie, ...ownPage, 'x-parley-account': tenant.account_sid }
  expect((await send(tenant, 'GET', `/v1/Conversations/${sid}`, asTenant)).body.sid).toBe(sid)
  expect((await send(tenant, 'DELETE', `/v1/Conversations/${sid}`, asTenant)).status).toBe(204)
})

test.each<[string, Headers]>([
  ['a page of another site', { 'sec-fetch-site': 'cross-site' }],
  ['a page on another port of this host', { 'sec-fetch-site': 'same-site', origin: 'http://127.0.0.1:3000' }],
  ['a link that was followed to a write', { 'sec-fetch-site': 'none' }],
  ['an old browser, by its Origin', { origin: 'http://other.example' }],
  ['a page without an origin', { origin: 'null' }],
  ['a browser that says nothing', {}],
])('a cookie does not count from %s', async (_, headers) => {
  await using server = await startServer()
  const { cookie } = await signedIn(server)
  const from = { ...headers, cookie }
  expect((await send(server, 'POST', '/admin/v1/accounts', from, {})).status).toBe(403)
  const asAccount = { ...from, 'x-parley-account': server.account_sid, 'content-type': 'application/x-www-form-urlencoded' }
  expect((await send(server, 'POST', '/v1/Conversations', asAccount)).status).toBe(403)
  const { conversations } = (await send(server, 'GET', '/v1/Conversations', { ...asAccount, ...ownPage })).body
  expect(conversations).toEqual([])
})

test('Origin is enough where the browser sends nothing better', async ({ tenant }) => {
  const { cookie } = await signedIn(tenant)
  const origin = tenant.url
  expect((await send(tenant, 'POST', '/admin/v1/accounts', { cookie, origin }, {})).status).toBe(201)
})

test('a page of another site cannot sign anybody in or out', async ({ tenant }) => {
  const foreign = { 'sec-fetch-site': 'cross-site', origin: 'http://other.example' }
  expect((await send(tenant, 'POST', '/admin/v1/session', foreign, { token: adminToken })).status).toBe(403)
  expect((await send(tenant, 'DELETE', '/admin/v1/session', foreign)).status).toBe(403)
})

test('signing out takes the cookie away', async ({ tenant }) => {
  const { cookie } = await signedIn(tenant)
  const { status, headers } = await send(tenant, 'DELETE', '/admin/v1/session', { cookie, ...ownPage })
  expect(status).toBe(204)
  expect(headers.getSetCookie()[0]).toContain('=; Path=/; Max-Age=0;')
})

plain('every node of the installation takes the cookie; with another token or another key it is void', async () => {
  await using one = await startServer({ secretKey })
  const { cookie } = await signedIn(one)
  const status = async (server: { readonly url: string }) =>
    (await send(server, 'GET', '/admin/v1/accounts', { cookie, ...ownPage })).status
  await using other = await startServer({ secretKey })
  expect(await status(other)).toBe(200)
  await using changed = await startServer({ secretKey, adminToken: 'another-operator-token' })
  expect(await status(changed)).toBe(401)
  await using foreign = await startServer({ secretKey: 'cd'.repeat(32) })
  expect(await status(foreign)).toBe(401)
})

test('what is no cookie of this server is none', async ({ tenant }) => {
  const { cookie } = await signedIn(tenant)
  const [name = '', value = ''] = cookie.split('=')
  const bad = ['', 'x', '=', ';;;', '%00', 'x'.repeat(8000), value.slice(1), `${value.slice(0, -4)}AAAA`]
  for (const each of [...bad.map((text) => `${name}=${text}`), `other=${value}`]) {
    const { status } = await send(tenant, 'GET', '/admin/v1/accounts', { cookie: each, ...ownPage })
    expect(status, each.slice(0, 60)).toBe(401)
  }
  const among = `a=b; ${name}=x; ${cookie}; c`
  expect((await send(tenant, 'GET', '/admin/v1/accounts', { cookie: among, ...ownPage })).status).toBe(200)
})

test('a link signs in once', async ({ tenant }) => {
  const { path } = await tenant.admin('POST', '/session/links')
  const code = path.slice('/console#code='.length)
  await signedIn(tenant, { code })
  for (const again of [code, '', 'x']) {
    expect((await send(tenant, 'POST', '/admin/v1/session', ownPage, { code: again })).status).toBe(401)
  }
})

test.each([{}, { token: adminToken, code: 'x' }, { token: 7 }, { token: 'x'.repeat(257) }, { password: 'x' }])(
  'a sign-in needs one text: %j is refused',
  async (body) => {
    await using server = await startServer()
    expect((await send(server, 'POST', '/admin/v1/session', ownPage, body)).status).toBe(400)
  },
)

plain('wrong tokens are throttled as logins are, whatever is guessed', async () => {
  await using server = await startServer({ maxFailedLogins: 2 })
  const guess = (by: object) => send(server, 'POST', '/admin/v1/session', ownPage, by)
  expect((await guess({ token: 'wrong-operator-token' })).status).toBe(401)
  expect((await guess({ code: 'wrong' })).status).toBe(401)
  const refused = await guess({ token: adminToken })
  expect(refused.status).toBe(429)
  expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(0)
})

plain('behind a trusted proxy with TLS the cookie is secure', async () => {
  await using server = await startServer({ trustedProxies: ['127.0.0.1'] })
  const { cookie, attributes } = await signedIn(server, undefined, { ...ownPage, 'x-forwarded-proto': 'https' })
  expect(attributes).toMatch(/^__Host-parley-[0-9a-f]{8}=.*; Secure$/)
  expect((await send(server, 'GET', '/admin/v1/accounts', { cookie, ...ownPage })).status).toBe(200)
  // Any host of the domain can give a browser a cookie of that name.
  const given = { cookie: cookie.replace('__Host-', ''), ...ownPage }
  expect((await send(server, 'GET', '/admin/v1/accounts', given)).status).toBe(200)
  expect((await send(server, 'GET', '/admin/v1/accounts', { ...given, 'x-forwarded-proto': 'https' })).status).toBe(401)
})

plain('a session ends twelve hours after its last use, a link after ten minutes', async () => {
  const minuteMs = 60_000
  let now = Date.now()
  const clock = { now: () => now, offset: () => 0 }
  const read = {} as Reader
  const operator = new Operator({ vault: new Vault(secretKey), adminToken, read, logins: null, clock })
  await using server = fastify()
  server.decorateRequest('access', null)
  server.get('/', async (request, reply) => (await operator.admit(request, reply)) !== null)
  server.post<{ Body: { code: string } }>('/', async (request, reply) => operator.signIn(request, reply, request.body))
  const enter = async ({ code }: { readonly code: string }) => {
    const { headers, body } = await server.inject({ method: 'POST', url: '/', headers: ownPage, payload: { code } })
    return { expires: JSON.parse(body), cookie: String(headers['set-cookie']).split(';')[0] ?? '' }
  }
  const use = async (cookie: string) => {
    const { headers, body } = await server.inject({ method: 'GET', url: '/', headers: { cookie } })
    return { is: JSON.parse(body), next: headers['set-cookie'] && String(headers['set-cookie']).split(';')[0] }
  }
  const { cookie, expires } = await enter(operator.createLink())
  expect(expires).toBe(now + 720 * minuteMs)
  now += 9 * minuteMs
  expect(await use(cookie)).toEqual({ is: true, next: undefined })
  now += 700 * minuteMs
  const { is, next = '' } = await use(cookie)
  expect(is).toBe(true)
  now += 20 * minuteMs
  expect((await use(cookie)).is).toBe(false)
  expect((await use(next)).is).toBe(true)
  const link = operator.createLink()
  now += 11 * minuteMs
  expect((await enter(link)).expires).toBeNull()
})

test('an operator reads and writes in the name of any account, also by the token, unless it is suspended', async ({ tenant }) => {
  const asTenant = { authorization: `Bearer ${adminToken}`, 'x-parley-account': tenant.account_sid }
  const { sid } = await tenant.sdk.conversations.v1.conversations.create({ friendlyName: 'Theirs' })
  expect((await send(tenant, 'GET', `/v1/Conversations/${sid}`, asTenant)).body.friendly_name).toBe('Theirs')
  const { chat_service_sid } = (await send(tenant, 'GET', `/v1/Conversations/${sid}`, asTenant)).body
  const none = `ME${'0'.repeat(32)}`
  expect((await send(tenant, 'GET', `/v1/Services/${chat_service_sid}/Media/${none}`, asTenant)).status).toBe(404)
  await tenant.admin('POST', `/accounts/${tenant.account_sid}`, { status: 'suspended' })
  expect((await send(tenant, 'GET', `/v1/Conversations/${sid}`, asTenant)).status).toBe(403)
})

test.each<[string, Headers, number]>([
  ['no credentials', {}, 401],
  ['a wrong token', { authorization: 'Bearer wrong-operator-token' }, 401],
  ['an unknown account', { authorization: `Bearer ${adminToken}`, 'x-parley-account': `AC${'0'.repeat(32)}` }, 404],
  ['no account', { authorization: `Bearer ${adminToken}`, 'x-parley-account': '' }, 404],
  ['something else', { authorization: `Bearer ${adminToken}`, 'x-parley-account': '../../x' }, 404],
])('in the name of an account, %s is refused', async (_, headers, status) => {
  await using server = await startServer()
  const refused = await send(server, 'GET', '/v1/Conversations', { 'x-parley-account': server.account_sid, ...headers })
  expect(refused.status).toBe(status)
})
