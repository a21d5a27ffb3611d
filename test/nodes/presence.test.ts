import { expect, type TestContext, test } from 'vitest'
import { connected, RawClient, statusOf } from '../support/client.ts'
import { inspect, newDatabase } from '../support/databases.ts'
import { account_sid, type Node, startNodes } from '../support/nodes.ts'
import { startServer } from '../support/server.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'

/** A lease, the time to come back, and a machine that is busy. */
const longest = { timeout: 240_000, interval: 200 }

/** Two nodes of one database, and an account with reachability on as each of them serves it. */
async function twoNodes({ onTestFinished }: Pick<TestContext, 'onTestFinished'>) {
  const database = await newDatabase()
  onTestFinished(() => database.dispose())
  const servers = [await startServer(database.config), await startServer(database.config)] as const
  for (const server of servers) onTestFinished(server.stop)
  const inside = inspect(database.config)
  onTestFinished(inside.close)
  const here = await newTenant(servers[0])
  const there = { ...here, url: servers[1].url }
  const { defaultChatServiceSid } = await here.sdk.conversations.v1.configuration().fetch()
  await here.sdk.conversations.v1.services(defaultChatServiceSid).configuration().update({ reachabilityEnabled: true })
  return { here, there, inside }
}

const isOnline = async (tenant: Tenant) => (await tenant.sdk.conversations.v1.users('ann').fetch()).isOnline

test('a user with connections to two nodes is online until the last of them ends', async (context) => {
  const { here, there, inside } = await twoNodes(context)
  const [first, second] = [await connected(here, 'ann'), await connected(there, 'ann')]
  await expect.poll(() => inside.rows('presence')).toHaveLength(2)
  await first.shutdown()
  await expect.poll(() => inside.rows('presence')).toHaveLength(1)
  expect(await isOnline(here)).toBe(true)
  await second.shutdown()
  await expect.poll(() => isOnline(here)).toBe(false)
  expect(await inside.rows('presence')).toEqual([])
})

test('what others have removed of a node that was taken for dead, it stores once more', async (context) => {
  const { here, inside } = await twoNodes(context)
  await connected(here, 'ann')
  await expect.poll(() => isOnline(here)).toBe(true)
  await inside.query('delete from presence')
  await inside.query('update users set is_online = 0, revision = revision + 1')
  await expect.poll(() => isOnline(here)).toBe(true)
  expect(await inside.rows('presence')).toHaveLength(1)
})

/** A connection of a user to a node. */
async function joins(node: Node, identity: string): Promise<RawClient> {
  const raw = await RawClient.open(node)
  const { body } = await node.admin('POST', '/tokens', { account_sid, identity })
  expect(statusOf(await raw.ask('init', { token: body.token })).code).toBe(200)
  return raw
}

test('who was connected to a node that is killed comes back, or goes offline when its lease is over', async () => {
  await using nodes = await startNodes(2)
  const [killed, other] = nodes.all as [Node, Node]
  const { body } = await other.call('GET', '/v1/Configuration')
  const service = `/v1/Services/${body.default_chat_service_sid}`
  expect((await other.call('POST', `${service}/Configuration`, { ReachabilityEnabled: 'true' })).status).toBe(200)
  const fetch = async (identity: string) => (await other.call('GET', `${service}/Users/${identity}`)).body.is_online
  for (const identity of ['ann', 'bob']) await joins(killed, identity)
  for (const identity of ['ann', 'bob']) await expect.poll(() => fetch(identity)).toBe(true)
  await killed.kill9()
  await joins(other, 'ann')
  await expect.poll(() => fetch('bob'), longest).toBe(false)
  expect(await fetch('ann')).toBe(true)
})
