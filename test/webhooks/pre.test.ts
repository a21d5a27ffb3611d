import { describe, expect, test, vi } from 'vitest'
import type { Config } from '../../src/config.ts'
import {
  all_events,
  asking,
  enabled,
  eventsOf,
  gate,
  type Hooked,
  hooked,
  isEvent,
  log,
  ms_date,
  settled,
  uuid_v4,
} from '../support/hooked.ts'
import type { TestServer } from '../support/server.ts'
import { type Caught, catchWebhooks, type Reply, type WebhookCatcher } from '../support/webhook-catcher.ts'

const vetoed = {
  status: 403,
  code: 50056,
  message: 'Webhook cancelled processing of command',
  more_info: 'https://www.twilio.com/docs/errors/50056',
}

/** Both hooks of the account lead to the catcher: `/pre` is asked, `/post` is told. */
async function asked(overrides: Partial<Config> = {}): Promise<Hooked> {
  const world = await hooked(overrides)
  await world.server.sdk.conversations.v1.configuration.webhooks().update({
    preWebhookUrl: world.catcher.url('/pre'),
    postWebhookUrl: world.catcher.url('/post'),
    filters: all_events,
  })
  return world
}

const isPre = ({ path }: Caught) => path === '/pre'
const isPost = ({ path }: Caught) => path === '/post'

/** What the pre-action hook says; the post-action one always agrees. */
function answer(catcher: WebhookCatcher, reply: Reply): void {
  catcher.reply((caught) => (isPre(caught) ? reply : {}))
}

/** `EventType` of everything that arrived at `/post`, once nothing is waiting any more. */
async function toldAfter({ server, catcher }: Hooked): Promise<string[]> {
  await settled(server)
  return eventsOf(catcher.requests.filter(isPost))
}

async function raw({ call }: TestServer, path: string, form: Record<string, string>) {
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
  test.each(consents)('%s: add, update and remove happen as asked', async (_, reply) => {
    await using world = await asked()
    const { server, catcher } = world
    answer(catcher, reply)
    const conversations = server.sdk.conversations.v1.conversations
    const made = await conversations.create({ friendlyName: 'Room', uniqueName: 'room', attributes: '{"a":1}', ...enabled })
    expect(made).toMatchObject({ friendlyName: 'Room', uniqueName: 'room', attributes: '{"a":1}', state: 'active' })
    const changed = await conversations(made.sid).update({ friendlyName: 'New', ...enabled })
    expect(changed).toMatchObject({ friendlyName: 'New', uniqueName: 'room', attributes: '{"a":1}', state: 'active' })
    expect(await conversations(made.sid).remove(enabled)).toBe(true)
    await expect(conversations(made.sid).fetch()).rejects.toMatchObject({ status: 404 })
    expect(await toldAfter(world)).toEqual(['onConversationAdded', 'onConversationUpdated', 'onConversationRemoved'])
    expect(eventsOf(catcher.requests.filter(isPre))).toEqual([
      'onConversationAdd',
      'onConversationUpdate',
      'onConversationRemove',
    ])
  })

  test('nobody listens: it happens as asked', async () => {
    await using world = await asked()
    const { server } = world
    const gone = await catchWebhooks()
    await gone.close()
    await server.sdk.conversations.v1.configuration.webhooks().update({ preWebhookUrl: gone.url() })
    const { sid } = await server.sdk.conversations.v1.conversations.create({ friendlyName: 'Room', ...enabled })
    expect(sid).toMatch(/^CH/)
    expect(await toldAfter(world)).toEqual(['onConversationAdded'])
  })

  test('a private address that may not be called is not asked: it happens as asked', async () => {
    await using world = await asked({ webhook_allow_private: false })
    const { server, catcher } = world
    const { sid } = await server.sdk.conversations.v1.conversations.create(enabled)
    expect(sid).toMatch(/^CH/)
    await settled(server)
    expect(catcher.requests).toEqual([])
  })

  test('no answer for five seconds: it happens as asked, and not before', async () => {
    await using world = await asked()
    const { server, catcher } = world
    using held = gate()
    answer(catcher, { delayUntil: held.opened, status: 403 })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const creating = raw(server, '/Conversations', { UniqueName: 'room' })
      await catcher.next(isPre)
      await vi.advanceTimersByTimeAsync(4_999)
      expect((await server.call('GET', '/v1/Conversations/room')).status).toBe(404)
      await vi.advanceTimersByTimeAsync(1)
      expect(await creating).toMatchObject({ status: 201, body: { unique_name: 'room' } })
    } finally {
      vi.useRealTimers()
    }
    expect(await toldAfter(world)).toEqual(['onConversationAdded'])
  })

  test('an answer that consents but does not end in five seconds is none, and the change goes on', async () => {
    await using world = await asked()
    const { server, catcher } = world
    // It promises more than it sends. (One that refuses counts as soon as its status is there.)
    answer(catcher, { status: 200, headers: { 'content-length': '1000' }, body: 'because' })
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      const creating = raw(server, '/Conversations', { UniqueName: 'room' })
      await catcher.next(isPre)
      await vi.advanceTimersByTimeAsync(5_000)
      expect(await creating).toMatchObject({ status: 201 })
    } finally {
      vi.useRealTimers()
    }
  })
})

describe('an answer that refuses', () => {
  test.each([301, 302, 307, 400, 401, 403, 404, 410, 429, 500, 502, 503])(
    '%i: 403/50056, nothing happens, nobody is told',
    async (status) => {
      await using world = await asked()
      const { server, catcher } = world
      const conversations = server.sdk.conversations.v1.conversations
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
      expect(await raw(server, '/Conversations', { UniqueName: 'new' })).toMatchObject({ status: 403, body: vetoed })
      expect(await raw(server, `/Conversations/${sid}`, { FriendlyName: 'New' })).toMatchObject({ status: 403, body: vetoed })
      const removal = await server.call('DELETE', `/v1/Conversations/${sid}`, undefined, asking)
      expect(removal).toMatchObject({ status: 403, body: vetoed })

      expect((await conversations('kept').fetch()).toJSON()).toEqual(before.toJSON())
      expect(await conversations.list()).toHaveLength(1)
      expect(await log(server)).toEqual([])
      expect(await toldAfter(world)).toEqual([])
      // No redirect was followed.
      expect(catcher.requests.every(isPre)).toBe(true)
      expect(catcher.requests).toHaveLength(4)
    },
  )

  test('a refused unique name is free', async () => {
    await using world = await asked()
    const { server, catcher } = world
    answer(catcher, { status: 403 })
    await raw(server, '/Conversations', { UniqueName: 'room' })
    answer(catcher, {})
    expect((await raw(server, '/Conversations', { UniqueName: 'room' })).status).toBe(201)
  })
})

describe('an answer that amends', () => {
  test('on add, friendly_name and attributes: shown, stored and told', async () => {
    await using world = await asked()
    const { server, catcher } = world
    answer(catcher, { body: '{"friendly_name":"Amendéd","attributes":"{\\"vip\\": true}","unique_name":"ignored"}' })
    const conversations = server.sdk.conversations.v1.conversations
    const made = await conversations.create({ friendlyName: 'Room', uniqueName: 'room', ...enabled })
    const amended = { friendlyName: 'Amendéd', attributes: '{"vip": true}', uniqueName: 'room' }
    expect(made).toMatchObject(amended)
    expect(await conversations(made.sid).fetch()).toMatchObject(amended)
    const { params } = await catcher.next(isPost)
    expect(params).toMatchObject({ FriendlyName: 'Amendéd', Attributes: '{"vip": true}', UniqueName: 'room' })
  })

  test('keys that are absent stay as asked', async () => {
    await using world = await asked()
    const { server, catcher } = world
    answer(catcher, { body: '{"attributes":"[1]"}', headers: { 'content-type': 'text/plain' } })
    const made = await server.sdk.conversations.v1.conversations.create({ friendlyName: 'Room', ...enabled })
    expect(made).toMatchObject({ friendlyName: 'Room', attributes: '[1]' })
  })

  test('on update, friendly_name only', async () => {
    await using world = await asked()
    const { server, catcher } = world
    const conversations = server.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ friendlyName: 'Old' })
    answer(catcher, { body: '{"friendly_name":"Amended","attributes":"{\\"vip\\":true}","state":"closed"}' })
    const changed = await conversations(sid).update({ attributes: '{"a":1}', ...enabled })
    expect(changed).toMatchObject({ friendlyName: 'Amended', attributes: '{"a":1}', state: 'active' })
    expect((await catcher.next(isPost)).params).toMatchObject({ FriendlyName: 'Amended', Attributes: '{"a":1}' })
  })

  test('on remove, nothing', async () => {
    await using world = await asked()
    const { server, catcher } = world
    const conversations = server.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ friendlyName: 'Old' })
    answer(catcher, { body: '{"friendly_name":"Amended"}' })
    await conversations(sid).remove(enabled)
    expect((await catcher.next(isPost)).params.FriendlyName).toBe('Old')
  })

  const long = 'x'.repeat(257)
  test.each([
    ['a name that is too long', { friendly_name: long }, { status: 400, code: 50003, message: 'Friendly name too long' }],
    ['a name with a NUL', { friendly_name: 'a\0b' }, { status: 400 }],
    ['attributes that are no JSON', { attributes: '{"a":' }, { status: 400, code: 50304, message: 'Attributes not valid JSON' }],
    ['attributes that are too long', { attributes: `"${'x'.repeat(16_384)}"` }, { status: 400, code: 50303 }],
    ['a number for a name', { friendly_name: 5 }, { status: 400 }],
    ['a list for a name', { friendly_name: ['a'] }, { status: 400 }],
    ['an object for attributes', { attributes: { vip: true } }, { status: 400, code: 50304 }],
  ])('%s: the ordinary refusal of such a value, nothing stored, nobody told', async (_, amendments, error) => {
    await using world = await asked()
    const { server, catcher } = world
    answer(catcher, { body: JSON.stringify(amendments) })
    const { status, body } = await raw(server, '/Conversations', { UniqueName: 'room', FriendlyName: 'Room' })
    expect({ ...body, status }).toMatchObject(error)
    expect(body.code).not.toBe(vetoed.code)
    expect((await server.call('GET', '/v1/Conversations/room')).status).toBe(404)
    expect(await toldAfter(world)).toEqual([])
  })

  test('a bad value where it may not be amended is ignored like any other key', async () => {
    await using world = await asked()
    const { server, catcher } = world
    const { sid } = await server.sdk.conversations.v1.conversations.create({})
    answer(catcher, { body: '{"attributes":7}' })
    const changed = await server.sdk.conversations.v1.conversations(sid).update({ friendlyName: 'New', ...enabled })
    expect(changed).toMatchObject({ friendlyName: 'New', attributes: '{}' })
  })
})

describe('what is asked', () => {
  async function common(server: TestServer) {
    const { defaultChatServiceSid, defaultMessagingServiceSid } = await server.sdk.conversations.v1.configuration().fetch()
    return {
      AccountSid: server.account_sid,
      ChatServiceSid: defaultChatServiceSid,
      MessagingServiceSid: defaultMessagingServiceSid,
      Source: 'API',
      RetryCount: '0',
      State: 'active',
    }
  }

  test('onConversationAdd: what is to be made, without a sid, signed like any other', async () => {
    await using world = await asked()
    const { server, catcher } = world
    await raw(server, '/Conversations', { FriendlyName: 'Room', UniqueName: 'room', Attributes: '{ "a":1}' })
    const { params, signed, method, headers } = await catcher.next(isPre)
    expect(params).toEqual({
      ...(await common(server)),
      EventType: 'onConversationAdd',
      FriendlyName: 'Room',
      UniqueName: 'room',
      Attributes: '{ "a":1}',
      DateCreated: expect.stringMatching(ms_date),
    })
    expect({ signed, method }).toEqual({ signed: true, method: 'POST' })
    expect(headers['i-twilio-idempotency-token']).toMatch(uuid_v4)
  })

  test('onConversationAdd of nothing in particular leaves out what is null', async () => {
    await using world = await asked()
    const { server, catcher } = world
    await raw(server, '/Conversations', {})
    expect((await catcher.next(isPre)).params).toEqual({
      ...(await common(server)),
      EventType: 'onConversationAdd',
      Attributes: '{}',
      DateCreated: expect.stringMatching(ms_date),
    })
  })

  test('onConversationUpdate: the values as proposed, the date of the last change', async () => {
    await using world = await asked()
    const { server, catcher } = world
    const dates = { DateCreated: '2024-05-06T07:08:09.123Z', DateUpdated: '2024-05-07T01:02:03.004Z' }
    const { body } = await server.call('POST', '/v1/Conversations', { UniqueName: 'room', FriendlyName: 'Old', ...dates })
    await raw(server, '/Conversations/room', { FriendlyName: 'New', State: 'inactive' })
    expect((await catcher.next(isPre)).params).toEqual({
      ...(await common(server)),
      ...dates,
      EventType: 'onConversationUpdate',
      ConversationSid: body.sid,
      FriendlyName: 'New',
      UniqueName: 'room',
      Attributes: '{}',
      State: 'inactive',
    })
  })

  test('onConversationRemove: what is to go', async () => {
    await using world = await asked()
    const { server, catcher } = world
    const dates = { DateCreated: '2024-05-06T07:08:09.123Z', DateUpdated: '2024-05-07T01:02:03.004Z' }
    const { body } = await server.call('POST', '/v1/Conversations', { FriendlyName: 'Room', ...dates })
    await server.call('DELETE', `/v1/Conversations/${body.sid}`, undefined, asking)
    expect((await catcher.next(isPre)).params).toEqual({
      ...(await common(server)),
      ...dates,
      EventType: 'onConversationRemove',
      ConversationSid: body.sid,
      FriendlyName: 'Room',
      Attributes: '{}',
    })
  })

  test('by GET: everything in the query, signed', async () => {
    await using world = await asked()
    const { server, catcher } = world
    const preWebhookUrl = catcher.url('/pre?tenant=7')
    await server.sdk.conversations.v1.configuration.webhooks().update({ preWebhookUrl, method: 'GET' })
    await raw(server, '/Conversations', { FriendlyName: 'a + b' })
    const { method, params, signed } = await catcher.next(isPre)
    expect({ method, signed }).toEqual({ method: 'GET', signed: true })
    expect(params).toMatchObject({ tenant: '7', EventType: 'onConversationAdd', FriendlyName: 'a + b' })
  })

  test('before anything is told', async () => {
    await using world = await asked()
    const { server, catcher } = world
    const { sid } = await server.sdk.conversations.v1.conversations.create({ ...enabled })
    await server.sdk.conversations.v1.conversations(sid).update({ state: 'closed', ...enabled })
    await settled(server)
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
  test.each([undefined, 'false', '1'])('header %j: nobody', async (value) => {
    await using world = await asked()
    const { server, catcher } = world
    answer(catcher, { status: 403 })
    const options = value === undefined ? {} : { headers: { 'x-twilio-webhook-enabled': value } }
    const { status, body } = await server.call('POST', '/v1/Conversations', {}, options)
    expect(status).toBe(201)
    expect((await server.call('DELETE', `/v1/Conversations/${body.sid}`, undefined, options)).status).toBe(204)
    await settled(server)
    expect(catcher.requests).toEqual([])
  })

  test('only for events that are listed', async () => {
    await using world = await asked()
    const { server, catcher } = world
    answer(catcher, { status: 403 })
    await server.sdk.conversations.v1.configuration.webhooks().update({ filters: ['onConversationRemove'] })
    const conversations = server.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ ...enabled })
    await conversations(sid).update({ friendlyName: 'New', ...enabled })
    await expect(conversations(sid).remove(enabled)).rejects.toMatchObject({ code: vetoed.code })
    expect(eventsOf(catcher.requests)).toEqual(['onConversationRemove'])
  })

  test('a service that has a webhook of its own, wholly in place of the account', async () => {
    await using world = await asked()
    const { server, catcher } = world
    const { v1 } = server.sdk.conversations
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
    await settled(server)
    expect(catcher.requests.map(({ path }) => path)).toEqual(['/service-post', '/service-pre', '/pre', '/post'])
  })

  test('nobody with target flex', async () => {
    await using world = await asked()
    const { server, catcher } = world
    answer(catcher, { status: 403 })
    await server.sdk.conversations.v1.configuration.webhooks().update({ target: 'flex' })
    await server.sdk.conversations.v1.conversations.create({ ...enabled })
    await settled(server)
    expect(catcher.requests).toEqual([])
  })

  test('nobody for a timer', async () => {
    await using world = await asked()
    const { server, catcher } = world
    answer(catcher, { status: 403 })
    const conversations = server.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ 'timers.closed': 'PT10M' })
    await server.advance('PT10M')
    expect((await conversations(sid).fetch()).state).toBe('closed')
    expect(await toldAfter(world)).toEqual(['onConversationStateUpdated'])
    expect(catcher.requests.filter(isPre)).toEqual([])
  })

  test('nobody for a request that is refused anyway', async () => {
    await using world = await asked()
    const { server, catcher } = world
    const conversations = server.sdk.conversations.v1.conversations
    const { sid } = await conversations.create({ uniqueName: 'taken', friendlyName: 'Room' })
    await conversations(sid).update({ state: 'closed' })
    await expect(conversations.create({ uniqueName: 'taken', ...enabled })).rejects.toMatchObject({ code: 50353 })
    await expect(conversations.create({ attributes: '{', ...enabled })).rejects.toMatchObject({ code: 50304 })
    await expect(conversations(sid).update({ friendlyName: 'x', ...enabled })).rejects.toMatchObject({ code: 50377 })
    await expect(conversations(`CH${'0'.repeat(32)}`).remove(enabled)).rejects.toMatchObject({ status: 404 })
    await settled(server)
    expect(catcher.requests).toEqual([])
  })
})

describe('while the hook thinks', () => {
  /** A request that waits for its hook, which has been asked and says `reply` when it is let go. */
  async function pending({ server, catcher }: Hooked, path: string, form: Record<string, string>, reply: Reply = {}) {
    const held = gate()
    answer(catcher, { ...reply, delayUntil: held.opened })
    const answered = raw(server, path, form)
    await catcher.next(isPre)
    return {
      answered: () => {
        held.open()
        return answered
      },
      [Symbol.dispose]: () => held.open(),
    }
  }

  test('other requests are answered, and nothing of the change is seen', async () => {
    await using world = await asked()
    const { server } = world
    using waiting = await pending(world, '/Conversations', { UniqueName: 'room' })
    const conversations = server.sdk.conversations.v1.conversations
    await expect(conversations('room').fetch()).rejects.toMatchObject({ status: 404 })
    const { sid } = await conversations.create({ friendlyName: 'other' })
    await conversations(sid).update({ friendlyName: 'changed' })
    expect((await conversations.list()).map((each) => each.friendlyName)).toEqual(['changed'])
    expect((await waiting.answered()).status).toBe(201)
    expect((await conversations('room').fetch()).uniqueName).toBe('room')
  })

  test('a conversation that is closed meanwhile is not changed: 50377', async () => {
    await using world = await asked()
    const { server, catcher } = world
    const conversation = server.sdk.conversations.v1.conversations('room')
    await server.sdk.conversations.v1.conversations.create({ uniqueName: 'room', friendlyName: 'Old' })
    using waiting = await pending(world, '/Conversations/room', { FriendlyName: 'New' })
    await conversation.update({ state: 'closed' })
    expect(await waiting.answered()).toMatchObject({ status: 400, body: { code: 50377 } })
    expect(await conversation.fetch()).toMatchObject({ friendlyName: 'Old', state: 'closed' })
    expect(await toldAfter(world)).toEqual([])
    expect(catcher.requests).toHaveLength(1)
  })

  test('a conversation that a timer closes meanwhile is not changed either', async () => {
    await using world = await asked()
    const { server } = world
    await server.sdk.conversations.v1.conversations.create({ uniqueName: 'room', 'timers.closed': 'PT10M' })
    using waiting = await pending(world, '/Conversations/room', { FriendlyName: 'New' })
    await server.advance('PT10M')
    expect(await waiting.answered()).toMatchObject({ status: 400, body: { code: 50377 } })
    expect(await toldAfter(world)).toEqual(['onConversationStateUpdated'])
  })

  test('a conversation that is deleted meanwhile is not found, and stays deleted', async () => {
    await using world = await asked()
    const { server } = world
    const conversation = server.sdk.conversations.v1.conversations('room')
    await server.sdk.conversations.v1.conversations.create({ uniqueName: 'room' })
    using waiting = await pending(world, '/Conversations/room', { FriendlyName: 'New' })
    await conversation.remove()
    expect(await waiting.answered()).toMatchObject({ status: 404, body: { code: 20404 } })
    await expect(conversation.fetch()).rejects.toMatchObject({ status: 404 })
    expect(await toldAfter(world)).toEqual([])
  })

  test('another change of the same conversation is kept: only what was asked for is set on top of it', async () => {
    await using world = await asked()
    const { server, catcher } = world
    const conversation = server.sdk.conversations.v1.conversations('room')
    await server.sdk.conversations.v1.conversations.create({ uniqueName: 'room', friendlyName: 'Old' })
    using waiting = await pending(world, '/Conversations/room', { Attributes: '{"a":1}' })
    await conversation.update({ friendlyName: 'Meanwhile', state: 'inactive' })
    expect((await waiting.answered()).body).toMatchObject({
      friendly_name: 'Meanwhile',
      attributes: '{"a":1}',
      state: 'inactive',
    })
    const { params } = await catcher.next(isPost)
    expect(params).toMatchObject({ FriendlyName: 'Meanwhile', Attributes: '{"a":1}', State: 'inactive' })
    expect(await toldAfter(world)).toEqual(['onConversationUpdated'])
  })

  test('a state that was reached meanwhile is no change of state any more', async () => {
    await using world = await asked()
    const { server } = world
    await server.sdk.conversations.v1.conversations.create({ uniqueName: 'room' })
    using waiting = await pending(world, '/Conversations/room', { State: 'inactive' })
    await server.sdk.conversations.v1.conversations('room').update({ state: 'inactive' })
    expect((await waiting.answered()).status).toBe(200)
    expect(await toldAfter(world)).toEqual(['onConversationUpdated'])
  })

  test('a unique name that is taken meanwhile is refused: 50353', async () => {
    await using world = await asked()
    const { server } = world
    using waiting = await pending(world, '/Conversations', { UniqueName: 'room' })
    const { sid } = await server.sdk.conversations.v1.conversations.create({ uniqueName: 'room' })
    expect(await waiting.answered()).toMatchObject({ status: 409, body: { code: 50353 } })
    expect((await server.sdk.conversations.v1.conversations('room').fetch()).sid).toBe(sid)
    expect(await toldAfter(world)).toEqual([])
  })

  test('timers count from the commit, not from the question', async () => {
    await using world = await asked()
    const { server, catcher } = world
    using waiting = await pending(world, '/Conversations', { UniqueName: 'room', 'Timers.Closed': 'PT10M' })
    await server.advance('PT10M')
    expect((await waiting.answered()).body).toMatchObject({ state: 'active', timers: { date_closed: expect.any(String) } })
    await catcher.next(isEvent('onConversationAdded'))
    expect((await server.sdk.conversations.v1.conversations('room').fetch()).state).toBe('active')
    await server.advance('PT10M')
    expect((await server.sdk.conversations.v1.conversations('room').fetch()).state).toBe('closed')
  })
})
