import { describe, expect } from 'vitest'
import { registerBinding } from '../support/bindings.ts'
import { type Family, families, openFamily } from '../support/family.ts'
import { test, testWithRows } from '../support/fixtures.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

let tenant: Tenant

test.beforeEach(({ tenant: own }) => {
  tenant = own
})

const v1 = () => tenant.sdk.conversations.v1
const nowhere = `${'0'.repeat(32)}`

/** The users of a family, the path of that family, and its service. */
const inFamily = (family: Family) => openFamily(tenant, family)

async function defaultService(): Promise<string> {
  return (await v1().configuration().fetch()).defaultChatServiceSid
}

describe.each(families)('users, %s family', (family) => {
  test('lives from creation to removal, by sid and by identity', async () => {
    const { root, service, users } = await inFamily(family)
    const { defaultChatServiceRoleSid } = await v1().services(service).configuration().fetch()
    const made = await users.create({ identity: 'alice@example.com' })
    expect(made).toMatchObject({
      accountSid: tenant.account_sid,
      chatServiceSid: service,
      roleSid: defaultChatServiceRoleSid,
      identity: 'alice@example.com',
      friendlyName: null,
      attributes: '{}',
      isOnline: null,
      isNotifiable: null,
      url: `${tenant.url}${root}/Users/${made.sid}`,
      links: { user_conversations: `${tenant.url}${root}/Users/${made.sid}/Conversations` },
    })
    expect(made.dateUpdated).toEqual(made.dateCreated)
    await tenant.advance('PT5S')
    const renamed = await users(made.sid).update({ friendlyName: 'Alice', attributes: '{ "a": 1 }' })
    expect(renamed).toMatchObject({ friendlyName: 'Alice', attributes: '{ "a": 1 }' })
    expect(renamed.dateCreated).toEqual(made.dateCreated)
    expect(renamed.dateUpdated.getTime()).toBeGreaterThanOrEqual(made.dateCreated.getTime() + 5000)
    expect((await users('alice@example.com').fetch()).toJSON()).toEqual(renamed.toJSON())
    // Empty clears the name, resets the attributes and leaves the role.
    const cleared = await tenant.call('POST', `${root}/Users/alice%40example.com`, {
      FriendlyName: '',
      Attributes: '',
      RoleSid: '',
    })
    expect(cleared.body).toMatchObject({ friendly_name: null, attributes: '{}', role_sid: defaultChatServiceRoleSid })
    expect((await users.list()).map(({ sid }) => sid)).toEqual([made.sid])
    expect(await users('alice@example.com').remove()).toBe(true)
    for (const key of [made.sid, 'alice@example.com']) {
      await expect(users(key).fetch()).rejects.toMatchObject({
        status: 404,
        code: 20404,
        message: `The requested resource ${root.slice(3)}/Users/${key} was not found`,
      })
    }
    expect(await users.list()).toEqual([])
    expect((await users.create({ identity: 'alice@example.com' })).sid).not.toBe(made.sid)
  })

  test('a service role of this service can be given', async () => {
    const { users, roles } = await inFamily(family)
    const role = await roles.create({ friendlyName: 'r', type: 'service', permission: ['editOwnUserInfo'] })
    const made = await users.create({ identity: 'a', roleSid: role.sid, friendlyName: 'A', attributes: '[]' })
    expect(made).toMatchObject({ roleSid: role.sid, friendlyName: 'A', attributes: '[]' })
    const other = await roles.create({ friendlyName: 'o', type: 'service', permission: ['editOwnUserInfo'] })
    expect((await users('a').update({ roleSid: other.sid })).roleSid).toBe(other.sid)
    await users('a').update({ friendlyName: 'B' })
    expect((await users('a').fetch()).roleSid).toBe(other.sid)
  })

  test('lists in pages, in order of creation', async () => {
    const { root, users } = await inFamily(family)
    for (const identity of ['c', 'a', 'b']) await users.create({ identity })
    expect((await users.list()).map(({ identity }) => identity)).toEqual(['c', 'a', 'b'])
    const first = await users.page({ pageSize: 2 })
    expect(first.instances.map(({ identity }) => identity)).toEqual(['c', 'a'])
    const second = await first.nextPage()
    expect(second?.instances.map(({ identity }) => identity)).toEqual(['b'])
    expect(second?.nextPageUrl).toBeUndefined()
    const { body } = await tenant.call('GET', `${root}/Users?PageSize=1`)
    expect(body.meta.key).toBe('users')
    expect(body.meta.first_page_url).toBe(`${tenant.url}${root}/Users?PageSize=1&Page=0`)
  })

  test('a participant with a new identity makes a user, another finds it', async () => {
    const { users, conversations } = await inFamily(family)
    const first = await conversations.create({})
    const second = await conversations.create({})
    await conversations(first.sid).participants.create({ identity: 'bob' })
    const bob = await users('bob').fetch()
    expect(bob).toMatchObject({ friendlyName: null, attributes: '{}' })
    await conversations(second.sid).participants.create({ identity: 'bob' })
    expect((await users.list()).map(({ sid }) => sid)).toEqual([bob.sid])
    await expect(users.create({ identity: 'bob' })).rejects.toMatchObject({ status: 409, code: 50201 })
  })

  test('a removed user leaves every conversation; what they wrote stays', async () => {
    const { users, conversations } = await inFamily(family)
    const ids = [(await conversations.create({})).sid, (await conversations.create({})).sid]
    const [open, closed] = ids as [string, string]
    for (const sid of ids) {
      await conversations(sid).participants.create({ identity: 'carol' })
      await conversations(sid).participants.create({ identity: 'dave' })
      await conversations(sid).messages.create({ author: 'carol', body: 'hello' })
    }
    await conversations(closed).update({ state: 'closed' })
    const [before] = await conversations(open).messages.list()
    expect(await users('carol').remove()).toBe(true)
    for (const sid of ids) {
      expect((await conversations(sid).participants.list()).map(({ identity }) => identity)).toEqual(['dave'])
      const [message] = await conversations(sid).messages.list()
      expect(message).toMatchObject({ author: 'carol', body: 'hello' })
    }
    expect((await conversations(open).messages.list())[0]?.toJSON()).toEqual(before?.toJSON())
    await conversations(open).participants.create({ identity: 'carol' })
    expect((await users('carol').userConversations.list()).map(({ conversationSid }) => conversationSid)).toEqual([open])
  })

  const long = 'é'.repeat(257)
  test.each([
    ['create', {}, 20001, 'Missing required parameter Identity in the post body', 400],
    ['create', { Identity: '' }, 20001, 'Missing required parameter Identity in the post body', 400],
    ['create', { Identity: 'taken' }, 50201, 'User already exists', 409],
    ['create', { Identity: 'system' }, 50203, 'Identity reserved', 400],
    ['create', { Identity: `US${nowhere}` }, 50206, 'Identity should not match user SID pattern', 400],
    ['create', { Identity: long }, 50207, 'Identity too long', 400],
    ['create', { Identity: 'a\0b' }, 20422, 'Invalid Parameter', 400],
    ['create', { Identity: 'new', FriendlyName: long }, 50003, 'Friendly name too long', 400],
    ['create', { Identity: 'new', Attributes: '{' }, 50304, 'Attributes not valid JSON', 400],
    ['create', { Identity: 'new', Attributes: `"${'a'.repeat(16_384)}"` }, 50303, 'Attributes too long', 400],
    ['create', { Identity: 'new', RoleSid: 'RL1' }, 50100, 'Role not found', 400],
    ['create', { Identity: 'new', RoleSid: `RL${nowhere}` }, 50100, 'Role not found', 400],
    ['create', { Identity: 'new', RoleSid: 'conversation' }, 50102, 'Deployment role not found', 400],
    ['create', { Identity: 'new', RoleSid: 'elsewhere' }, 50100, 'Role not found', 400],
    ['update', { FriendlyName: long }, 50003, 'Friendly name too long', 400],
    ['update', { Attributes: 'x' }, 50304, 'Attributes not valid JSON', 400],
    ['update', { Attributes: `"${'a'.repeat(16_384)}"` }, 50303, 'Attributes too long', 400],
    ['update', { RoleSid: 'none' }, 50100, 'Role not found', 400],
    ['update', { RoleSid: 'conversation' }, 50102, 'Deployment role not found', 400],
    ['update', { RoleSid: 'elsewhere' }, 50100, 'Role not found', 400],
  ] as [string, Record<string, string>, number, string, number][])(
    '%s with %o is refused with %i and changes nothing',
    async (verb, given, code, message, status) => {
      const { root, users, roles } = await inFamily(family)
      await users.create({ identity: 'taken', friendlyName: 'Old' })
      const before = (await tenant.call('GET', `${root}/Users`)).body.users
      const form = { ...given }
      if (form.RoleSid === 'conversation') form.RoleSid = (await roles.list()).find((r) => r.type === 'conversation')?.sid ?? ''
      if (form.RoleSid === 'elsewhere') {
        const other = await v1().services.create({ friendlyName: 'Other' })
        const found = await v1().services(other.sid).roles.list()
        form.RoleSid = found.find((role) => role.type === 'service')?.sid ?? ''
      }
      const refused = await tenant.call('POST', verb === 'create' ? `${root}/Users` : `${root}/Users/taken`, form)
      expect([refused.status, refused.body.code, refused.body.message]).toEqual([status, code, message])
      expect((await tenant.call('GET', `${root}/Users`)).body.users).toEqual(before)
    },
  )

  test('the limits themselves are taken', async () => {
    const { users } = await inFamily(family)
    const identity = '😀'.repeat(256)
    const attributes = `"${'a'.repeat(16_382)}"`
    expect(await users.create({ identity, friendlyName: 'é'.repeat(256), attributes })).toMatchObject({ identity, attributes })
    expect((await users.create({ identity: 'Case' })).sid).not.toBe((await users.create({ identity: 'case' })).sid)
  })

  test('an update without parameters changes nothing, Identity is not one', async () => {
    const { root, users } = await inFamily(family)
    const made = await users.create({ identity: 'eve', friendlyName: 'Eve' })
    await tenant.advance('PT1M')
    for (const form of [{}, { Identity: 'mallory', Nonsense: '1' }]) {
      const { status, body } = await tenant.call('POST', `${root}/Users/${made.sid}`, form)
      expect(status).toBe(200)
      expect(body).toMatchObject({ identity: 'eve', friendly_name: 'Eve', date_updated: body.date_created })
    }
  })

  test('a stranger and another service see nobody', async () => {
    const { root, users } = await inFamily(family)
    const made = await users.create({ identity: 'frank' })
    const other = await v1().services.create({ friendlyName: 'Other' })
    const as = (await newTenant(tenant)).credentials
    for (const key of [made.sid, 'frank']) {
      for (const [place, options] of [[root, { as }] as const, [`/v1/Services/${other.sid}`, {}] as const]) {
        for (const method of ['GET', 'POST', 'DELETE']) {
          const { status, body } = await tenant.call(method, `${place}/Users/${key}`, method === 'POST' ? {} : undefined, options)
          const message = `The requested resource ${place.slice(3)}/Users/${key} was not found`
          expect([status, body.code, body.message]).toEqual([404, 20404, message])
        }
      }
    }
    expect((await tenant.call('GET', `/v1/Services/${other.sid}/Users`)).body.users).toEqual([])
    expect((await users.list()).length).toBe(1)
  })
})

testWithRows('a removed user takes their bindings along, also those that have been read', async ({ server, tenant: own }) => {
  const service = await own.sdk.conversations.v1.services.create({ friendlyName: 'S' })
  const { users, bindings } = own.sdk.conversations.v1.services(service.sid)
  const hers = await registerBinding(server, own, { service_sid: service.sid, identity: 'gina' })
  const his = await registerBinding(server, own, { service_sid: service.sid, identity: 'gino' })
  await users.create({ identity: 'gina' })
  await bindings(hers).fetch()
  expect(await users('gina').remove()).toBe(true)
  await expect(bindings(hers).fetch()).rejects.toMatchObject({ status: 404 })
  expect((await bindings.list()).map(({ sid }) => sid)).toEqual([his])
})

describe('events', () => {
  test('are told in the vendor’s form when asked for', async () => {
    await using hook = await catchWebhooks({ authToken: tenant.auth_token })
    const service = await defaultService()
    await v1()
      .configuration.webhooks()
      .update({
        preWebhookUrl: hook.url('/pre'),
        postWebhookUrl: hook.url('/post'),
        filters: ['onUserAdded', 'onUserUpdate', 'onUserUpdated', 'onParticipantAdded'],
      })
    const common = { AccountSid: tenant.account_sid, ChatServiceSid: service, Source: 'API', RetryCount: '0' }
    const enabled = { xTwilioWebhookEnabled: 'true' as const }
    const at = () => new Date(tenant.clock.now()).toISOString()

    const created = at()
    const made = await v1().users.create({ identity: 'hal', ...enabled })
    const subject = { UserSid: made.sid, Identity: 'hal', RoleSid: made.roleSid }
    const added = await hook.next()
    expect(added).toMatchObject({ path: '/post', method: 'POST', signed: true })
    expect(added.params).toEqual({
      ...common,
      ...subject,
      EventType: 'onUserAdded',
      Attributes: '{}',
      DateCreated: expect.any(String),
    })
    expect(Date.parse(added.params.DateCreated ?? '') - Date.parse(created)).toBeLessThan(5000)

    await tenant.advance('PT1M')
    await v1()
      .users(made.sid)
      .update({ friendlyName: 'Hal', attributes: '{"a":1}', ...enabled })
    const asked = await hook.next()
    expect(asked.path).toBe('/pre')
    // Values as proposed, the date of the last change that was made.
    expect(asked.params).toEqual({
      ...common,
      ...subject,
      EventType: 'onUserUpdate',
      Attributes: '{"a":1}',
      FriendlyName: 'Hal',
      DateUpdated: added.params.DateCreated,
    })
    const updated = await hook.next()
    expect(updated.path).toBe('/post')
    expect(updated.params).toEqual({
      ...common,
      ...subject,
      EventType: 'onUserUpdated',
      Attributes: '{"a":1}',
      FriendlyName: 'Hal',
      DateCreated: added.params.DateCreated,
      DateUpdated: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
    })
    expect(Date.parse(updated.params.DateUpdated ?? '')).toBeGreaterThan(Date.parse(added.params.DateCreated ?? ''))

    // Implicit users are told of too; the user and the participant are two subjects, which keep no order.
    const { sid } = await v1().conversations.create({})
    await v1()
      .conversations(sid)
      .participants.create({ identity: 'ida', ...enabled })
    const both = [await hook.next(), await hook.next()].map(({ params }) => params)
    expect(both).toContainEqual(expect.objectContaining({ EventType: 'onUserAdded', Identity: 'ida', Source: 'API' }))
    expect(both).toContainEqual(expect.objectContaining({ EventType: 'onParticipantAdded', Identity: 'ida' }))

    // No event exists for a removal; nothing is told unasked.
    await v1().users('ida').remove(enabled)
    await v1().users.create({ identity: 'jim' })
    await v1().users('jim').update({ friendlyName: 'Jim' })
    await v1().users.create({ identity: 'last', ...enabled })
    expect((await hook.next()).params).toMatchObject({ EventType: 'onUserAdded', Identity: 'last' })
    expect(hook.requests.length).toBe(6)
  })

  test('a pre-action webhook can refuse an update', async () => {
    await using hook = await catchWebhooks({ authToken: tenant.auth_token })
    await v1()
      .configuration.webhooks()
      .update({ preWebhookUrl: hook.url('/pre'), filters: ['onUserUpdate'] })
    await v1().users.create({ identity: 'kim', friendlyName: 'Kim' })
    hook.reply(() => ({ status: 403 }))
    await expect(v1().users('kim').update({ friendlyName: 'x', xTwilioWebhookEnabled: 'true' })).rejects.toMatchObject({
      status: 403,
      code: 50056,
    })
    expect((await v1().users('kim').fetch()).friendlyName).toBe('Kim')
  })
})
