import { Client } from '@twilio/conversations'
import { describe, expect, onTestFinished, test } from 'vitest'
import { outside } from '../mail/outside.ts'
import { connected, opened } from '../support/client.ts'
import { message, pushed, scene } from '../support/push-scene.ts'

describe('a new message', () => {
  test('is pushed to the devices of the other participants, by either service', async () => {
    const { fcm, apns, rest, sid, register, deliveries, service, credentials } = await scene({
      ...message,
      'NewMessage.Sound': 'ding',
    })
    for (const identity of ['ann', 'bob', 'carol']) await rest.participants.create({ identity })
    const phone = await register('bob', 'bob-android')
    await register('ann', 'ann-android')
    await register('carol', 'carol-iphone', 'apn')
    await service.users('ann').update({ friendlyName: 'Ann' })
    const { sid: message_sid, index } = await rest.messages.create({ author: 'ann', body: 'Hello 😀' })
    await pushed(fcm, 1)
    await pushed(apns, 1)
    const data = {
      twi_message_type: 'twilio.conversations.new_message',
      twi_message_id: expect.stringMatching(/^RU[0-9a-f]{32}$/),
      conversation_sid: sid,
      conversation_title: 'Order 7',
      author: 'ann',
      message_sid,
      message_index: String(index),
    }
    const text = 'Order 7;Ann: Hello 😀'
    const [sent] = fcm.pushes
    expect(sent).toMatchObject({ project: 'parley-test', authorization: 'Bearer token-1' })
    expect(sent?.message).toEqual({
      token: 'bob-android',
      data: { ...data, twi_body: text, twi_sound: 'ding' },
      android: { priority: 'HIGH', ttl: '86400s' },
    })
    const [apple] = apns.pushes
    expect(apple?.token).toBe('carol-iphone')
    expect(apple?.payload).toEqual({ aps: { alert: { body: text }, sound: 'ding', 'mutable-content': 1 }, ...data })
    expect(apple?.headers).toMatchObject({
      'apns-topic': 'com.example.chat',
      'apns-push-type': 'alert',
      'apns-priority': '10',
      'apns-id': expect.stringMatching(/^[0-9a-f-]{36}$/),
    })
    // The official SDK reads what arrives.
    expect(Client.parsePushNotification({ data: sent?.message.data })).toMatchObject({ body: text, sound: 'ding' })
    expect(Client.parsePushNotification(apple?.payload)).toMatchObject({
      body: text,
      data: { conversationSid: sid, messageSid: message_sid, messageIndex: index },
    })
    await expect.poll(async () => (await deliveries()).filter(({ status }) => status === 'delivered')).toHaveLength(2)
    const logged = (await deliveries()).find(({ subject_sid }) => subject_sid === phone)
    expect(logged).toMatchObject({
      kind: 'push',
      event_type: 'pushNewMessage',
      target_sid: credentials.fcm,
      url: null,
      message_sid,
      params: { twi_body: text },
      attempts: [{ status: 200, error: null }],
    })
  })

  test('is not pushed to who has muted it, is online, or has not asked for messages; nor while the service has it off', async () => {
    const { server, fcm, rest, register, deliveries, service, path } = await scene({ 'AddedToConversation.Enabled': 'true' })
    for (const identity of ['ann', 'bob', 'carol', 'dave', 'erin']) await rest.participants.create({ identity })
    await service.configuration().update({ reachabilityEnabled: true })
    for (const identity of ['ann', 'bob', 'carol', 'erin']) await register(identity, `${identity}-phone`)
    await register('dave', 'dave-phone', 'fcm', ['added_to_conversation'])
    await rest.messages.create({ author: 'ann', body: 'off' })
    expect((await server.call('POST', `${path}/Configuration/Notifications`, message)).status).toBe(200)
    await service
      .users('bob')
      .userConversations((await rest.fetch()).sid)
      .update({ notificationLevel: 'muted' })
    const carol = await connected(server, 'carol')
    await expect.poll(async () => (await service.users('carol').fetch()).isOnline).toBe(true)
    await expect.poll(async () => (await service.users('erin').fetch()).isOnline).toBe(false)
    await rest.messages.create({ author: 'ann', body: 'first' })
    await pushed(fcm, 1)
    expect(fcm.pushes[0]?.message.token).toBe('erin-phone')
    await carol.shutdown()
    await expect.poll(async () => (await service.users('carol').fetch()).isOnline).toBe(false)
    await rest.messages.create({ author: 'ann', body: 'second' })
    await pushed(fcm, 3)
    expect(fcm.pushes.map(({ message }) => message.token).sort()).toEqual(['carol-phone', 'erin-phone', 'erin-phone'])
    expect((await deliveries()).filter(({ kind }) => kind === 'push')).toHaveLength(3)
  })

  test('with media has a switch and a template of its own', async () => {
    const template = `\${PARTICIPANT_SID} \${MEDIA_COUNT} \${MEDIA} \${CONVERSATION_SID} \${NOTHING} \${MESSAGE}`
    const { server, fcm, rest, register, path, sid } = await scene({
      'NewMessage.WithMedia.Enabled': 'true',
      'NewMessage.WithMedia.Template': template,
    })
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'bob-phone')
    await rest.messages.create({ author: 'ann', body: 'text alone' })
    const bytes = { headers: { 'content-type': 'image/png' }, check: false }
    const media = await server.call('POST', `${path}/Media?Filename=${'x'.repeat(120)}.png`, 'bytes', bytes)
    const form = { Author: 'ann', MediaSid: media.body.sid, Body: `\${CONVERSATION}` }
    expect((await server.call('POST', `/v1/Conversations/${sid}/Messages`, form)).status).toBe(201)
    await pushed(fcm, 1)
    const { data } = fcm.pushes[0]?.message ?? {}
    expect(data.twi_body).toBe(`ann 1 ${'x'.repeat(120)}.png ${sid} \${NOTHING} \${CONVERSATION}`.slice(0, 178))
    expect(data.twi_body).toHaveLength(178)
    expect(data.media_count).toBe('1')
    expect(JSON.parse(data.media)).toEqual({
      filename: `${'x'.repeat(120)}.png`,
      size: 5,
      content_type: 'image/png',
      sid: media.body.sid,
    })
  })

  test('that is a mail has no media of its source alone', async () => {
    const config = { mailListen: { host: '127.0.0.1', port: 0 } }
    const { server, fcm, v1, register } = await scene({ ...message, 'NewMessage.WithMedia.Enabled': 'true' }, config)
    const to = 'support@example.com'
    const form = { Type: 'email', Address: to, 'AutoCreation.Enabled': 'true', 'AutoCreation.Type': 'default' }
    expect((await server.call('POST', '/v1/Configuration/Addresses', form)).status).toBe(201)
    const world = outside(server.mailPort ?? expect.unreachable())
    onTestFinished(() => world.close())
    const id = '<first@example.org>'
    await world.send({ to, text: '', headers: { 'Message-ID': id } })
    const mailed = (await v1.conversations.list()).find(({ bindings }) => bindings !== null)
    await v1.conversations(mailed?.sid ?? '').participants.create({ identity: 'bob' })
    await register('bob', 'bob-phone')
    await world.send({ to, text: '', headers: { 'In-Reply-To': id } })
    await pushed(fcm, 1)
    const { data } = fcm.pushes[0]?.message ?? {}
    expect(data).toMatchObject({ conversation_sid: mailed?.sid, twi_body: expect.stringMatching(/;ann@example\.org: $/) })
    expect(Object.keys(data)).not.toContain('media')
    expect(Object.keys(data)).not.toContain('media_count')
  })
})

test('of many pushes at one time only the first asks for a token, and each device gets its own in order', async () => {
  const { fcm, rest, register, deliveries } = await scene(message)
  const identities = Array.from({ length: 12 }, (_, i) => `user-${i}`)
  for (const identity of identities) {
    await rest.participants.create({ identity })
    await register(identity, `${identity}-phone`)
  }
  for (const body of ['one', 'two', 'three']) await rest.messages.create({ author: 'ann', body })
  await pushed(fcm, 36)
  expect(fcm.tokens).toEqual({ granted: 1, refused: 0 })
  const byDevice = Map.groupBy(fcm.pushes, ({ message }) => message.token)
  expect([...byDevice.keys()].sort()).toEqual(identities.map((identity) => `${identity}-phone`).sort())
  for (const pushes of byDevice.values()) expect(pushes.map(({ message }) => message.data.message_index)).toEqual(['0', '1', '2'])
  await expect.poll(async () => new Set((await deliveries()).map(({ status }) => status))).toEqual(new Set(['delivered']))
})

test('a push can be sent once more, and is not sent to a device that has gone meanwhile', async () => {
  const { server, fcm, rest, register, deliveries, service } = await scene(message)
  await rest.participants.create({ identity: 'bob' })
  const phone = await register('bob', 'phone')
  await rest.messages.create({ author: 'ann', body: 'x' })
  await expect.poll(async () => (await deliveries())[0]?.status).toBe('delivered')
  const [{ id } = { id: '' }] = (await server.admin('GET', '/deliveries')).deliveries
  await server.admin('POST', `/deliveries/${id}/redeliver`)
  await pushed(fcm, 2)
  expect(fcm.pushes[1]?.message).toEqual(fcm.pushes[0]?.message)
  await service.bindings(phone).remove()
  await server.admin('POST', `/deliveries/${id}/redeliver`)
  await expect
    .poll(async () => (await deliveries())[0])
    .toMatchObject({ status: 'failed', attempts: [{ error: 'the device is not registered any more' }] })
  expect(fcm.pushes).toHaveLength(2)
})

describe('somebody who is added or removed', () => {
  const settings = {
    'AddedToConversation.Enabled': 'true',
    'RemovedFromConversation.Enabled': 'true',
    'RemovedFromConversation.Template': `Bye from \${PARTICIPANT} in \${CONVERSATION_FRIENDLY_NAME}`,
  }

  test('is notified, even if muted, but not of what they do themselves', async () => {
    const { server, fcm, rest, register, sid, v1 } = await scene(settings)
    const phone = await register('bob', 'bob-phone')
    expect(phone).toMatch(/^BS/)
    await v1.users('bob').update({ friendlyName: 'Bob' })
    await rest.participants.create({ identity: 'bob' })
    await pushed(fcm, 1)
    expect(fcm.pushes[0]?.message.data).toEqual({
      twi_message_type: 'twilio.conversations.added_to_conversation',
      twi_message_id: expect.stringMatching(/^RU/),
      twi_body: 'You have been added to the conversation Order 7 by system',
      conversation_sid: sid,
      conversation_title: 'Order 7',
    })
    await v1.users('bob').userConversations(sid).update({ notificationLevel: 'muted' })
    await rest.participants('bob').remove()
    await pushed(fcm, 2)
    expect(fcm.pushes[1]?.message.data).toMatchObject({
      twi_message_type: 'twilio.conversations.removed_from_conversation',
      twi_body: 'Bye from system in Order 7',
    })
    // Bob joins and leaves a conversation of his own, and adds ann, whose device hears of it.
    await register('ann', 'ann-phone')
    const bob = await connected(server, 'bob')
    const own = await bob.createConversation({ friendlyName: 'Own' })
    await own.join()
    await own.add('ann')
    await pushed(fcm, 3)
    expect(fcm.pushes[2]?.message).toMatchObject({
      token: 'ann-phone',
      data: { twi_body: 'You have been added to the conversation Own by Bob' },
    })
    await own.leave()
    await v1.conversations(own.sid).participants('ann').remove()
    await pushed(fcm, 4)
    expect(fcm.pushes[3]?.message.token).toBe('ann-phone')
  })
})

test('a new conversation with participants notifies them, and a text message the others', async () => {
  const { server, fcm, register, v1, deliveries } = await scene({ ...message, 'AddedToConversation.Enabled': 'true' })
  await register('bob', 'bob-phone')
  const from = { address: '+15550000001', proxy_address: '+15550009999' }
  const participants = [{ identity: 'bob' }, { messaging_binding: from }].map((one) => JSON.stringify(one))
  const made = await v1.conversationWithParticipants.create({ friendlyName: 'Support', participant: participants })
  await pushed(fcm, 1)
  expect(fcm.pushes[0]?.message.data).toMatchObject({
    conversation_sid: made.sid,
    twi_body: 'You have been added to the conversation Support by system',
  })
  await server.admin('POST', '/inbound', { from: from.address, to: from.proxy_address, body: 'Hi' })
  await pushed(fcm, 2)
  expect(fcm.pushes[1]?.message.data).toMatchObject({ author: from.address, twi_body: `Support;${from.address}: Hi` })
  expect((await deliveries()).filter(({ kind }) => kind === 'push')).toHaveLength(2)
})

describe('the badge', () => {
  test('counts the conversations with unread messages, and falls when one is read', async () => {
    const { server, apns, rest, register, sid, v1 } = await scene({ ...message, 'NewMessage.BadgeCountEnabled': 'true' })
    const other = v1.conversations((await v1.conversations.create({ friendlyName: 'Other' })).sid)
    for (const conversation of [rest, other]) await conversation.participants.create({ identity: 'bob' })
    await register('bob', 'bob-iphone', 'apn')
    await rest.messages.create({ author: 'ann', body: 'one' })
    await pushed(apns, 1)
    expect(apns.pushes[0]?.payload.aps).toMatchObject({ badge: 1, alert: { body: 'Order 7;ann: one' } })
    await other.messages.create({ author: 'ann', body: 'two' })
    await pushed(apns, 2)
    expect(apns.pushes[1]?.payload.aps.badge).toBe(2)
    const bob = await opened(await connected(server, 'bob'), sid)
    await bob.setAllMessagesRead()
    await pushed(apns, 3)
    const [, , read] = apns.pushes
    expect(read?.payload).toEqual({
      aps: { badge: 1 },
      twi_message_type: 'twilio.conversations.new_message',
      twi_message_id: expect.stringMatching(/^RU/),
      conversation_sid: sid,
      conversation_title: 'Order 7',
    })
    expect(read?.headers['apns-priority']).toBe('5')
    // It has been read to its end already.
    await bob.setAllMessagesRead()
    await other.messages.create({ author: 'ann', body: 'three' })
    await pushed(apns, 4)
    expect(apns.pushes[3]?.payload.aps).toMatchObject({ badge: 1, alert: { body: 'Other;ann: three' } })
  })
})
