import { expect } from 'vitest'
import { ask } from '../support/admin.ts'
import { autoCreate, conversationOver, settled } from '../support/channel.ts'
import { test as base } from '../support/fixtures.ts'
import { startServer } from '../support/server.ts'
import type { Tenant } from '../support/tenant.ts'
import { type Carrier, type CarrierMessage, startCarrier } from '../support/twilio-carrier.ts'

const account_sid = `AC${'5'.repeat(32)}`
const auth_token = 'token-of-the-carriers-account'
const [ours, theirs, other] = ['+15557654321', '+15551234567', '+15552222222'] as const
const instant = expect.any(String)

const test = base.extend('carrier', { scope: 'file' }, async ({ server: _ }, { onCleanup }) => {
  const carrier = await startCarrier({ account_sid, auth_token })
  onCleanup(() => carrier[Symbol.asyncDispose]())
  return carrier
})

/** A number of the tenant's at the carrier; returns where the carrier calls Parley. */
async function connect(tenant: Tenant, carrier: Carrier, address: string = ours, more: object = {}): Promise<string> {
  const path = `/accounts/${tenant.account_sid}/channels/${encodeURIComponent(address)}`
  const settings = { account_sid, auth_token, base_url: carrier.url, ...more }
  const { status, body } = await ask(tenant, 'PUT', path, { kind: 'twilio', settings })
  expect([status, body]).toMatchObject([200, { kind: 'twilio', proxy_address: address }])
  return `${tenant.url}/channels/${body.sid}`
}

const conversation = (tenant: Tenant, address: string = theirs, proxy: string = ours) => conversationOver(tenant, proxy, address)

/** What the carrier has got for a text: the file shares it. */
async function sent(carrier: Carrier, text: string): Promise<CarrierMessage> {
  const find = () => carrier.messages.find(({ params }) => params.some(([name, value]) => name === 'Body' && value === text))
  await expect.poll(find).toBeDefined()
  return find() ?? expect.fail('no message')
}

test('a message goes out by the carrier, whose statuses become receipts', async ({ tenant, carrier }) => {
  const hook = await connect(tenant, carrier)
  const { say } = await conversation(tenant)
  const path = await say({ Body: 'Is it there?' })
  const message = await sent(carrier, 'Is it there?')
  expect(Object.fromEntries(message.params)).toEqual({ To: theirs, From: ours, Body: 'Is it there?', StatusCallback: hook })
  await settled(tenant, path, { status: 'sent', error_code: 0, channel_message_sid: message.sid })
  for (const status of ['queued', 'sending', 'sent', 'delivered', 'sent']) {
    expect((await carrier.report(message, status)).status).toBe(200)
  }
  await settled(tenant, path, { status: 'delivered' })
  expect((await carrier.report(message, 'read')).status).toBe(200)
  await settled(tenant, path, { status: 'read' })
})

test('a failure has the code of the carrier, reported at once or later', async ({ tenant, carrier }) => {
  await connect(tenant, carrier)
  const { say } = await conversation(tenant)
  const late = await say({ Body: 'later' })
  await carrier.report(await sent(carrier, 'later'), 'undelivered', { ErrorCode: '30005' })
  await settled(tenant, late, { status: 'undelivered', error_code: 30005 })
  // More than the carrier takes: the core knows without asking.
  await settled(tenant, await say({ Body: 'x'.repeat(1601) }), { status: 'failed', error_code: 21617 })
  await connect(tenant, carrier, ours, { auth_token: 'wrong' })
  await settled(tenant, await say({ Body: 'never' }), { status: 'failed', error_code: 20003 })
})

test('a status that overtakes the answer is not lost', async ({ tenant, carrier }) => {
  await connect(tenant, carrier)
  const { say } = await conversation(tenant)
  const reported = Promise.withResolvers<void>()
  carrier.delay(async (message) => {
    expect((await carrier.report(message, 'delivered')).status).toBe(200)
    reported.resolve()
  })
  const path = await say({ Body: 'quick' })
  await reported.promise
  carrier.delay(undefined)
  await settled(tenant, path, { status: 'delivered' })
})

test('media go out by a link that needs no credentials', async ({ tenant, carrier }) => {
  await connect(tenant, carrier)
  const { say } = await conversation(tenant)
  const { default_chat_service_sid } = (await tenant.call('GET', '/v1/Configuration')).body
  const upload = await fetch(`${tenant.url}/v1/Services/${default_chat_service_sid}/Media`, {
    method: 'POST',
    headers: {
      authorization: `Basic ${Buffer.from(`${tenant.account_sid}:${tenant.auth_token}`).toString('base64')}`,
      'content-type': 'image/png',
    },
    body: 'a picture',
  })
  const { sid } = (await upload.json()) as { sid: string }
  await say({ Body: 'with a picture', MediaSid: sid })
  const { params } = await sent(carrier, 'with a picture')
  const url = params.find(([name]) => name === 'MediaUrl')?.[1] ?? ''
  const fetched = await fetch(url)
  expect([fetched.status, fetched.headers.get('content-type'), await fetched.text()]).toEqual([200, 'image/png', 'a picture'])
})

test('who writes for the first time gets a conversation, with their name, and the same message comes once', async ({
  tenant,
  carrier,
}) => {
  const hook = await connect(tenant, carrier)
  await autoCreate(tenant, ours, 'sms')
  const params = carrier.inbound(theirs, ours, { Body: 'Hello', ProfileName: 'Ann', WaId: '15551234567' })
  for (const method of ['POST', 'POST', 'GET']) {
    const response = await carrier.call(hook, params, { method })
    expect([response.status, response.headers.get('content-type'), await response.text()]).toEqual([
      200,
      expect.stringContaining('text/xml'),
      expect.stringContaining('<Response/>'),
    ])
  }
  await carrier.call(hook, carrier.inbound(theirs, ours, { Body: 'Anybody?' }))
  const { conversations } = (await tenant.call('GET', '/v1/Conversations')).body
  expect(conversations).toHaveLength(1)
  const path = `/v1/Conversations/${conversations[0].sid}/Messages`
  const { messages } = (await tenant.call('GET', path)).body
  expect(messages).toMatchObject([{ author: theirs, body: 'Hello' }, { body: 'Anybody?' }])
  expect(
    (await tenant.call('GET', `${path}/${messages[0].sid}/ChannelMetadata`, undefined, { check: false })).body,
  ).toMatchObject({
    type: 'sms',
    data: { context: { ProfileName: 'Ann', WaId: '15551234567' } },
  })
})

test('many copies of one webhook at the same time are one message', async ({ tenant, carrier }) => {
  const hook = await connect(tenant, carrier)
  const { messages } = await conversation(tenant)
  const params = carrier.inbound(theirs, ours, { Body: 'once' })
  const responses = await Promise.all(Array.from({ length: 8 }, () => carrier.call(hook, params)))
  expect(responses.map(({ status }) => status)).toEqual(responses.map(() => 200))
  expect(await messages()).toMatchObject([{ body: 'once' }])
})

test('the media of a message are stored', async ({ tenant, carrier }) => {
  const hook = await connect(tenant, carrier)
  const { messages } = await conversation(tenant)
  const bytes = Buffer.from('a picture of a cat')
  const media = { NumMedia: '1', MediaUrl0: carrier.keep(bytes, 'image/jpeg'), MediaContentType0: 'image/jpeg' }
  expect((await carrier.call(hook, carrier.inbound(theirs, ours, { Body: 'Look', ...media }))).status).toBe(200)
  expect(await messages()).toMatchObject([{ body: 'Look', media: [{ content_type: 'image/jpeg', size: bytes.length }] }])
})

test('a group MMS finds its conversation from each of its members', async ({ tenant, carrier }) => {
  const hook = await connect(tenant, carrier)
  await autoCreate(tenant, ours, 'sms')
  await carrier.call(hook, carrier.inbound(theirs, ours, { Body: 'All here?', OtherRecipients0: other }))
  await carrier.call(hook, carrier.inbound(other, ours, { Body: 'Yes', OtherRecipients0: theirs }))
  const { conversations } = (await tenant.call('GET', '/v1/Conversations')).body
  expect(conversations).toHaveLength(1)
  const path = `/v1/Conversations/${conversations[0].sid}`
  const { participants } = (await tenant.call('GET', `${path}/Participants`)).body
  const bindings = participants.map(
    ({ messaging_binding: { address, projected_address } }: { messaging_binding: Record<string, string> }) =>
      address ?? projected_address,
  )
  expect(bindings.toSorted()).toEqual([theirs, other, ours].toSorted())
  expect((await tenant.call('GET', `${path}/Messages`)).body.messages).toMatchObject([
    { author: theirs },
    { author: other, body: 'Yes' },
  ])
  await tenant.call('POST', `${path}/Messages`, { Author: ours, Body: 'To all of you' })
  const reached = () =>
    carrier.messages.map(({ params }) => Object.fromEntries(params)).filter(({ Body }) => Body === 'To all of you')
  await expect
    .poll(() => reached().map(({ From, To }) => [From, To]))
    .toEqual([
      [ours, theirs],
      [ours, other],
    ])
})

test('a WhatsApp number at the carrier, whose read status moves the read horizon', async ({ tenant, carrier }) => {
  const [number, person] = [`whatsapp:${ours}`, `whatsapp:${theirs}`]
  await connect(tenant, carrier, number)
  const { path, say } = await conversation(tenant, person, number)
  await say({ Body: 'read this' })
  const message = await sent(carrier, 'read this')
  expect(Object.fromEntries(message.params)).toMatchObject({ To: person, From: number })
  await expect.poll(async () => (await carrier.report(message, 'read')).status).toBe(200)
  const horizon = async () => (await tenant.call('GET', `${path}/Participants`)).body.participants[0].last_read_message_index
  await expect.poll(horizon).toBe(0)
})

test('refuses webhooks that the carrier has not signed, and leaves nothing behind', async ({ tenant, carrier }) => {
  const hook = await connect(tenant, carrier)
  const { messages } = await conversation(tenant)
  const params = carrier.inbound(theirs, ours, { Body: 'forged' })
  expect((await carrier.call(hook, params, { token: 'another' })).status).toBe(403)
  expect((await carrier.call(hook, params, { token: 'another', method: 'GET' })).status).toBe(403)
  const unsigned: RequestInit[] = [
    { method: 'POST', body: new URLSearchParams(params) },
    { method: 'POST', body: JSON.stringify(params), headers: { 'content-type': 'application/json' } },
    { method: 'POST' },
    { method: 'GET' },
    { method: 'POST', body: 'a=1&'.repeat(100_000), headers: { 'content-type': 'application/x-www-form-urlencoded' } },
    { method: 'POST', body: '%', headers: { 'x-twilio-signature': 'x', 'content-type': 'application/x-www-form-urlencoded' } },
  ]
  for (const request of unsigned) expect((await fetch(hook, request)).status).toBe(403)
  const giant = await fetch(hook, { method: 'POST', body: Buffer.alloc(30_000_000, 'x') }).then(
    ({ status }) => status,
    () => 413,
  )
  expect(giant).toBe(413)
  for (const path of [`CN${'0'.repeat(32)}`, 'CN1', '..%2f', '%00']) {
    expect((await carrier.call(`${tenant.url}/channels/${path}`, params)).status).toBe(404)
  }
  expect(await messages()).toEqual([])
})

test('behind a proxy the public URL counts, which the carrier calls', async ({ carrier }) => {
  await using server = await startServer({ publicUrl: 'https://chat.example.com' })
  const hook = await connect(server, carrier)
  const { say, messages } = await conversation(server)
  const path = await say({ Body: 'by the proxy' })
  const message = await sent(carrier, 'by the proxy')
  const callback = Object.fromEntries(message.params).StatusCallback ?? ''
  expect(callback).toMatch(/^https:\/\/chat\.example\.com\/channels\/CN/)
  const by = { via: hook }
  for (const url of [callback, callback.replace('.com', '.com:443')]) {
    expect((await carrier.call(url, carrier.inbound(theirs, ours, { Body: url }), by)).status).toBe(200)
    expect((await carrier.call(url, carrier.inbound(theirs, ours, { Body: url }), { ...by, method: 'GET' })).status).toBe(200)
  }
  expect((await carrier.call(hook, carrier.inbound(theirs, ours, { Body: 'x' }))).status).toBe(403)
  expect(await messages()).toHaveLength(5)
  await carrier.call(callback, { MessageSid: message.sid, MessageStatus: 'delivered' }, by)
  await settled(server, path, { status: 'delivered' })
})

test('odd messages that the carrier has signed are no failure of the server', async ({ tenant, carrier }) => {
  const hook = await connect(tenant, carrier)
  const { messages } = await conversation(tenant)
  const odd: Record<string, string>[] = [
    {},
    { MessageSid: 'SM1' },
    { MessageSid: 'unknown', MessageStatus: 'delivered' },
    { MessageSid: 'x'.repeat(300), MessageStatus: 'delivered' },
    carrier.inbound('MYBANK', ours, { Body: 'from a name' }),
    carrier.inbound('12345', ours, { Body: 'from a short code' }),
    carrier.inbound(theirs, 'nobody', { Body: 'x' }),
    carrier.inbound('+15550001111', ours, { Body: 'no conversation and none is made' }),
    { ...carrier.inbound(theirs, ours, { Body: 'long id' }), MessageSid: 'x'.repeat(300) },
    carrier.inbound(theirs, ours, { NumMedia: '1', MediaUrl0: 'http://127.0.0.1:1/gone', MediaContentType0: 'nonsense' }),
  ]
  for (const params of odd) {
    const { status } = await carrier.call(hook, params)
    expect(status < 500 || status === 503, JSON.stringify(params)).toBe(true)
  }
  await carrier.call(hook, carrier.inbound(theirs, ours, { Body: 'NUL \0 and half \ud83d' }))
  await carrier.call(hook, carrier.inbound(theirs, ours, { Body: '' }))
  await carrier.call(hook, carrier.inbound(theirs, ours, { Body: 'still there' }))
  const bodies = (await messages()).map(({ body }: { body: string | null }) => body)
  expect(bodies.at(-1)).toBe('still there')
  expect(bodies).toContainEqual(expect.stringContaining('and half'))
})

test('a text that no body holds is cut, and comes as a file besides', async ({ tenant, carrier }) => {
  const hook = await connect(tenant, carrier)
  const { messages } = await conversation(tenant)
  const texts = ['x'.repeat(40_000), 'é'.repeat(20_000), '€'.repeat(11_000), `x${'😀'.repeat(9000)}`]
  for (const Body of texts) expect((await carrier.call(hook, carrier.inbound(theirs, ours, { Body }))).status).toBe(200)
  const stored = await messages()
  expect(stored.map(({ body }: { body: string }) => body)).toEqual([
    'x'.repeat(32_768),
    'é'.repeat(16_384),
    '€'.repeat(10_922),
    `x${'😀'.repeat(8191)}`,
  ])
  expect(stored.map(({ media }: { media: object[] }) => media)).toMatchObject(
    texts.map((text) => [{ filename: 'message.txt', content_type: 'text/plain', size: Buffer.byteLength(text) }]),
  )
})

test('secrets are neither shown nor lost when the settings change', async ({ tenant, carrier }) => {
  await connect(tenant, carrier)
  const root = `/accounts/${tenant.account_sid}/channels`
  const { channels } = (await ask(tenant, 'GET', root)).body
  expect(JSON.stringify(channels)).not.toContain(auth_token)
  expect(channels).toMatchObject([
    { settings: { account_sid, base_url: expect.stringContaining(carrier.url) }, date_created: instant },
  ])
  const { settings } = channels[0]
  const path = `${root}/${encodeURIComponent(ours)}`
  expect((await ask(tenant, 'PUT', path, { kind: 'twilio', settings })).status).toBe(200)
  expect(await tenant.admin('POST', `${path}/check`)).toEqual({ ok: true, says: 'The account is active.' })
  for (const wrong of [
    {},
    { account_sid },
    { ...settings, auth_token: 7 },
    { ...settings, extra: 1 },
    { ...settings, api_key_sid: 'SK1' },
  ]) {
    const refused = await ask(tenant, 'PUT', path, { kind: 'twilio', settings: wrong })
    expect([refused.status, refused.body.error]).toEqual([400, expect.any(String)])
  }
  const mail = await ask(tenant, 'PUT', `${root}/a@example.com`, { kind: 'twilio', settings })
  expect(mail.status).toBe(400)
})
