import { afterEach, beforeEach, describe, expect, vi } from 'vitest'
import { newDatabase } from '../support/databases.ts'
import { test, testOn } from '../support/fixtures.ts'
import { all_events, asking, enabled, eventsOf, gate, isEvent, log, ms_date, settled, told, uuid_v4 } from '../support/hooked.ts'
import { auth_token, startServer, type TestServer } from '../support/server.ts'
import type { Tenant } from '../support/tenant.ts'
import { type Caught, catchWebhooks, type Reply, type WebhookCatcher } from '../support/webhook-catcher.ts'

const MG = `MG${'a'.repeat(32)}`
const hour = 'PT1H'

interface HookSettings {
  method?: 'GET' | 'POST'
  filters?: string[]
}

/** All events of the account go to the catcher. */
async function accountHook({ sdk }: Tenant, postWebhookUrl: string, { method = 'POST', filters }: HookSettings = {}) {
  return sdk.conversations.v1.configuration.webhooks().update({ postWebhookUrl, method, filters: filters ?? all_events })
}

async function serviceHook({ sdk }: Tenant, sid: string, postWebhookUrl: string, filters = all_events) {
  return sdk.conversations.v1.services(sid).configuration.webhooks().update({ postWebhookUrl, filters })
}

async function newService({ sdk }: Tenant): Promise<string> {
  return (await sdk.conversations.v1.services.create({ friendlyName: 'Support' })).sid
}

async function defaultService({ sdk }: Tenant): Promise<string> {
  return (await sdk.conversations.v1.configuration().fetch()).defaultChatServiceSid
}

async function create({ sdk }: Tenant, friendlyName: string): Promise<string> {
  return (await sdk.conversations.v1.conversations.create({ friendlyName, ...enabled })).sid
}

async function rename({ sdk }: Tenant, sid: string, ...names: string[]): Promise<void> {
  for (const friendlyName of names) await sdk.conversations.v1.conversations(sid).update({ friendlyName, ...enabled })
}

function namesOf(requests: readonly Caught[]): (string | undefined)[] {
  return requests.map(({ params }) => params.FriendlyName)
}

/** The first answer to each name, then 200. */
function firstAnswer(catcher: WebhookCatcher, answers: Record<string, Reply>): void {
  const given = new Set<string>()
  catcher.reply(({ params: { FriendlyName = '' } }) => {
    if (given.has(FriendlyName)) return {}
    given.add(FriendlyName)
    return answers[FriendlyName] ?? {}
  })
}

describe('the form of each event', () => {
  /** Everything goes to the catcher; answers what every event carries. */
  async function listening(tenant: Tenant, catcher: WebhookCatcher) {
    await accountHook(tenant, catcher.url('/post'))
    return { AccountSid: tenant.account_sid, ChatServiceSid: await defaultService(tenant), Source: 'API', RetryCount: '0' }
  }

  test('onConversationAdded: everything that is set, with milliseconds, and nothing else', async ({ tenant, catcher }) => {
    const common = await listening(tenant, catcher)
    const form = {
      FriendlyName: 'héllo & = + 😀',
      UniqueName: 'room/1',
      Attributes: '{"a": [1,  2]}',
      MessagingServiceSid: MG,
      DateCreated: '2024-05-06T07:08:09.123Z',
      'Timers.Closed': 'PT10M',
    }
    const { body } = await tenant.call('POST', '/v1/Conversations', form, asking)
    const caught = await catcher.next()
    expect(caught.params).toEqual({
      ...common,
      EventType: 'onConversationAdded',
      ConversationSid: body.sid,
      FriendlyName: form.FriendlyName,
      UniqueName: form.UniqueName,
      Attributes: form.Attributes,
      MessagingServiceSid: MG,
      State: 'active',
      DateCreated: form.DateCreated,
      DateUpdated: form.DateCreated,
    })
    expect(caught.signed).toBe(true)
    expect(await told(tenant, catcher)).toHaveLength(1)
  })

  test('what is null is left out; unset attributes are an empty object', async ({ tenant, catcher }) => {
    const common = await listening(tenant, catcher)
    const { sid, messagingServiceSid } = await tenant.sdk.conversations.v1.conversations.create(enabled)
    const { params } = await catcher.next()
    expect(params).toEqual({
      ...common,
      EventType: 'onConversationAdded',
      ConversationSid: sid,
      Attributes: '{}',
      MessagingServiceSid: messagingServiceSid,
      State: 'active',
      DateCreated: expect.stringMatching(ms_date),
      DateUpdated: params.DateCreated,
    })
  })

  test('onConversationUpdated: the new values, when it was made and when it was changed', async ({ tenant, catcher }) => {
    const common = await listening(tenant, catcher)
    const dates = { DateCreated: '2024-05-06T07:08:09.123Z', DateUpdated: '2024-05-07T00:00:00.007Z' }
    const { body } = await tenant.call('POST', '/v1/Conversations', { UniqueName: 'first', FriendlyName: 'Old' })
    const changes = { ...dates, FriendlyName: 'New', UniqueName: '', Attributes: '[]' }
    await tenant.call('POST', `/v1/Conversations/${body.sid}`, changes, asking)
    expect((await catcher.next()).params).toEqual({
      ...common,
      ...dates,
      EventType: 'onConversationUpdated',
      ConversationSid: body.sid,
      FriendlyName: 'New',
      Attributes: '[]',
      MessagingServiceSid: body.messaging_service_sid,
      State: 'active',
    })
    expect(await told(tenant, catcher)).toEqual(['onConversationUpdated'])
  })

  test('onConversationRemoved: the last values and when it was removed', async ({ tenant, catcher }) => {
    const common = await listening(tenant, catcher)
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid, messagingServiceSid } = await conversations.create({ friendlyName: 'Gone soon', state: 'inactive' })
    await conversations(sid).remove(enabled)
    const { params } = await catcher.next()
    expect(params).toEqual({
      ...common,
      EventType: 'onConversationRemoved',
      ConversationSid: sid,
      FriendlyName: 'Gone soon',
      Attributes: '{}',
      MessagingServiceSid: messagingServiceSid,
      State: 'inactive',
      DateCreated: expect.stringMatching(ms_date),
      DateUpdated: params.DateCreated,
      DateRemoved: expect.stringMatching(ms_date),
    })
    expect(await told(tenant, catcher)).toEqual(['onConversationRemoved'])
  })

  test('a change of State tells of the update first, then of the state, without what the update has told', async ({
    tenant,
    catcher,
  }) => {
    const common = await listening(tenant, catcher)
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid, messagingServiceSid } = await conversations.create({ friendlyName: 'Room' })
    await conversations(sid).update({ state: 'closed', ...enabled })
    expect(await told(tenant, catcher)).toEqual(['onConversationUpdated', 'onConversationStateUpdated'])
    const [updated, state] = catcher.requests
    expect(updated?.params).toMatchObject({ State: 'closed', FriendlyName: 'Room' })
    expect(state?.params).toEqual({
      ...common,
      EventType: 'onConversationStateUpdated',
      ConversationSid: sid,
      MessagingServiceSid: messagingServiceSid,
      StateFrom: 'active',
      StateTo: 'closed',
      StateUpdated: updated?.params.DateUpdated,
      Reason: 'API',
    })
  })

  test('the same state again is an update and no change of state', async ({ tenant, catcher }) => {
    await listening(tenant, catcher)
    const { sid } = await tenant.sdk.conversations.v1.conversations.create({})
    await tenant.sdk.conversations.v1.conversations(sid).update({ state: 'active', ...enabled })
    expect(await told(tenant, catcher)).toEqual(['onConversationUpdated'])
  })

  test('a timer tells of the state alone, header or not, without Source', async ({ tenant, catcher }) => {
    const common = await listening(tenant, catcher)
    const { Source: _, ...unsourced } = common
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ 'timers.inactive': 'PT1M', 'timers.closed': 'PT10M' })
    await tenant.advance('PT10M')
    expect(await told(tenant, catcher)).toEqual(['onConversationStateUpdated', 'onConversationStateUpdated'])
    const [inactive, closed] = catcher.requests.map(({ params }) => params)
    const event = { ...unsourced, EventType: 'onConversationStateUpdated', ConversationSid: sid, Reason: 'TIMER' }
    expect(inactive).toEqual({
      ...event,
      StateFrom: 'active',
      StateTo: 'inactive',
      StateUpdated: expect.stringMatching(ms_date),
    })
    expect(closed).toEqual({ ...event, StateFrom: 'inactive', StateTo: 'closed', StateUpdated: expect.stringMatching(ms_date) })
    expect(Date.parse(closed?.StateUpdated ?? '') - Date.parse(inactive?.StateUpdated ?? '')).toBe(9 * 60_000)
  })

  test('the headers are those of the vendor and no others', async ({ tenant, catcher }) => {
    await listening(tenant, catcher)
    await create(tenant, 'Room')
    const { headers } = await catcher.next()
    expect(Object.keys(headers).sort()).toEqual([
      'accept',
      'connection',
      'content-length',
      'content-type',
      'host',
      'i-twilio-idempotency-token',
      'user-agent',
      'x-twilio-signature',
    ])
    expect(headers).toMatchObject({
      accept: '*/*',
      'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
      'i-twilio-idempotency-token': expect.stringMatching(uuid_v4),
      'user-agent': 'TwilioProxy/1.1',
    })
  })

  test('what is sent after the auth token was rotated is signed with the new one', async ({ tenant }) => {
    await using before = await catchWebhooks({ authToken: tenant.auth_token })
    await accountHook(tenant, before.url())
    for (const name of ['first', 'second']) {
      await create(tenant, name)
      expect(await before.next()).toMatchObject({ signed: true, params: { FriendlyName: name } })
    }
    const rotated = await tenant.admin('POST', `/accounts/${tenant.account_sid}/rotate`)
    await using after = await catchWebhooks({ authToken: rotated.auth_token })
    const as = { username: tenant.account_sid, password: rotated.auth_token }
    const hook = { PostWebhookUrl: after.url() }
    expect((await tenant.call('POST', '/v1/Configuration/Webhooks', hook, { as })).status).toBe(200)
    const headers = { 'X-Twilio-Webhook-Enabled': 'true' }
    await tenant.call('POST', '/v1/Conversations', { FriendlyName: 'third' }, { as, headers })
    expect(await after.next()).toMatchObject({ signed: true, params: { FriendlyName: 'third' } })
  })

  test('each event has an idempotency token of its own', async ({ tenant, catcher }) => {
    await listening(tenant, catcher)
    await rename(tenant, await create(tenant, 'Room'), 'a', 'b')
    await settled(tenant)
    const tokens = catcher.requests.map(({ headers }) => headers['i-twilio-idempotency-token'])
    expect(tokens).toHaveLength(3)
    expect(new Set(tokens).size).toBe(3)
  })
})

describe('when a REST call tells anybody', () => {
  test.for([undefined, 'false', 'False', '', '1', 'yes'])('header %j: nobody', async (value, { tenant, catcher }) => {
    await accountHook(tenant, catcher.url())
    const options = value === undefined ? {} : { headers: { 'X-Twilio-Webhook-Enabled': value } }
    const { body } = await tenant.call('POST', '/v1/Conversations', {}, options)
    await tenant.call('POST', `/v1/Conversations/${body.sid}`, { State: 'closed' }, options)
    await tenant.call('DELETE', `/v1/Conversations/${body.sid}`, undefined, options)
    expect(await log(tenant)).toEqual([])
    expect(await told(tenant, catcher)).toEqual([])
  })

  test.for(['true', 'True', 'TRUE'])('header %j: each change', async (value, { tenant, catcher }) => {
    await accountHook(tenant, catcher.url())
    const options = { headers: { 'X-Twilio-Webhook-Enabled': value } }
    const { body } = await tenant.call('POST', '/v1/Conversations', {}, options)
    await tenant.call('POST', `/v1/Conversations/${body.sid}`, { FriendlyName: 'New' }, options)
    await tenant.call('DELETE', `/v1/Conversations/${body.sid}`, undefined, options)
    expect(await told(tenant, catcher)).toEqual(['onConversationAdded', 'onConversationUpdated', 'onConversationRemoved'])
  })

  test('a refused change tells nobody', async ({ tenant, catcher }) => {
    await accountHook(tenant, catcher.url())
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ uniqueName: 'taken' })
    await expect(conversations.create({ uniqueName: 'taken', ...enabled })).rejects.toMatchObject({ code: 50353 })
    await conversations(sid).update({ state: 'closed' })
    await expect(conversations(sid).update({ friendlyName: 'x', ...enabled })).rejects.toMatchObject({ code: 50377 })
    expect(await told(tenant, catcher)).toEqual([])
  })

  test('resources that have no events tell nobody', async ({ tenant, catcher }) => {
    await accountHook(tenant, catcher.url())
    const { body } = await tenant.call('POST', '/v1/Services', { FriendlyName: 'Quiet' }, asking)
    await tenant.call('POST', '/v1/Configuration', { DefaultInactiveTimer: 'PT1M' }, asking)
    await tenant.call('DELETE', `/v1/Services/${body.sid}`, undefined, asking)
    expect(await told(tenant, catcher)).toEqual([])
  })

  test.for<[given: string, filters: string[], expected: string[]]>([
    ['a list', ['onConversationUpdated', 'onConversationRemoved'], ['onConversationUpdated', 'onConversationRemoved']],
    ['other events only', ['onMessageAdded', 'onConversationAdd'], []],
    ['an empty list', [], []],
  ])('filters: with %s, only what is listed', async ([_, filters, expected], { tenant, catcher }) => {
    const pairs: [string, string][] = filters.length > 0 ? filters.map((name) => ['Filters', name]) : [['Filters', '']]
    await tenant.call('POST', '/v1/Configuration/Webhooks', [['PostWebhookUrl', catcher.url()], ...pairs])
    const sid = await create(tenant, 'Room')
    await rename(tenant, sid, 'New')
    await tenant.sdk.conversations.v1.conversations(sid).remove(enabled)
    expect(await told(tenant, catcher)).toEqual(expected)
  })

  test('filters that were never set tell nobody, on the account and on a service', async ({ tenant, catcher }) => {
    const { v1 } = tenant.sdk.conversations
    const service = await newService(tenant)
    await v1.configuration.webhooks().update({ postWebhookUrl: catcher.url() })
    await v1.services(service).configuration.webhooks().update({ postWebhookUrl: catcher.url() })
    await v1.conversations.create(enabled)
    await v1.services(service).conversations.create(enabled)
    expect(await told(tenant, catcher)).toEqual([])
  })
})

describe('whom it tells', () => {
  test('the account hears of every service that has no webhooks of its own, in either family', async ({ tenant, catcher }) => {
    const { v1 } = tenant.sdk.conversations
    await accountHook(tenant, catcher.url())
    const own = await newService(tenant)
    const home = await defaultService(tenant)
    await v1.conversations.create(enabled)
    await v1.services(home).conversations.create(enabled)
    await v1.services(own).conversations.create(enabled)
    await settled(tenant)
    // Different conversations have no order among themselves.
    expect(catcher.requests.map(({ params }) => params.ChatServiceSid).sort()).toEqual([home, home, own].sort())
  })

  test('a service with a webhook of its own silences the account for that service, and only for that', async ({
    tenant,
    catcher,
  }) => {
    const { v1 } = tenant.sdk.conversations
    const service = await newService(tenant)
    await accountHook(tenant, catcher.url('/account'))
    await serviceHook(tenant, service, catcher.url('/service'), ['onConversationAdded'])
    const { sid } = await v1.services(service).conversations.create(enabled)
    await v1
      .services(service)
      .conversations(sid)
      .update({ friendlyName: 'New', ...enabled })
    await v1.conversations.create(enabled)
    await settled(tenant)
    expect(catcher.requests.map(({ path, params }) => `${path} ${params.EventType}`).sort()).toEqual([
      '/account onConversationAdded',
      '/service onConversationAdded',
    ])
    expect(await log(tenant, `&service_sid=${service}`)).toMatchObject([{ target_sid: service }])
  })

  test('that holds for the whole configuration: a service with only a pre-action url gets no post event from the account', async ({
    tenant,
    catcher,
  }) => {
    const { v1 } = tenant.sdk.conversations
    const service = await newService(tenant)
    await accountHook(tenant, catcher.url())
    const webhooks = v1.services(service).configuration.webhooks()
    await webhooks.update({ preWebhookUrl: catcher.url('/pre'), filters: ['onMessageAdd'] })
    await v1.services(service).conversations.create(enabled)
    expect(await told(tenant, catcher)).toEqual([])
  })

  test('cleared with empty values: a service falls back to the account, an account tells nobody', async ({ tenant, catcher }) => {
    const { v1 } = tenant.sdk.conversations
    const service = await newService(tenant)
    await accountHook(tenant, catcher.url('/account'))
    await serviceHook(tenant, service, catcher.url('/service'))
    const cleared = await v1.services(service).configuration.webhooks().update({ postWebhookUrl: '' })
    expect(cleared.postWebhookUrl).toBeNull()
    await v1.services(service).conversations.create(enabled)
    expect((await catcher.next()).path).toBe('/account')

    const { body } = await tenant.call('POST', '/v1/Configuration/Webhooks', { PostWebhookUrl: '', Filters: '' })
    expect(body).toMatchObject({ post_webhook_url: null, filters: [] })
    await v1.services(service).conversations.create(enabled)
    await v1.conversations.create(enabled)
    await settled(tenant)
    expect(catcher.requests).toHaveLength(1)
  })

  test('target flex calls nobody, but a service with a webhook of its own is told', async ({ tenant, catcher }) => {
    const { v1 } = tenant.sdk.conversations
    await accountHook(tenant, catcher.url('/account'))
    expect((await v1.configuration.webhooks().update({ target: 'flex' })).target).toBe('flex')
    await v1.conversations.create(enabled)
    expect(await told(tenant, catcher)).toEqual([])

    const service = await newService(tenant)
    await serviceHook(tenant, service, catcher.url('/service'))
    await v1.services(service).conversations.create(enabled)
    await settled(tenant)
    expect(catcher.requests.map(({ path }) => path)).toEqual(['/service'])

    await v1.configuration.webhooks().update({ target: 'webhook' })
    await v1.conversations.create(enabled)
    expect((await catcher.next(({ path }) => path === '/account')).params.EventType).toBe('onConversationAdded')
  })

  test('what has happened goes where it was to go when it happened', async ({ tenant, catcher }) => {
    using held = gate()
    catcher.reply(({ params }) => (params.FriendlyName === 'first' ? { delayUntil: held.opened } : {}))
    await accountHook(tenant, catcher.url('/before'))
    const sid = await create(tenant, 'first')
    await rename(tenant, sid, 'second')
    await accountHook(tenant, catcher.url('/after'))
    await rename(tenant, sid, 'third')
    held.open()
    await settled(tenant)
    expect(catcher.requests.map(({ path, params }) => `${path} ${params.FriendlyName}`)).toEqual([
      '/before first',
      '/before second',
      '/after third',
    ])
  })

  test('all events of a deleted conversation arrive, in order, although it is gone', async ({ tenant, catcher }) => {
    using held = gate()
    await accountHook(tenant, catcher.url())
    firstAnswer(catcher, { Room: { delayUntil: held.opened } })
    const sid = await create(tenant, 'Room')
    await catcher.next(isEvent('onConversationAdded'))
    const conversation = tenant.sdk.conversations.v1.conversations(sid)
    await conversation.update({ state: 'closed', ...enabled })
    await conversation.remove(enabled)
    await expect(conversation.fetch()).rejects.toMatchObject({ status: 404 })
    held.open()
    expect(await told(tenant, catcher)).toEqual([
      'onConversationAdded',
      'onConversationUpdated',
      'onConversationStateUpdated',
      'onConversationRemoved',
    ])
    expect(new Set(catcher.requests.map(({ params }) => params.ConversationSid))).toEqual(new Set([sid]))
  })
})

const strict = testOn(() => startServer({ webhookAllowPrivate: false }))

describe('how it is sent', () => {
  test.for(['POST', 'GET'] as const)(
    '%s: query kept, fragment and credentials neither sent nor signed',
    async (method, { tenant, catcher }) => {
      const plain = catcher.url('/hook?tenant=7&x=a%20b')
      await accountHook(tenant, `${plain.replace('//', '//al%3Aice:s3cr%40t@')}#rc=3&rp=all`, { method })
      const sid = await create(tenant, 'a + b & c')
      const caught = await catcher.next()
      expect(caught.method).toBe(method)
      expect(caught.signed).toBe(true)
      expect(caught.params).toMatchObject({ ConversationSid: sid, FriendlyName: 'a + b & c', RetryCount: '0' })
      expect(caught.headers.authorization).toBeUndefined()
      if (method === 'POST') expect(caught.url).toBe(plain)
      else {
        expect(caught.url.startsWith(`${plain}&EventType=onConversationAdded&`)).toBe(true)
        expect(caught.params).toMatchObject({ tenant: '7', x: 'a b' })
        expect(caught.headers).not.toHaveProperty('content-type')
        expect(caught.headers).not.toHaveProperty('content-length')
      }
      expect(await told(tenant, catcher)).toHaveLength(1)
    },
  )

  test('credentials of the url answer a challenge, as the same attempt', async ({ tenant, catcher }) => {
    await accountHook(tenant, catcher.url('/hook').replace('//', '//alice:s3cret@'))
    catcher.reply(({ headers }) =>
      headers.authorization === `Basic ${btoa('alice:s3cret')}`
        ? {}
        : { status: 401, headers: { 'www-authenticate': 'Basic realm="hooks"' } },
    )
    await create(tenant, 'Room')
    await settled(tenant)
    const [first, second] = catcher.requests
    expect(catcher.requests).toHaveLength(2)
    expect(first?.headers.authorization).toBeUndefined()
    expect(second?.params).toEqual(first?.params)
    expect(second?.headers['i-twilio-idempotency-token']).toBe(first?.headers['i-twilio-idempotency-token'])
    expect(await log(tenant)).toMatchObject([{ status: 'delivered', attempts: [{ status: 200, error: null }] }])
  })

  test('a redirect is not followed and counts as a failure', async ({ tenant, catcher }) => {
    await accountHook(tenant, catcher.url('/old'))
    catcher.reply(() => ({ status: 307, headers: { location: catcher.url('/new') } }))
    await create(tenant, 'Room')
    await settled(tenant)
    expect(catcher.requests.map(({ path }) => path)).toEqual(['/old'])
    expect(await log(tenant)).toMatchObject([{ status: 'failed', attempts: [{ status: 307, error: 'HTTP 307' }] }])
  })

  strict.for(['127.0.0.1', 'localhost'])(
    '%s is refused when private addresses are, and the log says why',
    async (host, { tenant, catcher }) => {
      await accountHook(tenant, catcher.url('/hook').replace('127.0.0.1', host))
      await create(tenant, 'Room')
      await settled(tenant)
      const [delivery] = await log(tenant)
      expect(delivery).toMatchObject({ status: 'failed', attempts: [{ status: null }] })
      expect(delivery?.attempts[0]?.error).toMatch(/^refused to connect to .*(127\.0\.0\.1|::1).*\(loopback\)/)
      expect(catcher.requests).toEqual([])
    },
  )

  test('it is signed with the token that the account has when it is sent', async ({ tenant, catcher }) => {
    using held = gate()
    await accountHook(tenant, catcher.url())
    firstAnswer(catcher, { first: { delayUntil: held.opened } })
    const sid = await create(tenant, 'first')
    await rename(tenant, sid, 'second')
    await catcher.next()
    const { auth_token: rotated } = await tenant.admin('POST', `/accounts/${tenant.account_sid}/rotate`)
    await using receiver = await catchWebhooks({ authToken: rotated })
    // The catcher knows the old token: what comes now must not be signed with it.
    held.open()
    expect((await catcher.next()).signed).toBe(false)
    const as = { username: tenant.account_sid, password: rotated }
    const form = { PostWebhookUrl: receiver.url() }
    await tenant.call('POST', '/v1/Configuration/Webhooks', form, { as })
    await tenant.call('POST', '/v1/Conversations', {}, { as, ...asking })
    expect((await receiver.next()).signed).toBe(true)
  })
})

describe('order and independence', () => {
  test('events of one conversation keep their order, even when the first answer is slow; others overtake', async ({
    tenant,
    catcher,
  }) => {
    using held = gate()
    await accountHook(tenant, catcher.url())
    firstAnswer(catcher, { a0: { delayUntil: held.opened } })
    const slow = await create(tenant, 'a0')
    await rename(tenant, slow, 'a1', 'a2', 'a3')
    await create(tenant, 'b0')
    await catcher.next(({ params }) => params.FriendlyName === 'b0')
    expect(namesOf(catcher.requests)).toEqual(['a0', 'b0'])
    held.open()
    await settled(tenant)
    expect(namesOf(catcher.requests)).toEqual(['a0', 'b0', 'a1', 'a2', 'a3'])
  })

  test('a failure does not hold up the next event of the conversation', async ({ tenant, catcher }) => {
    await accountHook(tenant, catcher.url())
    firstAnswer(catcher, { a0: { hangUp: true }, a1: { status: 500 } })
    await rename(tenant, await create(tenant, 'a0'), 'a1', 'a2')
    await settled(tenant)
    expect(namesOf(catcher.requests)).toEqual(['a0', 'a1', 'a2'])
    const statuses = (await log(tenant)).map(({ params, status }) => `${params.FriendlyName} ${status}`)
    expect(statuses).toEqual(['a2 delivered', 'a1 failed', 'a0 failed'])
  })

  test('different conversations are told side by side', async ({ tenant, catcher }) => {
    using held = gate()
    await accountHook(tenant, catcher.url())
    catcher.reply(() => ({ delayUntil: held.opened }))
    const names = Array.from({ length: 20 }, (_, i) => `room ${i}`)
    for (const name of names) await create(tenant, name)
    // None is answered, yet all arrive.
    for (const _ of names) await catcher.next()
    held.open()
    await settled(tenant)
    expect(namesOf(catcher.requests).sort()).toEqual(names.sort())
  })

  test('an endpoint that never answers holds up no other', async ({ tenant, catcher }) => {
    await using silent = await catchWebhooks({ authToken: tenant.auth_token })
    using held = gate()
    silent.reply(() => ({ delayUntil: held.opened }))
    const service = await newService(tenant)
    await accountHook(tenant, silent.url())
    await serviceHook(tenant, service, catcher.url())
    // More than are ever in flight to one endpoint.
    await Promise.all(Array.from({ length: 150 }, (_, i) => create(tenant, `stuck ${i}`)))
    await silent.next()
    const { sid } = await tenant.sdk.conversations.v1.services(service).conversations.create(enabled)
    expect((await catcher.next()).params.ConversationSid).toBe(sid)
    const unanswered = (await log(tenant, '&status=pending')).filter(({ target_sid }) => target_sid === tenant.account_sid)
    expect(unanswered).toHaveLength(150)
  })

  test('an endpoint where nobody listens fails its own deliveries only', async ({ tenant, catcher }) => {
    const gone = await catchWebhooks()
    const dead = gone.url()
    await gone.close()
    const service = await newService(tenant)
    await accountHook(tenant, dead)
    await serviceHook(tenant, service, catcher.url())
    await Promise.all(Array.from({ length: 20 }, (_, i) => create(tenant, `lost ${i}`)))
    await tenant.sdk.conversations.v1.services(service).conversations.create(enabled)
    await catcher.next()
    await settled(tenant)
    const failed = await log(tenant, '&status=failed')
    expect(failed).toHaveLength(20)
    expect(failed[0]?.attempts).toEqual([
      {
        at: expect.any(String),
        duration_ms: expect.any(Number),
        status: null,
        error: expect.stringContaining('ECONNREFUSED'),
        response: null,
      },
    ])
    expect(catcher.requests).toHaveLength(1)
  })
})

const retrying = testOn(() => startServer({ webhookRetries: 2 }))

describe('retries', () => {
  // The tenant's clock stands still but for `advance`: a retry comes when a test says so, however slow the machine is.
  beforeEach(() => void vi.useFakeTimers({ toFake: ['Date'] }))
  afterEach(() => void vi.useRealTimers())

  /** Resolves once the log has so many attempts at least. */
  async function attempted(tenant: Tenant, times: number, name = 'Room') {
    const attempts = async () => (await log(tenant)).find(({ params }) => params.FriendlyName === name)?.attempts.length
    await expect.poll(attempts).toBeGreaterThanOrEqual(times)
  }

  test.for([{ status: 429 }, { status: 503 }, { status: 504 }, { status: 500 }, { hangUp: true }])(
    'off unless switched on: %j is one attempt and a failure',
    async (reply, { tenant, catcher }) => {
      await accountHook(tenant, catcher.url())
      catcher.reply(() => reply)
      await create(tenant, 'Room')
      await settled(tenant)
      await tenant.advance(hour)
      await settled(tenant)
      expect(catcher.requests.map(({ params }) => params.RetryCount)).toEqual(['0'])
      expect(await log(tenant)).toMatchObject([{ status: 'failed', attempts: [{}] }])
    },
  )

  retrying.for([429, 503, 504])(
    'on: %i is tried again with the same token and a higher count',
    async (status, { tenant, catcher }) => {
      await accountHook(tenant, catcher.url())
      firstAnswer(catcher, { Room: { status } })
      await create(tenant, 'Room')
      await attempted(tenant, 1)
      expect(await log(tenant)).toMatchObject([{ status: 'pending', attempts: [{ status, error: `HTTP ${status}` }] }])
      await tenant.advance(hour)
      await settled(tenant)
      const [first, second] = catcher.requests
      expect(catcher.requests).toHaveLength(2)
      expect(second?.params).toEqual({ ...first?.params, RetryCount: '1' })
      expect(second?.signed).toBe(true)
      expect(second?.headers['i-twilio-idempotency-token']).toBe(first?.headers['i-twilio-idempotency-token'])
      expect(await log(tenant)).toMatchObject([{ status: 'delivered', attempts: [{ status }, { status: 200, error: null }] }])
    },
  )

  retrying.for([{ status: 500 }, { status: 404 }, { status: 302 }, { hangUp: true }])(
    'on: %j is final',
    async (reply, { tenant, catcher }) => {
      await accountHook(tenant, catcher.url())
      catcher.reply(() => reply)
      await create(tenant, 'Room')
      await settled(tenant)
      await tenant.advance(hour)
      await settled(tenant)
      expect(catcher.requests).toHaveLength(1)
    },
  )

  retrying('after the last try it is a failure, and nothing more arrives', async ({ tenant, catcher }) => {
    await accountHook(tenant, catcher.url())
    catcher.reply(() => ({ status: 503 }))
    await create(tenant, 'Room')
    for (const times of [1, 2, 3]) {
      await attempted(tenant, times)
      await tenant.advance(hour)
    }
    await settled(tenant)
    expect(catcher.requests.map(({ params }) => params.RetryCount)).toEqual(['0', '1', '2'])
    expect(new Set(catcher.requests.map(({ headers }) => headers['i-twilio-idempotency-token'])).size).toBe(1)
    expect(await log(tenant)).toMatchObject([{ status: 'failed', attempts: [{}, {}, {}] }])
  })

  retrying('a conversation waits for its retry, the others do not', async ({ tenant, catcher }) => {
    await accountHook(tenant, catcher.url())
    firstAnswer(catcher, { a0: { status: 503 } })
    const sid = await create(tenant, 'a0')
    await rename(tenant, sid, 'a1', 'a2')
    await create(tenant, 'b0')
    await catcher.next(({ params }) => params.FriendlyName === 'b0')
    await attempted(tenant, 1, 'a0')
    expect(namesOf(catcher.requests).sort()).toEqual(['a0', 'b0'])
    await tenant.advance(hour)
    await settled(tenant)
    const ofSlow = catcher.requests.filter(({ params }) => params.ConversationSid === sid)
    expect(ofSlow.map(({ params }) => `${params.FriendlyName}/${params.RetryCount}`)).toEqual(['a0/0', 'a0/1', 'a1/0', 'a2/0'])
    expect(catcher.requests).toHaveLength(5)
  })

  retrying('no answer in five seconds is tried again too', async ({ tenant, catcher }) => {
    using held = gate()
    await accountHook(tenant, catcher.url())
    firstAnswer(catcher, { Room: { delayUntil: held.opened } })
    vi.useFakeTimers({ toFake: ['Date', 'setTimeout', 'clearTimeout'] })
    try {
      await create(tenant, 'Room')
      await catcher.next()
      await vi.advanceTimersByTimeAsync(4_999)
      expect(await log(tenant)).toMatchObject([{ status: 'pending', attempts: [] }])
      await vi.advanceTimersByTimeAsync(1)
    } finally {
      vi.useRealTimers()
    }
    await attempted(tenant, 1)
    await tenant.advance(hour)
    await settled(tenant)
    expect(catcher.requests.map(({ params }) => params.RetryCount)).toEqual(['0', '1'])
    expect(await log(tenant)).toMatchObject([
      { status: 'delivered', attempts: [{ status: null, error: 'no response in time' }, { status: 200 }] },
    ])
  })

  test('a retry that waits survives a restart', async () => {
    await using database = await newDatabase()
    await using catcher = await catchWebhooks({ authToken: auth_token })
    firstAnswer(catcher, { Room: { status: 503 } })
    const settings = { ...database.config, webhookRetries: 1 }
    const first = await startServer(settings)
    await accountHook(first, catcher.url())
    await create(first, 'Room')
    await attempted(first, 1)
    await first.stop()
    await using second = await startServer(settings)
    await second.advance(hour)
    await settled(second)
    expect(catcher.requests.map(({ params, signed }) => [params.RetryCount, signed])).toEqual([
      ['0', true],
      ['1', true],
    ])
    expect(eventsOf(catcher.requests)).toEqual(['onConversationAdded', 'onConversationAdded'])
  })
})

/** The machine's clock is set back by an hour. */
function stepBack(server: TestServer): void {
  server.clock.offset_ms -= 3_600_000
}

const settable = testOn(() => startServer({ webhookRetries: 1 }))

describe('a clock that is set back by an hour', () => {
  settable('does not hold up what waits to be sent', async ({ server, tenant, catcher }) => {
    await accountHook(tenant, catcher.url())
    using held = gate()
    catcher.reply(() => ({ delayUntil: held.opened }))
    const sid = await create(tenant, 'Room')
    await catcher.next()
    await rename(tenant, sid, 'Renamed')
    stepBack(server)
    held.open()
    expect((await catcher.next()).params.FriendlyName).toBe('Renamed')
  })

  settable('does not hold up a retry', async ({ server, tenant, catcher }) => {
    await accountHook(tenant, catcher.url())
    firstAnswer(catcher, { Room: { status: 503 } })
    await create(tenant, 'Room')
    await catcher.next()
    stepBack(server)
    expect((await catcher.next()).params.RetryCount).toBe('1')
  })

  settable('leaves the events of a conversation in order, though some are of the future', async ({ server, tenant, catcher }) => {
    await accountHook(tenant, catcher.url(), { filters: ['onMessageAdded'] })
    using held = gate()
    catcher.reply(() => ({ delayUntil: held.opened }))
    const conversation = tenant.sdk.conversations.v1.conversations(await create(tenant, 'Room'))
    const write = () => Array.from({ length: 10 }, () => conversation.messages.create({ body: 'Hello', ...enabled }))
    // What is pending when the clock is reset is as it would be in an installation that was copied from one whose clock is ahead.
    const moves = [
      async () => stepBack(server),
      () => tenant.admin('POST', '/clock', { advance: 'PT5H' }),
      () => tenant.admin('POST', '/clock', { reset: true }),
      async () => stepBack(server),
    ]
    for (const move of moves) {
      const before = write()
      await move()
      await Promise.all([...before, ...write()])
    }
    held.open()
    await settled(tenant)
    const inOrder = Array.from({ length: 80 }, (_, i) => `${i}`)
    expect(catcher.requests.map(({ params }) => params.Index)).toEqual(inOrder)
    const deliveries = await log(tenant)
    expect(deliveries.map(({ params }) => params.Index).reverse()).toEqual(inOrder)
    expect(deliveries.filter(({ status }) => status !== 'delivered')).toEqual([])
  })
})
