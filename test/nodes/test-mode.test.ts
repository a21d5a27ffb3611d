import { expect, test } from 'vitest'
import { newDatabase } from '../support/databases.ts'
import { all_events, enabled, eventsOf } from '../support/hooked.ts'
import { startServer } from '../support/server.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

test('a reset and a restore on one node count for the other: rows, clock and webhooks', async () => {
  await using database = await newDatabase()
  await using one = await startServer({ ...database.config, testMode: true })
  await using other = await startServer({ ...database.config, testMode: true })
  await using catcher = await catchWebhooks({ authToken: one.auth_token })
  const { v1 } = other.sdk.conversations
  await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url(), filters: all_events })
  const { sid } = await v1.conversations.create({ 'timers.inactive': 'PT10M', ...enabled })
  await one.admin('POST', '/clock', { advance: 'PT9M', deliver: true })
  expect(eventsOf(catcher.requests)).toEqual(['onConversationAdded'])
  const { snapshot } = await one.admin('POST', '/snapshot')

  await one.admin('POST', '/clock', { advance: 'P1D', deliver: true })
  await one.admin('POST', '/reset')
  expect(await v1.conversations.list()).toEqual([])
  expect((await other.admin('GET', '/clock')).offset_ms).toBe(0)
  expect((await v1.configuration.webhooks().fetch()).postWebhookUrl).toBeNull()

  await one.admin('POST', '/restore', { snapshot })
  expect((await v1.conversations(sid).fetch()).state).toBe('active')
  expect((await other.admin('GET', '/clock')).offset_ms).toBeLessThan(10 * 60_000)
  await other.admin('POST', '/clock', { advance: 'PT1M', deliver: true })
  expect((await v1.conversations(sid).fetch()).state).toBe('inactive')
  expect(eventsOf(catcher.requests)).toEqual(['onConversationAdded', 'onConversationStateUpdated', 'onConversationStateUpdated'])
})
