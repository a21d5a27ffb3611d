import type { Client, User, UserUpdatedEventArgs } from '@twilio/conversations'
import { expect, onTestFinished } from 'vitest'
import { connected, next, RawClient } from '../support/client.ts'
import { startFileServer } from '../support/file-server.ts'
import { testOn } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

/** Long enough for a test to come back in, however slow the machine. */
const patient = { clientLimits: { offlineAfterMs: 600_000 } }
const test = testOn(() => startFileServer({}, patient))

async function serviceOf(tenant: Tenant) {
  const { defaultChatServiceSid } = await tenant.sdk.conversations.v1.configuration().fetch()
  return tenant.sdk.conversations.v1.services(defaultChatServiceSid)
}

async function reachable(tenant: Tenant, reachabilityEnabled = true) {
  await (await serviceOf(tenant)).configuration().update({ reachabilityEnabled })
}

async function userOf(tenant: Tenant, identity: string) {
  return tenant.sdk.conversations.v1.users(identity).fetch()
}

/** Resolves once the client is told so of a user. */
function told(user: User, online: boolean): Promise<unknown> {
  const isIt = ({ updateReasons }: UserUpdatedEventArgs) =>
    updateReasons.includes('reachabilityOnline') && user.isOnline === online
  return next(user, 'updated', isIt)
}

/** Post-action webhooks of users. */
async function catchUsers(tenant: Tenant) {
  const catcher = await catchWebhooks({ authToken: tenant.auth_token })
  onTestFinished(catcher.close)
  await tenant.sdk.conversations.v1.configuration
    .webhooks()
    .update({ postWebhookUrl: catcher.url(), filters: ['onUserUpdated'], method: 'POST' })
  return catcher
}

const shutdown = (client: Client) => client.shutdown()

test('a user is online from the first connection to the last: by REST, in clients, in webhooks', async ({ tenant }) => {
  await reachable(tenant)
  const catcher = await catchUsers(tenant)
  const bob = await connected(tenant, 'bob')
  expect(bob.reachabilityEnabled).toBe(true)
  await catcher.next(({ params }) => params.Identity === 'bob' && params.isOnline === 'true')
  await tenant.sdk.conversations.v1.users.create({ identity: 'ann' })
  expect(await userOf(tenant, 'ann')).toMatchObject({ isOnline: null, isNotifiable: null })
  const watched = await bob.getUser('ann')
  expect(watched.isOnline).toBe(false)
  const came = told(watched, true)
  const first = await connected(tenant, 'ann')
  await came
  const caught = await catcher.next(({ params }) => params.Identity === 'ann')
  expect(caught.params).toMatchObject({ EventType: 'onUserUpdated', isOnline: 'true', AccountSid: tenant.account_sid })
  expect(caught.params).not.toHaveProperty('Source')
  expect(caught.params).not.toHaveProperty('isNotifiable')
  expect(caught.signed).toBe(true)
  const user = await userOf(tenant, 'ann')
  expect(user).toMatchObject({ isOnline: true, isNotifiable: null })
  const listed = await tenant.sdk.conversations.v1.users.list()
  expect(listed.map(({ isOnline, isNotifiable }) => [isOnline, isNotifiable])).toEqual([
    [null, null],
    [null, null],
  ])
  const second = await connected(tenant, 'ann')
  await shutdown(first)
  await tenant.sdk.conversations.v1.users('ann').update({ friendlyName: 'Ann' })
  expect((await userOf(tenant, 'ann')).isOnline).toBe(true)
  const went = told(watched, false)
  await shutdown(second)
  await went
  expect((await catcher.next(({ params }) => params.Identity === 'ann')).params).toMatchObject({ isOnline: 'false' })
  const after = await userOf(tenant, 'ann')
  expect(after.isOnline).toBe(false)
  expect(catcher.requests.filter(({ params }) => params.Identity === 'ann')).toHaveLength(2)
})

test('a service with it off says nothing, and stores nothing', async ({ server, tenant }) => {
  const client = await connected(tenant, 'ann')
  expect(client.reachabilityEnabled).toBe(false)
  expect(client.user.isOnline).toBeNull()
  expect(await userOf(tenant, 'ann')).toMatchObject({ isOnline: null, isNotifiable: null })
  const raw = await RawClient.admitted(tenant, 'ann')
  const { sid } = await userOf(tenant, 'ann')
  const { body } = await raw.request('GET', `/v3/Maps/${sid}.info/Items`)
  expect(body.items.map(({ key }: { key: string }) => key)).toEqual(['attributes', 'friendlyName'])
  expect((await server.rows('presence')).filter(({ account_sid }) => account_sid === tenant.account_sid)).toEqual([])
})

test('turned off and on again, it knows nobody until they connect', async ({ tenant }) => {
  await reachable(tenant)
  const first = await connected(tenant, 'ann')
  await expect.poll(async () => (await userOf(tenant, 'ann')).isOnline).toBe(true)
  await reachable(tenant, false)
  expect((await userOf(tenant, 'ann')).isOnline).toBeNull()
  await reachable(tenant)
  expect((await userOf(tenant, 'ann')).isOnline).toBeNull()
  const second = await connected(tenant, 'ann')
  await expect.poll(async () => (await userOf(tenant, 'ann')).isOnline).toBe(true)
  await shutdown(first)
  await shutdown(second)
  await expect.poll(async () => (await userOf(tenant, 'ann')).isOnline).toBe(false)
})

test('a lost connection that comes back is no absence', async ({ tenant }) => {
  await reachable(tenant)
  const catcher = await catchUsers(tenant)
  const lost = await RawClient.admitted(tenant, 'ann')
  await catcher.next(({ params }) => params.isOnline === 'true')
  lost.socket.terminate()
  await lost.closed
  const back = await RawClient.admitted(tenant, 'ann')
  back.send('close')
  await catcher.next(({ params }) => params.isOnline === 'false')
  expect(catcher.requests).toHaveLength(2)
})

test('one of several that is lost may come back, although the others are closed', async () => {
  await using server = await startFileServer({}, patient)
  await reachable(server)
  const [lost, closed] = [await RawClient.admitted(server, 'ann'), await RawClient.admitted(server, 'ann')]
  lost.socket.terminate()
  const metrics = async () => (await fetch(`${server.metricsUrl}/metrics`)).text()
  await expect.poll(metrics).toContain('parley_client_connections 1\n')
  closed.send('close')
  await closed.closed
  // What was to be stored of ann is stored with bob, or was before.
  await RawClient.admitted(server, 'bob')
  await expect.poll(async () => (await userOf(server, 'bob')).isOnline).toBe(true)
  expect((await userOf(server, 'ann')).isOnline).toBe(true)
  const back = await RawClient.admitted(server, 'ann')
  back.send('close')
  await expect.poll(async () => (await userOf(server, 'ann')).isOnline).toBe(false)
})

test('one that does not come back is', async () => {
  await using server = await startFileServer({}, { clientLimits: { offlineAfterMs: 20 } })
  await reachable(server)
  const lost = await RawClient.admitted(server, 'ann')
  await expect.poll(async () => (await userOf(server, 'ann')).isOnline).toBe(true)
  lost.socket.terminate()
  await expect.poll(async () => (await userOf(server, 'ann')).isOnline).toBe(false)
  expect(await server.rows('presence')).toEqual([])
})

test('a removed user leaves nothing behind', async () => {
  await using server = await startFileServer({}, { clientLimits: { offlineAfterMs: 20 } })
  await reachable(server)
  const raw = await RawClient.admitted(server, 'ann')
  await expect.poll(() => server.rows('presence')).toHaveLength(1)
  await server.sdk.conversations.v1.users('ann').remove()
  await raw.closed
  await expect.poll(() => server.rows('presence')).toEqual([])
})

test('many users who come and go at once are all known', async ({ server, tenant }) => {
  await reachable(tenant)
  const identities = Array.from({ length: 120 }, (_, i) => `user-${i}`)
  const present = async () => (await server.rows('presence')).filter(({ account_sid }) => account_sid === tenant.account_sid)
  const online = async () =>
    (await server.rows('users')).filter(({ account_sid, is_online }) => account_sid === tenant.account_sid && is_online === 1)
  const clients = await Promise.all(identities.map((identity) => RawClient.admitted(tenant, identity)))
  await expect.poll(present).toHaveLength(120)
  expect(await online()).toHaveLength(120)
  for (const client of clients) client.send('close')
  await expect.poll(present).toEqual([])
  expect(await online()).toEqual([])
})
