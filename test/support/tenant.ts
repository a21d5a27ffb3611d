import type { Twilio } from 'twilio'
import { sdkFor } from './sdk.ts'
import type { Answer, Credentials, TestServer } from './server.ts'

/** An account of its own on a server that several tests share. */
export interface Tenant {
  readonly account_sid: string
  readonly auth_token: string
  readonly credentials: Credentials
  readonly sdk: Twilio
  /** As `TestServer.call`, signed in as this account. */
  call(
    method: string,
    path: string,
    form?: Parameters<TestServer['call']>[2],
    options?: Parameters<TestServer['call']>[3],
  ): Promise<Answer>
}

/** Much cheaper than a server for each test, and nothing in it is known to others. */
export async function newTenant(server: TestServer): Promise<Tenant> {
  const { sid, auth_token } = await server.admin('POST', '/accounts', { friendly_name: 'Tenant' })
  const credentials = { username: sid, password: auth_token }
  return {
    account_sid: sid,
    auth_token,
    credentials,
    sdk: sdkFor(server, sid, auth_token),
    call: (method, path, form, options = {}) => server.call(method, path, form, { as: credentials, ...options }),
  }
}
