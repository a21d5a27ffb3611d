import { expect } from 'vitest'
import { test } from './account.ts'

test('an account starts without conversations', async ({ client }) => {
  expect(await client.conversations.v1.conversations.list()).toEqual([])
})

test('an idle conversation becomes inactive, and a message makes it active again', async ({ client, advance }) => {
  const { sid } = await client.conversations.v1.conversations.create({ 'timers.inactive': 'PT5M' })
  const conversation = client.conversations.v1.conversations(sid)

  await advance('PT5M')
  expect((await conversation.fetch()).state).toBe('inactive')

  await conversation.messages.create({ author: 'alice', body: 'Are you still there?' })
  expect((await conversation.fetch()).state).toBe('active')
})

test('a closed conversation refuses changes', async ({ client, advance }) => {
  const { sid } = await client.conversations.v1.conversations.create({ 'timers.closed': 'PT10M' })
  await advance('PT10M')
  const update = client.conversations.v1.conversations(sid).update({ friendlyName: 'Again' })
  await expect(update).rejects.toMatchObject({ status: 400, code: 50377 })
})
