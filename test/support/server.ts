import { pino } from 'pino'
import { request } from 'undici'
import type { TestClock } from '../../src/clock.ts'
import { type Config, readConfig } from '../../src/config.ts'
import { type StartOptions, start } from '../../src/main.ts'
import { checkAnswer } from './contract.ts'
import { passingDatabase } from './databases.ts'
import { sdkFor } from './sdk.ts'
import type { Credentials, Tenant } from './tenant.ts'

export const adminToken = 'operator-token-of-the-tests'

export const auth_token = '0123456789abcdef0123456789abcdef'

/** A server as its first account sees it. */
export interface TestServer extends Tenant {
  readonly metricsUrl: string
  /** Where it receives mail by SMTP; null when it does not. */
  readonly mailPort: number | null
  stop(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}

/** A whole server with a clock that can be moved, on a database that goes with it unless one is given. */
export async function startServer(overrides: Partial<Config> = {}, options: StartOptions = {}): Promise<TestServer> {
  const own = overrides.database ? null : await passingDatabase()
  const config: Config = {
    ...readConfig({ PORT: '0', PARLEY_TEST_CLOCK: 'true', PARLEY_MAX_FAILED_LOGINS: '0', PARLEY_MAX_CONCURRENT_REQUESTS: '0' }),
    ...own?.config,
    auth_token,
    adminToken,
    ...overrides,
  }
  const running = await start(config, { log: pino({ level: 'silent' }), ...options }).catch(async (error) => {
    await own?.dispose()
    throw error
  })
  const stop = async () => {
    await running.stop()
    await own?.dispose()
  }
  const { url, metricsUrl, installation } = running
  const account_sid = installation.account.sid
  const self: Credentials = { username: account_sid, password: config.auth_token ?? auth_token }

  const call: TestServer['call'] = async (method, path, form, options = {}) => {
    const as = options.as === undefined ? self : options.as
    const body = form === undefined || typeof form === 'string' ? form : new URLSearchParams(form).toString()
    const answer = await request(url + path, {
      method: method as 'GET',
      body: body ?? null,
      headers: {
        ...(as && { authorization: `Basic ${Buffer.from(`${as.username}:${as.password}`).toString('base64')}` }),
        ...(body !== undefined && { 'content-type': 'application/x-www-form-urlencoded' }),
        ...options.headers,
      },
    })
    const text = await answer.body.text()
    const parsed: unknown = text === '' ? '' : JSON.parse(text)
    if (options.check !== false) checkAnswer(method, path, answer.statusCode, parsed)
    return { status: answer.statusCode, headers: answer.headers, body: parsed }
  }

  const admin: TestServer['admin'] = async (method, path, body) => {
    const answer = await request(`${url}/admin/v1${path}`, {
      method: method as 'GET',
      body: body ? JSON.stringify(body) : null,
      headers: { authorization: `Bearer ${config.adminToken}`, ...(body && { 'content-type': 'application/json' }) },
    })
    const text = await answer.body.text()
    if (answer.statusCode >= 400) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`)
    return text === '' ? null : JSON.parse(text)
  }

  return {
    url,
    metricsUrl,
    mailPort: running.email.port,
    account_sid,
    auth_token: self.password,
    credentials: self,
    clock: installation.clock as TestClock,
    sdk: sdkFor({ url }, account_sid, self.password),
    call,
    admin,
    advance: async (duration) => void (await admin('POST', '/clock', { advance: duration })),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
