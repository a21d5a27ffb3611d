import { afterEach, describe, expect, vi } from 'vitest'
import { type Family, families, openFamily } from '../support/family.ts'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'
import type { Caught, Reply, WebhookCatcher } from '../support/webhook-catcher.ts'

const enabled = { xTwilioWebhookEnabled: 'true' } as const
const chat_events = [
  ...['onMessageAdd', 'onMessageUpdate', 'onMessageRemove', 'onMessageAdded', 'onMessageUpdated', 'onMessageRemoved'],
  ...['onParticipantAdd', 'onParticipantUpdate', 'onParticipantRemove'],
  ...['onParticipantAdded', 'onParticipantUpdated', 'onParticipantRemoved'],
  ...['onUserUpdate', 'onUserAdded', 'onUserUpdated', 'onConversationStateUpdated'],
]

let tenant: Tenant
let hook: WebhookCatcher

test.beforeEach(({ tenant: own, catcher }) => {
  // Dates are compared to the millisecond: the machine's time stands still, the test clock moves.
  vi.useFakeTimers({ toFake: ['Date'] })
  tenant = own
  hook = catcher
})
afterEach(() => void vi.useRealTimers())

const v1 = () => tenant.sdk.conversations.v1
type Form = Record<string, string>

/** One family of paths with both hooks at the catcher, and a conversation in it. */
async function hooked(family: Family, given: Parameters<ReturnType<typeof v1>['conversations']['create']>[0] = {}) {
  const hooks = { preWebhookUrl: hook.url('/pre'), postWebhookUrl: hook.url('/post'), filters: chat_events }
  if (family === 'default') await v1().configuration.webhooks().update(hooks)
  const { root, service, users, conversations } = await openFamily(tenant, family)
  if (family === 'service') await v1().services(service).configuration.webhooks().update(hooks)
  const { sid, messagingServiceSid } = await conversations.create(given)
  const { messages, participants } = conversations(sid)
  const { defaultConversationRoleSid: role } = await v1().services(service).configuration().fetch()
  /** What every event carries. */
  const common = (EventType: string) => ({
    EventType,
    AccountSid: tenant.account_sid,
    ChatServiceSid: service,
    Source: 'API',
    RetryCount: '0',
  })
  const state = async () => (await conversations(sid).fetch()).state
  return { root, service, users, conversations, sid, messagingServiceSid, messages, participants, role, common, state }
}

/** The server's time as events have it. */
function now(): string {
  return new Date(tenant.clock.now()).toISOString()
}

const isPre = ({ path }: Caught) => path === '/pre'
const isPost = ({ path }: Caught) => path === '/post'

/** The next event, once its place and its signature are checked. */
async function next(path: '/pre' | '/post'): Promise<Form> {
  const caught = await hook.next(path === '/pre' ? isPre : isPost)
  expect(caught).toMatchObject({ method: 'POST', signed: true })
  return caught.params
}

/** Everything that was told, in order, once nothing waits to be told. */
async function told(path?: '/pre' | '/post'): Promise<string[]> {
  const pending = async () => (await tenant.admin('GET', '/deliveries?limit=1000&status=pending')).deliveries
  await expect.poll(pending).toEqual([])
  return hook.requests.filter((caught) => path === undefined || caught.path === path).map(({ params }) => params.EventType ?? '')
}

function answer(reply: Reply): void {
  hook.reply((caught) => (isPre(caught) ? reply : {}))
}

const vetoed = { status: 403, code: 50056, message: 'Webhook cancelled processing of command' }

describe.each(families)('the form of events, %s family', (family) => {
  test('of messages: with an author and a body, edited and removed', async () => {
    const { sid, messages, participants, common, messagingServiceSid } = await hooked(family)
    const alice = await participants.create({ identity: 'alice' })
    const [created, author] = [now(), { Author: 'alice', ParticipantSid: alice.sid }]
    const made = await messages.create({ body: 'hé&llo', author: 'alice', attributes: '{ "a": 1 }', ...enabled })
    const said = { ConversationSid: sid, Body: 'hé&llo', ...author, Attributes: '{ "a": 1 }' }
    const place = { MessageSid: made.sid, Index: '0', DateCreated: created }
    expect(await next('/pre')).toEqual({ ...common('onMessageAdd'), ...said })
    expect(await next('/post')).toEqual({
      ...common('onMessageAdded'),
      ...said,
      ...place,
      MessagingServiceSid: messagingServiceSid,
    })

    await tenant.advance('PT1M30.123S')
    const updated = now()
    await messages(made.sid).update({ body: 'bye', author: 'zoe', ...enabled })
    const edited = { ConversationSid: sid, Body: 'bye', Author: 'zoe', Attributes: '{ "a": 1 }', ...place }
    // Values as proposed, the date of the last change that was made.
    expect(await next('/pre')).toEqual({ ...common('onMessageUpdate'), ...edited, DateUpdated: created })
    expect(await next('/post')).toEqual({ ...common('onMessageUpdated'), ...edited, DateUpdated: updated })

    await tenant.advance('PT1M')
    await messages(made.sid).remove(enabled)
    const left = { ...edited, DateUpdated: updated }
    expect(await next('/pre')).toEqual({ ...common('onMessageRemove'), ...left })
    expect(await next('/post')).toEqual({ ...common('onMessageRemoved'), ...left, DateRemoved: now() })
    expect(hook.requests.length).toBe(6)
  })

  test('of messages: what is not set is not there', async () => {
    const { sid, messages, common, messagingServiceSid } = await hooked(family)
    const silent = { ConversationSid: sid, Author: 'system', Attributes: '{}' }
    const created = now()
    const template = { types: { 'twilio/location': { latitude: 1, longitude: 2 } } }
    await tenant.admin('PUT', `/accounts/${tenant.account_sid}/contents/HX${'a'.repeat(32)}`, template)
    const rich = await messages.create({ contentSid: `HX${'a'.repeat(32)}`, body: 'ignored', ...enabled })
    expect(await next('/pre')).toEqual({ ...common('onMessageAdd'), ...silent })
    const place = { MessageSid: rich.sid, Index: '0', DateCreated: created }
    expect(await next('/post')).toEqual({
      ...common('onMessageAdded'),
      ...silent,
      ...place,
      MessagingServiceSid: messagingServiceSid,
    })
    await messages(rich.sid).update({ subject: 's', ...enabled })
    const untouched = { ...silent, ...place, DateUpdated: created }
    expect(await next('/pre')).toEqual({ ...common('onMessageUpdate'), ...untouched })
    expect(await next('/post')).toEqual({ ...common('onMessageUpdated'), ...untouched })
    // An empty body is a body.
    await messages.create({ body: '', ...enabled })
    expect(await next('/pre')).toEqual({ ...common('onMessageAdd'), ...silent, Body: '' })
    expect(await next('/post')).toMatchObject({ Body: '', Index: '1' })
  })

  const people: [string, Form, Form][] = [
    ['chat', { identity: 'alice' }, { Identity: 'alice', 'MessagingBinding.Type': 'chat' }],
    [
      'sms',
      { 'messagingBinding.address': '+15550000001', 'messagingBinding.proxyAddress': '+15559990001' },
      {
        'MessagingBinding.Type': 'sms',
        'MessagingBinding.Address': '+15550000001',
        'MessagingBinding.ProxyAddress': '+15559990001',
      },
    ],
    [
      'whatsapp',
      { 'messagingBinding.address': 'whatsapp:+15550000001', 'messagingBinding.proxyAddress': 'whatsapp:+15559990001' },
      {
        'MessagingBinding.Type': 'whatsapp',
        'MessagingBinding.Address': 'whatsapp:+15550000001',
        'MessagingBinding.ProxyAddress': 'whatsapp:+15559990001',
      },
    ],
    [
      'projected',
      { identity: 'alice', 'messagingBinding.projectedAddress': '+15550000001' },
      { Identity: 'alice', 'MessagingBinding.Type': 'sms', 'MessagingBinding.ProjectedAddress': '+15550000001' },
    ],
  ]
  test.each(people)('of participants: %s', async (_kind, given, shown) => {
    const { sid, participants, users, role, common } = await hooked(family)
    if (given.identity !== undefined) await users.create({ identity: given.identity })
    const joined = now()
    const made = await participants.create({ ...given, ...enabled })
    const person = { ConversationSid: sid, RoleSid: role, Attributes: '{}', ...shown }
    const place = { ParticipantSid: made.sid, DateCreated: joined }
    expect(await next('/pre')).toEqual({ ...common('onParticipantAdd'), ...person })
    expect(await next('/post')).toEqual({ ...common('onParticipantAdded'), ...person, ...place })

    await tenant.advance('PT1M')
    const updated = now()
    await participants(made.sid).update({ attributes: '[1]', ...enabled })
    const changed = { ...person, Attributes: '[1]', ...place }
    expect(await next('/pre')).toEqual({ ...common('onParticipantUpdate'), ...changed, DateUpdated: joined })
    expect(await next('/post')).toEqual({ ...common('onParticipantUpdated'), ...changed, DateUpdated: updated })

    // Reading is told too, and moves no date.
    await tenant.advance('PT1M')
    await participants(made.sid).update({ lastReadMessageIndex: 4, ...enabled })
    expect(await next('/pre')).toEqual({ ...common('onParticipantUpdate'), ...changed, DateUpdated: updated })
    expect(await next('/post')).toEqual({
      ...common('onParticipantUpdated'),
      ...changed,
      DateUpdated: updated,
      LastReadMessageIndex: '4',
    })

    await participants(made.sid).remove(enabled)
    expect(await next('/pre')).toEqual({ ...common('onParticipantRemove'), ...changed, DateUpdated: updated })
    expect(await next('/post')).toEqual({
      ...common('onParticipantRemoved'),
      ...changed,
      DateUpdated: updated,
      DateRemoved: now(),
    })
    expect(hook.requests.length).toBe(8)
  })

  test('of a member of a group: no role', async () => {
    const { sid, participants, common } = await hooked(family)
    const made = await participants.create({ 'messagingBinding.address': '+15550000001', ...enabled })
    const binding = { 'MessagingBinding.Type': 'sms', 'MessagingBinding.Address': '+15550000001' }
    const person = { ConversationSid: sid, Attributes: '{}', ...binding }
    expect(await next('/pre')).toEqual({ ...common('onParticipantAdd'), ...person })
    expect(await next('/post')).toEqual({
      ...common('onParticipantAdded'),
      ...person,
      ParticipantSid: made.sid,
      DateCreated: now(),
    })
  })

  test('of users: made, changed; a removal has none', async () => {
    const { service, users, common } = await hooked(family)
    const { defaultChatServiceRoleSid } = await v1().services(service).configuration().fetch()
    const created = now()
    const made = await users.create({ identity: 'alice', ...enabled })
    const person = { UserSid: made.sid, Identity: 'alice', RoleSid: defaultChatServiceRoleSid, Attributes: '{}' }
    expect(await next('/post')).toEqual({ ...common('onUserAdded'), ...person, DateCreated: created })
    await tenant.advance('PT1M')
    await users('alice').update({ friendlyName: 'Alice', ...enabled })
    const named = { ...person, FriendlyName: 'Alice' }
    expect(await next('/pre')).toEqual({ ...common('onUserUpdate'), ...named, DateUpdated: created })
    expect(await next('/post')).toEqual({
      ...common('onUserUpdated'),
      ...named,
      DateCreated: created,
      DateUpdated: now(),
    })
    await users('alice').remove(enabled)
    expect(await told()).toEqual(['onUserAdded', 'onUserUpdate', 'onUserUpdated'])
  })

  test('of somebody who becomes a user by joining: of the user and of the participant, which keep no order', async () => {
    const { service, sid, participants, users, role, common } = await hooked(family)
    const { defaultChatServiceRoleSid } = await v1().services(service).configuration().fetch()
    const made = await participants.create({ identity: 'alice', ...enabled })
    const user = await users('alice').fetch()
    const DateCreated = now()
    const both = [await next('/post'), await next('/post')]
    expect(both).toContainEqual({
      ...common('onUserAdded'),
      UserSid: user.sid,
      Identity: 'alice',
      RoleSid: defaultChatServiceRoleSid,
      Attributes: '{}',
      DateCreated,
    })
    expect(both).toContainEqual({
      ...common('onParticipantAdded'),
      ConversationSid: sid,
      ParticipantSid: made.sid,
      Identity: 'alice',
      RoleSid: role,
      Attributes: '{}',
      'MessagingBinding.Type': 'chat',
      DateCreated,
    })
    await participants(made.sid).remove()
    await participants.create({ identity: 'alice', ...enabled })
    expect((await told('/post')).sort()).toEqual(['onParticipantAdded', 'onParticipantAdded', 'onUserAdded'])
    expect(await told('/pre')).toEqual(['onParticipantAdd', 'onParticipantAdd'])
  })

  test('of a conversation that a message wakes: after the message, and whether webhooks were asked for or not', async () => {
    const { sid, messages, conversations, messagingServiceSid, common } = await hooked(family, { state: 'inactive' })
    const { Source: _, ...system } = common('onConversationStateUpdated')
    const woken = {
      ...system,
      ConversationSid: sid,
      MessagingServiceSid: messagingServiceSid,
      StateFrom: 'inactive',
      StateTo: 'active',
      Reason: 'EVENT',
    }
    for (const header of [enabled, {}, { xTwilioWebhookEnabled: 'false' as const }]) {
      await tenant.advance('PT1M')
      await messages.create({ body: 'x', ...header })
      if (header === enabled) expect((await next('/post')).EventType).toBe('onMessageAdded')
      expect(await next('/post')).toEqual({ ...woken, StateUpdated: now() })
      // To one that is active a message changes no state.
      await messages.create({ body: 'y' })
      await conversations(sid).update({ state: 'inactive' })
    }
    const state = 'onConversationStateUpdated'
    expect(await told('/post')).toEqual(['onMessageAdded', state, state, state])
  })

  test('of a conversation that its timer made inactive and a message woke', async () => {
    const { messages } = await hooked(family, { 'timers.inactive': 'PT10M' })
    await tenant.advance('PT10M')
    await messages.create({ body: 'x' })
    expect([await next('/post'), await next('/post')]).toMatchObject([
      { StateFrom: 'active', StateTo: 'inactive', Reason: 'TIMER' },
      { StateFrom: 'inactive', StateTo: 'active', Reason: 'EVENT' },
    ])
    expect((await told()).length).toBe(2)
  })
})

/** A write of each kind; answers what its events are. */
const writes: [string, string, string | null][] = [
  ['POST /Messages', 'onMessageAdd', 'onMessageAdded'],
  ['POST /Messages/IM', 'onMessageUpdate', 'onMessageUpdated'],
  ['DELETE /Messages/IM', 'onMessageRemove', 'onMessageRemoved'],
  ['POST /Participants', 'onParticipantAdd', 'onParticipantAdded'],
  ['POST /Participants/alice', 'onParticipantUpdate', 'onParticipantUpdated'],
  ['DELETE /Participants/alice', 'onParticipantRemove', 'onParticipantRemoved'],
]

/** Somebody, something they said, and how to change either by a line of the table. */
async function populated() {
  const place = await hooked('default')
  const { sid, participants, messages, users } = place
  const path = `/v1/Conversations/${sid}`
  await users.create({ identity: 'bob' })
  await participants.create({ identity: 'alice' })
  const message = await messages.create({ body: 'old', author: 'alice' })
  const run = (line: string, headers: Form) => {
    const [method = '', tail = ''] = line.split(' ')
    const forms: Form = { '/Messages': 'Body=new', '/Participants': 'Identity=bob' }
    const form = method === 'DELETE' ? undefined : (forms[tail] ?? 'Attributes=[1]')
    return tenant.call(method, path + tail.replace('IM', message.sid), form, { headers })
  }
  const seen = async () => [
    (await tenant.call('GET', path)).body,
    (await tenant.call('GET', `${path}/Messages`)).body.messages,
    (await tenant.call('GET', `${path}/Participants`)).body.participants,
    (await tenant.call('GET', '/v1/Users')).body.users,
  ]
  return { ...place, path, run, seen }
}

describe('the header', () => {
  const silent: Form[] = [{}, { 'x-twilio-webhook-enabled': 'false' }, { 'x-twilio-webhook-enabled': '' }]
  test.each(writes.flatMap(([line]) => silent.map((headers) => [line, headers] as const)))(
    '%s with %o: nothing is asked, nothing is told',
    async (line, headers) => {
      const { run } = await populated()
      expect((await run(line, headers)).status).toBeLessThan(300)
      expect(await told()).toEqual([])
    },
  )

  test.each(writes)('%s: asked for in any letter case, %s and %s come', async (line, pre, post) => {
    const { run } = await populated()
    expect((await run(line, { 'X-Twilio-Webhook-Enabled': 'TrUe' })).status).toBeLessThan(300)
    expect(await told()).toEqual([pre, post])
  })

  test('a request that is refused or changes nothing is not told', async () => {
    const { run, path, messages } = await populated()
    const headers = { 'x-twilio-webhook-enabled': 'true' }
    for (const [form, tail] of [
      ['Author=a', '/Messages'],
      ['Body=x&Attributes={', '/Messages'],
      ['Identity=alice', '/Participants'],
      ['LastReadMessageIndex=-1', '/Participants/alice'],
    ] as const) {
      expect((await tenant.call('POST', path + tail, form, { headers })).status).toBeGreaterThanOrEqual(400)
    }
    await messages((await messages.list())[0]?.sid ?? '').update(enabled)
    expect((await run('POST /Messages/none', headers)).status).toBe(404)
    expect(await told()).toEqual([])
  })
})

describe('a pre-action webhook', () => {
  test('amends a new message: what is answered, stored and told is what it said', async () => {
    const { messages, participants } = await hooked('default')
    const alice = await participants.create({ identity: 'alice' })
    const said = { body: 'amended', author: 'alice', attributes: '{"by":"hook"}' }
    answer({ body: JSON.stringify({ ...said, index: 9, media: 'x', participant_sid: 'x' }) })
    const made = await messages.create({ body: 'original', author: 'zoe', ...enabled })
    expect(made).toMatchObject({ ...said, participantSid: alice.sid, index: 0, media: null })
    expect((await messages(made.sid).fetch()).toJSON()).toEqual(made.toJSON())
    expect(await next('/pre')).toMatchObject({ Body: 'original', Author: 'zoe', Attributes: '{}' })
    expect(await next('/post')).toMatchObject({
      EventType: 'onMessageAdded',
      Body: 'amended',
      Author: 'alice',
      ParticipantSid: alice.sid,
      Attributes: '{"by":"hook"}',
    })
  })

  test('amends an edit, key by key', async () => {
    const { messages, participants, users } = await hooked('default')
    const { sid } = await messages.create({ body: 'old', author: 'zoe', attributes: '[1]' })
    answer({ body: '{"body":"amended"}' })
    const edited = await messages(sid).update({ attributes: '[2]', ...enabled })
    expect(edited).toMatchObject({ body: 'amended', author: 'zoe', attributes: '[2]' })
    expect((await messages(sid).fetch()).toJSON()).toEqual(edited.toJSON())
    expect(await next('/pre')).toMatchObject({ Body: 'old', Attributes: '[2]' })
    expect(await next('/post')).toMatchObject({ Body: 'amended', Attributes: '[2]' })
    // A removal, a participant and a user are not amended.
    answer({ body: '{"body":"x","attributes":"[3]","identity":"mallory","friendly_name":"Mallory"}' })
    const bob = await participants.create({ identity: 'bob', ...enabled })
    expect(bob).toMatchObject({ identity: 'bob', attributes: '{}' })
    expect(await participants('bob').update({ attributes: '[4]', ...enabled })).toMatchObject({ attributes: '[4]' })
    expect(await users('bob').update({ friendlyName: 'Bob', ...enabled })).toMatchObject({
      friendlyName: 'Bob',
      attributes: '{}',
    })
    expect(await messages(sid).remove(enabled)).toBe(true)
  })

  const nonsense: [object, number, string][] = [
    [{ attributes: '{' }, 50304, 'Attributes not valid JSON'],
    [{ attributes: { a: 1 } }, 50304, 'Attributes not valid JSON'],
    [{ attributes: `"${'é'.repeat(2048)}"` }, 50303, 'Attributes too long'],
    [{ body: `${'é'.repeat(16_384)}x` }, 50504, 'Message body parameter is too long'],
    [{ body: 7 }, 20422, 'Invalid Parameter'],
    [{ author: 'x'.repeat(257) }, 50310, 'Author parameter is too long'],
    [{ body: 'fine', author: ['x'] }, 20422, 'Invalid Parameter'],
  ]
  test.each(nonsense)('that answers %j gives the caller %i, and nothing happens', async (said, code, message) => {
    const { run, seen, messages } = await populated()
    const before = await seen()
    answer({ body: JSON.stringify(said) })
    for (const line of ['POST /Messages', 'POST /Messages/IM']) {
      const { status, body } = await run(line, { 'x-twilio-webhook-enabled': 'true' })
      expect([status, body.code, body.message]).toEqual([400, code, message])
    }
    expect(await seen()).toEqual(before)
    expect(await told('/post')).toEqual([])
    expect((await messages.create({ body: 'next' })).index).toBe(1)
  })

  test.each(writes.flatMap(([line, pre]) => [400, 403, 500].map((status) => [line, status, pre] as const)))(
    'refuses %s with %i: the caller gets 50056 and there is no trace',
    async (line, status, pre) => {
      const { run, seen, messages } = await populated()
      const before = await seen()
      answer({ status, body: '{"body":"x"}' })
      const refused = await run(line, { 'x-twilio-webhook-enabled': 'true' })
      expect(refused.status).toBe(403)
      expect(refused.body).toMatchObject(vetoed)
      expect(await seen()).toEqual(before)
      expect(await told()).toEqual([pre])
      // No index went with it.
      expect((await messages.create({ body: 'next' })).index).toBe(1)
    },
  )

  test('that refuses a message leaves the conversation asleep and its deadlines alone', async () => {
    const { messages, conversations, sid } = await hooked('default', { state: 'inactive', 'timers.closed': 'PT30M' })
    const before = (await conversations(sid).fetch()).toJSON()
    await tenant.advance('PT5M')
    answer({ status: 403 })
    await expect(messages.create({ body: 'x', ...enabled })).rejects.toMatchObject(vetoed)
    expect((await conversations(sid).fetch()).toJSON()).toEqual(before)
    expect(await told()).toEqual(['onMessageAdd'])
  })

  test('that refuses a participant makes no user; that refuses a user changes nothing', async () => {
    const { participants, users } = await hooked('default')
    await users.create({ identity: 'bob', friendlyName: 'Bob' })
    answer({ status: 403 })
    await expect(participants.create({ identity: 'alice', ...enabled })).rejects.toMatchObject(vetoed)
    await expect(users('bob').update({ friendlyName: 'x', ...enabled })).rejects.toMatchObject(vetoed)
    expect((await users.list()).map(({ identity, friendlyName }) => [identity, friendlyName])).toEqual([['bob', 'Bob']])
    expect(await participants.list()).toEqual([])
    expect(await told('/post')).toEqual([])
  })

  test('is not asked about what the request may not do anyway', async () => {
    const { messages, conversations, sid } = await hooked('default')
    await conversations(sid).update({ state: 'closed' })
    await expect(messages.create({ body: 'x', ...enabled })).rejects.toMatchObject({ code: 50377 })
    expect(await told()).toEqual([])
  })

  test('is asked while the conversation goes on: what it agrees to is decided anew', async () => {
    const { messages, conversations, sid } = await hooked('default')
    const gate = Promise.withResolvers<void>()
    answer({ delayUntil: gate.promise })
    const [early, late] = [messages.create({ body: 'waits', ...enabled }), messages.create({ body: 'waits too', ...enabled })]
    await Promise.all([next('/pre'), next('/pre')])
    expect((await messages.create({ body: 'overtakes' })).index).toBe(0)
    gate.resolve()
    const indexes = (await Promise.all([early, late])).map(({ index }) => index)
    expect(indexes.sort()).toEqual([1, 2])

    const closing = Promise.withResolvers<void>()
    answer({ delayUntil: closing.promise })
    const refused = expect(messages.create({ body: 'too late', ...enabled })).rejects.toMatchObject({ code: 50377 })
    await next('/pre')
    await conversations(sid).update({ state: 'closed' })
    closing.resolve()
    await refused
    expect((await messages.list()).length).toBe(3)
    expect((await told('/post')).length).toBe(2)
  })
})

test('what happens in one conversation is told in that order; another does not wait for it', async () => {
  const { conversations, sid: held } = await hooked('default')
  await v1().configuration.webhooks().update({ preWebhookUrl: '' })
  const { sid: free } = await conversations.create({})
  const gate = Promise.withResolvers<void>()
  hook.reply(({ params }) => (params.ConversationSid === held && params.Index === '0' ? { delayUntil: gate.promise } : {}))
  await v1().users.create({ identity: 'alice' })
  for (const sid of [held, free]) {
    const { messages, participants } = conversations(sid)
    const first = await messages.create({ body: '0', ...enabled })
    await participants.create({ identity: 'alice', ...enabled })
    for (let i = 1; i < 10; i++) await messages.create({ body: String(i), ...enabled })
    await messages(first.sid).update({ body: 'edited', ...enabled })
    await participants('alice').remove(enabled)
    await messages(first.sid).remove(enabled)
  }
  const order = [
    'onMessageAdded 0',
    'onParticipantAdded',
    ...Array.from({ length: 9 }, (_, i) => `onMessageAdded ${i + 1}`),
    'onMessageUpdated 0',
    'onParticipantRemoved',
    'onMessageRemoved 0',
  ]
  const of = (sid: string) =>
    hook.requests
      .filter(({ params }) => params.ConversationSid === sid)
      .map(({ params }) => [params.EventType, params.Index].filter((part) => part !== undefined).join(' '))
  await hook.next(({ params }) => params.ConversationSid === free && params.EventType === 'onMessageRemoved')
  expect(of(free)).toEqual(order)
  expect(of(held)).toEqual(['onMessageAdded 0'])
  gate.resolve()
  await told()
  expect(of(held)).toEqual(order)
})
