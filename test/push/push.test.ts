import { generateKeyPairSync } from 'node:crypto'
import { Client } from '@twilio/conversations'
import { describe, expect, onTestFinished, test } from 'vitest'
import { connected, opened, RawClient, statusOf, tokenFor } from '../support/client.ts'
import { type FileServer, startFileServer } from '../support/file-server.ts'
import { type ApnsStandIn, type FcmStandIn, fcmError, startApns, startFcm } from '../support/push-services.ts'

const apple = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const team = { key_id: 'ABC1234567', team_id: 'DEF7654321' }

/** A server with both push services, and its default service with what is enabled. */
async function scene(settings: Record<string, string> = {}) {
  const fcm = await startFcm()
  const apns = await startApns({ tokens: { key: apple.publicKey, ...team } })
  const server = await startFileServer({ fcmUrl: fcm.url, apnsUrl: apns.url })
  onTestFinished(server.stop)
  const { v1 } = server.sdk.conversations
  const { defaultChatServiceSid } = await v1.configuration().fetch()
  const service = v1.services(defaultChatServiceSid)
  const path = `/v1/Services/${defaultChatServiceSid}`
  expect((await server.call('POST', `${path}/Configuration/Notifications`, settings)).status).toBe(200)
  const credentials = {
    fcm: (await v1.credentials.create({ type: 'fcm', secret: fcm.account() })).sid,
    apn: (
      await v1.credentials.create({
        type: 'apn',
        privateKey: apple.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
        secret: JSON.stringify({ ...team, topic: 'com.example.chat' }),
      })
    ).sid,
  }
  const { sid } = await v1.conversations.create({ friendlyName: 'Order 7' })
  const rest = v1.conversations(sid)
  const register = (identity: string, token: string, type: 'fcm' | 'apn' = 'fcm', message_types = all) =>
    registerDevice(server, identity, { token, type, credential: credentials[type], message_types })
  const deliveries = async () => (await server.admin('GET', '/deliveries?limit=1000')).deliveries as Delivery[]
  return { server, fcm, apns, service, path, credentials, sid, rest, v1, register, deliveries }
}

interface Delivery {
  readonly kind: string
  readonly event_type: string
  readonly status: string
  readonly subject_sid: string
  readonly target_sid: string
  readonly url: null
  readonly participant_sid: string
  readonly message_sid: string | null
  readonly params: Record<string, string>
  readonly attempts: readonly { readonly status: number | null; readonly error: string | null }[]
}

const all = ['new_message', 'added_to_conversation', 'removed_from_conversation']

interface Registered {
  readonly token: string
  readonly type: 'fcm' | 'apn'
  readonly credential: string
  readonly message_types: readonly string[]
}

/** Registers a device and goes offline. Returns the SID of its binding. */
async function registerDevice(server: FileServer, identity: string, device: Registered): Promise<string> {
  const raw = await RawClient.open(server)
  const token = await tokenFor(server, identity, { push_credential_sid: device.credential })
  expect(statusOf(await raw.ask('init', { token })).code).toBe(200)
  const message_types = device.message_types.map((type) => `twilio.conversations.${type}`)
  const body = { channel_type: device.type, version: '4', message_types, data: { registration_id: device.token } }
  const { body: registered } = await raw.request('POST', '/v1/registrations', { body })
  raw.send('close')
  await raw.closed
  return registered.id
}

const message = { 'NewMessage.Enabled': 'true' }
const pushed = (service: FcmStandIn | ApnsStandIn, count: number) => expect.poll(() => service.pushes).toHaveLength(count)

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

describe('a device that the push service calls gone', () => {
  const gone = { status: 404, body: fcmError(404, 'NOT_FOUND', 'UNREGISTERED') }

  test.each([
    ['unregistered', gone],
    ['of another sender', { status: 403, body: fcmError(403, 'PERMISSION_DENIED', 'SENDER_ID_MISMATCH') }],
    ['no token at all', { status: 400, body: fcmError(400, 'INVALID_ARGUMENT', 'INVALID_ARGUMENT') }],
  ])('is forgotten by FCM: %s', async (_, reply) => {
    const { fcm, rest, register, service, deliveries } = await scene(message)
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'old-phone')
    await register('bob', 'new-phone')
    fcm.reply((push) => (push.message.token === 'old-phone' ? reply : { status: 200 }))
    await rest.messages.create({ author: 'ann', body: 'first' })
    await expect.poll(async () => (await service.bindings.list()).map(({ endpoint }) => endpoint)).toEqual(['new-phone'])
    const [failed] = (await deliveries()).filter(({ status }) => status === 'failed')
    expect(failed?.attempts).toHaveLength(1)
    await rest.messages.create({ author: 'ann', body: 'second' })
    await pushed(fcm, 3)
    expect(fcm.pushes[2]?.message.token).toBe('new-phone')
  })

  test.each([
    [410, 'Unregistered'],
    [410, 'ExpiredToken'],
    [400, 'BadDeviceToken'],
    [400, 'DeviceTokenNotForTopic'],
  ])('is forgotten by APNs: %i %s', async (status, reason) => {
    const { apns, rest, register, service } = await scene(message)
    await service.configuration().update({ reachabilityEnabled: true })
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'iphone', 'apn')
    expect((await service.users('bob').fetch()).isNotifiable).toBe(true)
    await expect.poll(async () => (await service.users('bob').fetch()).isOnline).toBe(false)
    apns.reply(() => ({ status, body: { reason } }))
    await rest.messages.create({ author: 'ann', body: 'first' })
    await expect.poll(() => service.bindings.list()).toEqual([])
    expect((await service.users('bob').fetch()).isNotifiable).toBe(false)
  })

  test.each([
    [
      'the message',
      400,
      fcmError(400, 'INVALID_ARGUMENT', 'INVALID_ARGUMENT', [{ '@type': 'type.googleapis.com/google.rpc.BadRequest' }]),
    ],
    ['the project', 404, fcmError(404, 'NOT_FOUND')],
    ['nobody', 403, { error: 'text' }],
  ])('is kept when the fault is with %s', async (_, status, body) => {
    const { fcm, rest, register, service, deliveries } = await scene(message)
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'phone')
    fcm.reply(() => ({ status, body }))
    await rest.messages.create({ author: 'ann', body: 'first' })
    await expect.poll(async () => (await deliveries()).map((one) => one.status)).toEqual(['failed'])
    expect(await service.bindings.list()).toHaveLength(1)
  })
})

describe('what fails', () => {
  test('for a while is tried again; a token that has become invalid is replaced', async () => {
    const { server, fcm, rest, register, deliveries } = await scene(message)
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'phone')
    const replies = [{ status: 503 }, { status: 429 }, { status: 200, hangUp: true }, { status: 200 }]
    fcm.reply(() => replies.shift() ?? { status: 500 })
    await rest.messages.create({ author: 'ann', body: 'first' })
    for (let tried = 1; tried < 4; tried++) {
      await expect.poll(async () => (await deliveries())[0]?.attempts).toHaveLength(tried)
      await server.advance('PT1M')
    }
    await expect.poll(async () => (await deliveries())[0]?.status).toBe('delivered')
    expect((await deliveries())[0]?.attempts.map(({ status }) => status)).toEqual([503, 429, null, 200])
    fcm.reply(() => ({ status: 200 }))
    fcm.valid.clear()
    await rest.messages.create({ author: 'ann', body: 'second' })
    await expect.poll(async () => (await deliveries())[0]?.attempts).toHaveLength(1)
    await server.advance('PT1M')
    await expect.poll(async () => (await deliveries())[0]?.status).toBe('delivered')
    expect(fcm.tokens).toEqual({ granted: 2, refused: 0 })
    const scraped = await (await fetch(`${server.metricsUrl}/metrics`)).text()
    expect(scraped).toContain('parley_push_attempts_total{outcome="5xx"} 1')
    expect(scraped).toContain('parley_push_attempts_total{outcome="2xx"} 2')
  })

  test('APNs: a connection that ends and a token that is too old are replaced', async () => {
    const { server, apns, rest, register, deliveries } = await scene(message)
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'iphone', 'apn')
    await rest.messages.create({ author: 'ann', body: 'first' })
    await pushed(apns, 1)
    await expect.poll(async () => (await deliveries())[0]?.status).toBe('delivered')
    apns.goAway()
    await rest.messages.create({ author: 'ann', body: 'second' })
    // It may have been sent before the end of the connection was known.
    await expect.poll(async () => (await deliveries())[0]?.attempts).not.toEqual([])
    await server.advance('PT1M')
    await expect.poll(async () => (await deliveries())[0]?.status).toBe('delivered')
    expect(apns.sessions.opened).toBe(2)
    const before = apns.pushes.at(-1)?.headers.authorization
    const replies = [
      { status: 403, body: { reason: 'ExpiredProviderToken' } },
      { status: 200, hangUp: true },
    ]
    apns.reply(() => replies.shift() ?? { status: 200 })
    await rest.messages.create({ author: 'ann', body: 'third' })
    for (let tried = 1; tried < 3; tried++) {
      await expect.poll(async () => (await deliveries())[0]?.attempts).toHaveLength(tried)
      await server.advance('PT1M')
    }
    await expect.poll(async () => (await deliveries())[0]?.status).toBe('delivered')
    const [refused, cut, last] = apns.pushes.slice(-3).map(({ headers }) => headers.authorization)
    expect(refused).toBe(before)
    expect(cut).not.toBe(refused)
    expect(last).toBe(cut)
  })

  test('for good says why, and costs no device', async () => {
    const { v1, fcm, apns, rest, register, deliveries, credentials, service } = await scene(message)
    await rest.participants.create({ identity: 'bob' })
    await register('bob', 'phone')
    await register('bob', 'iphone', 'apn')
    const reasons = async (): Promise<(string | null | undefined)[]> => {
      const before = (await deliveries()).length
      await rest.messages.create({ author: 'ann', body: 'x' })
      await expect
        .poll(async () => (await deliveries()).slice(0, -before || undefined).filter(({ status }) => status === 'failed'))
        .toHaveLength(2)
      const made = (await deliveries()).slice(0, 2)
      return made.toSorted((a) => (a.target_sid === credentials.fcm ? -1 : 1)).map(({ attempts }) => attempts[0]?.error)
    }
    const update = (fcmSecret: string, apn: object) =>
      Promise.all([
        v1.credentials(credentials.fcm).update({ secret: fcmSecret }),
        v1.credentials(credentials.apn).update({ ...apn }),
      ])
    await update('AAAA-legacy-key', { secret: 'none' })
    expect(await reasons()).toEqual([
      'the secret of the credential is not the JSON of a service account',
      'without a certificate the Secret of the credential must be a JSON object with key_id, team_id and topic',
    ])
    await update(fcm.account({ private_key: 'none' }), { privateKey: 'none' })
    expect(await reasons()).toEqual([
      'the secret of the credential is not the JSON of a service account',
      'the certificate or the private key of the credential is not PEM',
    ])
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
    await update(fcm.account({ private_key: pem }), { privateKey: pem, secret: JSON.stringify({ ...team, topic: 'x' }) })
    expect(await reasons()).toEqual(['no access token from Google: invalid_grant', 'the private key is none for APNs tokens'])
    const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({
      type: 'pkcs8',
      format: 'pem',
    }) as string
    await update(fcm.account({ token_uri: 'file:///etc/passwd' }), { privateKey: foreign })
    expect(await reasons()).toEqual([
      'the secret of the credential is not the JSON of a service account',
      'HTTP 403: InvalidProviderToken',
    ])
    expect(fcm.pushes).toEqual([])
    expect(apns.pushes).toHaveLength(1)
    expect(await service.bindings.list()).toHaveLength(2)
  })
})

test('a push that was dropped by the operator says so, and nothing follows from it', async () => {
  const { server, fcm, rest, register, deliveries, credentials, service } = await scene(message)
  await rest.participants.create({ identity: 'bob' })
  await register('bob', 'phone')
  fcm.reply(() => ({ status: 503 }))
  const sent = await rest.messages.create({ author: 'ann', body: 'x' })
  await expect.poll(async () => (await deliveries())[0]?.attempts).toHaveLength(1)
  expect(await server.admin('DELETE', `/deliveries?target_sid=${credentials.fcm}`)).toEqual({ dropped: 1 })
  expect((await deliveries())[0]).toMatchObject({ status: 'failed', attempts: [{}, { error: 'dropped by the operator' }] })
  expect(await rest.messages(sent.sid).deliveryReceipts.list()).toEqual([])
  expect(await service.bindings.list()).toHaveLength(1)
})
