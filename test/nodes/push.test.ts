import pg from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { messageBySid } from '../../src/storage/lookups.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { RawClient } from '../support/client.ts'
import { newDatabase } from '../support/databases.ts'
import { startFcm } from '../support/push-services.ts'
import type { commands } from '../support/queue-commands.ts'
import { startServer } from '../support/server.ts'
import { newTenant } from '../support/tenant.ts'

/** Two nodes of one database, and a conversation whose participants have registered a device each, at the second one. */
async function scene(identities: readonly string[]) {
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
  for (const identity of identities) {
    await v1.conversations(sid).participants.create({ identity })
    const raw = await RawClient.admitted(there, identity, { push_credential_sid })
    const message_types = ['twilio.conversations.new_message']
    const body = { channel_type: 'fcm', message_types, data: { registration_id: `${identity}-phone` } }
    expect((await raw.request('POST', '/v1/registrations', { body })).status).toBe(201)
    raw.socket.terminate()
  }
  const settled = async () =>
    (await here.admin('GET', '/deliveries?limit=1000')).deliveries.map(({ status }: { status: string }) => status)
  return { fcm, database, service_sid: defaultChatServiceSid, rest: v1.conversations(sid), settled }
}

test('a push is sent once, by whichever node has it, for devices that have registered at another', async () => {
  const devices = Array.from({ length: 20 }, (_, i) => `user-${i}`)
  const { fcm, rest, settled } = await scene(devices)
  for (const body of ['one', 'two']) await rest.messages.create({ author: 'ann', body })
  await expect.poll(settled).toEqual(devices.flatMap(() => ['delivered', 'delivered']))
  const sent = fcm.pushes.map(({ message }) => `${message.token} ${message.data.message_index}`)
  expect(sent.sort()).toEqual(devices.flatMap((identity) => [`${identity}-phone 0`, `${identity}-phone 1`]).sort())
  // Each node asks for a token of its own.
  expect(fcm.tokens.granted).toBeLessThanOrEqual(2)
})

test('messages that are written in one transaction ask once for the devices of their conversation', async () => {
  const devices = ['ann', 'bob', 'carol']
  const { fcm, database, service_sid, rest, settled } = await scene(devices)
  const { sid, conversationSid: conversation_sid } = await rest.messages.create({ author: 'ann', body: 'one' })
  const pushes = (count: number) => ['bob', 'carol'].flatMap((identity) => Array(count).fill(`${identity}-phone`))
  await expect.poll(settled).toHaveLength(pushes(1).length)
  const db = await openDatabase<typeof commands>(database.config.database, {
    commands: new URL('../support/queue-commands.ts', import.meta.url),
    failed: (error) => expect.unreachable(error.message),
  })
  onTestFinished(() => db.close())
  const message = (await db.read.one(messageBySid, { service_sid, conversation_sid, sid })) ?? expect.unreachable()
  const query = vi.spyOn(pg.Client.prototype, 'query')
  onTestFinished(() => query.mockRestore())
  await Promise.all(Array.from({ length: 20 }, () => db.write('pushInTurn', { message, now: Date.now() })))
  const asked = query.mock.calls.filter(([statement]) => /from \\"participants\\" as \\"p\\"/.test(JSON.stringify(statement)))
  expect(asked).toHaveLength(1)
  await expect.poll(settled).toEqual(pushes(21).map(() => 'delivered'))
  expect(fcm.pushes.map(({ message }) => message.token).sort()).toEqual(pushes(21))
})
