import { expect, test } from 'vitest'
import { startServer } from '../support/server.ts'

test('a conversation with two timers goes inactive, then closes by itself and stays closed', async () => {
  await using server = await startServer()
  const service = await server.sdk.conversations.v1.services.create({ friendlyName: 'Support' })
  const conversations = server.sdk.conversations.v1.services(service.sid).conversations
  const { sid } = await conversations.create({ friendlyName: 'Hello', 'timers.inactive': 'PT1M', 'timers.closed': 'PT10M' })
  await server.advance('PT1M')
  expect((await conversations(sid).fetch()).state).toBe('inactive')
  await server.advance('PT9M')
  const closed = await conversations(sid).fetch()
  expect(closed.state).toBe('closed')
  expect(closed.timers).toEqual({})
  await expect(conversations(sid).update({ friendlyName: 'again' })).rejects.toMatchObject({ status: 400, code: 50377 })
  expect(await conversations(sid).remove()).toBe(true)
})
