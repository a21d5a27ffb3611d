import { expect, test } from 'vitest'
import { startFileServer } from '../support/file-server.ts'

const tables = [
  'conversations',
  'participants',
  'messages',
  'receipts',
  'conversation_webhooks',
  'users',
  'roles',
  'removals',
] as const

test('a deleted service is gone at once, and in the end every row that lay below it', async () => {
  await using server = await startFileServer()
  const v1 = server.sdk.conversations.v1
  const counts = async () => Promise.all(tables.map(async (table) => [table, (await server.rows(table)).length]))
  const before = await counts()
  const service = await v1.services.create({ friendlyName: 'Short-lived' })
  const conversations = v1.services(service.sid).conversations
  for (let i = 0; i < 3; i++) {
    const { sid } = await conversations.create({ uniqueName: `c${i}` })
    await conversations(sid).participants.create({ identity: `user-${i}` })
    await conversations(sid).participants.create({
      'messagingBinding.address': `+1555000000${i}`,
      'messagingBinding.proxyAddress': '+15551110000',
    })
    await conversations(sid).messages.create({ author: `user-${i}`, body: 'hello' })
    await conversations(sid).webhooks.create({
      target: 'webhook',
      'configuration.url': 'http://127.0.0.1:9/',
      'configuration.filters': ['onMessageAdded'],
    })
  }
  expect(await v1.services(service.sid).remove()).toBe(true)
  await expect(conversations('c0').fetch()).rejects.toMatchObject({ status: 404 })
  await expect.poll(counts).toEqual(before)
  // The pair is free again, in another service.
  const { sid } = await v1.conversations.create({})
  const binding = { 'messagingBinding.address': '+15550000000', 'messagingBinding.proxyAddress': '+15551110000' }
  expect((await v1.conversations(sid).participants.create(binding)).messagingBinding.type).toBe('sms')
})

test('what lay below a message goes with it, and nothing of another message', async () => {
  await using server = await startFileServer()
  const conversations = server.sdk.conversations.v1.conversations
  const { sid } = await conversations.create({})
  const binding = { 'messagingBinding.address': '+15550000000', 'messagingBinding.proxyAddress': '+15551110000' }
  await conversations(sid).participants.create(binding)
  const [kept, gone] = [
    await conversations(sid).messages.create({ body: 'a' }),
    await conversations(sid).messages.create({ body: 'b' }),
  ]
  await expect.poll(() => server.rows('receipts')).toHaveLength(2)
  await conversations(sid).messages(gone.sid).remove()
  expect(await server.rows('receipts')).toEqual([expect.objectContaining({ message_sid: kept.sid })])
})
