import { expect, test } from 'vitest'
import { RawClient } from '../support/client.ts'
import { newDatabase } from '../support/databases.ts'
import { startFcm } from '../support/push-services.ts'
import { startServer } from '../support/server.ts'
import { newTenant } from '../support/tenant.ts'

const devices = Array.from({ length: 20 }, (_, i) => `user-${i}`)

test('a push is sent once, by whichever node has it, for devices that have registered at another', async ({ onTestFinished }) => {
  const fcm = await startFcm()
  const database = await newDatabase()
  onTestFinished(() => database.dispose())
  const config = { ...database.config, fcmUrl: fcm.url }
  const [first, second] = [await startServer(config), await startServer(config)]
  for (const server of [first, second]) onTestFinished(server.stop)
  const here = await newTenant(first)
  const there = { ...here, url: second.url }
  const { v1 } = here.sdk.conversations
  const { defaultChatServiceSid } = await v1.configuration().fetch()
  await here.call('POST', `/v1/Services/${defaultChatServiceSid}/Configuration/Notifications`, { 'NewMessage.Enabled': 'true' })
  const push_credential_sid = (await v1.credentials.create({ type: 'fcm', secret: fcm.account() })).sid
  const { sid } = await v1.conversations.create()
  for (const identity of devices) {
    await v1.conversations(sid).participants.create({ identity })
    const raw = await RawClient.admitted(there, identity, { push_credential_sid })
    const message_types = ['twilio.conversations.new_message']
    const body = { channel_type: 'fcm', message_types, data: { registration_id: `${identity}-phone` } }
    expect((await raw.request('POST', '/v1/registrations', { body })).status).toBe(201)
    raw.socket.terminate()
  }
  for (const body of ['one', 'two']) await v1.conversations(sid).messages.create({ author: 'ann', body })
  const settled = async () =>
    (await here.admin('GET', '/deliveries?limit=1000')).deliveries.map(({ status }: { status: string }) => status)
  await expect.poll(settled).toEqual(devices.flatMap(() => ['delivered', 'delivered']))
  const sent = fcm.pushes.map(({ message }) => `${message.token} ${message.data.message_index}`)
  expect(sent.sort()).toEqual(devices.flatMap((identity) => [`${identity}-phone 0`, `${identity}-phone 1`]).sort())
  // Each node asks for a token of its own.
  expect(fcm.tokens.granted).toBeLessThanOrEqual(2)
})
