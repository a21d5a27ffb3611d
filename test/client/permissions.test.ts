import { describe, expect } from 'vitest'
import { connected, opened, RawClient } from '../support/client.ts'
import { role, type Scene, scene } from '../support/client-scene.ts'
import { test } from '../support/fixtures.ts'
import { settled } from '../support/hooked.ts'
import type { Tenant } from '../support/tenant.ts'

const v1 = ({ sdk }: Tenant) => sdk.conversations.v1

type Command = readonly [what: string, ask: (scene: Scene) => Parameters<RawClient['request']>, ...anyOf: string[]]

const text = { body: 'x' }
const attributes = { attributes: '{"x":1}' }
const binding = { messaging_binding: { address: '+15550001111', proxy_address: '+15550002222' } }

/** Every command that needs a permission, with those that allow it in a role of the conversation. */
const here: readonly Command[] = [
  ['send', (s) => ['POST', s.messages, { body: text }], 'sendMessage'],
  ['send media', (s) => ['POST', s.messages, { body: { media_sids: [`ME${'0'.repeat(32)}`] } }], 'sendMediaMessage'],
  ['leave', (s) => ['DELETE', s.ann], 'leaveConversation'],
  ['add', (s) => ['POST', s.participants, { body: { identity: 'carol' } }], 'addParticipant'],
  ['add by address', (s) => ['POST', s.participants, { body: binding }], 'addNonChatParticipant', 'addParticipant'],
  ['remove', (s) => ['DELETE', s.bob], 'removeParticipant'],
  ['rename', (s) => ['POST', s.conversation, { body: { friendly_name: 'x' } }], 'editConversationName'],
  ['change the unique name', (s) => ['POST', s.conversation, { body: { unique_name: 'x' } }], 'editConversationName'],
  ['change attributes', (s) => ['POST', s.conversation, { body: attributes }], 'editConversationAttributes'],
  ['delete', (s) => ['DELETE', s.conversation], 'deleteConversation'],
  ['edit the own message', (s) => ['POST', s.mine, { body: text }], 'editOwnMessage', 'editAnyMessage'],
  ['edit another message', (s) => ['POST', s.theirs, { body: text }], 'editAnyMessage'],
  ['mark the own message', (s) => ['POST', s.mine, { body: attributes }], 'editOwnMessageAttributes', 'editAnyMessageAttributes'],
  ['mark another message', (s) => ['POST', s.theirs, { body: attributes }], 'editAnyMessageAttributes'],
  ['delete the own message', (s) => ['DELETE', s.mine], 'deleteOwnMessage', 'deleteAnyMessage'],
  ['delete another message', (s) => ['DELETE', s.theirs], 'deleteAnyMessage'],
  [
    'change oneself',
    (s) => ['POST', s.ann, { body: attributes }],
    'editOwnParticipantAttributes',
    'editAnyParticipantAttributes',
  ],
  ['change another', (s) => ['POST', s.bob, { body: attributes }], 'editAnyParticipantAttributes'],
  ['mute', (s) => ['POST', s.membership, { body: { notification_level: 'muted' } }], 'editNotificationLevel'],
]

/** Those of the service. */
const inService: readonly Command[] = [
  ['create', (s) => ['POST', s.conversations, { body: { friendly_name: 'x' } }], 'createConversation'],
  ['change the own user', (s) => ['POST', s.me, { body: { friendly_name: 'x' } }], 'editOwnUserInfo', 'editAnyUserInfo'],
  ['change another user', (s) => ['POST', s.other, { body: { friendly_name: 'x' } }], 'editAnyUserInfo'],
]

const unauthorized = { status: 403, body: { code: 50107, status: 403, message: 'User unauthorized for command' } }
const onlyHere = ['sendMessage', 'sendMediaMessage', 'leaveConversation', 'deleteOwnMessage']

test.for([...here, ...inService])('without the permission nobody may: %s', async ([, ask, ...anyOf], { tenant }) => {
  const others = [...new Set([...here, ...inService].flatMap(([, , ...all]) => all))].filter((one) => !anyOf.includes(one))
  const service = others.filter((one) => !onlyHere.includes(one))
  const place = await scene(
    tenant,
    others.filter((one) => one !== 'createConversation'),
    service,
  )
  const before = (await v1(tenant).conversations.list()).length
  expect(await place.raw.request(...ask(place))).toMatchObject(unauthorized)
  expect(await v1(tenant).conversations.list()).toHaveLength(before)
})

describe('a permission', () => {
  test.for([...here.flatMap(([what, ask, ...anyOf]) => anyOf.map((one) => ({ what, ask, one })))])(
    'in a role of the conversation: $one allows to $what',
    async ({ ask, one }, { tenant }) => {
      const place = await scene(tenant, [one])
      const { status, body } = await place.raw.request(...ask(place))
      // No such media: it was looked for, though.
      if (one === 'sendMediaMessage') expect([status, body.code]).toEqual([400, 50507])
      else expect([200, 201, 204]).toContain(status)
    },
  )

  test.for(
    [...inService, ...here].flatMap(([what, ask, ...anyOf]) =>
      anyOf.filter((one) => !onlyHere.includes(one)).map((one) => ({ what, ask, one })),
    ),
  )('in a role of the service: $one allows to $what', async ({ ask, one }, { tenant }) => {
    const place = await scene(tenant, [], [one])
    expect([200, 201, 204]).toContain((await place.raw.request(...ask(place))).status)
  })

  test('counts at once when the role or the holder changes', async ({ tenant }) => {
    const place = await scene(tenant, ['leaveConversation'])
    const send = () => place.raw.request('POST', place.messages, { body: text })
    expect(await send()).toMatchObject(unauthorized)
    const member = await v1(tenant).conversations(place.sid).participants('ann').fetch()
    await v1(tenant)
      .roles(member.roleSid)
      .update({ permission: ['sendMessage'] })
    expect((await send()).status).toBe(201)
    const roleSid = await role(tenant, 'conversation', ['leaveConversation'])
    await v1(tenant).conversations(place.sid).participants('ann').update({ roleSid })
    expect(await send()).toMatchObject(unauthorized)
  })
})

describe('who sees a conversation', () => {
  test('its participants, its creator and admins; others are refused by name, what does not exist is not found', async ({
    tenant,
  }) => {
    const [ann, bob] = [await RawClient.admitted(tenant, 'ann'), await RawClient.admitted(tenant, 'bob')]
    const { links } = (await ann.request('GET', '/Client/v2/Configuration')).body
    const path = new URL(links.conversations).pathname
    const made = (await ann.request('POST', path, { body: { unique_name: 'mine' } })).body
    for (const name of [made.sid, 'mine']) {
      expect((await ann.request('GET', `${path}/${name}`)).body).toMatchObject({ sid: made.sid, created_by: 'ann' })
      expect(await bob.request('GET', `${path}/${name}`)).toMatchObject({ status: 403, body: { code: 50430 } })
    }
    expect(await ann.request('GET', `${path}/CH${'0'.repeat(32)}`)).toMatchObject({ status: 404, body: { code: 50350 } })
    expect((await ann.request('GET', `/v3/Documents/${made.sid}.channel`)).status).toBe(200)
    expect((await ann.request('GET', `/v3/Lists/${made.sid}.messages`)).status).toBe(403)
    // Creating is not joining: a message has to wait.
    expect(await ann.request('POST', `${path}/${made.sid}/Messages`, { body: text })).toMatchObject({
      status: 403,
      body: { code: 50430 },
    })
    await v1(tenant)
      .users('bob')
      .update({ roleSid: await role(tenant, 'service', ['deleteAnyMessage', 'joinConversation']) })
    expect((await bob.request('GET', `${path}/mine`)).status).toBe(200)
    expect((await bob.request('GET', `/v3/Lists/${made.sid}.messages`)).status).toBe(200)
    expect((await bob.request('POST', `${path}/mine/Participants`, { body: { identity: 'bob' } })).status).toBe(201)
  })

  test('a creator adds others first, and gets the creator role by joining', async ({ tenant }) => {
    const ann = await RawClient.admitted(tenant, 'ann')
    const { links } = (await ann.request('GET', '/Client/v2/Configuration')).body
    const path = new URL(links.conversations).pathname
    const { sid } = (await ann.request('POST', path, { body: {} })).body
    expect((await ann.request('POST', `${path}/${sid}/Participants`, { body: { identity: 'bob' } })).status).toBe(201)
    const joined = (await ann.request('POST', `${path}/${sid}/Participants`, { body: { identity: 'ann' } })).body
    const [creator, plain] = (await v1(tenant).roles.list())
      .filter(({ friendlyName }) => /^channel/.test(friendlyName))
      .sort((a, b) => (a.friendlyName < b.friendlyName ? -1 : 1))
    expect(joined.role_sid).toBe(creator?.sid)
    expect((await v1(tenant).conversations(sid).participants('bob').fetch()).roleSid).toBe(plain?.sid)
    expect(await ann.request('POST', `${path}/${sid}/Participants`, { body: { identity: 'bob' } })).toMatchObject({
      status: 409,
      body: { code: 50433 },
    })
    expect(
      await ann.request('POST', `${path}/${sid}/Participants`, { body: { identity: 'x', role_sid: creator?.sid } }),
    ).toMatchObject({ status: 403, body: { code: 50205 } })
  })

  test('nobody reaches another service or other people by a path', async ({ tenant }) => {
    const ann = await RawClient.admitted(tenant, 'ann')
    await RawClient.admitted(tenant, 'bob')
    const service = (await v1(tenant).services.create({ friendlyName: 'x' })).sid
    const { sid } = await v1(tenant).services(service).conversations.create({})
    const own = (await ann.request('GET', '/Client/v2/Configuration')).body.links.conversations
    const base = new URL(own).pathname
    expect((await ann.request('GET', `/Client/v2/Services/${service}/Conversations/${sid}`)).status).toBe(404)
    expect((await ann.request('GET', `${base}/${sid}`)).status).toBe(404)
    expect((await ann.request('GET', `/v3/Documents/${sid}.channel`)).status).toBe(404)
    const bob = (await v1(tenant).users('bob').fetch()).sid
    expect((await ann.request('GET', `/v3/Maps/${bob}.channels`)).status).toBe(403)
    expect((await ann.request('GET', `/v3/Maps/${bob}.info`)).status).toBe(200)
    expect((await ann.request('GET', `${base.replace('Conversations', 'Users')}/${bob}/Conversations`)).status).toBe(403)
  })
})

test('the read horizon is an index or null: one above the last message means the last, a negative one is refused', async ({
  tenant,
}) => {
  const place = await scene(tenant, ['leaveConversation'])
  const read = async (last_read_message_index: unknown) => {
    const { status, body } = await place.raw.request('POST', place.membership, { body: { last_read_message_index } })
    return [status, status === 200 ? body.last_read_message_index : body.code]
  }
  expect(await read(0)).toEqual([200, 0])
  expect(await read(99)).toEqual([200, 1])
  for (const bad of [-1, -7, 0.5, 'x', true]) expect([bad, ...(await read(bad))]).toEqual([bad, 400, 50421])
  expect(await read(undefined)).toEqual([200, 1])
  expect(await read(null)).toEqual([200, null])
  const { sid } = await v1(tenant).conversations.create({})
  await v1(tenant).conversations(sid).participants.create({ identity: 'ann' })
  const empty = place.membership.replace(place.sid, sid)
  expect((await place.raw.request('POST', empty, { body: { last_read_message_index: 3 } })).body).toMatchObject({
    last_read_message_index: null,
  })
})

describe('webhooks', () => {
  test('are sent with the source and the identity, and a veto reaches the app', async ({ tenant, catcher }) => {
    const filters = [
      'onMessageAdd',
      'onMessageAdded',
      'onConversationAdded',
      'onParticipantAdded',
      'onUserAdded',
      'onMessageRemove',
    ]
    await v1(tenant)
      .configuration.webhooks()
      .update({ preWebhookUrl: catcher.url(), postWebhookUrl: catcher.url(), filters, method: 'POST' })
    const client = await connected(tenant, 'ann')
    const conversation = await client.createConversation({ friendlyName: 'x' })
    await conversation.join()
    await conversation.sendMessage('hello')
    await settled(tenant)
    const told = catcher.requests.map(({ params }) => [params.EventType, params.Source, params.ClientIdentity])
    expect(told.sort()).toEqual(
      ['onUserAdded', 'onConversationAdded', 'onParticipantAdded', 'onMessageAdd', 'onMessageAdded']
        .map((type) => [type, 'SDK', 'ann'])
        .sort(),
    )
    catcher.reply(({ params }) => (params.EventType === 'onMessageAdd' ? { status: 403 } : { status: 200 }))
    const refused = await conversation.sendMessage('no').catch((error: unknown) => error)
    expect(refused).toMatchObject({ status: 403, body: { code: 50056 } })
    catcher.reply(({ params }) =>
      params.EventType === 'onMessageAdd' ? { status: 200, body: '{"body":"amended"}' } : { status: 200 },
    )
    const here = await opened(client, conversation.sid)
    const added = new Promise<string | null>((resolve) => here.on('messageAdded', ({ body }) => resolve(body)))
    await here.sendMessage('raw')
    expect(await added).toBe('amended')
  })
})

test('a write that is repeated under its name is made once', async ({ tenant }) => {
  const place = await scene(tenant, ['sendMessage', 'leaveConversation', 'editOwnMessage', 'deleteOwnMessage'])
  const ask = (method: string, path: string, body?: object) =>
    place.raw.request(method, path, { ...(body && { body }), headers: { 'X-Twilio-Mutation-Id': `${method} ${path}` } })
  const first = await ask('POST', place.messages, { body: 'once' })
  expect(await ask('POST', place.messages, { body: 'once' })).toEqual(first)
  expect((await ask('POST', place.mine, { body: 'edited' })).body.body).toBe('edited')
  expect((await ask('DELETE', place.mine)).status).toBe(204)
  expect((await ask('DELETE', place.mine)).status).toBe(204)
  expect((await ask('DELETE', place.ann)).status).toBe(204)
  expect((await ask('DELETE', place.ann)).status).toBe(204)
  expect((await v1(tenant).conversations(place.sid).messages.list()).map(({ body }) => body)).toEqual(['theirs', 'once'])
})
