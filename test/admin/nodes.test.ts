import { expect } from 'vitest'
import { packageVersion } from '../../src/package.ts'
import { testWithRows as test } from '../support/fixtures.ts'

test('a node is listed with its version, its slots and the deliveries that wait for it', async ({ server, tenant, catcher }) => {
  const { nodes, slots, free_slots } = await server.admin('GET', '/nodes')
  expect(free_slots).toBe(0)
  expect(nodes).toMatchObject([{ version: packageVersion(), this_node: true }])
  expect(nodes[0].slots).toHaveLength(slots)
  // An endpoint that does not respond yet.
  let respond = () => {}
  const held = new Promise<void>((resolve) => {
    respond = resolve
  })
  catcher.reply(async () => {
    await held
    return { status: 200 }
  })
  const v1 = tenant.sdk.conversations.v1
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
  await v1.conversations.create({ xTwilioWebhookEnabled: 'true' })
  const [node] = (await server.admin('GET', '/nodes')).nodes
  expect(node.pending).toBe(1)
  expect(Date.parse(node.oldest_pending)).toBeLessThanOrEqual(server.clock.now())
  respond()
  await expect
    .poll(async () => (await server.admin('GET', '/nodes')).nodes[0])
    .toMatchObject({ pending: 0, oldest_pending: null })
})

test('storage has the size of the database, of media and of the disk', async ({ server, tenant }) => {
  const { defaultChatServiceSid: service } = await tenant.sdk.conversations.v1.configuration().fetch()
  const headers = { 'content-type': 'text/plain' }
  await tenant.call('POST', `/v1/Services/${service}/Media`, 'x'.repeat(1234), { headers, check: false })
  const { database_bytes, tables, media, disk } = await server.admin('GET', '/storage')
  expect(database_bytes).toBeGreaterThan(10_000)
  expect(media).toEqual({ files: 1, bytes: 1234, complete: true, place: 'folder' })
  if (disk !== null) expect(disk.free_bytes).toBeLessThanOrEqual(disk.bytes)
  if (process.env.PARLEY_TEST_ENGINE === 'postgres') {
    const [largest] = tables
    expect(tables.map(({ name }: { name: string }) => name)).toContain('conversations')
    expect(tables.every(({ bytes }: { bytes: number }) => bytes <= largest.bytes)).toBe(true)
  } else expect(tables).toEqual([])
})
