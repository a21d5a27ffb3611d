import assert from 'node:assert/strict'
import { advance, authToken, connect } from './parley.ts'
import { startReceiver } from './receiver.ts'

const client = connect()
const receiver = await startReceiver(authToken)

await client.conversations.v1.configuration.webhooks().update({
  method: 'POST',
  postWebhookUrl: receiver.url,
  filters: ['onConversationStateUpdated'],
})

const { sid } = await client.conversations.v1.conversations.create({
  friendlyName: 'Order 1234',
  'timers.inactive': 'PT1M',
  'timers.closed': 'PT10M',
})
console.log(`${sid} is active`)

await advance('PT1M')
await expectState('inactive')
await advance('PT9M')
await expectState('closed')
receiver.close()

async function expectState(expected: string): Promise<void> {
  const event = await receiver.next()
  console.log(`${event.EventType}: ${event.StateFrom} -> ${event.StateTo}, ${event.Reason}`)
  assert.deepEqual([event.ConversationSid, event.StateTo, event.Reason], [sid, expected, 'TIMER'])
  const { state } = await client.conversations.v1.conversations(sid).fetch()
  assert.equal(state, expected)
}
