import type { Twilio } from 'twilio'
import type { TestClock } from '../../src/clock.ts'
import { sdkFor } from './sdk.ts'

/** An account on a server, and what a test can do as this account. */
export interface Tenant {
  /** Where the server listens. */
  readonly url: string
  readonly account_sid: string
  readonly auth_token: string
  readonly credentials: Credentials
  readonly clock: TestClock
  /** The official client; checks every answer against the official description. */
  readonly sdk: Twilio
  /** A raw request to `/v1/…`, its answer checked too. `form`: pairs, so that names can repeat, or a body as it is. */
  call(
    method: string,
    path: string,
    form?: Record<string, string> | [string, string][] | string,
    options?: { headers?: Record<string, string>; as?: Credentials | null; check?: boolean },
  ): Promise<Answer>
  /** A request to `/admin/v1/…`; throws unless it succeeds. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every kind
  admin(method: string, path: string, body?: object): Promise<any>
  /** Moves the server's clock; resolves when everything due has been applied. */
  advance(duration: string): Promise<void>
}

/** An account of its own on a server that several tests share: much cheaper than a server, and nothing in it is known to others. */
export async function newTenant(server: Tenant): Promise<Tenant> {
  const { sid, auth_token } = await server.admin('POST', '/accounts', { friendly_name: 'Tenant' })
  const credentials = { username: sid, password: auth_token }
  return {
    url: server.url,
    account_sid: sid,
    auth_token,
    credentials,
    clock: server.clock,
    sdk: sdkFor(server, sid, auth_token),
    call: (method, path, form, options = {}) => server.call(method, path, form, { as: credentials, ...options }),
    admin: server.admin,
    advance: server.advance,
  }
}

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  // Tests look into bodies of every kind.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  readonly body: any
}

export interface Credentials {
  readonly username: string
  readonly password: string
}
