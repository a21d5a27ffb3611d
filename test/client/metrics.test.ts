import { expect, onTestFinished, test } from 'vitest'
import { RawClient } from '../support/client.ts'
import { startServer, type TestServer } from '../support/server.ts'

async function metricsOf({ url }: TestServer) {
  const lines = (await (await fetch(`${url}/metrics`)).text()).split('\n')
  return (name: string) => Number(lines.find((line) => line.startsWith(`${name} `))?.slice(name.length + 1))
}

test('connections, what they follow, frames, replays and the time to them are counted', async () => {
  const server = await startServer()
  onTestFinished(server.stop)
  const { conversations } = server.sdk.conversations.v1
  const { sid } = await conversations.create({})
  const { participants, messages } = conversations(sid)
  for (const identity of ['ann', 'bob']) await participants.create({ identity })
  for (let i = 0; i < 3; i++) await messages.create({ body: `${i}` })
  const before = await metricsOf(server)
  expect(['connections', 'subscriptions', 'lag_seconds_count'].map((name) => before(`parley_client_${name}`))).toEqual([0, 0, 0])
  const clients = [await RawClient.admitted(server, 'ann'), await RawClient.admitted(server, 'bob')]
  for (const client of clients) {
    const requests = [`${sid}.messages`, `${sid}.channel`].map((object_sid) => ({ object_sid, last_event_id: 3 }))
    await client.request('POST', '/v4/Subscriptions', { body: { action: 'establish', correlation_id: 1, requests } })
    for (const _ of requests) await client.event('subscription_established')
  }
  await messages.create({ body: 'live' })
  for (const client of clients) {
    await client.event('document_updated')
    await client.next(({ payload }) => payload.includes('"live"'))
  }
  const after = await metricsOf(server)
  expect(after('parley_client_connections')).toBe(2)
  expect(after('parley_client_subscriptions')).toBe(4)
  // The last two messages, and the conversation as they have left it, to each of the two.
  expect(after('parley_client_replayed_events_total')).toBe(2 * 3)
  // Of the message and of the conversation, besides what was replayed.
  expect(after('parley_client_frames_total')).toBeGreaterThanOrEqual(4)
  expect(after('parley_client_lag_seconds_count')).toBe(2)
  expect(after('parley_client_lag_seconds_bucket{le="+Inf"}')).toBe(2)
  // Seconds since the commit, not since 1970 or in other units.
  expect(after('parley_client_lag_seconds_sum')).toBeGreaterThanOrEqual(0)
  expect(after('parley_client_lag_seconds_sum')).toBeLessThan(3600)
  clients[0]?.socket.close()
  await expect.poll(async () => (await metricsOf(server))('parley_client_connections')).toBe(1)
})
