import { describe, expect, vi } from 'vitest'
import { test as plain, testOn } from '../support/fixtures.ts'
import { all_events, asking, enabled, eventsOf, gate, isEvent, log, ms_date, settled, uuid_v4 } from '../support/hooked.ts'
import { startServer } from '../support/server.ts'
import type { Tenant } from '../support/tenant.ts'
import { type Caught, catchWebhooks, type Reply, type WebhookCatcher } from '../support/webhook-catcher.ts'

const vetoed = {
  status: 403,
  code: 50056,
  message: 'Webhook cancelled processing of command',
  more_info: 'https://www.twilio.com/docs/errors/50056',
}

interface World {
  readonly tenant: Tenant
  readonly catcher: WebhookCatcher
}

/** Both hooks of the account lead to the catcher: `/pre` is asked, `/post` is told. */
async function ask({ tenant, catcher }: World): Promise<void> {
  await tenant.sdk.conversations.v1.configuration.webhooks().update({
    preWebhookUrl: catcher.url('/pre'),
    postWebhookUrl: catcher.url('/post'),
    filters: all_events,
  })
}

const test = plain.extend('asked', { auto: true }, async ({ tenant, catcher }) => ask({ tenant, catcher }))
const strict = testOn(() => startServer({ webhookAllowPrivate: false }))

const isPre = ({ path }: Caught) => path === '/pre'
const isPost = ({ path }: Caught) => path === '/post'

/** What the pre-action hook says; the post-action one always agrees. */
function answer(catcher: WebhookCatcher, reply: Reply): void {
  catcher.reply((caught) => (isPre(caught) ? reply : {}))
}

/** `EventType` of everything that arrived at `/post`, once nothing is waiting any more. */
async function toldAfter({ tenant, catcher }: World): Promise<string[]> {
  await settled(tenant)
  return eventsOf(catcher.requests.filter(isPost))
}

async function raw({ call }: Tenant, path: string, form: Record<string, string>) {
  return call('POST', `/v1${path}`, form, asking)
}

describe('an answer that lets the change go on', () => {
  const consents: [string, Reply][] = [
    ['200 without a body', { status: 200 }],
    ['200 {}', { status: 200, body: '{}' }],
    ['200 with a text', { status: 200, body: 'OK' }],
    ['200 with XML', { status: 200, body: '<Response/>' }],
    ['200 with JSON that is no object', { status: 200, body: '["friendly_name"]' }],
    ['200 null', { status: 200, body: 'null' }],
    ['200 with keys that nobody knows', { status: 200, body: '{"state":"closed","unique_name":"x","sid":"CH0","a":{"b":1}}' }],
    ['201', { status: 201, body: '{}' }],
    ['204', { status: 204 }],
    ['a hang-up', { hangUp: true }],
  ]
  test.for(consents)('%s: add, update and remove happen as asked', async ([_, reply], { tenant, catcher }) => {
    answer(catcher, reply)
    const conversations = tenant.sdk.conversations.v1.conversations
    const made = await conversations.create({ friendlyName: 'Room', uniqueName: 'room', attributes: '{"a":1}', ...enabled })
    expect(made).toMatchObject({ friendlyName: 'Room', uniqueName: 'room', attributes: '{"a":1}', state: 'active' })
    const changed = await conversations(made.sid).update({ friendlyName: 'New', ...enabled })
    expect(changed).toMatchObject({ friendlyName: 'New', uniqueName: 'room', attributes: '{"a":1}', state: 'active' })
    expect(await conversations(made.sid).remove(enabled)).toBe(true)
    await expect(conversations(made.sid).fetch()).rejects.toMatchObject({ status: 404 })
    expect(await toldAfter({ tenant, catcher })).toEqual([
      'onConversationAdded',
      'onConversationUpdated',
      'onConversationRemoved',
    ])
    expect(eventsOf(catcher.requests.filter(isPre))).toEqual([
      'onConversationAdd',
      'onConversationUpdate',
      'onConversationRemove',
    ])
  })

  test('nobody listens: it happens as asked', async ({ tenant, catcher }) => {
    const gone = await catchWebhooks()
    await gone.close()
    await tenant.sdk.conversations.v1.configuration.webhooks().update({ preWebhookUrl: gone.url() })
    const { sid } = await tenant.sdk.conversations.v1.conversations.create({ friendlyName: 'Room', ...enabled })
    expect(sid).toMatch(/^CH/)
    expect(await toldAfter({ tenant, catcher })).toEqual(['onConversationAdded'])
  })

  strict('a private address that may not be called is not asked: it happens as asked', async ({ tenant, catcher }) => {
    await ask({ tenant, catcher })
    const { sid } = await tenant.sdk.conversations.v1.conversations.create(enabled)
    expect(sid).toMatch(/^CH/)
    await settled(tenant)
    expect(catcher.requests).toEqual([])
  })

  test('no answer for five seconds: it happens as asked, and not before', async ({ tenant, catcher }) => {
    using held = gate()
    answer(catcher, { delayUntil: held.opened, status: 403 })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const creating = raw(tenant, '/Conversations', { UniqueName: 'room' })
      await catcher.next(isPre)
      await vi.advanceTimersByTimeAsync(4_999)
      expect((await tenant.call('GET', '/v1/Conversations/room')).status).toBe(404)
      await vi.advanceTimersByTimeAsync(1)
      expect(await creating).toMatchObject({ status: 201, body: { unique_name: 'room' } })
    } finally {
      vi.useRealTimers()
    }
    expect(await toldAfter({ tenant, catcher })).toEqual(['onConversationAdded'])
  })

  test('an answer that consents but does not end in five seconds is none, and the change goes on', async ({
    tenant,
    catcher,
  }) => {
    // It promises more than it sends. (One that refuses counts as soon as its status is there.)
    answer(catcher, { status: 200, headers: { 'content-length': '1000' }, body: 'because' })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const creating = raw(tenant, '/Conversations', { UniqueName: 'room' })
      await catcher.next(isPre)
      await vi.advanceTimersByTimeAsync(5_000)
      expect(await creating).toMatchObject({ status: 201 })
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('an answer that refuses', () => {
  test.for([301, 302, 307, 400, 401, 403, 404, 410, 429, 500, 502, 503])(
    '%i: 403/50056, nothing happens, nobody is told',
    async (status, { tenant, catcher }) => {
      const conversations = tenant.sdk.conversations.v1.conversations
      const before = await conversations.create({ uniqueName: 'kept', friendlyName: 'Kept' })
      const body = '{"friendly_name":"amended"}'
      answer(catcher, { status, body, headers: { location: catcher.url('/elsewhere') } })

      const { sid } = before
      await expect(conversations.create({ uniqueName: 'new', ...enabled })).rejects.toMatchObject({
        status: vetoed.status,
        code: vetoed.code,
        message: vetoed.message,
        moreInfo: vetoed.more_info,
      })
      expect(await raw(tenant, '/Conversations', { UniqueName: 'new' })).toMatchObject({ status: 403, body: vetoed })
      expect(await raw(tenant, `/Conversations/${sid}`, { FriendlyName: 'New' })).toMatchObject({ status: 403, body: vetoed })
      const removal = await tenant.call('DELETE', `/v1/Conversations/${sid}`, undefined, asking)
      expect(removal).toMatchObject({ status: 403, body: vetoed })

      expect((await conversations('kept').fetch()).toJSON()).toEqual(before.toJSON())
      expect(await conversations.list()).toHaveLength(1)
      expect(await log(tenant)).toEqual([])
      expect(await toldAfter({ tenant, catcher })).toEqual([])
      // No redirect was followed.
      expect(catcher.requests.every(isPre)).toBe(true)
      expect(catcher.requests).toHaveLength(4)
    },
  )

  test('a refused unique name is free', async ({ tenant, catcher }) => {
    answer(catcher, { status: 403 })
    await raw(tenant, '/Conversations', { UniqueName: 'room' })
    answer(catcher, {})
    expect((await raw(tenant, '/Conversations', { UniqueName: 'room' })).status).toBe(201)
  })
})

describe('an answer that amends', () => {
  test('on add, friendly_name and attributes: shown, stored and told', async ({ tenant, catcher }) => {
    answer(catcher, { body: '{"friendly_name":"Amendéd","attributes":"{\\"vip\\": true}","unique_name":"ignored"}' })
    const conversations = tenant.sdk.conversations.v1.conversations
    const made = await conversations.create({ friendlyName: 'Room', uniqueName: 'room', ...enabled })
    const amended = { friendlyName: 'Amendéd', attributes: '{"vip": true}', uniqueName: 'room' }
    expect(made).toMatchObject(amended)
    expect(await conversations(made.sid).fetch()).toMatchObject(amended)
    const { params } = await catcher.next(isPost)
    expect(params).toMatchObject({ FriendlyName: 'Amendéd', Attributes: '{"vip": true}', UniqueName: 'room' })
  })

  test('keys that are null stay as asked', async ({ tenant, catcher }) => {
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({})
    answer(catcher, { body: '{"body":null,"author":null,"attributes":null,"friendly_name":null}' })
    const given = { body: 'Hi', author: 'alice', attributes: '{"a":1}' }
    expect(await conversations(sid).messages.create({ ...given, ...enabled })).toMatchObject(given)
    const named = { friendlyName: 'Room', attributes: '[1]' }
    expect(await conversations.create({ ...named, ...enabled })).toMatchObject(named)
  })

  test('keys that are absent stay as asked', async ({ tenant, catcher }) => {
    answer(catcher, { body: '{"attributes":"[1]"}', headers: { 'content-type': 'text/plain' } })
    const made = await tenant.sdk.conversations.v1.conversations.create({ friendlyName: 'Room', ...enabled })
    expect(made).toMatchObject({ friendlyName: 'Room', attributes: '[1]' })
  })

  test('on update, friendly_name only', async ({ tenant, catcher }) => {
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ friendlyName: 'Old' })
    answer(catcher, { body: '{"friendly_name":"Amended","attributes":"{\\"vip\\":true}","state":"closed"}' })
    const changed = await conversations(sid).update({ attributes: '{"a":1}', ...enabled })
    expect(changed).toMatchObject({ friendlyName: 'Amended', attributes: '{"a":1}', state: 'active' })
    expect((await catcher.next(isPost)).params).toMatchObject({ FriendlyName: 'Amended', Attributes: '{"a":1}' })
  })

  test('on remove, nothing', async ({ tenant, catcher }) => {
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ friendlyName: 'Old' })
    answer(catcher, { body: '{"friendly_name":"Amended"}' })
    await conversations(sid).remove(enabled)
    expect((await catcher.next(isPost)).params.FriendlyName).toBe('Old')
  })

  const long = 'x'.repeat(257)
  test.for<[given: string, amendments: object, error: object]>([
    ['a name that is too long', { friendly_name: long }, { status: 400, code: 50003, message: 'Friendly name too long' }],
    ['a name with a NUL', { friendly_name: 'a\0b' }, { status: 400 }],
    ['attributes that are no JSON', { attributes: '{"a":' }, { status: 400, code: 50304, message: 'Attributes not valid JSON' }],
    ['attributes that are too long', { attributes: `"${'x'.repeat(16_384)}"` }, { status: 400, code: 50303 }],
    ['a number for a name', { friendly_name: 5 }, { status: 400 }],
    ['a list for a name', { friendly_name: ['a'] }, { status: 400 }],
    ['an object for attributes', { attributes: { vip: true } }, { status: 400, code: 50304 }],
  ])(
    '%s: the ordinary refusal of such a value, nothing stored, nobody told',
    async ([_, amendments, error], { tenant, catcher }) => {
      answer(catcher, { body: JSON.stringify(amendments) })
      const { status, body } = await raw(tenant, '/Conversations', { UniqueName: 'room', FriendlyName: 'Room' })
      expect({ ...body, status }).toMatchObject(error)
      expect(body.code).not.toBe(vetoed.code)
      expect((await tenant.call('GET', '/v1/Conversations/room')).status).toBe(404)
      expect(await toldAfter({ tenant, catcher })).toEqual([])
    },
  )

  test('a bad value where it may not be amended is ignored like any other key', async ({ tenant, catcher }) => {
    const { sid } = await tenant.sdk.conversations.v1.conversations.create({})
    answer(catcher, { body: '{"attributes":7}' })
    const changed = await tenant.sdk.conversations.v1.conversations(sid).update({ friendlyName: 'New', ...enabled })
    expect(changed).toMatchObject({ friendlyName: 'New', attributes: '{}' })
  })
})

describe('what is asked', () => {
  async function common(tenant: Tenant) {
    const { defaultChatServiceSid, defaultMessagingServiceSid } = await tenant.sdk.conversations.v1.configuration().fetch()
    return {
      AccountSid: tenant.account_sid,
      ChatServiceSid: defaultChatServiceSid,
      MessagingServiceSid: defaultMessagingServiceSid,
      Source: 'API',
      RetryCount: '0',
      State: 'active',
    }
  }

  test('onConversationAdd: what is to be made, without a sid, signed like any other', async ({ tenant, catcher }) => {
    await raw(tenant, '/Conversations', { FriendlyName: 'Room', UniqueName: 'room', Attributes: '{ "a":1}' })
    const { params, signed, method, headers } = await catcher.next(isPre)
    expect(params).toEqual({
      ...(await common(tenant)),
      EventType: 'onConversationAdd',
      FriendlyName: 'Room',
      UniqueName: 'room',
      Attributes: '{ "a":1}',
      DateCreated: expect.stringMatching(ms_date),
    })
    expect({ signed, method }).toEqual({ signed: true, method: 'POST' })
    expect(headers['i-twilio-idempotency-token']).toMatch(uuid_v4)
  })

  test('onConversationAdd of nothing in particular leaves out what is null', async ({ tenant, catcher }) => {
    await raw(tenant, '/Conversations', {})
    expect((await catcher.next(isPre)).params).toEqual({
      ...(await common(tenant)),
      EventType: 'onConversationAdd',
      Attributes: '{}',
      DateCreated: expect.stringMatching(ms_date),
    })
  })

  test('onConversationUpdate: the values as proposed, the date of the last change', async ({ tenant, catcher }) => {
    const dates = { DateCreated: '2024-05-06T07:08:09.123Z', DateUpdated: '2024-05-07T01:02:03.004Z' }
    const { body } = await tenant.call('POST', '/v1/Conversations', { UniqueName: 'room', FriendlyName: 'Old', ...dates })
    await raw(tenant, '/Conversations/room', { FriendlyName: 'New', State: 'inactive' })
    expect((await catcher.next(isPre)).params).toEqual({
      ...(await common(tenant)),
      ...dates,
      EventType: 'onConversationUpdate',
      ConversationSid: body.sid,
      FriendlyName: 'New',
      UniqueName: 'room',
      Attributes: '{}',
      State: 'inactive',
    })
  })

  test('onConversationRemove: what is to go', async ({ tenant, catcher }) => {
    const dates = { DateCreated: '2024-05-06T07:08:09.123Z', DateUpdated: '2024-05-07T01:02:03.004Z' }
    const { body } = await tenant.call('POST', '/v1/Conversations', { FriendlyName: 'Room', ...dates })
    await tenant.call('DELETE', `/v1/Conversations/${body.sid}`, undefined, asking)
    expect((await catcher.next(isPre)).params).toEqual({
      ...(await common(tenant)),
      ...dates,
      EventType: 'onConversationRemove',
      ConversationSid: body.sid,
      FriendlyName: 'Room',
      Attributes: '{}',
    })
  })

  test('by GET: everything in the query, signed', async ({ tenant, catcher }) => {
    const preWebhookUrl = catcher.url('/pre?tenant=7')
    await tenant.sdk.conversations.v1.configuration.webhooks().update({ preWebhookUrl, method: 'GET' })
    await raw(tenant, '/Conversations', { FriendlyName: 'a + b' })
    const { method, params, signed } = await catcher.next(isPre)
    expect({ method, signed }).toEqual({ method: 'GET', signed: true })
    expect(params).toMatchObject({ tenant: '7', EventType: 'onConversationAdd', FriendlyName: 'a + b' })
  })

  test('before anything is told', async ({ tenant, catcher }) => {
    const { sid } = await tenant.sdk.conversations.v1.conversations.create({ ...enabled })
    await tenant.sdk.conversations.v1.conversations(sid).update({ state: 'closed', ...enabled })
    await settled(tenant)
    expect(eventsOf(catcher.requests)).toEqual([
      'onConversationAdd',
      'onConversationAdded',
      'onConversationUpdate',
      'onConversationUpdated',
      'onConversationStateUpdated',
    ])
  })
})

describe('who is asked', () => {
  test.for([undefined, 'false', '1'])('header %j: nobody', async (value, { tenant, catcher }) => {
    answer(catcher, { status: 403 })
    const options = value === undefined ? {} : { headers: { 'x-twilio-webhook-enabled': value } }
    const { status, body } = await tenant.call('POST', '/v1/Conversations', {}, options)
    expect(status).toBe(201)
    expect((await tenant.call('DELETE', `/v1/Conversations/${body.sid}`, undefined, options)).status).toBe(204)
    await settled(tenant)
    expect(catcher.requests).toEqual([])
  })

  test('only for events that are listed', async ({ tenant, catcher }) => {
    answer(catcher, { status: 403 })
    await tenant.sdk.conversations.v1.configuration.webhooks().update({ filters: ['onConversationRemove'] })
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ ...enabled })
    await conversations(sid).update({ friendlyName: 'New', ...enabled })
    await expect(conversations(sid).remove(enabled)).rejects.toMatchObject({ code: vetoed.code })
    expect(eventsOf(catcher.requests)).toEqual(['onConversationRemove'])
  })

  test('a service that has a webhook of its own, wholly in place of the account', async ({ tenant, catcher }) => {
    const { v1 } = tenant.sdk.conversations
    answer(catcher, { status: 403 })
    const { sid } = await v1.services.create({ friendlyName: 'Support' })
    const webhooks = v1.services(sid).configuration.webhooks()
    await webhooks.update({ postWebhookUrl: catcher.url('/service-post'), filters: all_events })
    await v1.services(sid).conversations.create({ ...enabled })
    await catcher.next(({ path }) => path === '/service-post')

    await webhooks.update({ preWebhookUrl: catcher.url('/service-pre') })
    catcher.reply(({ path }) => (path === '/service-pre' ? { status: 403 } : {}))
    await expect(v1.services(sid).conversations.create({ ...enabled })).rejects.toMatchObject({ code: 50056 })
    // And the account's hook for everything else.
    await v1.conversations.create({ ...enabled })
    await settled(tenant)
    expect(catcher.requests.map(({ path }) => path)).toEqual(['/service-post', '/service-pre', '/pre', '/post'])
  })

  test('nobody with target flex', async ({ tenant, catcher }) => {
    answer(catcher, { status: 403 })
    await tenant.sdk.conversations.v1.configuration.webhooks().update({ target: 'flex' })
    await tenant.sdk.conversations.v1.conversations.create({ ...enabled })
    await settled(tenant)
    expect(catcher.requests).toEqual([])
  })

  test('nobody for a timer', async ({ tenant, catcher }) => {
    answer(catcher, { status: 403 })
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ 'timers.closed': 'PT10M' })
    await tenant.advance('PT10M')
    expect((await conversations(sid).fetch()).state).toBe('closed')
    expect(await toldAfter({ tenant, catcher })).toEqual(['onConversationStateUpdated'])
    expect(catcher.requests.filter(isPre)).toEqual([])
  })

  test('nobody for a request that is refused anyway', async ({ tenant, catcher }) => {
    const conversations = tenant.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ uniqueName: 'taken', friendlyName: 'Room' })
    await conversations(sid).update({ state: 'closed' })
    await expect(conversations.create({ uniqueName: 'taken', ...enabled })).rejects.toMatchObject({ code: 50353 })
    await expect(conversations.create({ attributes: '{', ...enabled })).rejects.toMatchObject({ code: 50304 })
    await expect(conversations(sid).update({ friendlyName: 'x', ...enabled })).rejects.toMatchObject({ code: 50377 })
    await expect(conversations(`CH${'0'.repeat(32)}`).remove(enabled)).rejects.toMatchObject({ status: 404 })
    await settled(tenant)
    expect(catcher.requests).toEqual([])
  })
})

describe('while the hook thinks', () => {
  /** A request that waits for its hook, which has been asked and says `reply` when it is let go. */
  async function pending({ tenant, catcher }: World, path: string, form: Record<string, string>, reply: Reply = {}) {
    const held = gate()
    answer(catcher, { ...reply, delayUntil: held.opened })
    const answered = raw(tenant, path, form)
    await catcher.next(isPre)
    return {
      answered: () => {
        held.open()
        return answered
      },
      [Symbol.dispose]: () => held.open(),
    }
  }

  test('other requests are answered, and nothing of the change is seen', async ({ tenant, catcher }) => {
    using waiting = await pending({ tenant, catcher }, '/Conversations', { UniqueName: 'room' })
    const conversations = tenant.sdk.conversations.v1.conversations
    await expect(conversations('room').fetch()).rejects.toMatchObject({ status: 404 })
    const { sid } = await conversations.create({ friendlyName: 'other' })
    await conversations(sid).update({ friendlyName: 'changed' })
    expect((await conversations.list()).map((each) => each.friendlyName)).toEqual(['changed'])
    expect((await waiting.answered()).status).toBe(201)
    expect((await conversations('room').fetch()).uniqueName).toBe('room')
  })

  test('a conversation that is closed meanwhile is not changed: 50377', async ({ tenant, catcher }) => {
    const conversation = tenant.sdk.conversations.v1.conversations('room')
    await tenant.sdk.conversations.v1.conversations.create({ uniqueName: 'room', friendlyName: 'Old' })
    using waiting = await pending({ tenant, catcher }, '/Conversations/room', { FriendlyName: 'New' })
    await conversation.update({ state: 'closed' })
    expect(await waiting.answered()).toMatchObject({ status: 400, body: { code: 50377 } })
    expect(await conversation.fetch()).toMatchObject({ friendlyName: 'Old', state: 'closed' })
    expect(await toldAfter({ tenant, catcher })).toEqual([])
    expect(catcher.requests).toHaveLength(1)
  })

  test('a conversation that a timer closes meanwhile is not changed either', async ({ tenant, catcher }) => {
    await tenant.sdk.conversations.v1.conversations.create({ uniqueName: 'room', 'timers.closed': 'PT10M' })
    using waiting = await pending({ tenant, catcher }, '/Conversations/room', { FriendlyName: 'New' })
    await tenant.advance('PT10M')
    expect(await waiting.answered()).toMatchObject({ status: 400, body: { code: 50377 } })
    expect(await toldAfter({ tenant, catcher })).toEqual(['onConversationStateUpdated'])
  })

  test('a conversation that is deleted meanwhile is not found, and stays deleted', async ({ tenant, catcher }) => {
    const conversation = tenant.sdk.conversations.v1.conversations('room')
    await tenant.sdk.conversations.v1.conversations.create({ uniqueName: 'room' })
    using waiting = await pending({ tenant, catcher }, '/Conversations/room', { FriendlyName: 'New' })
    await conversation.remove()
    expect(await waiting.answered()).toMatchObject({ status: 404, body: { code: 20404 } })
    await expect(conversation.fetch()).rejects.toMatchObject({ status: 404 })
    expect(await toldAfter({ tenant, catcher })).toEqual([])
  })

  test('another change of the same conversation is kept: only what was asked for is set on top of it', async ({
    tenant,
    catcher,
  }) => {
    const conversation = tenant.sdk.conversations.v1.conversations('room')
    await tenant.sdk.conversations.v1.conversations.create({ uniqueName: 'room', friendlyName: 'Old' })
    using waiting = await pending({ tenant, catcher }, '/Conversations/room', { Attributes: '{"a":1}' })
    await conversation.update({ friendlyName: 'Meanwhile', state: 'inactive' })
    expect((await waiting.answered()).body).toMatchObject({
      friendly_name: 'Meanwhile',
      attributes: '{"a":1}',
      state: 'inactive',
    })
    const { params } = await catcher.next(isPost)
    expect(params).toMatchObject({ FriendlyName: 'Meanwhile', Attributes: '{"a":1}', State: 'inactive' })
    expect(await toldAfter({ tenant, catcher })).toEqual(['onConversationUpdated'])
  })

  test('a state that was reached meanwhile is no change of state any more', async ({ tenant, catcher }) => {
    await tenant.sdk.conversations.v1.conversations.create({ uniqueName: 'room' })
    using waiting = await pending({ tenant, catcher }, '/Conversations/room', { State: 'inactive' })
    await tenant.sdk.conversations.v1.conversations('room').update({ state: 'inactive' })
    expect((await waiting.answered()).status).toBe(200)
    expect(await toldAfter({ tenant, catcher })).toEqual(['onConversationUpdated'])
  })

  test('a unique name that is taken meanwhile is refused: 50353', async ({ tenant, catcher }) => {
    using waiting = await pending({ tenant, catcher }, '/Conversations', { UniqueName: 'room' })
    const { sid } = await tenant.sdk.conversations.v1.conversations.create({ uniqueName: 'room' })
    expect(await waiting.answered()).toMatchObject({ status: 409, body: { code: 50353 } })
    expect((await tenant.sdk.conversations.v1.conversations('room').fetch()).sid).toBe(sid)
    expect(await toldAfter({ tenant, catcher })).toEqual([])
  })

  test('timers count from the commit, not from the question', async ({ tenant, catcher }) => {
    using waiting = await pending({ tenant, catcher }, '/Conversations', { UniqueName: 'room', 'Timers.Closed': 'PT10M' })
    await tenant.advance('PT10M')
    expect((await waiting.answered()).body).toMatchObject({ state: 'active', timers: { date_closed: expect.any(String) } })
    await catcher.next(isEvent('onConversationAdded'))
    expect((await tenant.sdk.conversations.v1.conversations('room').fetch()).state).toBe('active')
    await tenant.advance('PT10M')
    expect((await tenant.sdk.conversations.v1.conversations('room').fetch()).state).toBe('closed')
  })
})
