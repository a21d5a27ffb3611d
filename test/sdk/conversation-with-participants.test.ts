import { describe, expect } from 'vitest'
import { type Family, families, openFamily } from '../support/family.ts'
import { test } from '../support/fixtures.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

let tenant: Tenant

test.beforeEach(({ tenant: own }) => {
  tenant = own
})

const v1 = () => tenant.sdk.conversations.v1
const proxy = '+15557654321'
const sms = (address: string, proxy_address = proxy) => ({ messaging_binding: { address, proxy_address } })

async function inFamily(family: Family) {
  const { root, service, conversations, users, roles, conversationWithParticipants } = await openFamily(tenant, family)
  const post = (participants: readonly (string | object)[], more: [string, string][] = [], headers = {}) =>
    tenant.call(
      'POST',
      `${root}/ConversationWithParticipants`,
      [...more, ...participants.map((p): [string, string] => ['Participant', typeof p === 'string' ? p : JSON.stringify(p)])],
      { headers },
    )
  return { root, service, conversations, users, roles, conversationWithParticipants, post }
}

describe.each(families)('a conversation with participants, %s family', (family) => {
  test('is made with everything the client can say', async () => {
    const { root, service, conversations, conversationWithParticipants } = await inFamily(family)
    const made = await conversationWithParticipants.create({
      friendlyName: 'F',
      uniqueName: 'U',
      attributes: '{ "topic": "feedback" }',
      messagingServiceSid: `MG${'a'.repeat(32)}`,
      'timers.inactive': 'PT1M',
      'timers.closed': 'PT10M',
      'bindings.email.address': 'a@example.com',
      participant: [JSON.stringify({ identity: 'alice' }), JSON.stringify(sms('+15551234567'))],
    })
    expect(made).toMatchObject({
      accountSid: tenant.account_sid,
      chatServiceSid: service,
      messagingServiceSid: `MG${'a'.repeat(32)}`,
      friendlyName: 'F',
      uniqueName: 'U',
      attributes: '{ "topic": "feedback" }',
      state: 'initializing',
      bindings: { email: { projected_address: expect.stringMatching(/^a\+[0-9a-f]{20}@example\.com$/), name: null } },
    })
    const url = `${tenant.url}${root}/Conversations/${made.sid}`
    expect(made.url).toBe(url)
    expect(made.links).toEqual({
      participants: `${url}/Participants`,
      messages: `${url}/Messages`,
      webhooks: `${url}/Webhooks`,
    })
    expect(Object.keys(made.timers)).toEqual(['date_inactive', 'date_closed'])
    const fetched = await conversations('U').fetch()
    const { links: _links, ...rest } = made.toJSON()
    expect(fetched.toJSON()).toMatchObject({ ...rest, state: 'active' })
    const [alice, phone] = await conversations(made.sid).participants.list()
    expect(alice).toMatchObject({ identity: 'alice', messagingBinding: null, attributes: '{}' })
    expect(phone).toMatchObject({
      identity: null,
      messagingBinding: { type: 'sms', address: '+15551234567', proxy_address: proxy },
    })
    expect(await conversations(made.sid).messages.list()).toEqual([])
  })

  test('answers 202 with participants and 201 without', async () => {
    const { root, post } = await inFamily(family)
    const one = await post([{ identity: 'a' }])
    expect([one.status, one.body.state]).toEqual([202, 'initializing'])
    expect(Object.keys(one.body).slice(-3)).toEqual(['bindings', 'links', 'url'])
    const none = await post([])
    expect([none.status, none.body.state]).toEqual([201, 'active'])
    expect((await post([''])).status).toBe(201)
    const inactive = await post([{ identity: 'a' }], [['State', 'inactive']])
    expect([inactive.status, inactive.body.state]).toEqual([202, 'initializing'])
    expect((await tenant.call('GET', `${root}/Conversations/${inactive.body.sid}`)).body.state).toBe('inactive')
    expect((await tenant.call('GET', `${root}/Conversations?State=initializing`)).body.conversations).toEqual([])
  })

  test('every parameter of a participant goes into its JSON', async () => {
    const { conversations, users, roles, post } = await inFamily(family)
    const role = await roles.create({ friendlyName: 'r', type: 'conversation', permission: ['sendMessage'] })
    const { body } = await post([
      { identity: 'bob', attributes: '{"a":1}', role_sid: role.sid, messaging_binding: null, unknown: 1 },
      { identity: 'carol', messaging_binding: { projected_address: '+15550000001' } },
      { messaging_binding: { address: '+15550000002' } },
      {
        identity: 'dan',
        messaging_binding: { projected_address: '+15550000003' },
        date_created: '2020-01-02T03:04:05Z',
        date_updated: '2021-01-02T03:04:05Z',
      },
    ])
    const found = await conversations(body.sid).participants.list()
    const of = (identity: string | null) => found.find((one) => one.identity === identity)
    expect(found.length).toBe(4)
    expect(of('bob')).toMatchObject({ attributes: '{"a":1}', roleSid: role.sid, messagingBinding: null })
    expect(of('carol')?.messagingBinding).toEqual({ type: 'sms', projected_address: '+15550000001' })
    expect(of(null)?.messagingBinding).toEqual({ type: 'sms', address: '+15550000002' })
    expect(of('dan')?.dateCreated.toISOString()).toBe('2020-01-02T03:04:05.000Z')
    expect(of('dan')?.dateUpdated.toISOString()).toBe('2021-01-02T03:04:05.000Z')
    expect((await users.list()).map(({ identity }) => identity).sort()).toEqual(['bob', 'carol', 'dan'])
    expect((await users('bob').userConversations.list()).map((one) => one.conversationSid)).toEqual([body.sid])
  })

  test('up to ten, with users that exist already', async () => {
    const { conversations, users, post } = await inFamily(family)
    const known = await users.create({ identity: 'p0' })
    const ten = Array.from({ length: 10 }, (_, i) => ({ identity: `p${i}` }))
    const { status, body } = await post(ten)
    expect(status).toBe(202)
    expect((await conversations(body.sid).participants.list()).length).toBe(10)
    expect((await users('p0').fetch()).sid).toBe(known.sid)
    expect((await users.list()).length).toBe(10)
    const eleven = await post([...ten, { identity: 'p10' }])
    expect([eleven.status, eleven.body.code, eleven.body.message]).toEqual([
      400,
      50426,
      'Request contains too many participants.',
    ])
    expect((await conversations.list()).length).toBe(1)
  })

  const badJson = [400, 50424, 'One of the JSON requests for participant creation is invalid.'] as const
  test.each([
    ['{', ...badJson],
    ['alice', ...badJson],
    ['"alice"', ...badJson],
    ['null', ...badJson],
    ['[{"identity":"x"}]', ...badJson],
    [{ identity: 7 }, ...badJson],
    [{ identity: 'x', attributes: { a: 1 } }, ...badJson],
    [{ messaging_binding: '+15551234567' }, ...badJson],
    [{}, 400, 50204, 'Identity not provided'],
    [{ Identity: 'x' }, 400, 50204, 'Identity not provided'],
    [{ identity: 'system' }, 400, 50203, 'Identity reserved'],
    [{ identity: 'x'.repeat(257) }, 400, 50207, 'Identity too long'],
    [{ identity: 'x', attributes: '{' }, 400, 50304, 'Attributes not valid JSON'],
    [{ identity: 'x', role_sid: `RL${'0'.repeat(32)}` }, 400, 50100, 'Role not found'],
    [{ identity: 'x', ...sms('+15551234567') }, 400, 50211, 'Identity parameter not acceptable for this Participant'],
    [sms('nonsense'), 400, 50407, 'Invalid messaging binding address'],
    [sms('+15551234567', '+15551234567'), 400, 50409, 'Participant address equals proxy address'],
    [{ messaging_binding: { proxy_address: proxy } }, 400, 50411, 'Participant address is empty'],
    [{ messaging_binding: { address: '+15550000003' } }, 409, 50437, 'Group Participant already exists'],
    [{ identity: 'first' }, 409, 50433, 'Participant already exists'],
    [sms('+15550000009'), 409, 50425, 'Participant and proxy address pairs for one or more participants already in use.'],
    [sms('+15550000001'), 409, 50425, 'Participant and proxy address pairs for one or more participants already in use.'],
  ] as [string | object, number, number, string][])('one bad participant %o fails it all', async (bad, status, code, message) => {
    const { conversations, users, post } = await inFamily(family)
    const holder = await conversations.create({ uniqueName: 'holder' })
    await conversations(holder.sid).participants.create({
      'messagingBinding.address': '+15550000009',
      'messagingBinding.proxyAddress': proxy,
    })
    const good = [{ identity: 'first' }, sms('+15550000001'), { messaging_binding: { address: '+15550000003' } }]
    const refused = await post([...good, bad], [['UniqueName', 'mine']])
    expect([refused.status, refused.body.code]).toEqual([status, code])
    expect(refused.body.message).toMatch(message)
    expect((await conversations.list()).map(({ sid }) => sid)).toEqual([holder.sid])
    expect(await users.list()).toEqual([])
    // Nothing is held by what was not made.
    expect((await post(good, [['UniqueName', 'mine']])).status).toBe(202)
  })

  test('the conversation’s own rules hold', async () => {
    const { conversations, post } = await inFamily(family)
    await conversations.create({ uniqueName: 'taken' })
    for (const [name, value, status, code] of [
      ['UniqueName', 'taken', 409, 50353],
      ['UniqueName', `CH${'0'.repeat(32)}`, 400, 50390],
      ['State', 'closed', 400, 50384],
      ['State', 'initializing', 400, 50378],
      ['Attributes', '{', 400, 50304],
      ['Timers.Inactive', 'PT1S', 400, 50375],
      ['FriendlyName', 'x'.repeat(257), 400, 50003],
    ] as const) {
      const { status: got, body } = await post([{ identity: 'x' }], [[name, value]])
      expect([got, body.code]).toEqual([status, code])
    }
    expect((await conversations.list()).length).toBe(1)
  })

  test('only POST, and only in a service of the account', async () => {
    const { root, post } = await inFamily(family)
    expect((await tenant.call('GET', `${root}/ConversationWithParticipants`)).body.code).toBe(20004)
    const missing = await tenant.call('POST', `/v1/Services/IS${'0'.repeat(32)}/ConversationWithParticipants`, {})
    expect([missing.status, missing.body.code]).toEqual([404, 20404])
    if (family === 'service') {
      const stranger = await newTenant(tenant)
      const { status, body } = await stranger.call('POST', `${root}/ConversationWithParticipants`, {})
      expect([status, body.message]).toEqual([
        404,
        `The requested resource ${root.slice(3)}/ConversationWithParticipants was not found`,
      ])
    }
    expect((await post([])).status).toBe(201)
  })
})

describe('webhooks', () => {
  const filters = [
    'onConversationAdd',
    'onParticipantAdd',
    'onConversationAdded',
    'onParticipantAdded',
    'onUserAdded',
    'onConversationStateUpdated',
  ]
  const enabled = { xTwilioWebhookEnabled: 'true' as const }
  const two = [JSON.stringify({ identity: 'alice' }), JSON.stringify(sms('+15551234567'))]

  test('are asked and told in order, at last that it has become active', async () => {
    await using hook = await catchWebhooks({ authToken: tenant.auth_token })
    await v1()
      .configuration.webhooks()
      .update({ preWebhookUrl: hook.url('/pre'), postWebhookUrl: hook.url('/post'), filters })
    hook.reply(({ params }) =>
      params.EventType === 'onConversationAdd' ? { body: JSON.stringify({ friendly_name: 'Amended' }) } : {},
    )
    const made = await v1().conversationWithParticipants.create({ friendlyName: 'F', participant: two, ...enabled })
    expect(made.friendlyName).toBe('Amended')
    const asked = await hook.next(({ path }) => path === '/pre')
    expect(asked.params).toMatchObject({
      EventType: 'onConversationAdd',
      FriendlyName: 'F',
      State: 'initializing',
      Source: 'API',
    })
    expect(asked.params).not.toHaveProperty('ConversationSid')
    const alice = await hook.next(({ params }) => params.EventType === 'onParticipantAdd' && params.Identity === 'alice')
    expect(alice.params).toMatchObject({ ConversationSid: made.sid, Attributes: '{}', 'MessagingBinding.Type': 'chat' })
    expect(alice.params).not.toHaveProperty('ParticipantSid')
    const phone = await hook.next(({ params }) => params.EventType === 'onParticipantAdd')
    expect(phone.params).toMatchObject({
      'MessagingBinding.Type': 'sms',
      'MessagingBinding.Address': '+15551234567',
      'MessagingBinding.ProxyAddress': proxy,
    })
    const post = ({ path }: { path: string }) => path === '/post'
    const told = [
      await hook.next(post),
      await hook.next(post),
      await hook.next(post),
      await hook.next(post),
      await hook.next(post),
    ]
    // Deliveries about one subject keep their order; the user is a subject of its own.
    const aboutIt = told.filter(({ params }) => params.ConversationSid === made.sid)
    expect(aboutIt.map(({ params }) => params.EventType)).toEqual([
      'onConversationAdded',
      'onParticipantAdded',
      'onParticipantAdded',
      'onConversationStateUpdated',
    ])
    expect(aboutIt.at(-1)?.params).toMatchObject({
      StateFrom: 'initializing',
      StateTo: 'active',
      Reason: 'EVENT',
      MessagingServiceSid: made.messagingServiceSid,
    })
    expect(aboutIt.at(-1)?.params).not.toHaveProperty('Source')
    const added = aboutIt.filter(({ params }) => params.EventType === 'onParticipantAdded')
    expect(added.map(({ params }) => params.Identity ?? params['MessagingBinding.Address'])).toEqual(['alice', '+15551234567'])
    expect(told.some(({ params }) => params.EventType === 'onUserAdded' && params.Identity === 'alice')).toBe(true)
    expect(hook.requests.length).toBe(8)
  })

  test.each(['onConversationAdd', 'onParticipantAdd'])('a refusal of %s leaves nothing behind', async (refused) => {
    await using hook = await catchWebhooks({ authToken: tenant.auth_token })
    await v1()
      .configuration.webhooks()
      .update({ preWebhookUrl: hook.url('/pre'), postWebhookUrl: hook.url('/post'), filters })
    hook.reply(({ params }) =>
      params.EventType === refused && (refused === 'onConversationAdd' || !params.Identity) ? { status: 403 } : {},
    )
    await expect(v1().conversationWithParticipants.create({ participant: two, ...enabled })).rejects.toMatchObject({
      status: 403,
      code: 50056,
    })
    expect(await v1().conversations.list()).toEqual([])
    expect(await v1().users.list()).toEqual([])
    expect(hook.requests.every(({ path }) => path === '/pre')).toBe(true)
  })

  test('without the header nothing is asked, and told only that it has become active', async () => {
    await using hook = await catchWebhooks({ authToken: tenant.auth_token })
    await v1()
      .configuration.webhooks()
      .update({ preWebhookUrl: hook.url('/pre'), postWebhookUrl: hook.url('/post'), filters })
    await v1().conversationWithParticipants.create({ participant: two })
    await v1().users.create({ identity: 'last', ...enabled })
    expect((await hook.next(({ params }) => params.EventType === 'onUserAdded')).params.Identity).toBe('last')
    await hook.next(({ params }) => params.EventType === 'onConversationStateUpdated')
    expect(hook.requests.length).toBe(2)
  })
})
