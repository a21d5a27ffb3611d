import type { UserUpdatedEventArgs } from '@twilio/conversations'
import { expect, onTestFinished } from 'vitest'
import { connected, next, RawClient } from '../support/client.ts'
import { startFileServer } from '../support/file-server.ts'
import { testOn } from '../support/fixtures.ts'
import { settled } from '../support/hooked.ts'
import type { Tenant } from '../support/tenant.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

const test = testOn(() => startFileServer())

async function defaultService({ sdk }: Tenant) {
  const { defaultChatServiceSid } = await sdk.conversations.v1.configuration().fetch()
  return sdk.conversations.v1.services(defaultChatServiceSid)
}

async function newCredential({ sdk }: Tenant, type: 'fcm' | 'apn' = 'fcm') {
  return (await sdk.conversations.v1.credentials.create({ type, secret: '{}' })).sid
}

function withPush(tenant: Tenant, identity: string, push_credential_sid: string): Promise<RawClient> {
  return RawClient.admitted(tenant, identity, { push_credential_sid })
}

const registration = (registration_id: unknown, more: object = {}) => ({
  endpoint_platform: 'web',
  channel_type: 'fcm',
  version: '4',
  message_types: ['twilio.conversations.new_message', 'twilio.ipmsg.typing_indicator'],
  data: { registration_id },
  ...more,
})

const register = (raw: RawClient, body: object) =>
  raw.request('POST', '/v1/registrations', { params: { productId: 'ip_messaging' }, body })

test('an app registers its device: it is a binding, and its user is notifiable until it unregisters', async ({ tenant }) => {
  const service = await defaultService(tenant)
  await service.configuration().update({ reachabilityEnabled: true })
  const push_credential_sid = await newCredential(tenant)
  const client = await connected(tenant, 'ann', { push_credential_sid })
  const isNotifiable = async () => (await service.users('ann').fetch()).isNotifiable
  expect(await isNotifiable()).toBeNull()
  await client.setPushRegistrationId('fcm', 'device-1')
  await expect.poll(() => service.bindings.list()).toHaveLength(1)
  const [binding] = await service.bindings.list({ identity: ['ann'], bindingType: ['fcm'] })
  expect(binding).toMatchObject({
    accountSid: tenant.account_sid,
    identity: 'ann',
    bindingType: 'fcm',
    endpoint: 'device-1',
    credentialSid: push_credential_sid,
    messageTypes: ['added_to_conversation', 'new_message', 'removed_from_conversation'],
  })
  expect((await service.bindings(binding?.sid ?? '').fetch()).sid).toBe(binding?.sid)
  expect(await isNotifiable()).toBe(true)
  await expect.poll(() => client.user.isNotifiable).toBe(true)
  await client.removePushRegistrations('fcm', 'device-1')
  expect(await service.bindings.list()).toEqual([])
  expect(await isNotifiable()).toBe(false)
  await expect.poll(() => client.user.isNotifiable).toBe(false)
})

test('a binding that REST removes takes notifications from its user, if it was the last', async ({ tenant }) => {
  const service = await defaultService(tenant)
  await service.configuration().update({ reachabilityEnabled: true })
  const raw = await withPush(tenant, 'ann', await newCredential(tenant))
  const sids = [(await register(raw, registration('a'))).body.id, (await register(raw, registration('b'))).body.id] as const
  expect(await service.bindings(sids[0]).remove()).toBe(true)
  expect((await service.users('ann').fetch()).isNotifiable).toBe(true)
  expect(await service.bindings(sids[1]).remove()).toBe(true)
  expect((await service.users('ann').fetch()).isNotifiable).toBe(false)
})

test('a device has one binding, of whoever registered it last', async ({ tenant }) => {
  const service = await defaultService(tenant)
  const credential = await newCredential(tenant)
  const [ann, bob] = [await withPush(tenant, 'ann', credential), await withPush(tenant, 'bob', credential)]
  const first = await register(ann, registration('phone'))
  expect(first.status).toBe(201)
  await tenant.advance('PT1S')
  const again = await register(ann, registration('phone', { message_types: ['twilio.conversations.added_to_conversation'] }))
  expect(again.body.id).toBe(first.body.id)
  const renewed = await service.bindings(first.body.id).fetch()
  expect(renewed.messageTypes).toEqual(['added_to_conversation'])
  expect(renewed.dateUpdated.getTime()).toBeGreaterThan(renewed.dateCreated.getTime())
  const moved = await register(bob, registration('phone'))
  expect(moved.body.id).not.toBe(first.body.id)
  expect((await service.bindings.list()).map(({ sid, identity }) => [sid, identity])).toEqual([[moved.body.id, 'bob']])
  // It is not ann's any more.
  expect((await ann.request('DELETE', `/v1/registrations/${moved.body.id}`, { body: {} })).status).toBe(204)
  expect(await service.bindings.list()).toHaveLength(1)
  expect((await bob.request('DELETE', `/v1/registrations/${moved.body.id}`, { body: {} })).status).toBe(204)
  expect(await service.bindings.list()).toEqual([])
  expect((await bob.request('DELETE', `/v1/registrations/${moved.body.id}`, { body: {} })).status).toBe(204)
})

test('what cannot be notified is accepted and not stored: a refusal would be repeated for ever', async ({ server, tenant }) => {
  const service = await defaultService(tenant)
  const good = await withPush(tenant, 'ann', await newCredential(tenant))
  const none = await RawClient.admitted(tenant, 'ann')
  const unknown = await withPush(tenant, 'ann', `CR${'0'.repeat(32)}`)
  const theirs = await withPush(tenant, 'ann', await newCredential(server))
  const apple = await withPush(tenant, 'ann', await newCredential(tenant, 'apn'))
  const odd = [null, 7, '', 'two words', 'x'.repeat(1025), { a: 1 }].map((token) => [good, registration(token)] as const)
  const cases = [
    ...odd,
    [good, {}],
    [good, registration('x', { channel_type: 'gcm' })],
    [good, registration('x', { data: null })],
    [good, registration('x', { data: [] })],
    [none, registration('x')],
    [unknown, registration('x')],
    [theirs, registration('x')],
    [apple, registration('x')],
  ] as const
  for (const [raw, body] of cases) {
    const answer = await register(raw, body)
    expect([answer.status, typeof answer.body.id], JSON.stringify(body).slice(0, 100)).toEqual([201, 'string'])
  }
  for (const body of [{}, { binding_type: 'fcm' }, { binding_type: 7, address: 'x' }, { binding_type: 'apn', address: {} }]) {
    expect((await good.request('DELETE', '/v1/registrations', { body })).status).toBe(204)
  }
  expect(await service.bindings.list()).toEqual([])
  expect((await register(good, registration('x', { message_types: 'all' }))).status).toBe(201)
  expect((await service.bindings.list()).map(({ messageTypes }) => messageTypes)).toEqual([[]])
})

test('a user has at most fifty devices: the one that was not seen for longest gives way', async ({ tenant }) => {
  const service = await defaultService(tenant)
  const raw = await withPush(tenant, 'ann', await newCredential(tenant))
  for (let i = 0; i < 50; i++) await register(raw, registration(`device-${i}`))
  await tenant.advance('PT1S')
  await register(raw, registration('device-0'))
  await register(raw, registration('device-50'))
  const endpoints = (await service.bindings.list()).map(({ endpoint }) => endpoint)
  expect(endpoints).toHaveLength(50)
  expect(endpoints).toContain('device-0')
  expect(endpoints).toContain('device-50')
})

test('the end of a credential is the end of its devices', async ({ server, tenant }) => {
  const service = await defaultService(tenant)
  await service.configuration().update({ reachabilityEnabled: true })
  const catcher = await catchWebhooks({ authToken: tenant.auth_token })
  onTestFinished(catcher.close)
  await tenant.sdk.conversations.v1.configuration
    .webhooks()
    .update({ postWebhookUrl: catcher.url(), filters: ['onUserUpdated'], method: 'POST' })
  const [going, staying] = [await newCredential(tenant), await newCredential(tenant)]
  await register(await withPush(tenant, 'ann', going), registration('a'))
  await register(await withPush(tenant, 'bob', going), registration('b'))
  const kept = await register(await withPush(tenant, 'bob', staying), registration('c'))
  const watched = await (await connected(tenant, 'eve')).getUser('ann')
  await expect.poll(() => watched.isNotifiable).toBe(true)
  const lost = next(watched, 'updated', ({ updateReasons }: UserUpdatedEventArgs) => {
    return updateReasons.includes('reachabilityNotifiable') && watched.isNotifiable === false
  })
  await tenant.sdk.conversations.v1.credentials(going).remove()
  await lost
  expect((await service.bindings.list()).map(({ sid }) => sid)).toEqual([kept.body.id])
  await expect
    .poll(async () => (await server.rows('bindings')).filter(({ credential_sid }) => credential_sid === going))
    .toEqual([])
  expect((await service.users('ann').fetch()).isNotifiable).toBe(false)
  expect((await service.users('bob').fetch()).isNotifiable).toBe(true)
  const { params } = await catcher.next(({ params }) => params.isNotifiable === 'false')
  expect(params).toMatchObject({ EventType: 'onUserUpdated', Identity: 'ann' })
  await settled(tenant)
  expect(catcher.requests.filter(({ params }) => params.isNotifiable === 'false')).toHaveLength(1)
})

test('a device that has not been seen for a year is forgotten', async () => {
  await using server = await startFileServer()
  const raw = await withPush(server, 'ann', await newCredential(server))
  await register(raw, registration('lost'))
  await server.advance('P364D')
  const back = await withPush(server, 'bob', await newCredential(server))
  await register(back, registration('kept'))
  await server.advance('P2D')
  // Wakes the clean-up.
  const { sid } = await server.sdk.conversations.v1.conversations.create()
  await server.sdk.conversations.v1.conversations(sid).remove()
  await expect.poll(async () => (await server.rows('bindings')).map(({ endpoint }) => endpoint)).toEqual(['kept'])
})
