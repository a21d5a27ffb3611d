import type { Client, Message } from '@twilio/conversations'
import twilio from 'twilio'
import { expect } from 'vitest'
import { connected, conversationWith, next, opened, sdkClient, tokenFor } from '../support/client.ts'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

const { AccessToken } = twilio.jwt

const lifetime = 600

const shortLived = (tenant: Tenant): Promise<Client> => connected(tenant, 'ann', { lifetime })

test('a client is warned before its token ends, and goes on with a new one', async ({ tenant }) => {
  const sid = await conversationWith(tenant, 'ann')
  const client = await shortLived(tenant)
  const lost = next(client, 'connectionStateChanged', (state) => state !== 'connected')
  const expired = next(client, 'tokenExpired')
  const here = await opened(client, sid)
  for (let renewals = 0; renewals < 3; renewals++) {
    const warned = next(client, 'tokenAboutToExpire')
    await tenant.advance('PT8M')
    await warned
    await client.updateToken(await tokenFor(tenant, 'ann', { lifetime }))
    expect(await here.sendMessage(`${renewals}`)).toBe(renewals)
  }
  expect(await Promise.race([lost, expired, 'connected all the time'])).toBe('connected all the time')
})

test('a client whose token has ended is told so; with a new one it is back, and has missed nothing', async ({ tenant }) => {
  const sid = await conversationWith(tenant, 'ann')
  const client = await shortLived(tenant)
  const here = await opened(client, sid)
  const heard: (string | null)[] = []
  here.on('messageAdded', ({ body }: Message) => heard.push(body))
  const expired = next(client, 'tokenExpired')
  await tenant.advance(`PT${lifetime + 1}S`)
  await expired
  const rest = tenant.sdk.conversations.v1.conversations(sid).messages
  await rest.create({ body: 'meanwhile' })
  const last = next<Message>(here, 'messageAdded', ({ body }) => body === 'last')
  await client.updateToken(await tokenFor(tenant, 'ann', { lifetime }))
  await here.sendMessage('last')
  await last
  expect(heard).toEqual(['meanwhile', 'last'])
  expect(client.connectionState).toBe('connected')
})

test('a token may be renewed in the handlers of the events', async ({ tenant }) => {
  const client = await shortLived(tenant)
  const renewals: string[] = []
  const renew = (event: 'tokenAboutToExpire' | 'tokenExpired') =>
    client.on(event, async () => {
      await client.updateToken(await tokenFor(tenant, 'ann', { lifetime }))
      renewals.push(event)
    })
  renew('tokenAboutToExpire')
  renew('tokenExpired')
  await tenant.advance('PT8M')
  await expect.poll(() => renewals).toEqual(['tokenAboutToExpire'])
  await tenant.advance('PT30M')
  await expect.poll(() => renewals.at(-1)).toBe('tokenExpired')
  expect((await client.createConversation()).createdBy).toBe('ann')
})

test('a bad first token ends the start, and says why', async ({ tenant }) => {
  const client = sdkClient(tenant, 'no.token.atall')
  const failed = next<{ terminal: boolean; httpStatusCode: number; errorCode: number }>(client, 'connectionError')
  await next(client, 'initFailed')
  expect(await failed).toMatchObject({ terminal: true, httpStatusCode: 401, errorCode: 20101 })
  expect(client.connectionState).toBe('denied')
})

test('a token whose identity no user may have ends the start, instead of being sent again for ever', async ({ tenant }) => {
  const { sid, secret } = await tenant.admin('POST', `/accounts/${tenant.account_sid}/keys`, {})
  const { defaultChatServiceSid: serviceSid } = await tenant.sdk.conversations.v1.configuration().fetch()
  const ttl = 600 + Math.ceil(tenant.clock.offset_ms / 1000)
  const token = new AccessToken(tenant.account_sid, sid, secret, { identity: 'x'.repeat(257), ttl })
  token.addGrant(new AccessToken.ChatGrant({ serviceSid }))
  const client = sdkClient(tenant, token.toJwt())
  const failed = next(client, 'connectionError')
  await next(client, 'initFailed')
  expect(await failed).toMatchObject({ terminal: true, httpStatusCode: 403, errorCode: 50207 })
  expect(client.connectionState).toBe('denied')
})

test('a client does not become somebody else by a token', async ({ tenant }) => {
  const client = await shortLived(tenant)
  await expect(client.updateToken(await tokenFor(tenant, 'bob'))).rejects.toThrow()
  await client.updateToken(await tokenFor(tenant, 'ann'))
  expect((await client.createConversation()).createdBy).toBe('ann')
})
