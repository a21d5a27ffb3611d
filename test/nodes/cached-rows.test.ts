import pg from 'pg'
import { expect, test } from 'vitest'
import { newDatabase, type TestDatabase } from '../support/databases.ts'
import { startServer, type TestServer } from '../support/server.ts'
import type { Credentials } from '../support/tenant.ts'

/*
 * Accounts, API keys and services are kept in memory on each node. The node that changes one knows at once, others by a notice, and
 * where that is lost by the end of a lease.
 */

/** Two nodes, and a new account that both have in memory. */
async function scene(database: TestDatabase) {
  const one = await startServer(database.config)
  const other = await startServer(database.config)
  const { sid, auth_token } = await one.admin('POST', '/accounts', { friendly_name: 'Two nodes' })
  const account: Credentials = { username: sid, password: auth_token }
  const statusOn = async (node: TestServer, as: Credentials, path = '/v1/Conversations') =>
    (await node.call('GET', path, undefined, { as })).status
  /** Both have used what is in memory, and what they have read into it. */
  const warm = async (as: Credentials, path?: string) => {
    for (const node of [one, other, one, other]) expect(await statusOn(node, as, path)).toBe(200)
  }
  return {
    one,
    other,
    sid,
    account,
    statusOn,
    warm,
    newKey: async (body: object = {}): Promise<Credentials> => {
      const key = await one.admin('POST', `/accounts/${sid}/keys`, body)
      return { username: key.sid, password: key.secret }
    },
    async [Symbol.asyncDispose]() {
      await one.stop()
      await other.stop()
    },
  }
}

test('a revoked key is refused at once by the node that has revoked it, and then by the other', async () => {
  await using database = await newDatabase()
  await using nodes = await scene(database)
  const { one, other, sid, statusOn, warm } = nodes
  for (let round = 0; round < 5; round++) {
    const key = await nodes.newKey()
    await warm(key)
    await one.admin('DELETE', `/accounts/${sid}/keys/${key.username}`)
    expect(await statusOn(one, key)).toBe(401)
    await expect.poll(() => statusOn(other, key)).toBe(401)
    expect(await statusOn(other, key)).toBe(401)
  }
  // Others are not concerned.
  await warm(nodes.account)
})

test('a suspended account is refused at once by the node that has suspended it, and then by the other, for reads and writes', async () => {
  await using database = await newDatabase()
  await using nodes = await scene(database)
  const { one, other, sid, account, statusOn, warm } = nodes
  const key = await nodes.newKey()
  await warm(account)
  await warm(key)
  await other.admin('POST', `/accounts/${sid}`, { status: 'suspended' })
  for (const as of [account, key]) expect(await statusOn(other, as)).toBe(403)
  // What is written is decided on rows, whatever is in memory.
  expect((await one.call('POST', '/v1/Conversations', {}, { as: key })).status).toBe(403)
  for (const as of [account, key]) await expect.poll(() => statusOn(one, as)).toBe(403)
  await other.admin('POST', `/accounts/${sid}`, { status: 'active' })
  expect(await statusOn(other, account)).toBe(200)
  await expect.poll(() => statusOn(one, account)).toBe(200)
})

test('another default service, and that a service is gone, are known to the other node', async () => {
  await using database = await newDatabase()
  await using nodes = await scene(database)
  const { one, other, account, statusOn, warm } = nodes
  const on = async (node: TestServer, method: string, path: string, form?: Record<string, string>) =>
    (await node.call(method, path, form, { as: account })).body
  const service = (await on(one, 'POST', '/v1/Services', { FriendlyName: 'Second' })).sid as string
  const { sid } = await on(one, 'POST', `/v1/Services/${service}/Conversations`, {})
  await warm(account, `/v1/Services/${service}/Conversations/${sid}`)
  // Until then the short path means the first service, in which there is no such conversation.
  expect(await statusOn(other, account, `/v1/Conversations/${sid}`)).toBe(404)
  await on(one, 'POST', '/v1/Configuration', { DefaultChatServiceSid: service })
  expect(await statusOn(one, account, `/v1/Conversations/${sid}`)).toBe(200)
  await expect.poll(() => statusOn(other, account, `/v1/Conversations/${sid}`)).toBe(200)

  const third = (await on(one, 'POST', '/v1/Services', { FriendlyName: 'Third' })).sid as string
  const path = `/v1/Services/${third}/Conversations`
  await warm(account, path)
  expect((await one.call('DELETE', `/v1/Services/${third}`, undefined, { as: account })).status).toBe(204)
  expect(await statusOn(one, account, path)).toBe(404)
  await expect.poll(() => statusOn(other, account, path)).toBe(404)
})

test('what was changed without a notice is known when the lease ends: keys and accounts', async () => {
  await using database = await newDatabase()
  await using nodes = await scene(database)
  const { one, other, sid, account, statusOn, warm } = nodes
  const key = await nodes.newKey()
  await warm(key)
  await using client = await connected(database.env.PARLEY_DATABASE_URL)
  await client.query('delete from api_keys where sid = $1', [key.username])
  for (const node of [one, other]) await expect.poll(() => statusOn(node, key)).toBe(401)

  await warm(account)
  await client.query("update accounts set status = 'suspended' where sid = $1", [sid])
  for (const node of [one, other]) await expect.poll(() => statusOn(node, account)).toBe(403)
})

async function connected(url: string) {
  const client = new pg.Client(url)
  await client.connect()
  return { query: (text: string, values: unknown[]) => client.query(text, values), [Symbol.asyncDispose]: () => client.end() }
}
