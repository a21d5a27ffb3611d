import type { RoleListInstance } from 'twilio/lib/rest/conversations/v1/role.js'
import { beforeEach, describe, expect } from 'vitest'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

let service_sid: string
let tenant: Tenant

test.beforeEach(({ tenant: own }) => {
  tenant = own
})

/** A fresh service for each test, and the one that the default family shows. */
beforeEach(async () => {
  const { services, configuration } = tenant.sdk.conversations.v1
  service_sid = (await services.create({ friendlyName: 'Support' })).sid
  await configuration().update({ defaultChatServiceSid: service_sid })
})

const missing = `RL${'0'.repeat(32)}`
const speaker = { friendlyName: 'speaker', type: 'conversation', permission: ['sendMessage', 'leaveConversation'] } as const
const greeter = { friendlyName: 'greeter', type: 'service', permission: ['joinConversation'] } as const

/** Each family as the client offers it, and where it lies. Its two types differ in name only. */
const families = [
  ['default', { of: (): Family => tenant.sdk.conversations.v1, path: () => '/v1' }],
  [
    'service',
    {
      of: () => tenant.sdk.conversations.v1.services(service_sid) as unknown as Family,
      path: () => `/v1/Services/${service_sid}`,
    },
  ],
] as const

interface Family {
  readonly roles: RoleListInstance
}
type Form = [string, string][]
const named: Form = [['FriendlyName', 'speaker']]
const typed: Form = [...named, ['Type', 'conversation']]
const full: Form = [...typed, ['Permission', 'sendMessage']]

const without = (name: string) => [20001, `Missing required parameter ${name} in the post body`] as const
const unknownPermission = [50104, 'Permission not found'] as const

const badCreates: [string, Form, readonly [number, string]][] = [
  ['nothing', [], without('FriendlyName')],
  ['an empty name', [...full, ['FriendlyName', '']], without('FriendlyName')],
  ['no type', named, without('Type')],
  ['an empty type', [...named, ['Type', '']], without('Type')],
  ['no permission', typed, without('Permission')],
  ['an empty permission', [...typed, ['Permission', '']], without('Permission')],
  ['names in lower case', full.map(([name, value]) => [name.toLowerCase(), value]), without('FriendlyName')],
  ['a name of 65 characters', [...full, ['FriendlyName', 'n'.repeat(65)]], [50003, 'Friendly name too long']],
  ['another type', [...full, ['Type', 'channel']], [50105, 'Invalid role type']],
  ['an unknown permission', [...full, ['Permission', 'sendLove']], unknownPermission],
  ['a permission in the wrong case', [...full, ['Permission', 'SendMessage']], unknownPermission],
  ['permissions joined by commas', [...full, ['Permission', 'sendMessage,leaveConversation']], unknownPermission],
  ['a service permission in a conversation role', [...full, ['Permission', 'joinConversation']], unknownPermission],
  ['a conversation permission in a service role', [...full, ['Type', 'service']], unknownPermission],
]

const badUpdates: [string, Form, readonly [number, string]][] = [
  ['nothing', [], without('Permission')],
  ['an empty permission', [['Permission', '']], without('Permission')],
  ['only what is fixed', typed, without('Permission')],
  ['an unknown permission', [['Permission', 'sendLove']], unknownPermission],
  ['a permission of the other type', [['Permission', 'createConversation']], unknownPermission],
]

describe.each(families)('roles of the %s family', (_family, { of, path }) => {
  /** Everything there is, to see that nothing changed. */
  const everything = async () => (await tenant.call('GET', `${path()}/Roles?PageSize=1000`)).body

  test('creates, fetches, lists, updates and removes', async () => {
    const made = await of().roles.create({ ...speaker, permission: [...speaker.permission] })
    expect(made).toMatchObject({ friendlyName: 'speaker', type: 'conversation', permissions: speaker.permission })
    expect(made).toMatchObject({ accountSid: tenant.account_sid, url: `${tenant.url}${path()}/Roles/${made.sid}` })
    expect(made.dateUpdated).toEqual(made.dateCreated)
    expect(made.chatServiceSid).toBe(service_sid)
    expect((await of().roles(made.sid).fetch()).toJSON()).toEqual(made.toJSON())
    const names = (await of().roles.list()).map((role) => role.friendlyName)
    expect(names.slice(-1)).toEqual(['speaker'])
    expect(names.slice(0, 4).sort()).toEqual(['channel admin', 'channel user', 'service admin', 'service user'])

    await tenant.advance('PT5S')
    const updated = await of()
      .roles(made.sid)
      .update({ permission: ['editOwnMessage'] })
    expect(updated).toMatchObject({ friendlyName: 'speaker', type: 'conversation', permissions: ['editOwnMessage'] })
    expect(updated.dateCreated).toEqual(made.dateCreated)
    expect(updated.dateUpdated.getTime()).toBeGreaterThanOrEqual(made.dateUpdated.getTime() + 4000)
    expect((await of().roles(made.sid).fetch()).toJSON()).toEqual(updated.toJSON())

    expect(await of().roles(made.sid).remove()).toBe(true)
    const path_of_it = `${path().slice(3)}/Roles/${made.sid}`
    const gone = { status: 404, code: 20404, message: `The requested resource ${path_of_it} was not found` }
    await expect(of().roles(made.sid).fetch()).rejects.toMatchObject(gone)
    await expect(
      of()
        .roles(made.sid)
        .update({ permission: ['editOwnMessage'] }),
    ).rejects.toMatchObject(gone)
    await expect(of().roles(made.sid).remove()).rejects.toMatchObject(gone)
  })

  test('keeps the order of permissions, drops repetitions, takes the type in any case and 64 characters', async () => {
    const name = '😀'.repeat(64)
    const wanted = ['sendMediaMessage', 'addParticipant', 'sendMessage']
    const form: Form = [
      ['FriendlyName', name],
      ['Type', 'CONVERSATION'],
      ...wanted.map((p): [string, string] => ['Permission', p]),
    ]
    const { status, body } = await tenant.call('POST', `${path()}/Roles`, [...form, ['Permission', 'addParticipant']])
    expect(status).toBe(201)
    expect(body).toMatchObject({ friendly_name: name, type: 'conversation', permissions: wanted })
  })

  test('either type may hold what is documented for both or for neither', async () => {
    const permission = [
      'addParticipant',
      'removeParticipant',
      'deleteAnyMessage',
      'deleteConversation',
      'editAnyMessage',
      'editAnyMessageAttributes',
      'editAnyUserInfo',
      'editConversationAttributes',
      'editConversationName',
      'editOwnMessage',
      'editOwnMessageAttributes',
      'editOwnUserInfo',
      'editNotificationLevel',
      'addNonChatParticipant',
      'editAnyParticipantAttributes',
      'editOwnParticipantAttributes',
    ]
    for (const type of ['conversation', 'service'] as const) {
      const made = await of().roles.create({ friendlyName: type, type, permission })
      expect(made.permissions).toEqual(permission)
    }
  })

  test.each(badCreates)('refuses to create with %s', async (_what, form, [code, message]) => {
    const before = await everything()
    const { status, body } = await tenant.call('POST', `${path()}/Roles`, form)
    expect([status, body.code, body.message]).toEqual([400, code, message])
    expect(await everything()).toEqual(before)
  })

  test.each(badUpdates)('refuses to update with %s', async (_what, form, [code, message]) => {
    const { sid } = await of().roles.create({ ...speaker, permission: [...speaker.permission] })
    const before = await everything()
    const { status, body } = await tenant.call('POST', `${path()}/Roles/${sid}`, form)
    expect([status, body.code, body.message]).toEqual([400, code, message])
    expect(await everything()).toEqual(before)
  })

  test('keeps name and type on update', async () => {
    const { sid } = await of().roles.create({ ...speaker, permission: [...speaker.permission] })
    const form: Form = [
      ['FriendlyName', 'other'],
      ['Type', 'service'],
      ['Permission', 'leaveConversation'],
    ]
    const { body } = await tenant.call('POST', `${path()}/Roles/${sid}`, form)
    expect(body).toMatchObject({ friendly_name: 'speaker', type: 'conversation', permissions: ['leaveConversation'] })
  })

  test('does not delete a default role of the service', async () => {
    const before = await everything()
    const kept = before.roles.filter((role: { friendly_name: string }) => role.friendly_name !== 'service admin')
    expect(kept).toHaveLength(3)
    for (const { sid } of kept) {
      const refused = { status: 409, code: 20409, message: 'Conflict' }
      await expect(of().roles(sid).remove()).rejects.toMatchObject(refused)
    }
    expect(await everything()).toEqual(before)
  })

  test('the administrator of a new service holds what the documentation lists', async () => {
    const admin = (await of().roles.list()).find((role) => role.friendlyName === 'service admin')
    expect(admin?.permissions).toEqual([
      'createConversation',
      'joinConversation',
      'deleteConversation',
      'editConversationName',
      'editConversationAttributes',
      'addParticipant',
      'removeParticipant',
      'editAnyParticipantAttributes',
      'editAnyMessage',
      'editAnyMessageAttributes',
      'deleteAnyMessage',
      'editAnyUserInfo',
    ])
  })

  test('deletes what was made with the service once it is no default', async () => {
    const roles = await of().roles.list()
    const admin = roles.find((role) => role.friendlyName === 'service admin')
    expect(
      await of()
        .roles(admin?.sid ?? '')
        .remove(),
    ).toBe(true)
    expect(await of().roles.list()).toHaveLength(3)
  })

  test('cannot be found from another service, or by another account', async () => {
    const { sid } = await of().roles.create({ ...speaker, permission: [...speaker.permission] })
    const other = await tenant.sdk.conversations.v1.services.create({ friendlyName: 'Other' })
    const account = await tenant.admin('POST', '/accounts', { friendly_name: 'stranger' })
    const stranger = { username: account.sid, password: account.auth_token }
    const places = [
      [`/v1/Services/${other.sid}/Roles/${sid}`, {}],
      [`${path()}/Roles/${sid}`, { as: stranger }],
      [`${path()}/Roles/${missing}`, {}],
      [`${path()}/Roles/speaker`, {}],
    ] as const
    for (const [place, options] of places) {
      const message = `The requested resource ${place.slice(3)} was not found`
      for (const [method, form] of [['GET'], ['POST', { Permission: 'editOwnMessage' }], ['DELETE']] as const) {
        const { status, body } = await tenant.call(method, place, form, options)
        expect([status, body.code, body.message]).toEqual([404, 20404, message])
      }
    }
    expect((await of().roles(sid).fetch()).permissions).toEqual(speaker.permission)
  })
})

test('the default family shows the roles of the default service alone', async () => {
  const { services, roles, configuration } = tenant.sdk.conversations.v1
  const other = await services.create({ friendlyName: 'Other' })
  const { sid } = await services(other.sid).roles.create({ ...speaker, permission: ['sendMessage'] })
  await expect(roles(sid).fetch()).rejects.toMatchObject({ status: 404, code: 20404 })
  await configuration().update({ defaultChatServiceSid: other.sid })
  expect((await roles(sid).fetch()).chatServiceSid).toBe(other.sid)
})

describe('deleting a role that is held', () => {
  test('users and participants get the default of their service; others keep theirs', async () => {
    const service = tenant.sdk.conversations.v1.services(service_sid)
    const defaults = await service.configuration().fetch()
    const conversation_role = await service.roles.create({ ...speaker, permission: ['sendMessage'] })
    const service_role = await service.roles.create({ ...greeter, permission: ['joinConversation'] })
    const kept_role = await service.roles.create({ ...greeter, permission: ['createConversation'] })
    const holder = await service.users.create({ identity: 'ann', roleSid: service_role.sid })
    const other = await service.users.create({ identity: 'bob', roleSid: kept_role.sid })
    const { sid } = await service.conversations.create({})
    const participants = service.conversations(sid).participants
    const member = await participants.create({ identity: 'ann', roleSid: conversation_role.sid })
    const admin = await participants.create({ identity: 'bob', roleSid: defaults.defaultConversationCreatorRoleSid })
    // Answers that were given before must not be given again.
    expect((await service.users(holder.sid).fetch()).roleSid).toBe(service_role.sid)
    expect((await participants(member.sid).fetch()).roleSid).toBe(conversation_role.sid)

    await tenant.advance('PT5S')
    expect(await service.roles(service_role.sid).remove()).toBe(true)
    expect(await service.roles(conversation_role.sid).remove()).toBe(true)

    const fallen = await service.users(holder.sid).fetch()
    expect(fallen.roleSid).toBe(defaults.defaultChatServiceRoleSid)
    expect(fallen.dateUpdated.getTime()).toBeGreaterThan(holder.dateUpdated.getTime())
    expect((await participants(member.sid).fetch()).roleSid).toBe(defaults.defaultConversationRoleSid)
    expect((await service.users(other.sid).fetch()).toJSON()).toEqual(other.toJSON())
    expect((await participants(admin.sid).fetch()).toJSON()).toEqual(admin.toJSON())
  })
})
