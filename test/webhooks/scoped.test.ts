import { expect, onTestFinished } from 'vitest'
import type { PostActionEvent } from '../../src/events/names.ts'
import { scopedTargets } from '../../src/resources/conversations/webhooks/targets.ts'
import type { ConversationWebhookRow } from '../../src/storage/schema.ts'
import { test } from '../support/fixtures.ts'
import { persistent } from '../support/persistent.ts'
import { auth_token, startServer } from '../support/server.ts'
import type { Tenant } from '../support/tenant.ts'
import { type Caught, catchWebhooks, type WebhookCatcher } from '../support/webhook-catcher.ts'

const silent = { headers: { 'x-twilio-webhook-enabled': 'false' } }
const told = { headers: { 'x-twilio-webhook-enabled': 'true' } }

let tenant: Tenant
let catcher: WebhookCatcher
let hooks = 0

test.beforeEach(({ tenant: own, catcher: caught }) => {
  tenant = own
  catcher = caught
})

async function newConversation(form: Record<string, string> = {}, root = '/v1'): Promise<string> {
  return `${root}/Conversations/${(await tenant.call('POST', `${root}/Conversations`, form)).body.sid}`
}

/** A webhook of a conversation with an address of its own; answers its path at the catcher. */
async function attach(conversation: string, target: string, configuration: [string, string][]): Promise<string> {
  const path = `/hook-${++hooks}`
  const answer = await tenant.call('POST', `${conversation}/Webhooks`, [
    ['Target', target],
    ['Configuration.Url', catcher.url(path)],
    ...configuration.map(([name, value]): [string, string] => [`Configuration.${name}`, value]),
  ])
  expect(answer.status).toBe(201)
  return path
}

const filters = (...types: string[]) => types.map((type): [string, string] => ['Filters', type])
const at = (path: string) => (caught: Caught) => caught.path === path
const arrived = (path: string) => catcher.requests.filter(at(path)).map(({ params }) => params.EventType)

/** Deliveries of one target about one conversation keep their order: once its removal is told, all that came before was. */
async function everythingTold(conversation: string, path: string): Promise<(string | undefined)[]> {
  await tenant.call('DELETE', conversation, undefined, told)
  await catcher.next((caught) => caught.path === path && caught.params.EventType === 'onConversationRemoved')
  return arrived(path)
}

async function say(conversation: string, Body: string, options = told): Promise<void> {
  expect((await persistent(tenant)('POST', `${conversation}/Messages`, { Body }, options)).status).toBe(201)
}

test('a webhook of the conversation is told besides that of its service, each with its own method', async () => {
  const service = (await tenant.call('POST', '/v1/Services', { FriendlyName: 'Support' })).body.sid
  await tenant.call('POST', `/v1/Services/${service}/Configuration/Webhooks`, {
    PostWebhookUrl: catcher.url('/service'),
    Method: 'POST',
    Filters: 'onConversationUpdated',
  })
  const conversation = await newConversation({}, `/v1/Services/${service}`)
  const first = await attach(conversation, 'webhook', [...filters('onConversationUpdated'), ['Method', 'get']])
  const second = await attach(conversation, 'webhook', [
    ...filters('onConversationUpdated', 'onMessageAdded'),
    ['Method', 'Post'],
  ])
  await tenant.call('POST', conversation, { FriendlyName: 'Hello' }, told)
  const requests = await Promise.all(['/service', first, second].map((path) => catcher.next(at(path))))
  expect(requests.map(({ method }) => method)).toEqual(['POST', 'GET', 'POST'])
  for (const { params, signed } of requests) {
    expect(signed).toBe(true)
    expect(params).toMatchObject({
      EventType: 'onConversationUpdated',
      AccountSid: tenant.account_sid,
      ChatServiceSid: service,
      FriendlyName: 'Hello',
      Source: 'API',
      RetryCount: '0',
    })
  }
  const tokens = requests.map(({ headers }) => headers['i-twilio-idempotency-token'])
  expect(new Set(tokens).size).toBe(3)
})

test('requests to a webhook of the conversation name it, signed with the rest, also in a replay; to others they name none', async () => {
  await tenant.call('POST', '/v1/Configuration/Webhooks', { PostWebhookUrl: catcher.url('/account'), Filters: 'onMessageAdded' })
  const conversation = await newConversation()
  await say(conversation, 'help', silent)
  const replayed = filters('onMessageAdded').concat([['ReplayAfter', '0']])
  const paths = {
    post: await attach(conversation, 'webhook', replayed),
    get: await attach(conversation, 'webhook', [...replayed, ['Method', 'GET']]),
    trigger: await attach(conversation, 'trigger', [['Triggers', 'help']]),
  }
  const { webhooks } = (await tenant.call('GET', `${conversation}/Webhooks`)).body
  const sidOf = (path: string): string =>
    webhooks.find(({ configuration }: { configuration: { url: string } }) => configuration.url.endsWith(path)).sid
  await say(conversation, 'help again')
  for (const [name, path] of Object.entries(paths)) {
    const requests = [await catcher.next(at(path)), ...(name === 'trigger' ? [] : [await catcher.next(at(path))])]
    for (const { params, signed } of requests) {
      expect(params).toMatchObject({ WebhookSid: sidOf(path), WebhookType: name === 'trigger' ? 'trigger' : 'webhook' })
      expect(signed).toBe(true)
    }
  }
  const { params } = await catcher.next(at('/account'))
  expect(params).not.toHaveProperty('WebhookSid')
  expect(params).not.toHaveProperty('WebhookType')
})

test('only what its filters list is told, and names of an older generation are never told', async () => {
  const conversation = await newConversation()
  const path = await attach(conversation, 'webhook', filters('onConversationStateUpdated', 'onConversationRemoved'))
  const legacy = await attach(conversation, 'webhook', filters('onMessageSent', 'onConversationDestroyed'))
  await tenant.call('POST', conversation, { FriendlyName: 'Hello' }, told)
  await tenant.call('POST', conversation, { State: 'inactive' }, told)
  expect(await everythingTold(conversation, path)).toEqual(['onConversationStateUpdated', 'onConversationRemoved'])
  expect(arrived(legacy)).toEqual([])
})

test('a request without the header is not told, a timer always is', async () => {
  const conversation = await newConversation({ 'Timers.Inactive': 'PT1M', 'Timers.Closed': 'PT10M' })
  const path = await attach(
    conversation,
    'webhook',
    filters('onConversationUpdated', 'onConversationStateUpdated', 'onConversationRemoved'),
  )
  await tenant.call('POST', conversation, { FriendlyName: 'Hello' })
  await tenant.call('POST', conversation, { FriendlyName: 'Again' }, silent)
  await tenant.advance('PT1M')
  const { params } = await catcher.next(at(path))
  expect(params).toMatchObject({
    EventType: 'onConversationStateUpdated',
    StateFrom: 'active',
    StateTo: 'inactive',
    Reason: 'TIMER',
  })
  expect(params).not.toHaveProperty('Source')
  await tenant.advance('PT9M')
  expect((await catcher.next(at(path))).params).toMatchObject({ StateFrom: 'inactive', StateTo: 'closed', Reason: 'TIMER' })
  expect(await everythingTold(conversation, path)).toEqual([
    'onConversationStateUpdated',
    'onConversationStateUpdated',
    'onConversationRemoved',
  ])
})

test('a message that wakes the conversation is told as a change of state, header or not', async () => {
  const conversation = await newConversation({ State: 'inactive' })
  const path = await attach(conversation, 'webhook', filters('onMessageAdded', 'onConversationStateUpdated'))
  await say(conversation, 'hello', silent)
  const { params } = await catcher.next(at(path))
  expect(params).toMatchObject({
    EventType: 'onConversationStateUpdated',
    StateFrom: 'inactive',
    StateTo: 'active',
    Reason: 'EVENT',
  })
})

test('the webhook resource itself tells nothing, and a removed webhook is told nothing more', async () => {
  const conversation = await newConversation()
  const all = filters('onConversationUpdated', 'onConversationStateUpdated', 'onConversationRemoved')
  const kept = await attach(conversation, 'webhook', all)
  const removed = await attach(conversation, 'webhook', all)
  const { webhooks } = (await tenant.call('GET', `${conversation}/Webhooks`)).body
  const { sid } = webhooks.find(({ configuration }: { configuration: { url: string } }) => configuration.url.endsWith(removed))
  await tenant.call('DELETE', `${conversation}/Webhooks/${sid}`, undefined, told)
  expect(await everythingTold(conversation, kept)).toEqual(['onConversationRemoved'])
  expect(arrived(removed)).toEqual([])
})

test('an update moves a webhook to another address and other events', async () => {
  const conversation = await newConversation()
  const old = await attach(conversation, 'webhook', filters('onConversationUpdated'))
  const [{ sid }] = (await tenant.call('GET', `${conversation}/Webhooks`)).body.webhooks
  await tenant.call('POST', `${conversation}/Webhooks/${sid}`, {
    'Configuration.Url': catcher.url('/moved'),
    'Configuration.Method': 'GET',
    'Configuration.Filters': 'onConversationRemoved',
  })
  await tenant.call('POST', conversation, { FriendlyName: 'Hello' }, told)
  expect(await everythingTold(conversation, '/moved')).toEqual(['onConversationRemoved'])
  expect(arrived(old)).toEqual([])
})

test('a refused webhook is told nothing', async () => {
  const conversation = await newConversation()
  const path = await attach(conversation, 'webhook', filters('onConversationRemoved'))
  for (let i = 0; i < 4; i++) await attach(conversation, 'webhook', filters('onConversationUpdated'))
  const sixth = await tenant.call('POST', `${conversation}/Webhooks`, [
    ['Target', 'webhook'],
    ['Configuration.Url', catcher.url('/sixth')],
    ['Configuration.Filters', 'onConversationRemoved'],
  ])
  expect(sixth.body.code).toBe(50361)
  await everythingTold(conversation, path)
  expect(arrived('/sixth')).toEqual([])
})

test('a participant who joins and leaves is told', async () => {
  const conversation = await newConversation()
  const path = await attach(
    conversation,
    'webhook',
    filters('onParticipantAdded', 'onParticipantRemoved', 'onConversationRemoved'),
  )
  const { sid } = (await tenant.call('POST', `${conversation}/Participants`, { Identity: 'ann' }, told)).body
  await tenant.call('DELETE', `${conversation}/Participants/${sid}`, undefined, told)
  expect(await everythingTold(conversation, path)).toEqual([
    'onParticipantAdded',
    'onParticipantRemoved',
    'onConversationRemoved',
  ])
})

test('a trigger fires on a new message with one of its words, in any letter case', async () => {
  const conversation = await newConversation()
  const end = await attach(conversation, 'webhook', filters('onConversationRemoved'))
  const path = await attach(conversation, 'trigger', [
    ['Triggers', 'Help'],
    ['Triggers', 'stop it'],
  ])
  await say(conversation, 'hello')
  await say(conversation, 'I need HELP')
  await say(conversation, 'stop')
  await say(conversation, 'please STOP it now')
  await say(conversation, 'help, unheard', silent)
  const first = await catcher.next(at(path))
  const second = await catcher.next(at(path))
  expect([first, second].map(({ params }) => [params.EventType, params.Index, params.Body])).toEqual([
    ['onMessageAdded', '1', 'I need HELP'],
    ['onMessageAdded', '3', 'please STOP it now'],
  ])
  await everythingTold(conversation, end)
  expect(arrived(path)).toHaveLength(2)
})

test('a workflow hears of new messages only, at the address of its flow', async () => {
  const flow_sid = `FW${'b'.repeat(32)}`
  const row: ConversationWebhookRow = {
    service_sid: `IS${'c'.repeat(32)}`,
    conversation_sid: `CH${'d'.repeat(32)}`,
    sid: `WH${'e'.repeat(32)}`,
    account_sid: `AC${'f'.repeat(32)}`,
    target: 'studio',
    url: null,
    method: null,
    filters: null,
    triggers: null,
    flow_sid,
    replay_after: null,
    date_created: 0,
    date_updated: 0,
    revision: 1,
  }
  // Not over the wire: the address is the vendor's.
  const none = async () => undefined
  const read = { one: none, hold: none, all: async () => [row] as never[] }
  const targetsOf = (type: PostActionEvent, webhook_count = 1) =>
    scopedTargets(
      read,
      { type, subject_sid: '', always: false, payload: () => ({}) },
      { service_sid: row.service_sid, sid: row.conversation_sid, webhook_count },
    )
  expect(await targetsOf('onMessageAdded')).toEqual([
    {
      sid: row.sid,
      method: 'POST',
      url: `https://webhooks.twilio.com/v1/Accounts/${row.account_sid}/Flows/${flow_sid}`,
      own: { WebhookSid: row.sid, WebhookType: 'studio' },
    },
  ])
  expect(await targetsOf('onMessageUpdated')).toEqual([])
  expect(await targetsOf('onConversationRemoved')).toEqual([])
  expect(await targetsOf('onMessageAdded', 0)).toEqual([])
})

test.for([null, '/studio'])('a flow of Studio is started at the url that is set, %s, and nowhere else', async (base) => {
  const catcher = await catchWebhooks({ authToken: auth_token })
  onTestFinished(catcher.close)
  const server = await startServer({ studioUrl: base && catcher.url(base) })
  onTestFinished(server.stop)
  const { body: conversation } = await server.call('POST', '/v1/Conversations', {})
  const flow_sid = `FW${'a'.repeat(32)}`
  const path = `/v1/Conversations/${conversation.sid}`
  await server.call('POST', `${path}/Webhooks`, { Target: 'studio', 'Configuration.FlowSid': flow_sid })
  await server.call('POST', `${path}/Messages`, { Body: 'hello' }, told)
  if (base) {
    const { path, params } = await catcher.next()
    expect(path).toBe(`/studio/v1/Accounts/${server.account_sid}/Flows/${flow_sid}`)
    expect(params).toMatchObject({ EventType: 'onMessageAdded', Body: 'hello', WebhookType: 'studio' })
    return
  }
  const log = async () => (await server.admin('GET', '/deliveries?status=failed')).deliveries
  await expect.poll(log).toHaveLength(1)
  expect((await log())[0].attempts).toMatchObject([{ status: null, error: expect.stringContaining('PARLEY_STUDIO_URL') }])
})

test('ReplayAfter tells a new webhook of the messages from that index on, in order, and of nothing else', async () => {
  const conversation = await newConversation()
  const early = await attach(conversation, 'webhook', filters('onMessageAdded', 'onConversationRemoved'))
  for (const body of ['zero', 'one', 'two', 'three']) await say(conversation, body, silent)
  const late = await attach(conversation, 'webhook', [
    ...filters('onMessageAdded', 'onConversationRemoved'),
    ['ReplayAfter', '2'],
  ])
  await say(conversation, 'four')
  expect(await everythingTold(conversation, late)).toHaveLength(4)
  const messages = catcher.requests.filter(at(late)).filter(({ params }) => params.EventType === 'onMessageAdded')
  expect(messages.map(({ params }) => [params.Index, params.Body, params.Source, params.RetryCount])).toEqual([
    ['2', 'two', 'API', '0'],
    ['3', 'three', 'API', '0'],
    ['4', 'four', 'API', '0'],
  ])
  await catcher.next((caught) => caught.path === early && caught.params.EventType === 'onConversationRemoved')
  expect(arrived(early)).toEqual(['onMessageAdded', 'onConversationRemoved'])
})

test('a replay looks for triggers and filters too, and past the last message there is nothing to replay', async () => {
  const conversation = await newConversation()
  const end = await attach(conversation, 'webhook', filters('onConversationRemoved'))
  for (const body of ['help me', 'hello', 'more help']) await say(conversation, body)
  const words = await attach(conversation, 'trigger', [
    ['Triggers', 'help'],
    ['ReplayAfter', '0'],
  ])
  const others = await attach(conversation, 'webhook', [...filters('onMessageRemoved'), ['ReplayAfter', '0']])
  const past = await attach(conversation, 'webhook', [...filters('onMessageAdded'), ['ReplayAfter', '3']])
  expect((await catcher.next(at(words))).params.Index).toBe('0')
  expect((await catcher.next(at(words))).params.Index).toBe('2')
  await everythingTold(conversation, end)
  expect(arrived(others)).toEqual([])
  expect(arrived(past)).toEqual([])
})

test('a replay ends after a thousand messages', async () => {
  const conversation = await newConversation()
  const batch = Array.from({ length: 101 }, (_, i) => `message ${i}`)
  for (let i = 0; i < 10; i++) await Promise.all(batch.map((body) => say(conversation, body, silent)))
  const path = await attach(conversation, 'webhook', [
    ...filters('onMessageAdded', 'onConversationRemoved'),
    ['ReplayAfter', '5'],
  ])
  await everythingTold(conversation, path)
  const indexes = catcher.requests.filter(at(path)).flatMap(({ params }) => (params.Index ? [Number(params.Index)] : []))
  expect(indexes).toEqual(Array.from({ length: 1000 }, (_, i) => i + 5))
})
