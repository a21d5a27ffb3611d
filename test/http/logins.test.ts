import { describe, expect, onTestFinished, test } from 'vitest'
import { LoginThrottle } from '../../src/api/login-throttle.ts'
import { readConfig } from '../../src/config.ts'
import { ask } from '../support/admin.ts'
import { adminToken, startServer, type TestServer } from '../support/server.ts'
import type { Credentials } from '../support/tenant.ts'

describe('the throttle', () => {
  const refused = (seconds: string) => expect.objectContaining({ kind: 'tooManyRequests', details: { seconds } })

  function throttle(maxFailed = 3) {
    const clock = { now: 0 }
    return { clock, logins: new LoginThrottle({ maxFailed, intervalMs: 2000, now: () => clock.now }) }
  }

  test('lets an address fail a few times, then once in so long', () => {
    const { clock, logins } = throttle()
    for (let i = 0; i < 3; i++) {
      logins.check('a', null, 'wrong')
      logins.failed('a', null)
    }
    expect(() => logins.check('a', null, 'wrong')).toThrow(refused('2'))
    logins.check('b', null, 'wrong')
    clock.now = 2000
    logins.check('a', null, 'wrong')
    logins.failed('a', null)
    expect(() => logins.check('a', null, 'wrong')).toThrow(refused('2'))
    clock.now = 1e9
    for (let i = 0; i < 3; i++) {
      logins.check('a', null, 'wrong')
      logins.failed('a', null)
    }
    expect(() => logins.check('a', null, 'wrong')).toThrow(refused('2'))
  })

  test('counts the failures of an account from all addresses, of which it may have four times as many', () => {
    const { logins } = throttle()
    for (let i = 0; i < 12; i++) {
      logins.check(`address ${i}`, 'AC1', 'wrong')
      logins.failed(`address ${i}`, 'AC1')
    }
    expect(() => logins.check('new', 'AC1', 'wrong')).toThrow(refused('1'))
    logins.check('new', 'AC2', 'wrong')
  })

  test('forgets failures after a success, and never refuses credentials that were right once', () => {
    const { logins } = throttle()
    const fail = () => {
      for (let i = 0; i < 3; i++) logins.failed('a', 'AC1')
    }
    fail()
    expect(() => logins.check('a', 'AC1', 'right')).toThrow(refused('2'))
    logins.succeeded('a', 'AC1', 'right')
    logins.check('a', 'AC1', 'wrong')
    fail()
    expect(() => logins.check('a', 'AC1', 'wrong')).toThrow(refused('2'))
    logins.check('a', 'AC1', 'right')
  })

  test('does not begin anew for an address that has credentials of its own', () => {
    const { logins } = throttle()
    logins.succeeded('a', 'AC2', 'own')
    for (let i = 0; i < 3; i++) {
      logins.failed('a', 'AC1')
      logins.succeeded('a', 'AC2', 'own')
    }
    expect(() => logins.check('a', 'AC1', 'wrong')).toThrow(refused('2'))
  })

  test('counts the addresses of an IPv6 network together', () => {
    const { logins } = throttle()
    for (let i = 1; i <= 3; i++) logins.failed(`2001:db8:1:2::${i}`, null)
    expect(() => logins.check('2001:db8:1:2:ffff::1', null, 'wrong')).toThrow(refused('2'))
    logins.check('2001:db8:1:3::1', null, 'wrong')
  })

  test('keeps a bounded number of addresses', () => {
    const { logins } = throttle(1)
    logins.failed('first', null)
    for (let i = 0; i < 10_000; i++) logins.failed(String(i), null)
    logins.check('first', null, 'wrong')
    expect(() => logins.check('9999', null, 'wrong')).toThrow(refused('2'))
  })

  test('of 0 refuses nothing', () => {
    const { logins } = throttle(0)
    logins.failed('a', null)
    logins.check('a', null, 'wrong')
  })
})

describe('failed logins', () => {
  async function started(): Promise<TestServer> {
    const server = await startServer({ maxFailedLogins: 3 })
    onTestFinished(server.stop)
    return server
  }
  const login = (server: TestServer, as: Credentials) => server.call('GET', '/v1/Services', undefined, { as })

  test('are 429 after a few, also with the right credentials of another account, and counted', async () => {
    const server = await started()
    const other = await server.admin('POST', '/accounts', {})
    expect((await login(server, server.credentials)).status).toBe(200)
    const wrong = [
      { username: server.account_sid, password: 'wrong' },
      { username: `AC${'0'.repeat(32)}`, password: 'wrong' },
      { username: 'nobody', password: 'wrong' },
    ]
    for (const as of wrong) expect((await login(server, as)).status).toBe(401)
    for (const as of [...wrong, { username: other.sid, password: other.auth_token }]) {
      const { status, body, headers } = await login(server, as)
      expect([status, body.code, headers['retry-after']]).toEqual([429, 20429, expect.stringMatching(/^[12]$/)])
    }
    // Who was let in before is at work.
    expect((await login(server, server.credentials)).status).toBe(200)
    expect((await server.call('GET', '/v1/Services', undefined, { as: null })).status).toBe(401)
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toMatch(/^parley_logins_failed_total 3$/m)
  })

  test('of the operator as well', async () => {
    const server = await started()
    expect((await ask(server, 'GET', '/accounts')).status).toBe(200)
    for (let i = 0; i < 3; i++) expect((await ask(server, 'GET', '/accounts', undefined, 'wrong')).status).toBe(401)
    const answer = await fetch(`${server.url}/admin/v1/accounts`, { headers: { authorization: 'Bearer wrong' } })
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([429, '2'])
    expect(await answer.json()).toEqual({ error: 'Too Many Requests', code: 20429 })
    expect((await ask(server, 'GET', '/accounts', undefined, adminToken)).status).toBe(200)
  })

  test('of strangers at many addresses keep no operator out', async () => {
    const server = await startServer({ maxFailedLogins: 3, trustedProxies: ['127.0.0.0/8'] })
    onTestFinished(server.stop)
    const from = async (address: string, token: string) => {
      const headers = { authorization: `Bearer ${token}`, 'x-forwarded-for': address }
      return (await fetch(`${server.url}/admin/v1/accounts`, { headers })).status
    }
    for (let i = 0; i < 20; i++) expect(await from(`192.0.2.${i}`, `wrong-${i}`)).toBe(401)
    expect(await from('198.51.100.1', adminToken)).toBe(200)
  })

  test('the number is a setting', () => {
    expect(readConfig({}).maxFailedLogins).toBe(30)
    expect(() => readConfig({ PARLEY_MAX_FAILED_LOGINS: '-1' })).toThrow('PARLEY_MAX_FAILED_LOGINS must be a whole number from 0')
  })
})
