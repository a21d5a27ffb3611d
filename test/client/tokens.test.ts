import { SignJWT } from 'jose'
import twilio from 'twilio'
import { describe, expect } from 'vitest'
import { RawClient, statusOf, tokenFor } from '../support/client.ts'
import { test } from '../support/fixtures.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'

const { AccessToken } = twilio.jwt

let tenant: Tenant
let key: { sid: string; secret: string }
let service_sid: string

test.beforeEach(async ({ tenant: own }) => {
  tenant = own
  key = await tenant.admin('POST', `/accounts/${tenant.account_sid}/keys`, {})
  service_sid = (await tenant.sdk.conversations.v1.configuration().fetch()).defaultChatServiceSid
})

/** A token as the official server-side library makes it. */
function officialToken(
  options: { ttl?: number; nbf?: number; identity?: string; service?: string; secret?: string; sid?: string } = {},
) {
  const { ttl = 600, nbf, identity = 'ann', service = service_sid, secret = key.secret, sid = key.sid } = options
  // The library reads the machine's clock, the server one that the tests have moved.
  const lifetime = ttl + Math.ceil(tenant.clock.offset_ms / 1000)
  const token = new AccessToken(tenant.account_sid, sid, secret, { identity, ttl: lifetime, ...(nbf !== undefined && { nbf }) })
  token.addGrant(new AccessToken.ChatGrant({ serviceSid: service }))
  return token.toJwt()
}

const nowS = () => Math.floor(tenant.clock.now() / 1000)

/** A token of any form, signed as a good one is. */
function handMade(claims: object, header: object = {}, secret = key.secret): Promise<string> {
  const base = {
    iss: key.sid,
    sub: tenant.account_sid,
    iat: nowS(),
    exp: nowS() + 600,
    grants: { identity: 'ann', chat: { service_sid } },
  }
  return new SignJWT({ ...base, ...claims })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT', cty: 'twilio-fpa;v=1', ...header })
    .sign(Buffer.from(secret))
}

async function initWith(token: string) {
  const raw = await RawClient.open(tenant)
  return { raw, reply: await raw.ask('init', { token }) }
}

async function refusal(token: string) {
  const { raw, reply } = await initWith(token)
  await raw.closed
  const { code, errorCode } = statusOf(reply)
  return [code, errorCode]
}

describe('an access token', () => {
  test('of the official library admits a client, with each algorithm', async () => {
    const { reply } = await initWith(officialToken())
    expect(statusOf(reply)).toEqual({ code: 200, status: 'OK' })
    expect(reply.header.account_descriptor).toEqual({
      account_sid: tenant.account_sid,
      instance_sids: { ip_messaging: service_sid },
      identity: 'ann',
    })
    for (const alg of ['HS384', 'HS512']) {
      expect(statusOf((await initWith(await handMade({}, { alg }))).reply).code).toBe(200)
    }
  })

  test('with the former name of the grant is as good', async () => {
    const token = await handMade({ grants: { identity: 'ann', ip_messaging: { service_sid } } })
    expect(statusOf((await initWith(token)).reply).code).toBe(200)
  })

  test('that is none is refused', async () => {
    const unsigned = `${Buffer.from('{"alg":"none","cty":"twilio-fpa;v=1"}').toString('base64url')}.${officialToken().split('.')[1]}.`
    for (const token of ['', 'x', 'a.b.c', unsigned, await handMade({}, { cty: 'JWT' }), 'x'.repeat(20_000)]) {
      expect(await refusal(token)).toEqual([401, 20101])
    }
  })

  test('of another key, account or signature is refused', async () => {
    const other = await newTenant({ ...tenant } as Tenant)
    const foreign = await other.admin('POST', `/accounts/${other.account_sid}/keys`, {})
    expect(await refusal(officialToken({ sid: foreign.sid, secret: foreign.secret }))).toEqual([401, 20103])
    expect(await refusal(await handMade({ sub: other.account_sid }))).toEqual([401, 20103])
    expect(await refusal(officialToken({ sid: `SK${'0'.repeat(32)}` }))).toEqual([401, 20103])
    expect(await refusal(officialToken({ secret: 'wrong' }))).toEqual([401, 20107])
    const [head, , signature] = officialToken().split('.')
    const [, claims] = officialToken({ identity: 'bob' }).split('.')
    expect(await refusal(`${head}.${claims}.${signature}`)).toEqual([401, 20107])
  })

  test('outside of its time is refused', async () => {
    expect(await refusal(await handMade({ exp: nowS() - 1 }))).toEqual([401, 20104])
    expect(await refusal(await handMade({ exp: nowS() + 86_402 }))).toEqual([401, 20104])
    expect(await refusal(await handMade({ nbf: nowS() + 60, exp: nowS() + 120 }))).toEqual([401, 20105])
    const { exp: _exp, ...claims } = { exp: undefined }
    expect(await refusal(await handMade({ ...claims, exp: undefined }))).toEqual([401, 20101])
  })

  test('without a grant, an identity or a service of the account is refused', async () => {
    const { sid: foreign } = await (await newTenant(tenant)).sdk.conversations.v1.services.create({ friendlyName: 'x' })
    for (const grants of [
      undefined,
      {},
      { identity: 'ann' },
      { identity: 'ann', chat: {} },
      { identity: '', chat: { service_sid } },
      { identity: 7, chat: { service_sid } },
      { chat: { service_sid } },
      { identity: 'ann', chat: { service_sid: foreign } },
      { identity: 'ann', video: { room: 'x' } },
    ]) {
      expect(await refusal(await handMade({ grants }))).toEqual([401, 20106])
    }
  })

  test('with an identity that users may not have is refused for good, with the code of it', async () => {
    expect(await refusal(officialToken({ identity: 'system' }))).toEqual([403, 50203])
    expect(await refusal(officialToken({ identity: 'x'.repeat(257) }))).toEqual([403, 50207])
    expect(await refusal(officialToken({ identity: 'a\0' }))).toEqual([403, 20422])
    expect(await refusal(officialToken({ identity: `US${'0'.repeat(32)}` }))).toEqual([403, 50206])
  })

  test('creates the user, with the role that it names', async () => {
    const { v1 } = tenant.sdk.conversations
    const role = await v1.roles.create({ type: 'service', friendlyName: 'r', permission: ['joinConversation'] })
    const grants = { identity: 'josé 😀', chat: { service_sid, deployment_role_sid: role.sid } }
    expect(statusOf((await initWith(await handMade({ grants }))).reply).code).toBe(200)
    expect(await v1.users('josé 😀').fetch()).toMatchObject({ identity: 'josé 😀', roleSid: role.sid })
    const unknown = { identity: 'bob', chat: { service_sid, deployment_role_sid: `RL${'0'.repeat(32)}` } }
    expect(statusOf((await initWith(await handMade({ grants: unknown }))).reply).code).toBe(200)
    expect((await v1.users('bob').fetch()).roleSid).not.toBe(role.sid)
  })

  test('of a suspended account is refused', async () => {
    await tenant.admin('POST', `/accounts/${tenant.account_sid}`, { status: 'suspended' })
    expect(await refusal(officialToken())).toEqual([403, 20403])
  })
})

describe('what ends a connection at once', () => {
  const ends: [string, () => Promise<unknown>][] = [
    ['the account is suspended', () => tenant.admin('POST', `/accounts/${tenant.account_sid}`, { status: 'suspended' })],
    ['the account is deleted', () => tenant.admin('DELETE', `/accounts/${tenant.account_sid}`)],
    ['the key is deleted', () => tenant.admin('DELETE', `/accounts/${tenant.account_sid}/keys/${key.sid}`)],
    ['the secret is replaced', () => tenant.admin('POST', `/accounts/${tenant.account_sid}/keys/${key.sid}/rotate`)],
    ['the user is deleted', () => tenant.sdk.conversations.v1.users('ann').remove()],
  ]
  test.each(ends)('%s', async (_what, end) => {
    const { raw } = await initWith(officialToken())
    await end()
    await raw.closed
  })

  test('the service is deleted', async () => {
    const { sid } = await tenant.sdk.conversations.v1.services.create({ friendlyName: 'x' })
    const { raw } = await initWith(officialToken({ service: sid }))
    await tenant.sdk.conversations.v1.services(sid).remove()
    await raw.closed
  })

  test('not what happens to others', async () => {
    const { raw } = await initWith(officialToken())
    const other = await newTenant(tenant)
    await other.admin('DELETE', `/accounts/${other.account_sid}`)
    await initWith(officialToken({ identity: 'bob' }))
    await tenant.sdk.conversations.v1.users('bob').remove()
    expect((await raw.request('GET', '/Client/v2/Configuration')).status).toBe(200)
  })
})

describe('the time of a token', () => {
  test('a warning comes three minutes before its end, then the connection ends', async () => {
    const { raw } = await initWith(officialToken({ ttl: 600 }))
    await tenant.advance('PT7M1S')
    const warning = await raw.next(({ method }) => method === 'client_update')
    expect(warning.header.client_update_type).toBe('token_about_to_expire')
    await tenant.advance('PT3M')
    await raw.closed
    expect(raw.frames.filter(({ method }) => method === 'close')).toEqual([])
  })

  test('an update extends it, with another warning', async () => {
    const { raw } = await initWith(await tokenFor(tenant, 'ann', { lifetime: 600 }))
    await tenant.advance('PT8M')
    await raw.next(({ method }) => method === 'client_update')
    expect(statusOf(await raw.ask('update', { token: await tokenFor(tenant, 'ann', { lifetime: 600 }) })).code).toBe(200)
    await tenant.advance('PT8M')
    await raw.next(({ method }) => method === 'client_update')
    expect((await raw.request('GET', '/Client/v2/Configuration')).status).toBe(200)
  })

  test('an update with a bad token, or one of somebody else, is refused, and the connection goes on as before', async () => {
    const { raw } = await initWith(officialToken())
    expect(statusOf(await raw.ask('update', { token: 'x' }))).toMatchObject({ code: 401, errorCode: 20101 })
    expect(statusOf(await raw.ask('update', { token: officialToken({ identity: 'bob' }) }))).toMatchObject({ code: 403 })
    expect((await raw.request('GET', '/Client/v2/Configuration')).body.identity).toBe('ann')
  })

  test('an update with a token of another service sends the client elsewhere', async () => {
    const { sid } = await tenant.sdk.conversations.v1.services.create({ friendlyName: 'x' })
    const { raw } = await initWith(officialToken())
    raw.send('update', { token: officialToken({ service: sid }) })
    const close = await raw.next(({ method }) => method === 'close')
    expect(statusOf(close)).toMatchObject({ code: 308, errorCode: 51232 })
    await raw.closed
  })
})

describe('a token of the operator', () => {
  test('works, and expires when it says', async () => {
    const made = await tenant.admin('POST', '/tokens', { account_sid: tenant.account_sid, identity: 'ann', lifetime: 60 })
    expect(made).toMatchObject({ identity: 'ann', account_sid: tenant.account_sid, service_sid })
    expect(Date.parse(made.date_expires)).toBe((nowS() + 60) * 1000)
    expect(statusOf((await initWith(made.token)).reply).code).toBe(200)
    const again = await tenant.admin('POST', '/tokens', { account_sid: tenant.account_sid, identity: 'bob' })
    expect(again.key_sid).toBe(made.key_sid)
  })

  test.each([
    [{}, /identity/],
    [{ identity: '' }, /Identity not provided/],
    [{ identity: 'system' }, /reserved/],
    [{ identity: 'ann', lifetime: 0 }, /lifetime/],
    [{ identity: 'ann', lifetime: 86_401 }, /lifetime/],
    [{ identity: 'ann', account_sid: 'AC0' }, /404/],
    [{ identity: 'ann', service_sid: 'IS0' }, /404/],
    [{ identity: 'ann', other: 1 }, /other/],
  ])('%o is refused', async (body, message) => {
    await expect(tenant.admin('POST', '/tokens', body)).rejects.toThrow(message)
  })
})
