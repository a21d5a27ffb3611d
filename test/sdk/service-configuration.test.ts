import { beforeEach, describe, expect } from 'vitest'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

let sid: string
let path: string
let tenant: Tenant

test.beforeEach(({ tenant: own }) => {
  tenant = own
})

beforeEach(async () => {
  sid = (await tenant.sdk.conversations.v1.services.create({ friendlyName: 'Support' })).sid
  path = `/v1/Services/${sid}/Configuration`
})

const missing = `RL${'0'.repeat(32)}`
const service = () => tenant.sdk.conversations.v1.services(sid)

async function roleNamed(name: string, of = sid): Promise<string> {
  const roles = await tenant.sdk.conversations.v1.services(of).roles.list()
  return roles.find((role) => role.friendlyName === name)?.sid ?? ''
}

/** A service or an account that is not the caller's looks like one that does not exist. */
async function expectNowhere(tail: string, form: Record<string, string>): Promise<void> {
  const account = await tenant.admin('POST', '/accounts', { friendly_name: 'stranger' })
  const stranger = { username: account.sid, password: account.auth_token }
  const nowhere = `/v1/Services/IS${'0'.repeat(32)}/Configuration${tail}`
  for (const [place, options] of [[path + tail, { as: stranger }] as const, [nowhere, {}] as const]) {
    for (const [method, given] of [['GET'], ['POST', form]] as const) {
      const { status, body } = await tenant.call(method, place, given, options)
      expect([status, body.code, body.message]).toEqual([404, 20404, `The requested resource ${place.slice(3)} was not found`])
    }
  }
}

const badValue = [20422, 'Invalid Parameter'] as const
const noBooleans = ['1', 'yes', 'truee', ' true', 'null']

describe('configuration of a service', () => {
  test('a new service points to three of its roles', async () => {
    const found = await service().configuration().fetch()
    expect(found.toJSON()).toEqual({
      chatServiceSid: sid,
      defaultConversationCreatorRoleSid: await roleNamed('channel admin'),
      defaultConversationRoleSid: await roleNamed('channel user'),
      defaultChatServiceRoleSid: await roleNamed('service user'),
      reachabilityEnabled: false,
      url: tenant.url + path,
      links: { notifications: `${tenant.url}${path}/Notifications`, webhooks: `${tenant.url}${path}/Webhooks` },
    })
  })

  test('changes what is given, keeps what is absent or empty', async () => {
    const create = (type: 'conversation' | 'service') =>
      service().roles.create({ friendlyName: type, type, permission: ['editOwnMessage'] })
    const conversation_role = (await create('conversation')).sid
    const service_role = (await create('service')).sid
    const wanted = {
      defaultConversationCreatorRoleSid: conversation_role,
      defaultConversationRoleSid: conversation_role,
      defaultChatServiceRoleSid: service_role,
      reachabilityEnabled: true,
    }
    expect(await service().configuration().update(wanted)).toMatchObject(wanted)
    const kept = await tenant.call('POST', path, {
      DefaultConversationCreatorRoleSid: '',
      DefaultConversationRoleSid: '',
      DefaultChatServiceRoleSid: '',
      ReachabilityEnabled: '',
    })
    expect(kept.status).toBe(200)
    expect(await service().configuration().fetch()).toMatchObject(wanted)
    const one = await service()
      .configuration()
      .update({ defaultConversationRoleSid: await roleNamed('channel user') })
    expect(one).toMatchObject({ ...wanted, defaultConversationRoleSid: await roleNamed('channel user') })
  })

  test.each([
    ['true', true],
    ['TRUE', true],
    ['False', false],
    ['false', false],
  ])('reads ReachabilityEnabled=%s', async (given, reachability_enabled) => {
    await service().configuration().update({ reachabilityEnabled: !reachability_enabled })
    expect((await tenant.call('POST', path, { ReachabilityEnabled: given })).body).toMatchObject({ reachability_enabled })
  })

  test.each([[{}], [{ defaultConversationRoleSid: missing }]])(
    'changes nothing without a parameter it knows: %o',
    async (form) => {
      const before = (await tenant.call('GET', `/v1/Services/${sid}`)).body
      const shown = (await tenant.call('GET', path)).body
      await tenant.advance('PT5S')
      const { status, body } = await tenant.call('POST', path, form)
      expect([status, body]).toEqual([200, shown])
      expect((await tenant.call('GET', `/v1/Services/${sid}`)).body).toEqual(before)
    },
  )

  const unknown = [50100, 'Role not found'] as const
  const notConversation = [50109, 'Conversation role not found'] as const
  const notService = [50102, 'Deployment role not found'] as const
  const elsewhere = async () =>
    roleNamed('channel user', (await tenant.sdk.conversations.v1.services.create({ friendlyName: 'o' })).sid)
  const roleParams = ['DefaultConversationCreatorRoleSid', 'DefaultConversationRoleSid', 'DefaultChatServiceRoleSid']
  const refused: [string, string, () => Promise<string>, readonly [number, string]][] = [
    ...roleParams.flatMap((name): typeof refused => [
      [name, 'of no role', async () => missing, unknown],
      [name, 'that is no sid', async () => 'channel user', unknown],
      [name, 'of another service', elsewhere, unknown],
    ]),
    ['DefaultConversationCreatorRoleSid', 'of a service role', () => roleNamed('service user'), notConversation],
    ['DefaultConversationRoleSid', 'of a service role', () => roleNamed('service admin'), notConversation],
    ['DefaultChatServiceRoleSid', 'of a conversation role', () => roleNamed('channel user'), notService],
    ...noBooleans.map((given): (typeof refused)[number] => ['ReachabilityEnabled', `"${given}"`, async () => given, badValue]),
  ]

  test.each(refused)('refuses %s %s', async (name, _what, value, [code, message]) => {
    const before = (await tenant.call('GET', path)).body
    const form = {
      DefaultConversationRoleSid: await roleNamed('channel admin'),
      ReachabilityEnabled: 'true',
      [name]: await value(),
    }
    const { status, body } = await tenant.call('POST', path, form)
    expect([status, body.code, body.message]).toEqual([400, code, message])
    expect((await tenant.call('GET', path)).body).toEqual(before)
  })

  test('a role becomes deletable once it is no default, and the new default is not', async () => {
    const old = await roleNamed('channel user')
    const { sid: made } = await service().roles.create({ friendlyName: 'm', type: 'conversation', permission: ['sendMessage'] })
    await service().configuration().update({ defaultConversationRoleSid: made })
    await expect(service().roles(made).remove()).rejects.toMatchObject({ status: 409, code: 20409 })
    expect(await service().roles(old).remove()).toBe(true)
    await expect(service().configuration().update({ defaultConversationRoleSid: old })).rejects.toMatchObject({ code: 50100 })
  })

  test('is its own service alone, and not there for another account', async () => {
    const other = await tenant.sdk.conversations.v1.services.create({ friendlyName: 'Other' })
    const before = (await tenant.call('GET', `/v1/Services/${other.sid}/Configuration`)).body
    await service().configuration().update({ reachabilityEnabled: true })
    expect((await tenant.call('GET', `/v1/Services/${other.sid}/Configuration`)).body).toEqual(before)
    await expectNowhere('', { ReachabilityEnabled: 'false' })
    expect((await service().configuration().fetch()).reachabilityEnabled).toBe(true)
  })
})

describe('notifications of a service', () => {
  const notifications = () => service().configuration.notifications()
  const unset = {
    log_enabled: false,
    added_to_conversation: { enabled: false, template: null, sound: null },
    new_message: {
      enabled: false,
      template: null,
      badge_count_enabled: false,
      sound: null,
      with_media: { enabled: false, template: null },
    },
    removed_from_conversation: { enabled: false, template: null, sound: null },
  }

  beforeEach(() => {
    path = `/v1/Services/${sid}/Configuration/Notifications`
  })

  test('a new service notifies of nothing', async () => {
    const found = await notifications().fetch()
    expect(found).toMatchObject({ accountSid: tenant.account_sid, chatServiceSid: sid, url: tenant.url + path })
    expect((await tenant.call('GET', path)).body).toMatchObject(unset)
  })

  test('changes what is given and keeps the rest', async () => {
    const all = await notifications().update({
      logEnabled: true,
      'newMessage.enabled': true,
      // biome-ignore lint/suspicious/noTemplateCurlyInString: the vendor's placeholders
      'newMessage.template': '${PARTICIPANT}: ${MESSAGE}',
      'newMessage.sound': 'ping',
      'newMessage.badgeCountEnabled': true,
      'newMessage.withMedia.enabled': true,
      'newMessage.withMedia.template': 'a picture',
      'addedToConversation.enabled': true,
      'addedToConversation.template': 'come in',
      'addedToConversation.sound': 'hello',
      'removedFromConversation.enabled': true,
      'removedFromConversation.template': 'out',
      'removedFromConversation.sound': 'bye',
    })
    const wanted = {
      log_enabled: true,
      added_to_conversation: { enabled: true, template: 'come in', sound: 'hello' },
      new_message: {
        enabled: true,
        // biome-ignore lint/suspicious/noTemplateCurlyInString: the vendor's placeholders
        template: '${PARTICIPANT}: ${MESSAGE}',
        badge_count_enabled: true,
        sound: 'ping',
        with_media: { enabled: true, template: 'a picture' },
      },
      removed_from_conversation: { enabled: true, template: 'out', sound: 'bye' },
    }
    expect(all.newMessage).toEqual(wanted.new_message)
    expect((await tenant.call('GET', path)).body).toMatchObject(wanted)
    await notifications().update({ 'newMessage.sound': 'pong', logEnabled: false })
    const changed = { ...wanted, log_enabled: false, new_message: { ...wanted.new_message, sound: 'pong' } }
    expect((await tenant.call('GET', path)).body).toMatchObject(changed)
    expect((await tenant.call('POST', path, { newMessage: 'x' })).body).toMatchObject(changed)
  })

  const texts = [
    ['NewMessage.Template', 'new_message.template', 50058],
    ['NewMessage.Sound', 'new_message.sound', 50059],
    ['NewMessage.WithMedia.Template', 'new_message.with_media.template', 50058],
    ['AddedToConversation.Template', 'added_to_conversation.template', 50058],
    ['AddedToConversation.Sound', 'added_to_conversation.sound', 50059],
    ['RemovedFromConversation.Template', 'removed_from_conversation.template', 50058],
    ['RemovedFromConversation.Sound', 'removed_from_conversation.sound', 50059],
  ] as const
  const flags = [
    ['LogEnabled', 'log_enabled'],
    ['NewMessage.Enabled', 'new_message.enabled'],
    ['NewMessage.BadgeCountEnabled', 'new_message.badge_count_enabled'],
    ['NewMessage.WithMedia.Enabled', 'new_message.with_media.enabled'],
    ['AddedToConversation.Enabled', 'added_to_conversation.enabled'],
    ['RemovedFromConversation.Enabled', 'removed_from_conversation.enabled'],
  ] as const

  test.each(texts)('%s takes 1024 characters and is unset by empty', async (name, key, code) => {
    const longest = '😀'.repeat(1024)
    expect((await tenant.call('POST', path, { [name]: longest })).body).toHaveProperty(key, longest)
    const before = (await tenant.call('GET', path)).body
    const { status, body } = await tenant.call('POST', path, { LogEnabled: 'true', [name]: `${longest}!` })
    const message = code === 50058 ? 'Notification template too long' : 'Notification sound name too long'
    expect([status, body.code, body.message]).toEqual([400, code, message])
    expect((await tenant.call('GET', path)).body).toEqual(before)
    expect((await tenant.call('POST', path, { [name]: '' })).body).toMatchObject(unset)
  })

  test.each(flags)('%s is a boolean in any case, kept by empty', async (name, key) => {
    expect((await tenant.call('POST', path, { [name]: 'TRUE' })).body).toHaveProperty(key, true)
    expect((await tenant.call('POST', path, { [name]: '' })).body).toHaveProperty(key, true)
    const before = (await tenant.call('GET', path)).body
    for (const given of noBooleans) {
      const { status, body } = await tenant.call('POST', path, { 'NewMessage.Sound': 'ping', [name]: given })
      expect([status, body.code, body.message]).toEqual([400, ...badValue])
    }
    expect((await tenant.call('GET', path)).body).toEqual(before)
    expect((await tenant.call('POST', path, { [name]: 'False' })).body).toMatchObject(unset)
  })

  test('a text with a NUL is refused', async () => {
    const { status, body } = await tenant.call('POST', path, { 'NewMessage.Sound': 'a\0b' })
    expect([status, body.code, body.message]).toEqual([400, ...badValue])
    expect((await tenant.call('GET', path)).body).toMatchObject(unset)
  })

  test('are of their own service alone, and not there for another account', async () => {
    const other = await tenant.sdk.conversations.v1.services.create({ friendlyName: 'Other' })
    await notifications().update({ logEnabled: true })
    expect((await tenant.call('GET', `/v1/Services/${other.sid}/Configuration/Notifications`)).body).toMatchObject(unset)
    path = `/v1/Services/${sid}/Configuration`
    await expectNowhere('/Notifications', { LogEnabled: 'false' })
    expect((await notifications().fetch()).logEnabled).toBe(true)
  })
})
