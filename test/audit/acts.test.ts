import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import { isNamed } from '../../src/admin/actions.ts'
import type { AuditEntryRow } from '../../src/storage/schema.ts'
import { ask } from '../support/admin.ts'
import { type FileServer, startFileServer } from '../support/file-server.ts'
import { testOn } from '../support/fixtures.ts'
import { adminToken } from '../support/server.ts'

const test = testOn(() => startFileServer({ testMode: true }))
const ownPage = { 'sec-fetch-site': 'same-origin' }

async function entries(server: FileServer): Promise<AuditEntryRow[]> {
  return (await server.rows('audit_entries')).sort((a, b) => a.seq - b.seq)
}

/** Returns what an act has added, but for refused credentials, which come some time later. */
async function added(server: FileServer, act: () => Promise<unknown>): Promise<AuditEntryRow[]> {
  const before = (await entries(server)).length
  await act()
  return (await entries(server)).slice(before).filter(({ action }) => action !== 'credentials.refused')
}

/** Signs in as the console does; returns the headers of its requests. */
async function console(server: FileServer): Promise<Record<string, string>> {
  const signedIn = await fetch(`${server.url}/admin/v1/session`, {
    method: 'POST',
    headers: { ...ownPage, 'content-type': 'application/json' },
    body: JSON.stringify({ token: adminToken }),
  })
  expect(signedIn.status).toBe(201)
  return { ...ownPage, cookie: signedIn.headers.getSetCookie()[0]?.split(';')[0] ?? '' }
}

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, unknown>>>>
}

/** Every route of the operator's API that is no read, as its published description has them. */
function writingRoutes(): { method: string; path: string }[] {
  const file = new URL('../../docs/generated/admin-openapi.json', import.meta.url)
  const { paths }: Description = JSON.parse(readFileSync(file, 'utf8'))
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods)
      .filter((method) => method !== 'get' && method !== 'parameters')
      .map((method) => ({ method: method.toUpperCase(), path: path.replace('/admin/v1', '') })),
  )
}

test('every request to the admin API that is no read leaves an entry with a name of its own', async ({ server }) => {
  const routes = writingRoutes()
  expect(routes.length).toBeGreaterThan(35)
  const cookie = await console(server)
  const unnamed: string[] = []
  for (const { method, path } of routes) {
    const url = path.replace('/accounts/{sid}', `/accounts/AC${'9'.repeat(32)}`).replace(/\{\w+\}/g, `CH${'9'.repeat(32)}`)
    const got = await added(server, () =>
      fetch(`${server.url}/admin/v1${url}`, {
        method,
        headers: { ...cookie, ...(method !== 'DELETE' && { 'content-type': 'application/json' }) },
        ...(method !== 'DELETE' && { body: JSON.stringify(path === '/session' ? { token: adminToken } : {}) }),
      }),
    )
    expect(
      got.map(({ actor_type, interface: where }) => [actor_type, where]),
      `${method} ${path}`,
    ).toEqual([['operator', 'console']])
    if (!isNamed(method, path.replace(/\{(\w+)\}/g, ':$1'))) unnamed.push(`${method} ${path}`)
  }
  // Give it a name in src/admin/actions.ts.
  expect(unnamed).toEqual([])
})

test('an account and its keys: who, what, before and after, and no text of anybody', async ({ server }) => {
  const name = 'Alice and Sons'
  const [created] = await added(server, () => server.admin('POST', '/accounts', { friendly_name: name }))
  expect(created).toMatchObject({
    actor_type: 'operator',
    address: '127.0.0.1',
    interface: 'admin',
    action: 'account.created',
    target_type: 'account',
    target_sid: expect.stringMatching(/^AC[0-9a-f]{32}$/),
    outcome: 'success',
    code: null,
    before: null,
    request_id: expect.stringMatching(/^RQ/),
  })
  const sid = created?.target_sid ?? ''
  expect(created?.account_sid).toBe(sid)
  expect(JSON.parse(created?.after ?? '')).toMatchObject({ status: 'active', friendly_name: expect.stringMatching(/^hmac:/) })
  const [suspended] = await added(server, () => server.admin('POST', `/accounts/${sid}`, { status: 'suspended' }))
  expect(suspended).toMatchObject({ action: 'account.updated', before: '{"status":"active"}', after: '{"status":"suspended"}' })
  const [key] = await added(server, () => server.admin('POST', `/accounts/${sid}/keys`, { friendly_name: name }))
  expect(key).toMatchObject({ action: 'api_key.created', account_sid: sid, target_sid: expect.stringMatching(/^SK/) })
  const [rotated] = await added(server, () => server.admin('POST', `/accounts/${sid}/keys/${key?.target_sid}/rotate`))
  expect(Object.keys(JSON.parse(rotated?.after ?? ''))).toEqual(['secret'])
  const [gone] = await added(server, () => server.admin('DELETE', `/accounts/${sid}`))
  expect(gone).toMatchObject({ action: 'account.deleted', target_sid: sid, account_sid: sid, outcome: 'success' })
  expect(JSON.stringify(await entries(server))).not.toContain('Alice')
})

test('what is refused has its code, and says nothing of what it would have changed', async ({ server }) => {
  const nobody = `AC${'8'.repeat(32)}`
  const [missing] = await added(server, () => ask(server, 'POST', `/accounts/${nobody}/keys`, {}))
  expect(missing).toMatchObject({ action: 'api_key.created', account_sid: nobody, outcome: 'refused', code: 404 })
  const [wrong] = await added(server, () => ask(server, 'POST', '/accounts', { friendly_name: 7 }))
  expect(wrong).toMatchObject({ outcome: 'refused', code: 400, target_sid: null })
  expect(await added(server, () => ask(server, 'POST', '/accounts', {}, 'wrong'))).toEqual([])
})

test('the role that an operator is given can be read', async ({ server }) => {
  const make = () => server.admin('POST', '/operators', { name: 'Una', role: 'viewer' })
  const [made] = await added(server, make)
  expect(made?.action).toBe('operator.created')
  expect(JSON.parse(made?.after ?? '')).toMatchObject({ role: 'viewer', name: expect.stringMatching(/^hmac:/) })
  const [raised] = await added(server, () => server.admin('POST', `/operators/${made?.target_sid}`, { role: 'admin' }))
  expect(raised).toMatchObject({ action: 'operator.updated', before: '{"role":"viewer"}', after: '{"role":"admin"}' })
})

test('which accounts an operator is given, and what a restricted key may do, can be read', async ({ server }) => {
  const { account_sid } = server
  const [made] = await added(server, () =>
    server.admin('POST', '/operators', { name: 'Ada', role: 'support', accounts: [account_sid] }),
  )
  expect(JSON.parse(made?.after ?? '')).toMatchObject({ accounts: JSON.stringify([account_sid]) })
  const policy = { allow: ['/twilio/conversations/services/read'] }
  const [key] = await added(server, () => server.admin('POST', `/accounts/${account_sid}/keys`, { policy }))
  expect(JSON.parse(key?.after ?? '')).toMatchObject({ policy: JSON.stringify(policy) })
})

test('a sign-in is that of the operator whose token it is', async ({ server }) => {
  const made = await server.admin('POST', '/operators', { name: 'Sam', role: 'support' })
  const signIn = async () => {
    const { status } = await ask(server, 'POST', '/session', { token: made.token }, null)
    expect(status).toBe(201)
  }
  const entry = { action: 'session.created', actor_id: made.sid, actor_name: 'Sam', interface: 'console', outcome: 'success' }
  expect(await added(server, signIn)).toMatchObject([entry])
  expect(await added(server, signIn)).toMatchObject([entry])
})

test('what an operator tries without the right is recorded as theirs', async ({ server }) => {
  const made = await server.admin('POST', '/operators', { name: 'Vic', role: 'viewer' })
  const raised = () => ask(server, 'POST', `/operators/${made.sid}`, { role: 'admin' }, made.token)
  expect(await added(server, raised)).toMatchObject([
    { action: 'operator.updated', actor_id: made.sid, target_sid: made.sid, outcome: 'refused', code: 403 },
  ])
  const headers = { authorization: `Bearer ${made.token}`, 'x-parley-account': server.account_sid }
  const tried = added(server, async () => {
    const { status } = await fetch(`${server.url}/v1/Services`, { method: 'POST', headers })
    expect(status).toBe(403)
    await expect.poll(async () => (await entries(server)).at(-1)?.action).toBe('service.created')
  })
  expect(await tried).toMatchObject([
    { actor_id: made.sid, account_sid: server.account_sid, interface: 'v1', outcome: 'refused', code: 403 },
  ])
  const reads = () => fetch(`${server.url}/v1/Conversations/CH${'0'.repeat(32)}/Messages`, { headers })
  expect(await added(server, reads)).toEqual([])
})

test('acts that change no row have what was asked for, without secrets and names', async ({ server }) => {
  const [moved] = await added(server, () => server.admin('POST', '/clock', { advance: 'PT1M' }))
  expect(moved).toMatchObject({ action: 'clock.moved', after: '{"advance":"PT1M"}', outcome: 'success' })
  const disclosure = () =>
    ask(server, 'POST', `/accounts/${server.account_sid}/disclosures`, { identity: 'alice' }).catch(() => {})
  const [disclosed] = await added(server, disclosure)
  expect(disclosed).toMatchObject({ action: 'disclosure.created', account_sid: server.account_sid })
  expect(JSON.parse(disclosed?.after ?? '')).toEqual({ identity: expect.stringMatching(/^hmac:[0-9a-f]{32}$/) })
})

test('an erasure is recorded, and the log does not say of whom', async ({ server }) => {
  const identity = 'zoe.of.the.erasure@example.org'
  const { sid } = await server.sdk.conversations.v1.conversations.create({ friendlyName: identity })
  await server.sdk.conversations.v1.conversations(sid).participants.create({ identity })
  const headers = { ...(await console(server)), 'x-parley-account': server.account_sid }
  const say = new URLSearchParams({ Author: identity, Body: `I am ${identity}` })
  await fetch(`${server.url}/v1/Conversations/${sid}/Messages`, { method: 'POST', headers, body: say })
  await fetch(`${server.url}/v1/Users/${encodeURIComponent(identity)}`, {
    method: 'POST',
    headers,
    body: new URLSearchParams({ FriendlyName: identity }),
  })
  await fetch(`${server.url}/v1/Users/${encodeURIComponent(identity)}`, {
    headers: { authorization: `Basic ${btoa(`${identity}:x`)}` },
  })
  const [asked] = await added(server, () => server.admin('POST', `/accounts/${server.account_sid}/erasures`, { identity }))
  expect(asked).toMatchObject({ action: 'erasure.created', target_sid: expect.stringMatching(/^ER/) })
  const found = async () => (await server.admin('GET', `/accounts/${server.account_sid}/erasures/${asked?.target_sid}`)).status
  await expect.poll(found).toBe('done')
  const all = JSON.stringify(await entries(server))
  expect(all).toContain('message.created')
  expect(all).not.toContain('zoe')
})

test('what the console does by the REST API is recorded, what an account does is not', async ({ server }) => {
  const headers = { ...(await console(server)), 'x-parley-account': server.account_sid }
  const post = (path: string, form: Record<string, string>) =>
    fetch(`${server.url}/v1${path}`, { method: 'POST', headers, body: new URLSearchParams(form) })
  const [created] = await added(server, () => post('/Conversations', { FriendlyName: 'Mine', UniqueName: 'room-of-audit' }))
  expect(created).toMatchObject({
    actor_type: 'operator',
    interface: 'console',
    action: 'conversation.created',
    target_sid: expect.stringMatching(/^CH/),
    account_sid: server.account_sid,
    outcome: 'success',
  })
  const [closed] = await added(server, () => post(`/Conversations/${created?.target_sid}`, { State: 'closed' }))
  expect(closed).toMatchObject({ action: 'conversation.updated', target_sid: created?.target_sid })
  expect(JSON.parse(closed?.before ?? '')).toMatchObject({ state: 'active' })
  expect(JSON.parse(closed?.after ?? '')).toMatchObject({ state: 'closed' })
  const refused = added(server, async () => {
    await post('/Conversations', { UniqueName: 'room-of-audit' })
    await expect.poll(async () => (await entries(server)).at(-1)?.outcome).toBe('refused')
  })
  expect((await refused)[0]).toMatchObject({ action: 'conversation.created', outcome: 'refused', code: 409 })
  expect(await added(server, () => server.sdk.conversations.v1.conversations.create({}))).toEqual([])
})

test('reading messages as the operator is recorded once an hour', async ({ server }) => {
  const headers = { ...(await console(server)), 'x-parley-account': server.account_sid }
  const { sid } = await server.sdk.conversations.v1.conversations.create({})
  const read = () => fetch(`${server.url}/v1/Conversations/${sid}/Messages`, { headers })
  const got = await added(server, async () => {
    for (let n = 0; n < 3; n++) expect((await read()).status).toBe(200)
  })
  expect(got).toMatchObject([
    { action: 'conversation.viewed', target_sid: sid, account_sid: server.account_sid, interface: 'console' },
  ])
  await server.admin('POST', '/clock', { advance: 'PT61M' })
  expect(await added(server, read)).toMatchObject([{ action: 'conversation.viewed' }])
  expect(await added(server, () => ask(server, 'GET', '/search?q=hello'))).toMatchObject([{ action: 'messages.searched' }])
})

test('reading media as the operator is recorded once an hour', async ({ server }) => {
  const headers = { ...(await console(server)), 'x-parley-account': server.account_sid }
  const { sid: service } = await server.sdk.conversations.v1.services.create({ friendlyName: 'Media' })
  const authorization = `Basic ${btoa(`${server.credentials.username}:${server.credentials.password}`)}`
  const media = `${server.url}/v1/Services/${service}/Media`
  const upload = { method: 'POST', headers: { authorization, 'content-type': 'text/plain' }, body: 'a picture' }
  // As described: `Media`.
  const { sid } = (await (await fetch(media, upload)).json()) as { sid: string }
  const read = async () => {
    for (const path of [sid, `${sid}/Content`]) expect((await fetch(`${media}/${path}`, { headers })).status).toBe(200)
  }
  expect(await added(server, read)).toMatchObject([{ action: 'media.viewed', target_sid: sid, account_sid: server.account_sid }])
  expect(await added(server, read)).toEqual([])
})

test('lists that show what people have written are recorded, unless the reader sees nothing of it', async ({ server }) => {
  const { sid } = await server.sdk.conversations.v1.conversations.create({})
  const { chatServiceSid } = await server.sdk.conversations.v1.conversations(sid).fetch()
  const { token } = await server.admin('POST', '/operators', { name: 'Wim', role: 'viewer' })
  const lists = ['/deliveries', `/deliveries?conversation_sid=${sid}`, `/conversations?service_sid=${chatServiceSid}`]
  const read = async (as?: string) => {
    for (const path of lists) expect((await ask(server, 'GET', path, undefined, as)).status).toBe(200)
  }
  // Another hour than that of other tests.
  await server.admin('POST', '/clock', { advance: 'PT61M' })
  expect(await added(server, () => read(token))).toEqual([])
  expect(await added(server, read)).toMatchObject([
    { action: 'deliveries.viewed', target_sid: null, actor_id: 'operator' },
    { action: 'deliveries.viewed', target_sid: sid },
  ])
  expect(await added(server, read)).toEqual([])
  const words = () => ask(server, 'GET', `/conversations?service_sid=${chatServiceSid}&text=secret`)
  expect(await added(server, words)).toMatchObject([{ action: 'messages.searched', outcome: 'success' }])
})

test('refused credentials of every surface are recorded, merged, within a minute', async ({ server }) => {
  const basic = (user: string) => ({ authorization: `Basic ${btoa(`${user}:wrong`)}` })
  const refusals = async () => (await entries(server)).filter(({ action }) => action === 'credentials.refused')
  const before = (await refusals()).length
  for (let n = 0; n < 5; n++) await fetch(`${server.url}/v1/Conversations`, { headers: basic('mallory') })
  await fetch(`${server.url}/v1/Conversations`, { headers: basic(`SK${'0'.repeat(32)}`) })
  await ask(server, 'GET', '/accounts', undefined, 'wrong')
  const body = JSON.stringify({ token: 'wrong' })
  await fetch(`${server.url}/admin/v1/session`, { method: 'POST', headers: { 'content-type': 'application/json' }, body })
  await server.admin('POST', '/clock', { advance: 'PT2M' })
  await expect.poll(async () => (await refusals()).length).toBeGreaterThanOrEqual(before + 4)
  const refused = await refusals()
  expect(refused.map(({ interface: where, actor_type, actor_id, count }) => [where, actor_type, actor_id, count])).toEqual(
    expect.arrayContaining([
      ['v1', 'account', expect.stringMatching(/^hmac:/), 5],
      ['v1', 'key', `SK${'0'.repeat(32)}`, 1],
      ['admin', 'operator', 'unknown', 1],
      ['console', 'operator', 'unknown', 1],
    ]),
  )
  expect(JSON.stringify(refused)).not.toContain('mallory')
})

test('whoever is not let in leaves no entry of an act, however often they ask', async ({ server }) => {
  const got = await added(server, async () => {
    for (let n = 0; n < 5; n++) {
      await fetch(`${server.url}/admin/v1/session`, { method: 'DELETE', headers: ownPage })
      await fetch(`${server.url}/admin/v1/session`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: '{}',
      })
    }
  })
  expect(got).toEqual([])
})

test('what retention has deleted is recorded, as an act of the system', async ({ server }) => {
  const { sid } = await server.sdk.conversations.v1.conversations.create({})
  await server.sdk.conversations.v1.conversations(sid).messages.create({ body: 'old' })
  const [set] = await added(server, () => server.admin('PUT', `/accounts/${server.account_sid}/retention`, { message_days: 8 }))
  expect(set).toMatchObject({ action: 'retention.set', account_sid: server.account_sid, after: '{"message_days":8}' })
  await server.admin('POST', '/clock', { advance: 'P9D' })
  const applied = async () => (await entries(server)).filter(({ action }) => action === 'retention.applied')
  await expect.poll(async () => (await applied()).length).toBeGreaterThan(0)
  const [first] = await applied()
  expect(first).toMatchObject({ actor_type: 'system', target_sid: expect.stringMatching(/^IS/), account_sid: server.account_sid })
  expect(JSON.parse(first?.after ?? '')).toMatchObject({ messages: expect.any(Number) })
})
