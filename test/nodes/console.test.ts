import { expect, test } from 'vitest'
import { newDatabase } from '../support/databases.ts'
import { followEvents } from '../support/events.ts'
import { startServer } from '../support/server.ts'

test('a stream of events has what every node does, and another node begins it anew', async () => {
  await using database = await newDatabase()
  await using one = await startServer(database.config)
  await using other = await startServer(database.config)
  await using events = await followEvents(one)
  const { sid } = await other.sdk.conversations.v1.conversations.create({})
  const event = await events.next(({ data }) => data.sid === sid)
  await other.sdk.conversations.v1.conversations(sid).messages.create({ body: 'Hello' })
  await events.next(({ data }) => data.sid === sid)
  await using moved = await followEvents(other, event.id)
  expect((await moved.next(() => true)).type).toBe('reset')
})
