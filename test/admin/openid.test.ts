import { describe, expect, test } from 'vitest'
import { consolePath } from '../../src/admin/openid.ts'
import { type Config, readConfig, type SettingTexts } from '../../src/config.ts'
import { type People, startProvider, type TestProvider, Visitor } from '../support/openid-provider.ts'
import { startServer, type TestServer } from '../support/server.ts'

const people: People = {
  ada: { name: 'Ada', groups: ['staff', 'parley-admins'] },
  sue: { name: 'Sue', groups: ['helpdesk'] },
  eve: { name: 'Eve', groups: ['staff'] },
  tom: { name: 'Tom' },
}
const own = `AC${'1'.repeat(32)}`
const roles = JSON.stringify({
  'parley-admins': 'admin',
  helpdesk: { role: 'viewer', text: true, accounts: [own] },
})

function settingsFor({ issuer, clientId, clientSecret }: TestProvider, given: SettingTexts = {}): Partial<Config> {
  const texts = {
    PARLEY_OPENID_ISSUER: issuer,
    PARLEY_OPENID_CLIENT_ID: clientId,
    PARLEY_OPENID_CLIENT_SECRET: clientSecret,
    PARLEY_OPENID_SCOPE: 'openid profile groups',
    PARLEY_OPENID_ROLES: roles,
    ...given,
  }
  return Object.fromEntries(Object.entries(readConfig(texts)).filter(([key]) => key.startsWith('openid')))
}

interface Scene {
  readonly provider: TestProvider
  readonly server: TestServer
  readonly callback: string
  [Symbol.asyncDispose](): Promise<void>
}

async function startScene(given: SettingTexts = {}): Promise<Scene> {
  const provider = await startProvider(people)
  const server = await startServer(settingsFor(provider, given))
  provider.serve(server.url)
  const dispose = async () => {
    await server.stop()
    await provider.stop()
  }
  return { provider, server, callback: `${server.url}/admin/v1/session/openid/callback`, [Symbol.asyncDispose]: dispose }
}

/** Begins at the server; returns where the browser is sent. */
async function begin({ server }: Pick<Scene, 'server'>, visitor: Visitor, to = '/console/deliveries'): Promise<string> {
  const { status, location } = await visitor.ask(`${server.url}/admin/v1/session/openid?to=${encodeURIComponent(to)}`)
  expect(status).toBe(303)
  return location ?? ''
}

/** Comes back; returns the path that the browser is led to, and who is signed in. */
async function comeBack({ server }: Pick<Scene, 'server'>, visitor: Visitor, url: string) {
  const { location } = await visitor.ask(url)
  const response = await fetch(`${server.url}/admin/v1/session`, {
    headers: { cookie: visitor.cookiesOf(server.url), 'sec-fetch-site': 'same-origin' },
  })
  // As described: see `SessionState`.
  const { operator } = (await response.json()) as { operator: { id: string } | null }
  return { path: location?.slice(server.url.length), operator }
}

const problem = (word: string) => ({ path: `/console#problem=${word}`, operator: null })

describe('signing in', () => {
  test('has the role of the first group that has one, and ends at the provider, too', async () => {
    await using scene = await startScene()
    const visitor = new Visitor()
    const back = await visitor.signInAt(await begin(scene, visitor), 'ada', scene.callback)
    expect(await comeBack(scene, visitor, back)).toEqual({
      path: '/console/deliveries',
      operator: {
        id: 'openid:ada',
        name: 'Ada',
        role: 'admin',
        rights: ['read', 'text', 'act', 'manage', 'audit'],
        accounts: null,
      },
    })
    const headers = { cookie: visitor.cookiesOf(scene.server.url), 'sec-fetch-site': 'same-origin' }
    expect((await fetch(`${scene.server.url}/admin/v1/accounts`, { headers })).status).toBe(200)
    const { location } = await visitor.ask(`${scene.server.url}/admin/v1/session/openid/end`)
    expect(location).toContain(`${scene.provider.issuer}/session/end?`)
  })

  test('is restricted as the group is', async () => {
    await using scene = await startScene()
    const visitor = new Visitor()
    const back = await visitor.signInAt(await begin(scene, visitor), 'sue', scene.callback)
    const { operator } = await comeBack(scene, visitor, back)
    expect(operator).toMatchObject({ name: 'Sue', role: 'viewer', rights: ['read', 'text'], accounts: [own] })
    const headers = { cookie: visitor.cookiesOf(scene.server.url), 'sec-fetch-site': 'same-origin' }
    expect(await (await fetch(`${scene.server.url}/admin/v1/accounts`, { headers })).json()).toEqual({ accounts: [] })
  })

  test('uses a cookie of eight hours that no other site sends, and one of ten minutes on the way', async () => {
    await using scene = await startScene()
    const visitor = new Visitor()
    const away = await fetch(`${scene.server.url}/admin/v1/session/openid`, { redirect: 'manual' })
    expect(away.headers.getSetCookie()).toEqual([
      expect.stringMatching(/^parley-[0-9a-f]{8}-openid=[\w-]+; Path=\/; Max-Age=600; HttpOnly; SameSite=Lax$/),
    ])
    const back = await visitor.signInAt(await begin(scene, visitor), 'ada', scene.callback)
    const answer = await fetch(back, { redirect: 'manual', headers: { cookie: visitor.cookiesOf(back) } })
    expect(answer.headers.getSetCookie()).toEqual([
      expect.stringMatching(/-openid=; Path=\/; Max-Age=0;/),
      expect.stringMatching(/^parley-[0-9a-f]{8}=[\w-]+; Path=\/; Max-Age=28800; HttpOnly; SameSite=Strict$/),
    ])
  })

  test('at another provider, or for a group that has no role any more, a session is void', async () => {
    const secretKey = 'ab'.repeat(32)
    const provider = await startProvider(people)
    const other = await startProvider(people)
    const server = await startServer({ secretKey, ...settingsFor(provider) })
    provider.serve(server.url)
    const visitor = new Visitor()
    const scene = { server, callback: `${server.url}/admin/v1/session/openid/callback` }
    const back = await visitor.signInAt(await begin(scene, visitor), 'ada', scene.callback)
    expect((await comeBack(scene, visitor, back)).operator).not.toBeNull()
    const headers = { cookie: visitor.cookiesOf(server.url), 'sec-fetch-site': 'same-origin' }
    for (const [settings, status] of [
      [settingsFor(provider), 200],
      [settingsFor(other), 401],
      [settingsFor(provider, { PARLEY_OPENID_ROLES: '{"helpdesk":"viewer"}' }), 401],
      [{}, 401],
    ] as const) {
      await using changed = await startServer({ secretKey, ...settings })
      expect((await fetch(`${changed.url}/admin/v1/accounts`, { headers })).status).toBe(status)
    }
    await Promise.all([server.stop(), provider.stop(), other.stop()])
  })
})

describe('nobody is signed in', () => {
  test.each(['eve', 'tom'])('who is in no group that has a role: %s', async (login) => {
    await using scene = await startScene()
    const visitor = new Visitor()
    const back = await visitor.signInAt(await begin(scene, visitor), login, scene.callback)
    expect(await comeBack(scene, visitor, back)).toEqual(problem('group'))
  })

  test('by a state of their own, without the cookie, or with that of another sign-in', async () => {
    await using scene = await startScene()
    const [visitor, stranger] = [new Visitor(), new Visitor()]
    const back = await visitor.signInAt(await begin(scene, visitor), 'ada', scene.callback)
    expect(await comeBack(scene, stranger, back)).toEqual(problem('state'))
    await begin(scene, stranger)
    expect(await comeBack(scene, stranger, back)).toEqual(problem('state'))
    for (const state of ['', 'x', '%20']) {
      const forged = new Visitor()
      await begin(scene, forged)
      const url = back.replace(/state=[^&]+/, `state=${state}`)
      expect(await comeBack(scene, forged, url)).toEqual(problem('state'))
    }
    // It has not been used up by all that.
    expect((await comeBack(scene, visitor, back)).operator).not.toBeNull()
  })

  test('by a code that was used before', async () => {
    await using scene = await startScene()
    const visitor = new Visitor()
    const back = await visitor.signInAt(await begin(scene, visitor), 'ada', scene.callback)
    const cookie = visitor.cookiesOf(scene.server.url)
    expect((await comeBack(scene, visitor, back)).operator).not.toBeNull()
    // Whoever has kept the cookie and the address.
    const again = await fetch(back, { redirect: 'manual', headers: { cookie } })
    expect([again.headers.get('location'), again.headers.getSetCookie().length]).toEqual(['/console#problem=refused', 1])
    const { entries } = await scene.server.admin('GET', '/audit')
    expect(entries).toMatchObject([
      { action: 'credentials.refused', actor: { type: 'operator', id: 'unknown' }, outcome: 'refused' },
      { action: 'session.created', actor: { type: 'operator', id: 'openid:ada', name: 'Ada' }, outcome: 'success' },
    ])
    expect(JSON.stringify(entries)).not.toContain(new URL(back).searchParams.get('code'))
  })

  test.each([
    ['another nonce', 'nonce'],
    ['another challenge', 'code_challenge'],
  ])('when the provider was asked with %s', async (_, name) => {
    await using scene = await startScene()
    const visitor = new Visitor()
    const away = new URL(await begin(scene, visitor))
    away.searchParams.set(name, 'A'.repeat(43))
    const back = await visitor.signInAt(away.href, 'ada', scene.callback)
    expect(await comeBack(scene, visitor, back)).toEqual(problem('refused'))
  })

  test.each([
    ['another issuer', (url: URL) => url.searchParams.set('iss', 'https://evil.example')],
    ['no issuer', (url: URL) => url.searchParams.delete('iss')],
    ['two codes', (url: URL) => url.searchParams.append('code', 'x')],
    ['a made-up code', (url: URL) => url.searchParams.set('code', 'x')],
    ['no code', (url: URL) => url.searchParams.delete('code')],
    ['a refusal', (url: URL) => url.searchParams.set('error', 'access_denied')],
  ])('by a response with %s', async (_, spoil) => {
    await using scene = await startScene()
    const visitor = new Visitor()
    const back = new URL(await visitor.signInAt(await begin(scene, visitor), 'ada', scene.callback))
    spoil(back)
    expect(await comeBack(scene, visitor, back.href)).toEqual(problem('refused'))
  })

  test('while the provider is down, at the beginning or in between; once it works, it works here', async () => {
    await using scene = await startScene()
    const [before, between] = [new Visitor(), new Visitor()]
    const back = await between.signInAt(await begin(scene, between), 'ada', scene.callback)
    await scene.provider.stop()
    expect(await comeBack(scene, between, back)).toEqual(problem('provider'))
    await using down = await startServer(settingsFor(scene.provider))
    expect(await begin({ server: down }, before)).toBe(`${down.url}/console#problem=provider`)
    expect((await fetch(`${down.url}/healthz`)).status).toBe(200)
    await using provider = await startProvider(people)
    await using server = await startServer(settingsFor(provider))
    expect(await begin({ server }, before)).toBe(`${server.url}/console#problem=provider`)
    provider.serve(server.url)
    expect(await begin({ server }, before)).toContain(`${provider.issuer}/auth?`)
  })

  test('while the provider is down, which keeps nobody from using a token', async () => {
    const provider = await startProvider(people)
    await using server = await startServer({ ...settingsFor(provider), maxFailedLogins: 1 })
    provider.serve(server.url)
    const scene = { server, callback: `${server.url}/admin/v1/session/openid/callback` }
    const visitor = new Visitor()
    const back = await visitor.signInAt(await begin(scene, visitor), 'ada', scene.callback)
    await provider.stop()
    expect(await comeBack(scene, visitor, back)).toEqual(problem('provider'))
    const { entries } = await server.admin('GET', '/audit')
    expect(entries).toEqual([])
  })

  test('at a provider that calls itself otherwise', async () => {
    const provider = await startProvider(people)
    await using server = await startServer(
      settingsFor(provider, { PARLEY_OPENID_ISSUER: provider.issuer.replace('127.0.0.1', 'localhost') }),
    )
    provider.serve(server.url)
    expect(await begin({ server }, new Visitor())).toBe(`${server.url}/console#problem=provider`)
    await provider.stop()
  })

  test('without a provider there is no such way', async () => {
    await using server = await startServer()
    for (const path of ['', '/callback?code=x&state=x', '/end']) {
      expect((await fetch(`${server.url}/admin/v1/session/openid${path}`, { redirect: 'manual' })).status).toBe(404)
    }
  })
})

test.each([
  'https://evil.example/console',
  '//evil.example/console',
  '/\\evil.example',
  '\\\\evil.example',
  'javascript:alert(1)',
  '/console/../../evil',
  '/console/..//evil.example',
  '/consolex',
  '/admin/v1/accounts',
  '/v1',
  'http://[',
  '/\t/evil.example/console',
  '',
])('a sign-in leads to no other place than the console: %j', (to) => {
  expect(consolePath(to)).toBe('/console')
})

test('it leads back to the page where it began', () => {
  expect(consolePath('/console/services/IS1?state=closed')).toBe('/console/services/IS1?state=closed')
  expect(consolePath(undefined)).toBe('/console')
})

describe('settings', () => {
  const good = {
    PARLEY_OPENID_ISSUER: 'https://id.example.com/realms/x',
    PARLEY_OPENID_CLIENT_ID: 'parley',
    PARLEY_OPENID_ROLES: '{"a":"admin","b":{"role":"viewer","text":true}}',
  }

  test('are read', () => {
    expect(readConfig(good).openidRoles).toEqual([
      { group: 'a', role: 'admin', text: false, accounts: null },
      { group: 'b', role: 'viewer', text: true, accounts: null },
    ])
  })

  test.each([
    ...['', '{}', '[]', 'admin', '{"a":"boss"}', '{"a":1}', '{"a":null}', '{"a":{}}', '{"a":{"role":"admin","x":1}}'],
    ...['{"a":{"role":"viewer","text":1}}', '{"a":{"role":"admin","accounts":[]}}', '{"a":{"role":"admin","accounts":["AC1"]}}'],
  ])('roles %j are refused', (PARLEY_OPENID_ROLES) => {
    expect(() => readConfig({ ...good, PARLEY_OPENID_ROLES })).toThrow(/^PARLEY_OPENID_ROLES (must|has)/)
  })

  test.each(['http://id.example.com', 'https://u:p@id.example.com', 'https://id.example.com?x=1', 'id.example.com', 'ftp://x'])(
    'the issuer %s is refused',
    (PARLEY_OPENID_ISSUER) => {
      expect(() => readConfig({ ...good, PARLEY_OPENID_ISSUER })).toThrow('PARLEY_OPENID_ISSUER must be an https URL')
    },
  )

  test('half a provider is refused', () => {
    const { PARLEY_OPENID_ROLES: _, ...half } = good
    expect(() => readConfig(half)).toThrow('PARLEY_OPENID_ROLES must be set, too')
  })
})
