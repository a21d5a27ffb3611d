import { expect } from 'vitest'
import { ask } from '../support/admin.ts'
import { autoCreate, conversationOver, receiptsOf, settled } from '../support/channel.ts'
import { connected, opened } from '../support/client.ts'
import { test as base } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'
import { became, type CloudMessage, said, startWhatsAppCloud, type WhatsAppCloud } from '../support/whatsapp-cloud.ts'

const secrets = { access_token: 'EAAJB-token', app_secret: 'app-secret-of-tests', verify_token: 'verify-me' }
const [first_id, second_id] = ['106540352242922', '106540352242923'] as const
const [first, second, theirs] = ['whatsapp:+15550783881', 'whatsapp:+15550783882', 'whatsapp:+16505551234'] as const
const from = '16505551234'
const template_sid = `HX${'1'.repeat(32)}`

const test = base.extend('cloud', { scope: 'file' }, async ({ server: _ }, { onCleanup }) => {
  const cloud = await startWhatsAppCloud({
    ...secrets,
    numbers: { [first_id]: '+1 555-078-3881', [second_id]: '+1 555-078-3882' },
  })
  onCleanup(() => cloud[Symbol.asyncDispose]())
  return cloud
})

/** A number of the tenant's at Meta; returns where Meta calls Parley. */
async function connect(
  tenant: Tenant,
  cloud: WhatsAppCloud,
  address: string = first,
  phone_number_id: string = first_id,
  more: object = {},
): Promise<string> {
  const path = `/accounts/${tenant.account_sid}/channels/${encodeURIComponent(address)}`
  const settings = { phone_number_id, ...secrets, base_url: cloud.url, ...more }
  const { status, body } = await ask(tenant, 'PUT', path, { kind: 'whatsapp', settings })
  expect([status, body]).toMatchObject([200, { kind: 'whatsapp' }])
  return `${tenant.url}/channels/${body.sid}`
}

const conversation = (tenant: Tenant, proxy: string = first, address: string = theirs) => conversationOver(tenant, proxy, address)

async function sent(cloud: WhatsAppCloud, text: string): Promise<CloudMessage> {
  const find = () => cloud.messages.find((message) => message.text?.body === text)
  await expect.poll(find).toBeDefined()
  return find() ?? expect.fail('no message')
}

const contacts = [{ profile: { name: 'Sheena' }, wa_id: from }]

test('a message goes out, and its statuses come batched and in any order', async ({ tenant, cloud }) => {
  const hook = await connect(tenant, cloud)
  const { path, say } = await conversation(tenant)
  const [one, two] = [await say({ Body: 'first' }), await say({ Body: 'second' })]
  const ids = [(await sent(cloud, 'first')).id, (await sent(cloud, 'second')).id] as const
  const statuses = [became(ids[0], 'read'), became(ids[0], 'delivered'), became(ids[1], 'delivered'), became(ids[0], 'sent')]
  expect((await cloud.notify(hook, first_id, { statuses }, { statuses: [became('wamid.unknown', 'read')] })).status).toBe(200)
  await settled(tenant, one, { status: 'read' })
  await settled(tenant, two, { status: 'delivered' })
  const horizon = async () => (await tenant.call('GET', `${path}/Participants`)).body.participants[0].last_read_message_index
  await expect.poll(horizon).toBe(0)
})

test('outside the 24 hours the receipt says so, and only a template gets through', async ({ tenant, cloud }) => {
  const templates = JSON.stringify({ [template_sid]: { name: 'order_update', language: 'en_US' } })
  const hook = await connect(tenant, cloud, first, first_id, { templates })
  const { say } = await conversation(tenant)
  const late = await say({ Body: 'too late' })
  const error = { code: 131047, title: 'Re-engagement message' }
  await cloud.notify(hook, first_id, { statuses: [became((await sent(cloud, 'too late')).id, 'failed', error)] })
  await settled(tenant, late, { status: 'failed', error_code: 131047 })
  cloud.script(() => ({ status: 400, body: { error: { ...error, message: '(#131047) Re-engagement message' } } }))
  await settled(tenant, await say({ Body: 'refused at once' }), { status: 'failed', error_code: 131047 })
  cloud.script(undefined)
  const types = { 'twilio/text': { body: 'Hello {{1}}' } }
  await ask(tenant, 'PUT', `/accounts/${tenant.account_sid}/contents/${template_sid}`, { types })
  const again = await say({ ContentSid: template_sid, ContentVariables: '{"1":"Ann"}' })
  await settled(tenant, again, { status: 'sent' })
  expect(cloud.messages.at(-1)).toMatchObject({
    type: 'template',
    template: { name: 'order_update', components: [{ type: 'body', parameters: [{ type: 'text', text: 'Ann' }] }] },
  })
})

test('a failure that turns out to have been delivered is delivered', async ({ tenant, cloud }) => {
  const hook = await connect(tenant, cloud)
  const { say } = await conversation(tenant)
  const path = await say({ Body: 'failed, then not' })
  const { id } = await sent(cloud, 'failed, then not')
  await cloud.notify(hook, first_id, { statuses: [became(id, 'failed', { code: 131026, title: 'Undeliverable' })] })
  await settled(tenant, path, { status: 'failed', error_code: 131026 })
  await cloud.notify(hook, first_id, { statuses: [became(id, 'delivered')] })
  await settled(tenant, path, { status: 'delivered', error_code: 0 })
})

test('the URL is verified by the verify token alone', async ({ tenant, cloud }) => {
  const hook = await connect(tenant, cloud)
  const ok = await fetch(`${hook}?hub.mode=subscribe&hub.verify_token=${secrets.verify_token}&hub.challenge=1158201444`)
  expect([ok.status, await ok.text()]).toEqual([200, '1158201444'])
  const wrong = await fetch(`${hook}?hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1158201444`)
  expect([wrong.status, await wrong.text()]).toEqual([403, expect.not.stringContaining('1158201444')])
})

test('messages and files come in, once each', async ({ tenant, cloud }) => {
  const hook = await connect(tenant, cloud)
  await autoCreate(tenant, first, 'whatsapp')
  const picture = Buffer.from('a picture')
  const image = { id: cloud.keep(picture, 'image/jpeg'), mime_type: 'image/jpeg', caption: 'Look' }
  const place = { latitude: 48.1, longitude: 11.5, name: 'Office' }
  const messages = [said(from, 'text', { body: 'Hi' }), said(from, 'image', image), said(from, 'location', place)]
  for (let i = 0; i < 2; i++) expect((await cloud.notify(hook, first_id, { contacts, messages })).status).toBe(200)
  const { conversations } = (await tenant.call('GET', '/v1/Conversations')).body
  expect(conversations).toHaveLength(1)
  const path = `/v1/Conversations/${conversations[0].sid}/Messages`
  const stored = (await tenant.call('GET', path)).body.messages
  expect(stored).toMatchObject([
    { author: theirs, body: 'Hi', media: null },
    { body: 'Look', media: [{ content_type: 'image/jpeg', size: picture.length }] },
    { body: 'Office\n48.1, 11.5' },
  ])
  expect((await tenant.call('GET', `${path}/${stored[2].sid}/ChannelMetadata`, undefined, { check: false })).body).toMatchObject({
    type: 'whatsapp',
    data: { context: { ProfileName: 'Sheena', WaId: from }, message: { type: 'location', location: place } },
  })
})

test('one URL serves all numbers of an app: messages and statuses find theirs', async ({ tenant, cloud }) => {
  const hook = await connect(tenant, cloud)
  await connect(tenant, cloud, second, second_id)
  const [one, two] = [await conversation(tenant, first), await conversation(tenant, second)]
  await cloud.notify(hook, first_id, { contacts, messages: [said(from, 'text', { body: 'to the first' })] })
  await cloud.notify(hook, second_id, { contacts, messages: [said(from, 'text', { body: 'to the second' })] })
  expect(await one.messages()).toMatchObject([{ body: 'to the first' }])
  expect(await two.messages()).toMatchObject([{ body: 'to the second' }])
  const path = await two.say({ Body: 'by the second' })
  const { id, phone_number_id } = await sent(cloud, 'by the second')
  expect(phone_number_id).toBe(second_id)
  await settled(tenant, path, { status: 'sent' })
  expect((await cloud.notify(hook, second_id, { statuses: [became(id, 'delivered')] })).status).toBe(200)
  await settled(tenant, path, { status: 'delivered' })
  // A number that has no channel, and one that nobody has told of.
  expect((await cloud.notify(hook, '999', { messages: [said(from, 'text', { body: 'x' })] })).status).toBe(200)
})

test('the numbers of another account cannot be reached over the URL of this one', async ({ tenant, server, cloud }) => {
  const hook = await connect(tenant, cloud)
  const { newTenant } = await import('../support/tenant.ts')
  const stranger = await newTenant(server)
  await connect(stranger, cloud, second, second_id)
  const { messages, say } = await conversation(stranger, second)
  await cloud.notify(hook, second_id, { contacts, messages: [said(from, 'text', { body: 'across' })] })
  expect(await messages()).toEqual([])
  const path = await say({ Body: 'of the stranger' })
  const { id } = await sent(cloud, 'of the stranger')
  await settled(stranger, path, { status: 'sent' })
  await cloud.notify(hook, second_id, { statuses: [became(id, 'failed', { code: 131026, title: 'x' })] })
  expect(await receiptsOf(stranger, path)).toMatchObject([{ status: 'sent' }])
})

test('refuses webhooks that Meta has not signed, and odd ones are no failure of the server', async ({ tenant, cloud }) => {
  const hook = await connect(tenant, cloud)
  const { messages } = await conversation(tenant)
  const body = JSON.stringify({
    entry: [{ changes: [{ field: 'messages', value: { metadata: { phone_number_id: first_id } } }] }],
  })
  expect((await cloud.postRaw(hook, body, 'another secret')).status).toBe(403)
  expect((await fetch(hook, { method: 'POST', body })).status).toBe(403)
  const giant = await cloud.postRaw(hook, `"${'x'.repeat(30_000_000)}"`).then(
    ({ status }) => status,
    () => 413,
  )
  expect(giant).toBe(413)
  for (const odd of ['', '[]', '{', '7', '{"entry":7}', '{"entry":[null,{"changes":[{"field":"messages","value":{}}]}]}']) {
    expect([200, 400]).toContain((await cloud.postRaw(hook, odd)).status)
  }
  const strange = [
    said('', 'text', { body: 'nobody' }),
    said('not a number!', 'text', { body: 'x' }),
    { ...said(from, 'text', { body: 'long id' }), id: 'x'.repeat(300) },
    { from, type: 'text' },
    said(from, 'text', { body: 'NUL \0 and half \ud83d' }),
    said(from, 'text', { body: 'x'.repeat(100_000) }),
  ]
  for (const message of strange) {
    const { status } = await cloud.notify(hook, first_id, { messages: [message] })
    expect(status, JSON.stringify(message).slice(0, 100)).toBe(200)
  }
  await cloud.notify(hook, first_id, { messages: [said(from, 'text', { body: 'still there' })] })
  const bodies = (await messages()).map((message: { body: string }) => message.body)
  expect(bodies.at(-1)).toBe('still there')
  expect(bodies).toContainEqual(expect.stringContaining('and half'))
  expect(bodies).toContainEqual(expect.stringMatching(/^x{10000}/))
})

test('when somebody inside types or reads in the official client, the sender sees it', async ({ tenant, cloud }) => {
  const hook = await connect(tenant, cloud)
  const { path } = await conversation(tenant)
  await tenant.call('POST', `${path}/Participants`, { Identity: 'agent' })
  const messages = [said(from, 'text', { body: 'one' }), said(from, 'text', { body: 'two' })] as const
  await cloud.notify(hook, first_id, { contacts, messages })
  const marksOf = (id: string) => cloud.marks.filter((mark) => mark.message_id === id)
  const client = await opened(await connected(tenant, 'agent'), path.split('/').at(-1) ?? '')
  await client.typing()
  await expect.poll(() => marksOf(messages[1].id)).toMatchObject([{ status: 'read', typing_indicator: { type: 'text' } }])
  await client.updateLastReadMessageIndex(0)
  await expect.poll(() => marksOf(messages[0].id)).toMatchObject([{ status: 'read', phone_number_id: first_id }])
  await client.setAllMessagesRead()
  await expect.poll(() => marksOf(messages[1].id)).toHaveLength(2)
  expect(marksOf(messages[1].id)[1]).not.toHaveProperty('typing_indicator')
})
