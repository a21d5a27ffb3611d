import { request } from 'undici'
import { afterAll, expect } from 'vitest'
import { summary } from '../../src/resources/conversations/messages/dispatch.ts'
import { ask } from '../support/admin.ts'
import { inspect, newDatabase } from '../support/databases.ts'
import { test } from '../support/fixtures.ts'
import { auth_token, startServer, type TestServer } from '../support/server.ts'
import { type Caught, catchWebhooks, type Reply, type WebhookCatcher } from '../support/webhook-catcher.ts'

let server: TestServer
let catcher: WebhookCatcher
let numbers = 0
const replies = new Map<string, (caught: Caught) => Reply | Promise<Reply>>()

test.beforeAll(async ({ server: started }) => {
  server = started
  catcher = await catchWebhooks({ authToken: auth_token })
  catcher.reply((caught) => replies.get(caught.path)?.(caught) ?? {})
})
afterAll(() => catcher.close())

const number = () => `+1555${String(++numbers).padStart(7, '0')}`
const channelSid = (digit: string) => `SM${digit.repeat(32)}`
const json = (body: object, status = 200): Reply => ({ status, body: JSON.stringify(body) })
const at = (path: string) => (caught: Caught) => caught.path === path

/** An endpoint of its own for a new proxy address. */
async function channel(reply: (caught: Caught) => Reply | Promise<Reply> = () => ({}), on = server) {
  const proxy = number()
  const path = `/channel-${proxy.slice(1)}`
  replies.set(path, reply)
  await on.admin('PUT', `/accounts/${on.account_sid}/channels/${encodeURIComponent(proxy)}`, { url: catcher.url(path) })
  return { proxy, path, next: () => catcher.next(at(path)), all: () => catcher.requests.filter(at(path)) }
}

/** Makes the channel of a proxy address one of a kind. */
const setKind = (proxy: string, kind: string, settings: object = {}, on = server) =>
  on.admin('PUT', `/accounts/${on.account_sid}/channels/${encodeURIComponent(proxy)}`, { kind, settings })

/** A conversation in a service that tells its events to a path of its own. */
async function conversation(on = server) {
  const service = (await on.call('POST', '/v1/Services', { FriendlyName: 'Support' })).body.sid as string
  const hook = `/hook-${service}`
  await on.call('POST', `/v1/Services/${service}/Configuration/Webhooks`, [
    ['PostWebhookUrl', catcher.url(hook)],
    ['Filters', 'onDeliveryUpdated'],
    ['Filters', 'onMessageAdded'],
  ])
  const { sid } = (await on.call('POST', `/v1/Services/${service}/Conversations`, {})).body
  const path = `/v1/Services/${service}/Conversations/${sid}`
  return {
    service,
    sid: sid as string,
    path,
    next: () => catcher.next(at(hook)),
    told: () => catcher.requests.filter(at(hook)).map(({ params }) => `${params.EventType} ${params.Status}`),
    join: async (proxy: string, address = number()) => {
      const form = { 'MessagingBinding.Address': address, 'MessagingBinding.ProxyAddress': proxy }
      return (await on.call('POST', `${path}/Participants`, form)).body as { sid: string; messaging_binding: { address: string } }
    },
    say: async (form: Record<string, string> = { Body: 'Hello' }) => {
      const message = (await on.call('POST', `${path}/Messages`, form)).body
      return { ...message, path: `${path}/Messages/${message.sid}` }
    },
  }
}

const receiptsOf = async (path: string, on = server) => (await on.call('GET', `${path}/Receipts`)).body.delivery_receipts
const deliveryOf = async (path: string) => (await server.call('GET', path)).body.delivery
const settled = (path: string, statuses: string[], on = server) =>
  expect.poll(async () => (await receiptsOf(path, on)).map((receipt: { status: string }) => receipt.status)).toEqual(statuses)
const report = async (channel_message_sid: string, status: string, more: object = {}) => {
  const answer = await ask(server, 'POST', '/receipts', { channel_message_sid, status, ...more })
  if (answer.status !== 200) throw new Error(`${answer.status} ${answer.body.error}`)
  return answer.body
}

test('endpoints are configured for each proxy address of an account', async () => {
  const account = await server.admin('POST', '/accounts', { friendly_name: 'Channels' })
  const root = `/accounts/${account.sid}/channels`
  const whatsapp = encodeURIComponent('whatsapp:+15550001111')
  const made = await server.admin('PUT', `${root}/${whatsapp}`, { url: 'https://user:secret@example.com/out?x=1' })
  expect(made).toEqual({
    sid: expect.stringMatching(/^CN[0-9a-f]{32}$/),
    account_sid: account.sid,
    proxy_address: 'whatsapp:+15550001111',
    kind: 'webhook',
    settings: { url: 'https://example.com/out?x=1' },
    url: 'https://example.com/out?x=1',
    date_created: expect.any(String),
    date_updated: expect.any(String),
  })
  await server.admin('PUT', `${root}/12345`, { url: 'http://example.com/' })
  const changed = await server.admin('PUT', `${root}/${whatsapp}`, { url: 'https://example.com/other' })
  expect(changed).toMatchObject({ sid: made.sid, url: 'https://example.com/other', date_created: made.date_created })
  expect((await ask(server, 'PUT', `${root}/12345`, { url: 'http://example.com/' })).status).toBe(200)
  expect((await ask(server, 'GET', root)).body.channels.map((c: { proxy_address: string }) => c.proxy_address)).toEqual([
    '12345',
    'whatsapp:+15550001111',
  ])
  expect((await server.admin('GET', `/accounts/${server.account_sid}/channels`)).channels).not.toContainEqual(changed)
  await server.admin('DELETE', `${root}/12345`)
  await expect(server.admin('DELETE', `${root}/12345`)).rejects.toThrow('404')
  expect((await server.admin('GET', root)).channels).toEqual([changed])
  await expect(server.admin('PUT', `${root}/nobody`, { url: 'http://example.com/' })).rejects.toThrow('address of a known format')
  await expect(server.admin('PUT', `${root}/12345`, { url: 'ftp://example.com/' })).rejects.toThrow('http or https')
  await expect(server.admin('PUT', `${root}/12345`, {})).rejects.toThrow('400')
  const nobody = `/accounts/AC${'0'.repeat(32)}/channels`
  await expect(server.admin('GET', nobody)).rejects.toThrow('404')
  await expect(server.admin('PUT', `${nobody}/12345`, { url: 'http://example.com/' })).rejects.toThrow('404')
})

test('a message is handed to the endpoint of the proxy address, signed, and its answer names the channel message', async () => {
  const sid = channelSid('a')
  const { proxy, next } = await channel(() => json({ sid, status: 'sent' }, 201))
  const talk = await conversation()
  const member = await talk.join(proxy)
  const message = await talk.say({ Body: 'Hello', Author: 'alice' })
  expect(message.delivery).toEqual({
    total: 1,
    sent: 'none',
    delivered: 'none',
    read: 'none',
    failed: 'none',
    undelivered: 'none',
  })
  const caught = await next()
  expect(caught.signed).toBe(true)
  expect(caught.method).toBe('POST')
  expect(caught.headers['i-twilio-idempotency-token']).toMatch(/^[0-9a-f-]{36}$/)
  expect(caught.params).toEqual({
    AccountSid: server.account_sid,
    ChatServiceSid: talk.service,
    ConversationSid: talk.sid,
    MessageSid: message.sid,
    ParticipantSid: member.sid,
    Author: 'alice',
    To: member.messaging_binding.address,
    From: proxy,
    Body: 'Hello',
    RetryCount: '0',
  })
  await settled(message.path, ['sent'])
  expect(await receiptsOf(message.path)).toEqual([
    expect.objectContaining({
      channel_message_sid: sid,
      message_sid: message.sid,
      conversation_sid: talk.sid,
      participant_sid: member.sid,
      chat_service_sid: talk.service,
      status: 'sent',
      error_code: 0,
    }),
  ])
  const { deliveries } = await server.admin('GET', `/deliveries?conversation_sid=${talk.sid}`)
  const logged = deliveries.find((row: { event_type: string }) => row.event_type === 'channelMessage')
  expect(logged).toMatchObject({ status: 'delivered', attempts: [{ status: 201, error: null }] })
})

test('who has read a message on WhatsApp has read up to it; a text message says nothing about that', async () => {
  const [sms, whatsapp] = [number(), `whatsapp:${number()}`]
  const talk = await conversation()
  for (const proxy of [sms, whatsapp]) {
    await server.admin('PUT', `/accounts/${server.account_sid}/channels/${encodeURIComponent(proxy)}`, {
      url: catcher.url('/any'),
    })
  }
  const texter = await talk.join(sms)
  const reader = await talk.join(whatsapp, `whatsapp:${number()}`)
  const messages = [await talk.say(), await talk.say(), await talk.say()]
  for (const { path } of messages) await expect.poll(async () => (await receiptsOf(path)).length).toBe(2)
  const horizon = async ({ sid }: { sid: string }) => {
    const { last_read_message_index, last_read_timestamp, date_updated } = (
      await server.call('GET', `${talk.path}/Participants/${sid}`)
    ).body
    return { last_read_message_index, last_read_timestamp, date_updated }
  }
  const read = async (message: { path: string }, who: { sid: string }) => {
    const receipts: { participant_sid: string; channel_message_sid: string }[] = await receiptsOf(message.path)
    await report(receipts.find(({ participant_sid }) => participant_sid === who.sid)?.channel_message_sid ?? '', 'read')
  }
  const before = await horizon(reader)
  expect(before).toMatchObject({ last_read_message_index: null, last_read_timestamp: null })
  await server.advance('PT1M')
  await read(messages[1], reader)
  const after = await horizon(reader)
  expect(after).toEqual({ ...before, last_read_message_index: 1, last_read_timestamp: expect.any(String) })
  // An older message does not move it back.
  await server.advance('PT1M')
  await read(messages[0], reader)
  expect(await horizon(reader)).toEqual(after)
  await read(messages[2], reader)
  expect((await horizon(reader)).last_read_message_index).toBe(2)
  await read(messages[2], texter)
  expect((await horizon(texter)).last_read_message_index).toBeNull()
})

test('reports of the channel move the receipt forward only, and each is told without the header and without a Source', async () => {
  const sid = channelSid('b')
  const { proxy, next } = await channel(() => json({ sid }))
  const talk = await conversation()
  const member = await talk.join(proxy)
  const scoped = `/scoped-${talk.sid}`
  const { body: webhook } = await server.call('POST', `${talk.path}/Webhooks`, [
    ['Target', 'webhook'],
    ['Configuration.Url', catcher.url(scoped)],
    ['Configuration.Filters', 'onDeliveryUpdated'],
  ])
  const message = await talk.say()
  await next()
  const sent = await talk.next()
  const [receipt] = await receiptsOf(message.path)
  const form = {
    EventType: 'onDeliveryUpdated',
    AccountSid: server.account_sid,
    ChatServiceSid: talk.service,
    ConversationSid: talk.sid,
    MessageSid: message.sid,
    DeliveryReceiptSid: receipt.sid,
    ChannelMessageSid: sid,
    ParticipantSid: member.sid,
    DateCreated: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    DateUpdated: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    RetryCount: '0',
  }
  expect(sent.signed).toBe(true)
  expect(sent.params).toEqual({ ...form, Status: 'sent' })
  const own = { WebhookSid: webhook.sid, WebhookType: 'webhook' }
  expect((await catcher.next(at(scoped))).params).toEqual({ ...form, ...own, Status: 'sent' })
  expect(await report(sid, 'delivered')).toEqual({ channel_message_sid: sid, status: 'delivered', error_code: 0 })
  expect((await talk.next()).params).toEqual({ ...form, Status: 'delivered' })
  for (const back of ['sent', 'delivered', 'failed', 'undelivered']) {
    expect(await report(sid, back, { error_code: 30005 })).toMatchObject({ status: 'delivered', error_code: 0 })
  }
  expect(await report(sid, 'read')).toMatchObject({ status: 'read' })
  expect((await talk.next()).params).toEqual({ ...form, Status: 'read' })
  expect((await catcher.next((caught) => caught.path === scoped && caught.params.Status === 'read')).params).toMatchObject(form)
  expect(talk.told()).toEqual(['onDeliveryUpdated sent', 'onDeliveryUpdated delivered', 'onDeliveryUpdated read'])
  expect(await receiptsOf(message.path)).toEqual([expect.objectContaining({ sid: receipt.sid, status: 'read' })])
  await expect(report(channelSid('0'), 'read')).rejects.toThrow('404')
  await expect(report(sid, 'lost')).rejects.toThrow('400')
  await expect(report('wamid.1', 'read')).rejects.toThrow('400')
})

test('a message that did not get through has a receipt with its error code, which the event tells', async () => {
  const refused = await channel(() => json({ error_code: 21610 }, 400))
  const lost = await channel(() => json({ sid: channelSid('c') }))
  const silent = await channel(() => json({}, 404))
  const talk = await conversation()
  await talk.join(refused.proxy)
  const message = await talk.say()
  expect((await talk.next()).params).toMatchObject({ EventType: 'onDeliveryUpdated', Status: 'failed', ErrorCode: '21610' })
  expect(await receiptsOf(message.path)).toEqual([expect.objectContaining({ status: 'failed', error_code: 21610 })])
  expect(await deliveryOf(message.path)).toEqual({
    total: 1,
    sent: 'none',
    delivered: 'none',
    read: 'none',
    failed: 'all',
    undelivered: 'none',
  })
  expect(refused.all()).toHaveLength(1)

  const other = await conversation()
  await other.join(lost.proxy)
  const second = await other.say()
  await settled(second.path, ['sent'])
  await report(channelSid('c'), 'undelivered', { error_code: 30005 })
  expect(await deliveryOf(second.path)).toMatchObject({ sent: 'all', delivered: 'none', failed: 'none', undelivered: 'all' })
  expect(await receiptsOf(second.path)).toEqual([expect.objectContaining({ status: 'undelivered', error_code: 30005 })])

  const third = await conversation()
  await third.join(silent.proxy)
  const unexplained = await third.say()
  await settled(unexplained.path, ['failed'])
  expect(await receiptsOf(unexplained.path)).toEqual([expect.objectContaining({ error_code: 30008 })])
})

test('an endpoint that is down is tried again, later and later, with the same token; then the message has failed', async () => {
  let up = false
  const { proxy, next, all } = await channel(() => (up ? json({ sid: channelSid('d') }) : { status: 500 }))
  const talk = await conversation()
  await talk.join(proxy)
  const message = await talk.say()
  const first = await next()
  const waiting = async (attempts: number) => {
    const log = () => server.admin('GET', `/deliveries?conversation_sid=${talk.sid}&status=pending`)
    await expect.poll(async () => (await log()).deliveries[0]?.attempts.length).toBe(attempts)
  }
  for (const [i, seconds] of [1, 4].entries()) {
    await waiting(i + 1)
    expect(await receiptsOf(message.path)).toEqual([])
    await server.advance(`PT${seconds}S`)
    const again = await next()
    expect(again.params.RetryCount).toBe(String(i + 1))
    expect(again.signed).toBe(true)
    expect(again.headers['i-twilio-idempotency-token']).toBe(first.headers['i-twilio-idempotency-token'])
  }
  await waiting(3)
  up = true
  await server.advance('PT16S')
  await settled(message.path, ['sent'])

  up = false
  const second = await talk.say()
  for (const [i, seconds] of [1, 4, 16, 64, 256].entries()) {
    await next()
    await waiting(i + 1)
    await server.advance(`PT${seconds}S`)
  }
  await settled(second.path, ['failed'])
  expect(await receiptsOf(second.path)).toEqual([expect.objectContaining({ error_code: 30008 })])
  expect(all()).toHaveLength(10)
})

test('a redelivery makes no second receipt; one that failed starts over', async () => {
  let up = false
  let taken = 0
  const { proxy, all } = await channel(() => (up ? json({ sid: channelSid(String(++taken)), status: 'sent' }) : { status: 400 }))
  const talk = await conversation()
  await talk.join(proxy)
  const message = await talk.say()
  await settled(message.path, ['failed'])
  const [failed] = await receiptsOf(message.path)
  const { deliveries } = await server.admin('GET', `/deliveries?conversation_sid=${talk.sid}`)
  const { id } = deliveries.find((row: { event_type: string }) => row.event_type === 'channelMessage')
  const redeliver = async () => {
    const again = await server.admin('POST', `/deliveries/${id}/redeliver`)
    await expect.poll(async () => (await server.admin('GET', `/deliveries/${again.id}`)).status).not.toBe('pending')
  }
  up = true
  await redeliver()
  const [sent, ...others] = await receiptsOf(message.path)
  expect(others).toEqual([])
  expect(sent).toMatchObject({ sid: failed.sid, status: 'sent', error_code: 0, channel_message_sid: channelSid('1') })
  await report(channelSid('1'), 'read')
  await redeliver()
  up = false
  await redeliver()
  expect(await receiptsOf(message.path)).toEqual([expect.objectContaining({ sid: failed.sid, status: 'read' })])
  expect((await receiptsOf(message.path))[0].channel_message_sid).toBe(channelSid('1'))
  expect(all()).toHaveLength(4)
})

test('by the loopback messages are sent and delivered at once', async () => {
  const talk = await conversation()
  const proxy = number()
  const loopback = await setKind(proxy, 'loopback')
  const member = await talk.join(proxy)
  const message = await talk.say()
  const [sent, delivered] = [await talk.next(), await talk.next()]
  expect([sent.params.Status, delivered.params.Status]).toEqual(['sent', 'delivered'])
  expect(sent.params.ChannelMessageSid).toMatch(/^SM[0-9a-f]{32}$/)
  expect(delivered.params).toEqual({ ...sent.params, Status: 'delivered', DateUpdated: expect.any(String) })
  expect(sent.params.ParticipantSid).toBe(member.sid)
  expect(await receiptsOf(message.path)).toEqual([expect.objectContaining({ status: 'delivered' })])
  expect(await deliveryOf(message.path)).toEqual({
    total: 1,
    sent: 'all',
    delivered: 'all',
    read: 'none',
    failed: 'none',
    undelivered: 'none',
  })
  await expect(server.admin('GET', `/deliveries?conversation_sid=${talk.sid}`)).resolves.toMatchObject({
    deliveries: expect.arrayContaining([
      expect.objectContaining({ kind: 'message', event_type: 'channelMessage', target_sid: loopback.sid, url: null }),
    ]),
  })
})

test('a message to an address that no channel carries is not counted as delivered: it fails, and the log says what to do', async () => {
  const talk = await conversation()
  await talk.join(number())
  const message = await talk.say()
  await settled(message.path, ['failed'])
  expect(await receiptsOf(message.path)).toEqual([expect.objectContaining({ error_code: 63007 })])
  expect(await deliveryOf(message.path)).toMatchObject({ total: 1, sent: 'none', failed: 'all' })
  const { deliveries } = await server.admin('GET', `/deliveries?conversation_sid=${talk.sid}`)
  expect(deliveries.find((row: { event_type: string }) => row.event_type === 'channelMessage')).toMatchObject({
    kind: 'loopback',
    status: 'failed',
    attempts: [{ status: null, error: expect.stringContaining('PUT /admin/v1/accounts/{sid}/channels/{address}') }],
  })
})

test('mail is handed to the channel of its mailbox, where there is one', async () => {
  const path = '/mailbox'
  await server.admin('PUT', `/accounts/${server.account_sid}/channels/Support%40example.com`, { url: catcher.url(path) })
  const { sid } = (await server.call('POST', '/v1/Conversations', { 'Bindings.Email.Address': 'support@Example.com' })).body
  await server.call('POST', `/v1/Conversations/${sid}/Participants`, { 'MessagingBinding.Address': 'ann@example.org' })
  await server.call('POST', `/v1/Conversations/${sid}/Messages`, { Author: 'alice', Body: 'Hello', Subject: 'Order 7' })
  const { params } = await catcher.next(at(path))
  expect(params).toMatchObject({ From: 'support@example.com', To: 'ann@example.org', Subject: 'Order 7', Body: 'Hello' })
})

test('the summary counts how many of the recipients have come how far', async () => {
  let handed = 0
  const { proxy } = await channel(() => json({ sid: channelSid('def'[handed++] ?? '') }))
  const talk = await conversation()
  for (let i = 0; i < 3; i++) await talk.join(proxy)
  await server.call('POST', `${talk.path}/Participants`, { Identity: 'alice' })
  const message = await talk.say({ Body: 'Hello all', Author: 'alice' })
  expect(message.delivery.total).toBe(3)
  await settled(message.path, ['sent', 'sent', 'sent'])
  expect(await deliveryOf(message.path)).toMatchObject({ total: 3, sent: 'all', delivered: 'none' })
  await report(channelSid('e'), 'read')
  await report(channelSid('f'), 'failed')
  const some = { total: 3, sent: 'some', delivered: 'some', read: 'some', failed: 'some', undelivered: 'none' }
  expect(await deliveryOf(message.path)).toEqual(some)
})

test('a summary is of all recipients, those not heard of included', () => {
  const shares = (total: number, ...statuses: string[]) => Object.values(summary(total, statuses)).join(' ')
  expect(shares(2)).toBe('2 none none none none none')
  expect(shares(2, 'sent')).toBe('2 some none none none none')
  expect(shares(2, 'delivered', 'read')).toBe('2 all all some none none')
  expect(shares(2, 'read', 'read')).toBe('2 all all all none none')
  expect(shares(2, 'failed', 'undelivered')).toBe('2 some none none some some')
})

test('the author does not get their own message, chat participants are reached without a channel', async () => {
  const { proxy, all } = await channel()
  const talk = await conversation()
  const one = await talk.join(proxy)
  const two = await talk.join(proxy)
  const message = await talk.say({ Body: 'From one', Author: one.messaging_binding.address })
  expect(message).toMatchObject({ participant_sid: one.sid, delivery: { total: 1 } })
  await settled(message.path, ['sent'])
  expect(all().map(({ params }) => params.ParticipantSid)).toEqual([two.sid])
  const chat = await conversation()
  await server.call('POST', `${chat.path}/Participants`, { Identity: 'alice' })
  expect((await chat.say()).delivery).toBeNull()
})

test('media and content go to the channel as webhooks tell them', async () => {
  const { proxy, next } = await channel()
  const talk = await conversation()
  await talk.join(proxy)
  const uploaded = await request(`${server.url}/v1/Services/${talk.service}/Media`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${server.account_sid}:${auth_token}`).toString('base64')}`,
      'content-type': 'image/png',
    },
    body: 'pixels',
  })
  const { sid } = (await uploaded.body.json()) as { sid: string }
  await talk.say({ MediaSid: sid })
  const { params } = await next()
  const [told, ...others] = JSON.parse(params.Media ?? '')
  expect(told).toEqual({ Sid: sid, Filename: null, ContentType: 'image/png', Size: 6, Url: expect.any(String) })
  expect(others).toEqual([])
  // A carrier has no credentials, and comes hours later.
  await server.advance('PT23H')
  const fetched = await request(told.Url)
  expect([fetched.statusCode, await fetched.body.text()]).toEqual([200, 'pixels'])
  await server.advance('PT2H')
  expect((await request(told.Url)).statusCode).toBe(403)
  expect(params).not.toHaveProperty('Body')
  const ContentSid = `HX${'1'.repeat(32)}`
  const template = { types: { 'twilio/text': { body: 'Hello {{1}}' } } }
  await server.admin('PUT', `/accounts/${server.account_sid}/contents/${ContentSid}`, template)
  await talk.say({ ContentSid, ContentVariables: '{"1":"Ada"}' })
  expect((await next()).params).toMatchObject({
    ...{ ContentSid, ContentVariables: '{"1":"Ada"}', Body: 'Hello Ada' },
  })
})

test('the official client reads receipts in both families', async () => {
  const { sid } = await server.sdk.conversations.v1.conversations.create({})
  const talk = server.sdk.conversations.v1.conversations(sid)
  const proxy = number()
  await setKind(proxy, 'loopback')
  const address = { 'messagingBinding.address': number(), 'messagingBinding.proxyAddress': proxy }
  const member = await talk.participants.create(address)
  const message = await talk.messages.create({ body: 'Hello' })
  await expect.poll(async () => (await talk.messages(message.sid).fetch()).delivery).toMatchObject({ delivered: 'all' })
  const service = (await talk.fetch()).chatServiceSid
  const inService = server.sdk.conversations.v1.services(service).conversations(sid)
  const families = [
    { list: () => talk.messages(message.sid).deliveryReceipts.list(), of: talk.messages(message.sid).deliveryReceipts },
    { list: () => inService.messages(message.sid).deliveryReceipts.list(), of: inService.messages(message.sid).deliveryReceipts },
  ]
  for (const { list, of } of families) {
    const [receipt, ...others] = await list()
    expect(others).toEqual([])
    expect(receipt).toMatchObject({ status: 'delivered', errorCode: 0, participantSid: member.sid, messageSid: message.sid })
    expect((await of(receipt?.sid ?? '').fetch()).channelMessageSid).toBe(receipt?.channelMessageSid)
  }
  const { status } = await server.call('GET', `/v1/Conversations/${sid}/Messages/${message.sid}/Receipts/DY${'0'.repeat(32)}`)
  expect(status).toBe(404)
})

test('a message removed while its endpoint was down is not sent any more; a farewell outlives its conversation', async () => {
  let up = false
  const { proxy, next, all } = await channel(() => ({ status: up ? 200 : 503 }))
  const talk = await conversation()
  const member = await talk.join(proxy)
  const message = await talk.say({ Body: 'Oops' })
  await next()
  await server.call('DELETE', message.path)
  up = true
  await server.advance('PT1S')
  const finished = async () => (await server.admin('GET', `/deliveries?conversation_sid=${talk.sid}`)).deliveries[0]
  await expect.poll(async () => (await finished()).status).toBe('failed')
  expect((await finished()).attempts.at(-1)).toMatchObject({ status: null, error: 'the message was removed before it was sent' })
  expect(all()).toHaveLength(1)

  up = false
  await talk.say({ Body: 'Goodbye' })
  await next()
  await server.call('DELETE', `${talk.path}/Participants/${member.sid}`)
  await server.call('DELETE', talk.path)
  up = true
  await server.advance('PT1S')
  expect((await next()).params.Body).toBe('Goodbye')
  await expect.poll(async () => (await finished()).status).toBe('delivered')
  expect(talk.told()).toEqual([])
})

test('the receipt of a participant who has left since is made all the same, that of a deleted service is not', async () => {
  const answer = Promise.withResolvers<void>()
  const { proxy, next } = await channel(() => ({ delayUntil: answer.promise }))
  const talk = await conversation()
  const gone = await conversation()
  const member = await talk.join(proxy)
  await gone.join(proxy)
  const message = await talk.say()
  await gone.say()
  await next()
  await next()
  await server.call('DELETE', `${talk.path}/Participants/${member.sid}`)
  await server.call('DELETE', `/v1/Services/${gone.service}`)
  answer.resolve()
  await settled(message.path, ['sent'])
  expect(await receiptsOf(message.path)).toEqual([expect.objectContaining({ participant_sid: member.sid })])
  const log = () => server.admin('GET', `/deliveries?conversation_sid=${gone.sid}`)
  await expect.poll(async () => (await log()).deliveries[0].status).toBe('delivered')
  expect(gone.told()).toEqual([])
})

test('what was not handed over before a restart is handed over after it', async () => {
  await using database = await newDatabase()
  let up = false
  const before = await startServer(database.config)
  const { proxy, next } = await channel(
    () => (up ? json({ sid: channelSid('9'), status: 'delivered' }) : { status: 503 }),
    before,
  )
  const talk = await conversation(before)
  await talk.join(proxy)
  const message = await talk.say()
  const first = await next()
  await before.stop()
  up = true
  await using after = await startServer(database.config)
  const again = await next()
  expect(again.params).toEqual({ ...first.params, RetryCount: '1' })
  expect(again.headers['i-twilio-idempotency-token']).toBe(first.headers['i-twilio-idempotency-token'])
  await settled(message.path, ['delivered'], after)
  expect((await receiptsOf(message.path, after))[0].channel_message_sid).toBe(channelSid('9'))
  expect([(await talk.next()).params.Status, (await talk.next()).params.Status]).toEqual(['sent', 'delivered'])
})

test('a message that was pending for too long, or dropped by the operator, has failed, and its receipt says so', async () => {
  await using database = await newDatabase()
  const config = { ...database.config, deliveryMaxAgeHours: 1 }
  let on = await startServer(config)
  const room = await conversation(on)
  const { proxy } = await channel(() => ({ status: 503 }), on)
  const { sid: participant_sid } = await room.join(proxy)
  const old = await room.say()
  const hasTried = async () => (await on.admin('GET', '/deliveries?status=pending')).deliveries[0]?.attempts.length > 0
  await expect.poll(hasTried).toBe(true)
  await on.stop()
  {
    await using inside = inspect(database.config)
    await inside.query(`update deliveries set date_created = date_created - 3700000 where kind = 'message'`)
  }

  on = await startServer(config)
  const failed = { participant_sid, status: 'failed', error_code: 30008 }
  await expect.poll(() => receiptsOf(old.path, on)).toMatchObject([failed])
  const { deliveries } = await on.admin('GET', '/deliveries?status=failed')
  expect(deliveries[0].attempts.at(-1).error).toBe('pending for too long')

  const { sid: message_sid } = (await on.call('POST', `${room.path}/Messages`, { Body: 'Hello' })).body
  const dropped = `${room.path}/Messages/${message_sid}`
  await expect.poll(hasTried).toBe(true)
  expect(await receiptsOf(dropped, on)).toEqual([])
  const [pending] = (await on.admin('GET', '/deliveries?status=pending')).deliveries
  expect(await on.admin('DELETE', `/deliveries?target_sid=${pending.target_sid}`)).toEqual({ dropped: 1 })
  expect(await receiptsOf(dropped, on)).toMatchObject([failed])
  await on.stop()
})

test('an endpoint at a private address is not called where webhooks may not go there', async () => {
  const strict = await startServer({ webhookAllowPrivate: false })
  try {
    const { proxy, all } = await channel(() => ({}), strict)
    const { sid } = (await strict.call('POST', '/v1/Conversations', {})).body
    const path = `/v1/Conversations/${sid}`
    const form = { 'MessagingBinding.Address': number(), 'MessagingBinding.ProxyAddress': proxy }
    await strict.call('POST', `${path}/Participants`, form)
    const message = (await strict.call('POST', `${path}/Messages`, { Body: 'Hello' })).body
    await settled(`${path}/Messages/${message.sid}`, ['failed'], strict)
    expect(all()).toEqual([])
  } finally {
    await strict.stop()
  }
})
