import assert from 'node:assert/strict'
import { setTimeout } from 'node:timers/promises'
import { receive, startEndpoint } from './endpoint.ts'
import { accountSid, admin, connect } from './parley.ts'

/** Another one each time: a pair of addresses is in one open conversation at most. */
const customer = `+1555${String(Date.now()).slice(-7)}`
const shop = '+15557654321'

const client = connect()
const endpoint = await startEndpoint()

const set = await admin('PUT', `/accounts/${accountSid}/channels/${shop}`, { url: endpoint.url })
assert.equal(set.status, 200, await set.text())

const { sid } = await client.conversations.v1.conversations.create({ friendlyName: 'Order 1234' })
const conversation = client.conversations.v1.conversations(sid)
await conversation.participants.create({ 'messagingBinding.address': customer, 'messagingBinding.proxyAddress': shop })
const message = await conversation.messages.create({ author: 'alice', body: 'Your order is on its way.' })

const receipt = await delivered(message.sid)
console.log(`${receipt.channelMessageSid} is ${receipt.status}`)

const reply = { external_id: `reply-${Date.now()}`, from: customer, to: shop, body: 'Thank you!' }
for (const message of [reply, reply]) await receive(message)
const [last, before] = await conversation.messages.list({ order: 'desc', limit: 2 })
assert.deepEqual([last?.author, last?.body], [customer, 'Thank you!'])
assert.equal(before?.sid, message.sid, 'the message was handed in twice and received once')
console.log(`${last?.author}: ${last?.body}`)
endpoint.close()

/** Polls for the receipt; an application would subscribe to onDeliveryUpdated instead. */
async function delivered(messageSid: string) {
  for (let attempt = 0; attempt < 1200; attempt++) {
    const [found] = await conversation.messages(messageSid).deliveryReceipts.list()
    if (found?.status === 'delivered') return found
    await setTimeout(100)
  }
  throw new Error('the message was not delivered within two minutes')
}
