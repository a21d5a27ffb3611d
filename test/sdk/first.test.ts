import { expect } from 'vitest'
import { test } from '../support/fixtures.ts'

test('a conversation with two timers goes inactive, then closes by itself and stays closed', async ({ tenant }) => {
  const service = await tenant.sdk.conversations.v1.services.create({ friendlyName: 'Support' })
  const conversations = tenant.sdk.conversations.v1.services(service.sid).conversations
  const { sid } = await conversations.create({ friendlyName: 'Hello', 'timers.inactive': 'PT1M', 'timers.closed': 'PT10M' })
  await tenant.advance('PT1M')
  expect((await conversations(sid).fetch()).state).toBe('inactive')
  await tenant.advance('PT9M')
  const closed = await conversations(sid).fetch()
  expect(closed.state).toBe('closed')
  expect(closed.timers).toEqual({})
  await expect(conversations(sid).update({ friendlyName: 'again' })).rejects.toMatchObject({ status: 400, code: 50377 })
  expect(await conversations(sid).remove()).toBe(true)
})
