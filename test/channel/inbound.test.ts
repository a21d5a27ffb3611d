import { request } from 'undici'
import { afterAll, expect } from 'vitest'
import { checkAdminAnswer } from '../support/admin-contract.ts'
import { test } from '../support/fixtures.ts'
import { adminToken, auth_token, type TestServer } from '../support/server.ts'
import type { Credentials } from '../support/tenant.ts'
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

const number = () => `+1666${String(++numbers).padStart(7, '0')}`
const at = (path: string) => (caught: Caught) => caught.path === path
const instant = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
const sid = (prefix: string) => expect.stringMatching(new RegExp(`^${prefix}[0-9a-f]{32}$`))

interface Received {
  account_sid: string
  service_sid: string
  conversation_sid: string
  participant_sid: string
  message_sid: string
  created: boolean
}

async function receive(body: object): Promise<{ status: number; body: Received & { error: string; code?: number } }> {
  const answer = await request(`${server.url}/admin/v1/inbound`, {
    method: 'POST',
    headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  const read = { status: answer.statusCode, body: (await answer.body.json()) as Received & { error: string } }
  checkAdminAnswer('POST', '/inbound', read.status, read.body)
  return read
}

const pre = ['onConversationAdd', 'onParticipantAdd', 'onMessageAdd']
const post = ['onConversationAdded', 'onParticipantAdded', 'onMessageAdded', 'onConversationStateUpdated']

/** A service that asks and tells at a path of its own. */
async function newService(as?: Credentials) {
  const options = as ? { as } : {}
  const service = (await server.call('POST', '/v1/Services', { FriendlyName: 'Support' }, options)).body.sid as string
  const hook = `/hook-${service}`
  await server.call(
    'POST',
    `/v1/Services/${service}/Configuration/Webhooks`,
    [
      ['PreWebhookUrl', catcher.url(hook)],
      ['PostWebhookUrl', catcher.url(hook)],
      ...[...pre, ...post].map((filter): [string, string] => ['Filters', filter]),
    ],
    options,
  )
  const all = () => catcher.requests.filter(at(hook))
  return {
    service,
    hook,
    told: () => all().map(({ params }) => params.EventType),
    params: (type: string) => all().find(({ params }) => params.EventType === type)?.params,
    next: (type: string) => catcher.next((caught) => caught.path === hook && caught.params.EventType === type),
  }
}

async function newConversation(service: string, form: Record<string, string> = {}) {
  const path = `/v1/Services/${service}/Conversations`
  const { sid } = (await server.call('POST', path, form)).body
  return { sid: sid as string, path: `${path}/${sid}` }
}

const join = async (path: string, address: string, proxy: string): Promise<string> => {
  const form = { 'MessagingBinding.Address': address, 'MessagingBinding.ProxyAddress': proxy }
  return (await server.call('POST', `${path}/Participants`, form)).body.sid
}

/** What a new pair gets: a configured address. */
async function configure(address: string, form: Record<string, string>, type = 'sms', options = {}): Promise<void> {
  const given = { Type: type, Address: address, 'AutoCreation.Enabled': 'true', ...form }
  expect((await server.call('POST', '/v1/Configuration/Addresses', given, options)).status).toBe(201)
}

const get = async (path: string) => (await server.call('GET', path)).body
const messagesOf = async (path: string) => (await get(`${path}/Messages`)).messages

test('a message goes into the open conversation of the pair, by its participant, and webhooks need no header', async () => {
  const { service, next, told } = await newService()
  const talk = await newConversation(service)
  const [from, to] = [number(), number()]
  const participant = await join(talk.path, from, to)
  const { status, body } = await receive({ from, to, body: 'Hi there', attributes: '{"a":1}' })
  expect(status).toBe(201)
  expect(body).toEqual({
    account_sid: server.account_sid,
    service_sid: service,
    conversation_sid: talk.sid,
    participant_sid: participant,
    message_sid: sid('IM'),
    created: false,
    duplicate: false,
  })
  const common = {
    AccountSid: server.account_sid,
    ChatServiceSid: service,
    ConversationSid: talk.sid,
    Source: 'SMS',
    Body: 'Hi there',
    Author: from,
    ParticipantSid: participant,
    Attributes: '{"a":1}',
    RetryCount: '0',
  }
  const asked = await next('onMessageAdd')
  expect(asked.signed).toBe(true)
  expect(asked.params).toEqual({ ...common, EventType: 'onMessageAdd' })
  expect((await next('onMessageAdded')).params).toEqual({
    ...common,
    EventType: 'onMessageAdded',
    MessageSid: body.message_sid,
    MessagingServiceSid: sid('MG'),
    Index: '0',
    DateCreated: instant,
  })
  expect(told()).toEqual(['onMessageAdd', 'onMessageAdded'])
  expect(await messagesOf(talk.path)).toEqual([
    expect.objectContaining({
      sid: body.message_sid,
      author: from,
      participant_sid: participant,
      body: 'Hi there',
      attributes: '{"a":1}',
      index: 0,
      delivery: null,
    }),
  ])
})

test('others on a channel get it by theirs, the sender does not, whoever is called the author', async () => {
  const { service, hook } = await newService()
  const talk = await newConversation(service)
  const [from, to, other] = [number(), number(), number()]
  await join(talk.path, from, to)
  const relayed = await join(talk.path, other, to)
  // Somebody who only bears the number as a name is not the sender.
  await server.call('POST', `${talk.path}/Participants`, { Identity: from })
  replies.set(hook, ({ params }) => (params.Body === 'Anonymous' ? { body: '{"author":"somebody"}' } : {}))
  for (const body of ['Hello', 'Anonymous']) {
    const received = (await receive({ from, to, body })).body
    const path = `${talk.path}/Messages/${received.message_sid}`
    const message = await get(path)
    expect(message.delivery.total).toBe(1)
    expect(message.participant_sid).toBe(body === 'Anonymous' ? null : received.participant_sid)
    await expect.poll(async () => (await get(`${path}/Receipts`)).delivery_receipts.length).toBe(1)
    expect((await get(`${path}/Receipts`)).delivery_receipts[0].participant_sid).toBe(relayed)
  }
})

test('a message wakes an inactive conversation and counts its deadlines anew', async () => {
  const { service, next, told } = await newService()
  const talk = await newConversation(service, { 'Timers.Inactive': 'PT1M', 'Timers.Closed': 'PT20M' })
  const [from, to] = [number(), number()]
  await join(talk.path, from, to)
  await server.advance('PT10M')
  expect(await get(talk.path)).toMatchObject({ state: 'inactive' })
  expect((await receive({ from, to, body: 'Still there?' })).body.conversation_sid).toBe(talk.sid)
  expect(await get(talk.path)).toMatchObject({ state: 'active', timers: { date_inactive: expect.any(String) } })
  await next('onConversationStateUpdated')
  const { params } = await next('onConversationStateUpdated')
  expect(params).toMatchObject({ StateFrom: 'inactive', StateTo: 'active', Reason: 'EVENT' })
  expect(params).not.toHaveProperty('Source')
  expect(told()).toEqual(['onConversationStateUpdated', 'onMessageAdd', 'onMessageAdded', 'onConversationStateUpdated'])
  await server.advance('PT19M')
  expect(await get(talk.path)).toMatchObject({ state: 'inactive' })
})

test('a webhook may amend a message, or refuse it: then nothing is stored', async () => {
  const { service, hook, told, next } = await newService()
  const talk = await newConversation(service)
  const [from, to] = [number(), number()]
  await join(talk.path, from, to)
  replies.set(hook, ({ params }) => (params.Body === 'spam' ? { status: 403 } : { body: '{"body":"amended"}' }))
  expect(await receive({ from, to, body: 'spam' })).toEqual({
    status: 403,
    body: { error: 'Webhook cancelled processing of command', code: 50056 },
  })
  expect(await messagesOf(talk.path)).toEqual([])
  await receive({ from, to, body: 'original' })
  expect(await messagesOf(talk.path)).toEqual([expect.objectContaining({ body: 'amended', index: 0, author: from })])
  await next('onMessageAdded')
  expect(told()).toEqual(['onMessageAdd', 'onMessageAdd', 'onMessageAdded'])
})

test('without an open conversation the configured address makes one, told in order and with exact forms', async () => {
  const { service, told, params, next } = await newService()
  const [from, to] = [`whatsapp:${number()}`, `whatsapp:${number()}`]
  await configure(to, { 'AutoCreation.ConversationServiceSid': service }, 'whatsapp')
  const { status, body } = await receive({ from, to, body: 'First', profile_name: 'Ada' })
  expect(status).toBe(201)
  expect(body).toEqual({
    account_sid: server.account_sid,
    service_sid: service,
    conversation_sid: sid('CH'),
    participant_sid: sid('MB'),
    message_sid: sid('IM'),
    created: true,
    duplicate: false,
  })
  await next('onMessageAdded')
  expect(told()).toEqual(['onConversationAdd', 'onConversationAdded', 'onParticipantAdded', 'onMessageAdded'])
  const common = {
    AccountSid: server.account_sid,
    ChatServiceSid: service,
    Source: 'WHATSAPP',
    Attributes: '{}',
    RetryCount: '0',
  }
  const ChannelMetadata = '{"type":"whatsapp","data":{"context":{"ProfileName":"Ada"}}}'
  const binding = { 'MessagingBinding.Address': from, 'MessagingBinding.ProxyAddress': to }
  const conversation = { ...common, ...binding, ChannelMetadata, MessagingServiceSid: sid('MG'), State: 'active' }
  expect(params('onConversationAdd')).toEqual({
    ...conversation,
    EventType: 'onConversationAdd',
    MessageBody: 'First',
    DateCreated: instant,
  })
  expect(params('onConversationAdded')).toEqual({
    ...conversation,
    EventType: 'onConversationAdded',
    ConversationSid: body.conversation_sid,
    DateCreated: instant,
    DateUpdated: instant,
  })
  const member = { ...common, ...binding, 'MessagingBinding.Type': 'whatsapp', ConversationSid: body.conversation_sid }
  expect(params('onParticipantAdded')).toEqual({
    ...member,
    EventType: 'onParticipantAdded',
    ParticipantSid: body.participant_sid,
    RoleSid: sid('RL'),
    DateCreated: instant,
  })
  const message = {
    ...common,
    ConversationSid: body.conversation_sid,
    Body: 'First',
    Author: from,
    ParticipantSid: body.participant_sid,
  }
  expect(params('onMessageAdded')).toEqual({
    ...message,
    EventType: 'onMessageAdded',
    ChannelMetadata,
    MessageSid: body.message_sid,
    MessagingServiceSid: sid('MG'),
    Index: '0',
    DateCreated: instant,
  })
  const path = `/v1/Services/${service}/Conversations/${body.conversation_sid}`
  expect(await get(path)).toMatchObject({ state: 'active', friendly_name: null, attributes: '{}' })
  expect((await get(`${path}/Participants`)).participants).toEqual([
    expect.objectContaining({
      sid: body.participant_sid,
      identity: null,
      messaging_binding: { type: 'whatsapp', address: from, proxy_address: to },
    }),
  ])
  expect(await messagesOf(path)).toEqual([expect.objectContaining({ body: 'First', delivery: null })])
  expect((await receive({ from, to, body: 'Second' })).body).toMatchObject({
    conversation_sid: body.conversation_sid,
    created: false,
    duplicate: false,
  })
})

test('a webhook names and describes the new conversation, or refuses it: then nothing is stored', async () => {
  const { service, hook } = await newService()
  const to = number()
  await configure(to, { 'AutoCreation.ConversationServiceSid': service })
  const listed = async () => (await get(`/v1/Services/${service}/Conversations`)).conversations
  replies.set(hook, ({ params }) => ({ status: params.EventType === 'onConversationAdd' ? 400 : 200 }))
  expect(await receive({ from: number(), to, body: 'No' })).toMatchObject({ status: 403, body: { code: 50056 } })
  expect(await listed()).toEqual([])
  replies.set(hook, ({ params }) =>
    params.EventType === 'onConversationAdd'
      ? { body: JSON.stringify({ friendly_name: params['MessagingBinding.Address'], attributes: '{"vip":true}' }) }
      : {},
  )
  const from = number()
  await receive({ from, to, body: 'Yes' })
  expect(await listed()).toEqual([expect.objectContaining({ friendly_name: from, attributes: '{"vip":true}' })])
})

test('the configured webhook or studio flow is attached, early enough to be told of the message', async () => {
  const to = number()
  const path = `/auto-${to.slice(1)}`
  await configure(to, {
    'AutoCreation.Type': 'webhook',
    'AutoCreation.WebhookUrl': catcher.url(path),
    'AutoCreation.WebhookMethod': 'GET',
    'AutoCreation.WebhookFilters': 'onMessageAdded',
  })
  const { body } = await receive({ from: number(), to, body: 'Hello' })
  const caught = await catcher.next(at(path))
  expect(caught.method).toBe('GET')
  expect(caught.params).toMatchObject({ EventType: 'onMessageAdded', MessageSid: body.message_sid, Source: 'SMS', Body: 'Hello' })
  const attached = async (conversation: string) => (await get(`/v1/Conversations/${conversation}/Webhooks`)).webhooks
  const [{ sid: WebhookSid }] = await attached(body.conversation_sid)
  expect(caught.params).toMatchObject({ WebhookSid, WebhookType: 'webhook' })
  expect(await attached(body.conversation_sid)).toEqual([
    expect.objectContaining({
      target: 'webhook',
      configuration: { url: catcher.url(path), method: 'get', filters: ['onMessageAdded'] },
    }),
  ])

  const flow = `FW${'1'.repeat(32)}`
  const studio = number()
  await configure(studio, { 'AutoCreation.Type': 'studio', 'AutoCreation.StudioFlowSid': flow })
  const second = (await receive({ from: number(), to: studio, body: 'Hello' })).body
  expect(await attached(second.conversation_sid)).toEqual([
    expect.objectContaining({ target: 'studio', configuration: { flow_sid: flow } }),
  ])
  const { deliveries } = await server.admin('GET', `/deliveries?conversation_sid=${second.conversation_sid}`)
  expect(deliveries).toEqual([
    expect.objectContaining({
      event_type: 'onMessageAdded',
      url: `https://webhooks.twilio.com/v1/Accounts/${server.account_sid}/Flows/${flow}`,
      params: expect.objectContaining({ WebhookSid: sid('WH'), WebhookType: 'studio' }),
    }),
  ])
})

test('a service that is gone leaves new conversations to the default service', async () => {
  const { service } = await newService()
  const to = number()
  await configure(to, { 'AutoCreation.ConversationServiceSid': service })
  const from = number()
  expect((await receive({ from, to, body: 'One' })).body.service_sid).toBe(service)
  await server.call('DELETE', `/v1/Services/${service}`)
  const { body } = await receive({ from, to, body: 'Two' })
  const { default_chat_service_sid } = await get('/v1/Configuration')
  expect(body).toMatchObject({ service_sid: default_chat_service_sid, created: true })
  expect(await messagesOf(`/v1/Conversations/${body.conversation_sid}`)).toHaveLength(1)
})

test('a closed conversation takes nothing more: the next message makes another one', async () => {
  const { service } = await newService()
  const [from, to] = [number(), number()]
  await configure(to, { 'AutoCreation.ConversationServiceSid': service })
  const first = (await receive({ from, to, body: 'One' })).body.conversation_sid
  await server.call('POST', `/v1/Services/${service}/Conversations/${first}`, { State: 'closed' })
  const second = (await receive({ from, to, body: 'Two' })).body
  expect(second.created).toBe(true)
  expect(second.conversation_sid).not.toBe(first)
  const path = `/v1/Services/${service}/Conversations/${second.conversation_sid}`
  await server.call('POST', path, { 'Timers.Closed': 'PT10M' })
  await server.advance('PT10M')
  const third = (await receive({ from, to, body: 'Three' })).body
  expect(third.created).toBe(true)
  expect(await messagesOf(path)).toHaveLength(1)
  await server.call('DELETE', `/v1/Services/${service}/Conversations/${third.conversation_sid}`)
  expect((await receive({ from, to, body: 'Four' })).body.created).toBe(true)
})

test('messages of a new pair that come at once make one conversation', async () => {
  const { service, hook, told, next } = await newService()
  const [from, to] = [number(), number()]
  await configure(to, { 'AutoCreation.ConversationServiceSid': service })
  // Everybody asks before anybody stores.
  const asked = Promise.withResolvers<void>()
  let asking = 0
  replies.set(hook, ({ params }) => {
    if (params.EventType === 'onConversationAdd' && ++asking === 4) asked.resolve()
    return params.EventType === 'onConversationAdd' ? { delayUntil: asked.promise } : {}
  })
  const answers = await Promise.all(['a', 'b', 'c', 'd'].map((body) => receive({ from, to, body })))
  expect(answers.map(({ status }) => status)).toEqual([201, 201, 201, 201])
  expect(new Set(answers.map(({ body }) => body.conversation_sid)).size).toBe(1)
  expect(answers.filter(({ body }) => body.created)).toHaveLength(1)
  const { conversations } = await get(`/v1/Services/${service}/Conversations`)
  expect(conversations).toHaveLength(1)
  const path = `/v1/Services/${service}/Conversations/${conversations[0].sid}`
  expect((await get(`${path}/Participants`)).participants).toHaveLength(1)
  const messages = await messagesOf(path)
  expect(messages.map((message: { body: string }) => message.body).sort()).toEqual(['a', 'b', 'c', 'd'])
  expect(messages.map((message: { index: number }) => message.index)).toEqual([0, 1, 2, 3])
  for (let i = 0; i < 4; i++) await next('onMessageAdded')
  const after = told().filter((type) => type?.endsWith('Added'))
  expect(after).toEqual(['onConversationAdded', 'onParticipantAdded', ...Array(4).fill('onMessageAdded')])
})

test('a group message goes into the open conversation of exactly its numbers, else makes one', async () => {
  const { service, told, params, next } = await newService()
  const [anna, ben, ours, other] = [number(), number(), number(), number()]
  await configure(ours, { 'AutoCreation.ConversationServiceSid': service })
  const first = await receive({ from: anna, to: [ben, ours], body: 'Hello both' })
  expect(first).toMatchObject({ status: 201, body: { service_sid: service, created: true } })
  const path = `/v1/Services/${service}/Conversations/${first.body.conversation_sid}`
  const bindings = (await get(`${path}/Participants`)).participants.map(
    (one: { messaging_binding: object }) => one.messaging_binding,
  )
  expect(bindings).toEqual([
    { type: 'sms', address: anna },
    { type: 'sms', address: ben },
    { type: 'sms', projected_address: ours },
  ])
  await next('onMessageAdded')
  expect(told()).toEqual(['onConversationAdd', 'onConversationAdded', ...Array(3).fill('onParticipantAdded'), 'onMessageAdded'])
  const binding = {
    'MessagingBinding.Address': anna,
    'MessagingBinding.ProjectedAddress': ours,
    'MessagingBinding.AuthorAddress': anna,
  }
  expect(params('onConversationAdd')).toMatchObject({ ...binding, MessageBody: 'Hello both' })
  expect(params('onConversationAdd')).not.toHaveProperty('MessagingBinding.ProxyAddress')
  // Any member answers, the receivers in any order, once or twice, and with the sender among them.
  for (const [from, to] of [
    [ben, [anna, ours]],
    [anna, [ours, ben, ours]],
    [ben, [ours, anna, ben]],
  ] as const) {
    const { status, body } = await receive({ from, to, body: 'Reply' })
    expect([status, body.conversation_sid, body.created]).toEqual([201, first.body.conversation_sid, false])
    // The carrier has delivered it to the others.
    expect((await messagesOf(path)).at(-1)).toMatchObject({ author: from, participant_sid: body.participant_sid, delivery: null })
  }
  expect(told().filter((type) => type === 'onMessageAdd')).toHaveLength(3)
  // Fewer or more numbers are another group.
  const larger = (await receive({ from: anna, to: [ben, ours, other], body: 'All three' })).body
  expect(larger.created).toBe(true)
  expect(larger.conversation_sid).not.toBe(first.body.conversation_sid)
  const alone = (await receive({ from: anna, to: ours, body: 'Just you' })).body
  expect(alone.created).toBe(true)
  await server.call('POST', path, { State: 'closed' })
  expect((await receive({ from: ben, to: [anna, ours], body: 'Again' })).body.created).toBe(true)
})

test('a group message without a conversation and without a configured number is refused, and so are senders alone', async () => {
  const [from, one, two] = [number(), number(), number()]
  const nowhere = await receive({ from, to: [one, two], body: 'Hello' })
  expect(nowhere.status).toBe(404)
  expect(nowhere.body.error).toContain(`${one}, ${two}`)
  expect((await receive({ from, to: [from, from], body: 'Hello' })).status).toBe(400)
  expect((await receive({ from, to: [], body: 'Hello' })).status).toBe(400)
  expect((await receive({ from, to: Array.from({ length: 10 }, number), body: 'Hello' })).status).toBe(400)
})

test('a message without a conversation and without a configured address is refused with a reason', async () => {
  const [from, to] = [number(), number()]
  const nowhere = await receive({ from, to, body: 'Hello' })
  expect(nowhere.status).toBe(404)
  expect(nowhere.body.error).toContain(to)
  await configure(to, { 'AutoCreation.Enabled': 'false' })
  expect((await receive({ from, to, body: 'Hello' })).status).toBe(404)
  expect((await receive({ from: 'nobody', to, body: 'Hello' })).status).toBe(400)
  expect((await receive({ from, body: 'Hello' })).status).toBe(400)
  expect((await receive({ from, to, body: 'Hello', account_sid: `AC${'0'.repeat(32)}` })).status).toBe(404)
})

test('what the API would refuse is refused here with the same code, and nothing is left behind', async () => {
  const { service } = await newService()
  const to = number()
  await configure(to, { 'AutoCreation.ConversationServiceSid': service })
  const refused = async (body: object) => (await receive({ to, from: number(), ...body })).body.code
  expect(await refused({})).toBe(50503)
  expect(await refused({ body: null })).toBe(50503)
  expect(await refused({ body: 'x'.repeat(32_769) })).toBe(50504)
  expect(await refused({ body: 'Hello', attributes: '{' })).toBe(50304)
  expect(await refused({ body: 'Hello', from: to })).toBe(50409)
  expect(await refused({ body: 'Hello', from: `whatsapp:${number()}` })).toBe(50414)
  expect((await get(`/v1/Services/${service}/Conversations`)).conversations).toEqual([])
})

test('the same pair in another account is another pair', async () => {
  const account = await server.admin('POST', '/accounts', { friendly_name: 'Other' })
  const as = { username: account.sid, password: account.auth_token }
  const [from, to] = [number(), number()]
  await configure(to, {}, 'sms', { as })
  expect((await receive({ from, to, body: 'Hello' })).status).toBe(404)
  const mine = await newConversation((await newService()).service)
  await join(mine.path, from, to)
  const theirs = (await receive({ account_sid: account.sid, from, to, body: 'Hello' })).body
  expect(theirs).toMatchObject({ account_sid: account.sid, created: true })
  expect(await messagesOf(mine.path)).toEqual([])
  expect((await receive({ from, to, body: 'Hello' })).body.conversation_sid).toBe(mine.sid)
  const path = `/v1/Conversations/${theirs.conversation_sid}/Messages`
  expect((await server.call('GET', path, undefined, { as })).body.messages).toHaveLength(1)
  await server.admin('POST', `/accounts/${account.sid}`, { status: 'suspended' })
  expect((await receive({ account_sid: account.sid, from, to, body: 'Hello' })).status).toBe(403)
})

test('later events about the message are those of whoever causes them', async () => {
  const { service, hook } = await newService()
  const talk = await newConversation(service)
  const [from, to] = [number(), number()]
  await join(talk.path, from, to)
  await receive({ from, to, body: 'Hello' })
  const replayed = `${hook}-replayed`
  await server.call('POST', `${talk.path}/Webhooks`, [
    ['Target', 'webhook'],
    ['Configuration.Url', catcher.url(replayed)],
    ['Configuration.Filters', 'onMessageAdded'],
    ['Configuration.Filters', 'onMessageUpdated'],
    ['Configuration.ReplayAfter', '0'],
  ])
  expect((await catcher.next(at(replayed))).params).toMatchObject({ EventType: 'onMessageAdded', Source: 'SMS' })
  const [{ sid: message }] = await messagesOf(talk.path)
  const told = { headers: { 'x-twilio-webhook-enabled': 'true' } }
  await server.call('POST', `${talk.path}/Messages/${message}`, { Body: 'Edited' }, told)
  expect((await catcher.next(at(replayed))).params).toMatchObject({ EventType: 'onMessageUpdated', Source: 'API' })
})

test('media that were uploaded before come in with a message', async () => {
  const { service, params, next } = await newService()
  const to = number()
  await configure(to, { 'AutoCreation.ConversationServiceSid': service })
  const upload = async () => {
    const answer = await request(`${server.url}/v1/Services/${service}/Media?Filename=a.png`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${server.account_sid}:${auth_token}`).toString('base64')}`,
        'content-type': 'image/png',
      },
      body: 'pixels',
    })
    return ((await answer.body.json()) as { sid: string }).sid
  }
  const [from, media] = [number(), await upload()]
  const { status, body } = await receive({ from, to, media: [media] })
  expect(status).toBe(201)
  await next('onMessageAdded')
  const Media = JSON.stringify([{ Sid: media, Filename: 'a.png', ContentType: 'image/png', Size: 6 }])
  expect(params('onConversationAdd')).toMatchObject({ Media })
  expect(params('onConversationAdd')).not.toHaveProperty('MessageBody')
  expect(params('onConversationAdded')).not.toHaveProperty('Media')
  expect(params('onMessageAdded')).toMatchObject({ Media })
  expect(params('onMessageAdded')).not.toHaveProperty('Body')
  const path = `/v1/Services/${service}/Conversations/${body.conversation_sid}`
  expect(await messagesOf(path)).toEqual([
    expect.objectContaining({ body: null, media: [{ sid: media, size: 6, content_type: 'image/png', filename: 'a.png' }] }),
  ])
  expect((await receive({ from, to, media: [media] })).body.code).toBe(50508)
  expect((await receive({ from: number(), to, media: [media] })).body.code).toBe(50508)
  expect((await receive({ from, to, media: [`ME${'0'.repeat(32)}`] })).body.code).toBe(50507)
  expect((await receive({ from: number(), to, media: ['picture'] })).body.code).toBe(50510)
  const { body: caption } = await receive({ from, to, body: 'Caption', media: [await upload()] })
  expect(caption.conversation_sid).toBe(body.conversation_sid)
  expect((await messagesOf(path))[1]).toMatchObject({ body: 'Caption', media: [{ filename: 'a.png' }] })
})
