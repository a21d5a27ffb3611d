import { describe, expect, vi } from 'vitest'
import { type Family, families, openFamily } from '../support/family.ts'
import { test } from '../support/fixtures.ts'
import { persistent } from '../support/persistent.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'

const minuteMs = 60_000
const nothing = '0'.repeat(32)
const long = 'x'.repeat(257)

let tenant: Tenant

test.beforeEach(({ tenant: own }) => {
  tenant = own
})

const v1 = () => tenant.sdk.conversations.v1
type Form = Record<string, string>

/** One family of paths, and a conversation in it. */
async function inFamily(family: Family, given: Parameters<ReturnType<typeof v1>['conversations']['create']>[0] = {}) {
  const { root, service, users, conversations, roles } = await openFamily(tenant, family)
  const { sid } = await conversations.create(given)
  const { messages, participants } = conversations(sid)
  const path = `${root}/Conversations/${sid}`
  /** Everything that a caller sees of the conversation and of its people. */
  const seen = async () => [
    (await tenant.call('GET', path)).body,
    (await tenant.call('GET', `${path}/Participants`)).body.participants,
    (await tenant.call('GET', `${root}/Users`)).body.users,
  ]
  const add = (form: Form) => persistent(tenant)('POST', `${path}/Participants`, form)
  const change = (key: string, form: Form) => tenant.call('POST', `${path}/Participants/${encodeURIComponent(key)}`, form)
  return { root, service, users, conversations, roles, sid, path, messages, participants, seen, add, change }
}

type Place = Awaited<ReturnType<typeof inFamily>>

/** The parameters of somebody who is reached at an address. */
function pair(address: string, proxy: string): Form {
  return { 'MessagingBinding.Address': address, 'MessagingBinding.ProxyAddress': proxy }
}
const native = (address: string): Form => ({ 'MessagingBinding.Address': address })
const proxy = (address: string): Form => ({ 'MessagingBinding.ProxyAddress': address })
const projected = (address: string): Form => ({ 'MessagingBinding.ProjectedAddress': address })

const phone = '+15550000001'
const proxyPhone = '+15559990001'

function refusal({ status, body }: { status: number; body: { code: number; message: string } }) {
  return [status, body.code, body.message]
}

const held = (sid: string) => [
  409,
  50416,
  `A binding for this participant and proxy address already exists in Conversation ${sid}`,
]

/** So many of something, some at a time; every status. */
async function many(count: number, run: (i: number) => Promise<{ status: number }>): Promise<number[]> {
  const statuses: number[] = []
  for (let from = 0; from < count; from += 100) {
    const some = Array.from({ length: Math.min(100, count - from) }, (_, i) => run(from + i))
    statuses.push(...(await Promise.all(some)).map(({ status }) => status))
  }
  return [...new Set(statuses)]
}

/** Codes and texts that more than one table needs. */
const says = {
  attributesNotJson: [400, 50304, 'Attributes not valid JSON'],
  attributesTooLong: [400, 50303, 'Attributes too long'],
  dateCreated: [400, 50308, 'Invalid Date Created parameter'],
  dateUpdated: [400, 50309, 'Invalid Date Updated parameter'],
  roleNotFound: [400, 50100, 'Role not found'],
  roleType: [400, 50109, 'Conversation role not found'],
  notAcceptable: [400, 50211, 'Identity parameter not acceptable for this Participant'],
  invalidAddress: [400, 50407, 'Invalid messaging binding address'],
  invalidProxy: [400, 50408, 'Invalid participant proxy address'],
  equal: [400, 50409, 'Participant address equals proxy address'],
  emptyAddress: [400, 50411, 'Participant address is empty'],
  emptyProxy: [400, 50412, 'Participant proxy address is empty'],
  mismatch: [400, 50414, 'Participant address type does not match proxy address type'],
  reserved: [400, 50203, 'Identity reserved'],
  likeSid: [400, 50206, 'Identity should not match user SID pattern'],
  tooLong: [400, 50207, 'Identity too long'],
  notProvided: [400, 50204, 'Identity not provided'],
  exists: [409, 50433, 'Participant already exists'],
  malformed: [400, 20422, 'Invalid Parameter'],
  proxyNotRemoved: [400, 50440, 'Failed to remove the proxy address of a participant.'],
  proxyNotAdded: [400, 50441, 'Failed to add a proxy address to a participant.'],
  projectionNotRemoved: [400, 50442, 'Failed to remove the projected address of a participant.'],
  projectionNotAdded: [400, 50443, 'Failed to add a projected address to a participant.'],
  identityNotAdded: [400, 50444, 'Failed to add an identity to a participant.'],
  lastIndex: [400, 50421, 'Invalid last read message index format'],
  lastTime: [400, 50405, 'Invalid last consumption timestamp format'],
  groupMember: [409, 50437, 'Group Participant already exists'],
} as const satisfies Record<string, [number, number, string]>

const faults: [Form, readonly [number, number, string]][] = [
  [{ Attributes: '{' }, says.attributesNotJson],
  [{ Attributes: `"${'é'.repeat(2048)}"` }, says.attributesTooLong],
  [{ DateCreated: 'yesterday' }, says.dateCreated],
  [{ DateUpdated: '' }, says.dateUpdated],
  [{ RoleSid: 'RL1' }, says.roleNotFound],
  [{ RoleSid: `RL${nothing}` }, says.roleNotFound],
  [{ RoleSid: 'elsewhere' }, says.roleNotFound],
  [{ RoleSid: 'service' }, says.roleType],
]

const faultsOfCreation: [Form, readonly [number, number, string]][] = [
  [{}, says.notProvided],
  [{ Attributes: '{}' }, says.notProvided],
  [{ identity: 'alice' }, says.notProvided],
  [{ Identity: '' }, says.notProvided],
  [{ ...native('+15550000009'), ...projected('+15550000008') }, says.invalidAddress],
  [{ ...pair('+15550000009', proxyPhone), ...projected('+15550000008') }, says.invalidAddress],
  [projected('nonsense'), says.invalidAddress],
  [{ Identity: 'taken' }, says.exists],
  [{ Identity: 'system' }, says.reserved],
  [{ Identity: `US${nothing}` }, says.likeSid],
  [{ Identity: long }, says.tooLong],
  [{ Identity: 'a\0b' }, says.malformed],
  [{ Identity: 'new', ...pair('+15550000009', proxyPhone) }, says.notAcceptable],
  [{ Identity: 'new', ...native('+15550000009') }, says.notAcceptable],
  [{ Identity: 'new', ...proxy(proxyPhone) }, says.notAcceptable],
  [{ Identity: 'new', ...projected('whatsapp:+15550000009') }, says.invalidAddress],
  [{ Identity: 'new', ...projected('nonsense') }, says.invalidAddress],
  [pair('', ''), says.emptyAddress],
  [pair('', proxyPhone), says.emptyAddress],
  [proxy(proxyPhone), says.emptyAddress],
  [pair('+15550000009', ''), says.emptyProxy],
  [native('whatsapp:+15550000009'), says.emptyProxy],
  [native(''), says.emptyAddress],
  [pair('+15550000009', '+15550000009'), says.equal],
  [pair('whatsapp:+15550000009', proxyPhone), says.mismatch],
  [pair('+15550000009', 'whatsapp:+15559990001'), says.mismatch],
  [pair('messenger:123', 'whatsapp:+15559990001'), says.mismatch],
  [pair('15550000009', proxyPhone), says.invalidAddress],
  [pair('carrier pigeon', proxyPhone), says.invalidAddress],
  [pair(`+1${'5'.repeat(255)}`, proxyPhone), says.invalidAddress],
  [pair('+15550000009', 'nonsense'), says.invalidProxy],
  [pair('+15550000009', `+1${'5'.repeat(255)}`), says.invalidProxy],
  [pair(phone, proxyPhone), [409, 50416, 'A binding for this participant and proxy address already exists in Conversation CH…']],
  [native('+15550000003'), says.groupMember],
  ...faults.map(([form, said]): [Form, readonly [number, number, string]] => [{ Identity: 'new', ...form }, said]),
]

const faultsOfUpdate: [string, Form, readonly [number, number, string]][] = [
  ['chat', { ...proxy(proxyPhone), Attributes: '[]' }, says.proxyNotAdded],
  ['sms', proxy(proxyPhone), says.proxyNotAdded],
  ['sms', proxy('+15559990002'), says.proxyNotAdded],
  ['projected', proxy(proxyPhone), says.proxyNotAdded],
  ['chat', proxy('null'), says.proxyNotRemoved],
  ['chat', proxy(''), says.proxyNotRemoved],
  ['native', proxy('null'), says.proxyNotRemoved],
  ['sms', projected('+15550000009'), says.projectionNotAdded],
  ['native', projected('+15550000009'), says.projectionNotAdded],
  ['projected', projected('+15550000009'), says.projectionNotAdded],
  ['chat', projected('null'), says.projectionNotRemoved],
  ['sms', projected(''), says.projectionNotRemoved],
  ['chat', projected('nonsense'), says.invalidAddress],
  ['chat', { Identity: 'new' }, says.identityNotAdded],
  ['chat', { Identity: 'taken' }, says.identityNotAdded],
  ['projected', { Identity: 'taken' }, says.exists],
  ['sms', { Identity: 'new' }, says.notAcceptable],
  ['native', { Identity: 'new' }, says.notAcceptable],
  ['chat', { Identity: 'system' }, says.reserved],
  ['chat', { Identity: long }, says.tooLong],
  ['native', proxy('nonsense'), says.invalidProxy],
  ['native', proxy('+15550000003'), says.equal],
  ['native', proxy('whatsapp:+15559990001'), says.mismatch],
  ['chat', { LastReadMessageIndex: '-1' }, says.lastIndex],
  ['chat', { LastReadMessageIndex: '1.5' }, says.lastIndex],
  ['chat', { LastReadMessageIndex: 'one' }, says.lastIndex],
  ['chat', { LastReadMessageIndex: '1', LastReadTimestamp: 'yesterday' }, says.lastTime],
  ['chat', { LastReadTimestamp: '' }, says.lastTime],
  ...faults.map(([form, said]): [string, Form, readonly [number, number, string]] => ['chat', form, said]),
]

/** One of each kind; answers their sids. */
async function oneOfEach({ add }: Place): Promise<Record<string, string>> {
  const forms: Record<string, Form> = {
    taken: { Identity: 'taken' },
    chat: { Identity: 'chat' },
    sms: pair(phone, proxyPhone),
    native: native('+15550000003'),
    projected: { Identity: 'projected', ...projected('+15550000004') },
  }
  const sids: Record<string, string> = {}
  for (const [kind, form] of Object.entries(forms)) sids[kind] = (await add(form)).body.sid
  return sids
}

/** A word in the table stands for a role that exists. */
async function withRole({ roles }: Place, form: Form): Promise<Form> {
  if (form.RoleSid === 'service') return { ...form, RoleSid: (await roles.list()).find((r) => r.type === 'service')?.sid ?? '' }
  if (form.RoleSid !== 'elsewhere') return form
  const other = await v1().services.create({ friendlyName: 'Other' })
  const found = await v1().services(other.sid).roles.list()
  return { ...form, RoleSid: found.find((role) => role.type === 'conversation')?.sid ?? '' }
}

describe.each(families)('participants, %s family', (family) => {
  test('a chat participant lives from joining to leaving, by sid and by identity', async () => {
    const place = await inFamily(family)
    const { root, service, sid, path, participants, add } = place
    const { defaultConversationRoleSid } = await v1().services(service).configuration().fetch()
    const made = (await add({ Identity: 'alice@example.com' })).body
    expect(made).toEqual({
      account_sid: tenant.account_sid,
      ...(family === 'service' && { chat_service_sid: service }),
      conversation_sid: sid,
      sid: expect.stringMatching(/^MB[0-9a-f]{32}$/),
      identity: 'alice@example.com',
      attributes: '{}',
      messaging_binding: null,
      role_sid: defaultConversationRoleSid,
      date_created: expect.any(String),
      date_updated: made.date_created,
      url: `${tenant.url}${root}/Conversations/${sid}/Participants/${made.sid}`,
      last_read_message_index: null,
      last_read_timestamp: null,
    })
    await tenant.advance('PT5S')
    const changed = await participants('alice@example.com').update({ attributes: '{ "a": 1 }' })
    expect(changed).toMatchObject({ sid: made.sid, attributes: '{ "a": 1 }', identity: 'alice@example.com' })
    expect(changed.dateCreated.getTime()).toBe(Date.parse(made.date_created))
    expect(changed.dateUpdated.getTime()).toBeGreaterThanOrEqual(changed.dateCreated.getTime() + 5000)
    for (const key of [made.sid, 'alice@example.com']) {
      expect((await participants(key).fetch()).toJSON()).toEqual(changed.toJSON())
    }
    expect((await participants.list()).map((one) => one.toJSON())).toEqual([changed.toJSON()])
    expect(await participants('alice@example.com').remove()).toBe(true)
    for (const key of [made.sid, 'alice@example.com']) {
      for (const gone of [
        () => participants(key).fetch(),
        () => participants(key).update({ attributes: '[]' }),
        () => participants(key).remove(),
      ]) {
        const message = `The requested resource ${path.slice(3)}/Participants/${key} was not found`
        await expect(gone()).rejects.toMatchObject({ status: 404, code: 20404, message })
      }
    }
    expect(await participants.list()).toEqual([])
    // Who comes back is somebody new.
    expect((await participants.create({ identity: 'alice@example.com' })).sid).not.toBe(made.sid)
  })

  test('identities tell letter cases apart, and may hold anything that a path can carry', async () => {
    const { add, path, users } = await inFamily(family)
    for (const identity of ['Case', 'case', 'a b+c', 'sl/ash?&=', '😀'.repeat(256), 'MB1']) {
      const { status, body } = await add({ Identity: identity })
      expect([status, body.identity]).toEqual([201, identity])
      expect((await tenant.call('GET', `${path}/Participants/${encodeURIComponent(identity)}`)).body).toEqual(body)
    }
    expect((await users.list()).length).toBe(6)
  })

  test.each([
    ['sms', '+15550000001', '+15559990001'],
    ['sms', '+15550000001', '12345'],
    ['whatsapp', 'whatsapp:+15550000001', 'whatsapp:+15559990001'],
    ['messenger', 'messenger:4242', 'messenger:1717'],
    ['rcs', 'rcs:+15550000001', 'rcs:brand_agent'],
  ])('somebody who is reached by %s at %s', async (type, address, proxy_address) => {
    const { service, path, add, participants, users, messages } = await inFamily(family)
    const { defaultConversationRoleSid } = await v1().services(service).configuration().fetch()
    const { status, body } = await add(pair(address, proxy_address))
    expect(status).toBe(201)
    expect(body).toMatchObject({
      identity: null,
      messaging_binding: { type, address, proxy_address },
      role_sid: defaultConversationRoleSid,
      attributes: '{}',
    })
    expect(Object.keys(body.messaging_binding)).toEqual(['type', 'address', 'proxy_address'])
    expect((await tenant.call('GET', `${path}/Participants/${body.sid}`)).body).toEqual(body)
    // No address stands for a participant in a path, and nobody is a user by it.
    expect((await tenant.call('GET', `${path}/Participants/${encodeURIComponent(address)}`)).status).toBe(404)
    expect(await users.list()).toEqual([])
    expect((await messages.create({ body: 'x', author: address })).participantSid).toBe(body.sid)
    expect(await participants(body.sid).remove()).toBe(true)
  })

  test.each(faultsOfCreation)('create with %o is refused with %j and changes nothing', async (form, said) => {
    const place = await inFamily(family)
    await oneOfEach(place)
    const before = await place.seen()
    const [status, code, message] = refusal(await place.add(await withRole(place, form)))
    expect([status, code, String(message).replace(place.sid, 'CH…')]).toEqual([...said])
    expect(await place.seen()).toEqual(before)
  })

  test.each(faultsOfUpdate)('update of %s with %o is refused with %j and changes nothing', async (kind, form, said) => {
    const place = await inFamily(family)
    const sids = await oneOfEach(place)
    const before = await place.seen()
    expect(refusal(await place.change(sids[kind] ?? '', await withRole(place, form)))).toEqual([...said])
    expect(await place.seen()).toEqual(before)
  })

  test('the limits themselves are taken', async () => {
    const { add } = await inFamily(family)
    const attributes = `"${'é'.repeat(2047)}"`
    const { status, body } = await add({ Identity: 'é'.repeat(256), Attributes: attributes })
    expect([status, body.attributes]).toEqual([201, attributes])
    for (const json of ['null', '7', ' [ ] ']) {
      expect((await add({ Identity: `i${json}`, Attributes: json })).body.attributes).toBe(json)
    }
  })

  test('an update without a known parameter changes nothing; an address never changes', async () => {
    const place = await inFamily(family)
    const { sms, chat } = await oneOfEach(place)
    const before = await place.seen()
    await tenant.advance('PT1M')
    const forms = [{}, { attributes: '[]', Nonsense: '1' }, native('+15550000042')] as Form[]
    for (const form of forms) {
      for (const key of [sms, chat] as string[]) expect((await place.change(key, form)).status).toBe(200)
    }
    expect(await place.seen()).toEqual(before)
  })

  test('a role of conversations can be given, and goes back to nothing else', async () => {
    const { roles, participants, change, service } = await inFamily(family)
    const permission = ['sendMessage']
    const [one, two] = [
      await roles.create({ friendlyName: 'one', type: 'conversation', permission }),
      await roles.create({ friendlyName: 'two', type: 'conversation', permission }),
    ]
    const given = await participants.create({ identity: 'given', roleSid: one.sid })
    expect(given.roleSid).toBe(one.sid)
    expect((await participants(given.sid).update({ roleSid: two.sid })).roleSid).toBe(two.sid)
    const phoned = await participants.create({
      'messagingBinding.address': phone,
      'messagingBinding.proxyAddress': proxyPhone,
      roleSid: one.sid,
    })
    expect(phoned.roleSid).toBe(one.sid)
    // Empty leaves the role; so does another change.
    for (const form of [{ RoleSid: '' }, { Attributes: '[]' }] as Form[]) {
      expect((await change('given', form)).body.role_sid).toBe(two.sid)
    }
    await v1().services(service).configuration().update({ defaultConversationRoleSid: one.sid })
    expect((await participants.create({ identity: 'default' })).roleSid).toBe(one.sid)
    expect((await participants(given.sid).fetch()).roleSid).toBe(two.sid)
  })

  test('who joins is a user from then on, with the service’s role; who leaves stays one', async () => {
    const { users, participants, service, conversations } = await inFamily(family)
    const { defaultChatServiceRoleSid } = await v1().services(service).configuration().fetch()
    await participants.create({ identity: 'alice', attributes: '{"mine":1}' })
    const user = await users('alice').fetch()
    expect(user).toMatchObject({ roleSid: defaultChatServiceRoleSid, friendlyName: null, attributes: '{}' })
    const known = await users.create({ identity: 'bob', friendlyName: 'Bob' })
    await participants.create({ identity: 'bob' })
    const second = await conversations.create({})
    await conversations(second.sid).participants.create({ identity: 'alice' })
    await participants('alice').remove()
    expect((await users.list()).map(({ sid }) => sid).sort()).toEqual([user.sid, known.sid].sort())
    expect((await users('bob').fetch()).friendlyName).toBe('Bob')
  })

  test('imported dates are shown and order the list', async () => {
    const { participants } = await inFamily(family)
    const [y2010, y2020] = [new Date('2010-01-02T03:04:05Z'), new Date('2020-01-02T03:04:05Z')]
    await participants.create({ identity: 'now' })
    const old = await participants.create({ identity: 'old', dateCreated: y2020 })
    const older = await participants.create({ identity: 'older', dateCreated: y2010, dateUpdated: y2020 })
    expect([old.dateCreated, old.dateUpdated, older.dateCreated, older.dateUpdated]).toEqual([y2020, y2020, y2010, y2020])
    expect((await participants.list()).map(({ identity }) => identity)).toEqual(['older', 'old', 'now'])
    expect(await participants('now').update({ dateCreated: y2010, dateUpdated: y2010 })).toMatchObject({
      dateCreated: y2010,
      dateUpdated: y2010,
    })
    const first = await participants.page({ pageSize: 2 })
    expect(first.instances.length).toBe(2)
    expect((await first.nextPage())?.instances.map(({ identity }) => identity)).toEqual(['old'])
  })

  describe('the read horizon', () => {
    test('is nothing at first, moves both ways and beyond the end, and empties', async () => {
      const { participants, messages, change } = await inFamily(family)
      const made = await participants.create({ identity: 'alice' })
      for (const body of ['0', '1', '2']) await messages.create({ body, author: 'alice' })
      // Writing is not reading.
      expect(await participants('alice').fetch()).toMatchObject({ lastReadMessageIndex: null, lastReadTimestamp: null })
      for (const index of [2, 0, 99, 1]) {
        expect((await participants(made.sid).update({ lastReadMessageIndex: index })).lastReadMessageIndex).toBe(index)
      }
      expect((await change('alice', { LastReadMessageIndex: '' })).body.last_read_message_index).toBeNull()
      expect((await participants('alice').fetch()).lastReadMessageIndex).toBeNull()
    })

    test('has the time that is given, else that of the move, and moves no date of the participant', async () => {
      vi.useFakeTimers({ toFake: ['Date'] })
      try {
        const { participants, change } = await inFamily(family)
        const made = await participants.create({ identity: 'alice' })
        await tenant.advance('PT5M')
        const now = () => `${new Date(tenant.clock.now()).toISOString().slice(0, -5)}Z`
        expect((await participants('alice').update({ lastReadMessageIndex: 3 })).lastReadTimestamp).toBe(now())
        const lastReadTimestamp = '2026-01-02T03:04:05+02:00'
        const given = await participants('alice').update({ lastReadMessageIndex: 4, lastReadTimestamp })
        expect(given.lastReadTimestamp).toBe('2026-01-02T01:04:05Z')
        const alone = await participants('alice').update({ lastReadTimestamp: '2026-02-02T03:04:05.999Z' })
        expect(alone).toMatchObject({ lastReadMessageIndex: 4, lastReadTimestamp: '2026-02-02T03:04:05Z' })
        expect(alone.dateUpdated).toEqual(made.dateUpdated)
        await tenant.advance('PT5M')
        const emptied = (await change('alice', { LastReadMessageIndex: '' })).body
        expect(emptied).toMatchObject({ last_read_message_index: null, last_read_timestamp: null })
        expect(Date.parse(emptied.date_updated)).toBe(made.dateUpdated.getTime())
        // With anything else in the same request the date moves as ever.
        const both = await participants('alice').update({ lastReadMessageIndex: 1, attributes: '[]' })
        expect(both.dateUpdated.getTime()).toBe(Date.parse(now()))
      } finally {
        vi.useRealTimers()
      }
    })

    test('cannot be given when joining', async () => {
      const { add } = await inFamily(family)
      const { status, body } = await add({ Identity: 'alice', LastReadMessageIndex: 'x', LastReadTimestamp: 'x' })
      expect(status).toBe(201)
      expect(body).toMatchObject({ last_read_message_index: null, last_read_timestamp: null })
    })
  })

  test('what somebody wrote keeps its author and participant after they left and after they came back', async () => {
    const { participants, messages } = await inFamily(family)
    const [alice, phoned] = [
      await participants.create({ identity: 'alice' }),
      await participants.create({ 'messagingBinding.address': phone, 'messagingBinding.proxyAddress': proxyPhone }),
    ]
    const written = [await messages.create({ body: 'a', author: 'alice' }), await messages.create({ body: 'b', author: phone })]
    for (const { sid } of [alice, phoned]) await participants(sid).remove()
    const kept = async () => (await messages.list()).slice(0, 2).map(({ author, participantSid }) => [author, participantSid])
    const authors = [
      ['alice', alice.sid],
      [phone, phoned.sid],
    ]
    expect(await kept()).toEqual(authors)
    expect((await messages.create({ body: 'c', author: 'alice' })).participantSid).toBeNull()
    const again = await participants.create({ identity: 'alice' })
    expect((await messages.create({ body: 'd', author: 'alice' })).participantSid).toBe(again.sid)
    expect(await kept()).toEqual(authors)
    expect((await messages(written[0]?.sid ?? '').fetch()).participantSid).toBe(alice.sid)
  })

  describe('members of a group', () => {
    test('one with an address alone has no role; a proxy address can be added and taken away', async () => {
      const { service, add, change } = await inFamily(family)
      const { defaultConversationRoleSid: role } = await v1().services(service).configuration().fetch()
      const { body } = await add(native(phone))
      expect(body).toMatchObject({ identity: null, role_sid: null })
      expect(body.messaging_binding).toEqual({ type: 'sms', address: phone })
      expect((await add({ Identity: 'chat', ...projected(proxyPhone) })).body.role_sid).toBe(role)
      const paired = (await change(body.sid, proxy(proxyPhone))).body
      expect(paired.messaging_binding).toEqual({ type: 'sms', address: phone, proxy_address: proxyPhone })
      for (const nobody of ['null', '']) {
        expect((await change(body.sid, proxy(nobody))).body.messaging_binding).toEqual({ type: 'sms', address: phone })
        expect((await change(body.sid, proxy(proxyPhone))).status).toBe(200)
      }
    })

    test('one with an identity can have a projected address, which comes and goes', async () => {
      const { service, add, change, users } = await inFamily(family)
      const { defaultConversationRoleSid } = await v1().services(service).configuration().fetch()
      const { body } = await add({ Identity: 'alice', ...projected(phone) })
      expect(body).toMatchObject({ identity: 'alice', role_sid: defaultConversationRoleSid })
      expect(body.messaging_binding).toEqual({ type: 'sms', projected_address: phone })
      expect((await users('alice').fetch()).identity).toBe('alice')
      for (const nobody of ['null', '']) {
        expect((await change('alice', projected(nobody))).body.messaging_binding).toBeNull()
        expect((await change('alice', projected(phone))).body.messaging_binding).toEqual(body.messaging_binding)
      }
    })

    test('are ten at most', async () => {
      const place = await inFamily(family)
      for (let i = 0; i < 5; i++) {
        expect((await place.add(native(`+1555000010${i}`))).status).toBe(201)
        expect((await place.add({ Identity: `p${i}`, ...projected(`+1555000020${i}`) })).status).toBe(201)
      }
      const before = await place.seen()
      const full = [403, 50436, 'Participant limit exceeded for group conversation']
      expect(refusal(await place.add(native('+15550001099')))).toEqual(full)
      expect(refusal(await place.add({ Identity: 'new', ...projected('+15550001099') }))).toEqual(full)
      expect(await place.seen()).toEqual(before)
      await tenant.call('DELETE', `${place.path}/Participants/p0`)
      expect((await place.add(native('+15550001099'))).status).toBe(201)
    })
  })

  describe('a pair of addresses', () => {
    test('is in one open conversation of the account, over all services; the refusal names it', async () => {
      const { sid, add, conversations } = await inFamily(family)
      await add(pair(phone, proxyPhone))
      const sibling = await conversations.create({})
      const other = await v1().services.create({ friendlyName: 'Other' })
      const abroad = await v1().services(other.sid).conversations.create({})
      const form = pair(phone, proxyPhone)
      const places = [`/v1/Services/${other.sid}/Conversations/${abroad.sid}`]
      if (family === 'default') places.push(`/v1/Conversations/${sibling.sid}`)
      for (const place of places) {
        expect(refusal(await tenant.call('POST', `${place}/Participants`, form))).toEqual(held(sid))
        expect((await tenant.call('GET', `${place}/Participants`)).body.participants).toEqual([])
        // Half of the pair is free.
        for (const free of [pair(phone, '+15559990077'), pair('+15550000077', proxyPhone)]) {
          const { status, body } = await tenant.call('POST', `${place}/Participants`, free)
          expect(status).toBe(201)
          await tenant.call('DELETE', `${place}/Participants/${body.sid}`)
        }
      }
      expect(refusal(await add(form))).toEqual(held(sid))
      // Also inactive; another account knows nothing of it.
      await conversations(sid).update({ state: 'inactive' })
      expect(refusal(await tenant.call('POST', `${places[0]}/Participants`, form))).toEqual(held(sid))
      const stranger = await newTenant(tenant)
      const theirs = await stranger.sdk.conversations.v1.conversations.create({})
      expect((await stranger.call('POST', `/v1/Conversations/${theirs.sid}/Participants`, form)).status).toBe(201)
    })

    test('is refused to a member of a group who would get a proxy address', async () => {
      const { sid, add, conversations, root } = await inFamily(family)
      await add(pair(phone, proxyPhone))
      const { sid: second } = await conversations.create({})
      const path = `${root}/Conversations/${second}/Participants`
      const member = (await tenant.call('POST', path, native(phone))).body
      expect(refusal(await tenant.call('POST', `${path}/${member.sid}`, proxy(proxyPhone)))).toEqual(held(sid))
      expect((await tenant.call('GET', `${path}/${member.sid}`)).body).toEqual(member)
      const { status } = await tenant.call('POST', `${path}/${member.sid}`, proxy('+15559990002'))
      expect(status).toBe(200)
      expect(refusal(await add(pair(phone, '+15559990002')))).toEqual(held(second))
    })

    type Release = (place: Place, participant: string) => Promise<unknown>
    const releases: [string, Release][] = [
      ['its conversation is closed', ({ path }) => tenant.call('POST', path, { State: 'closed' })],
      ['a timer closes its conversation', () => tenant.advance('PT10M')],
      ['its participant is removed', ({ path }, sid) => tenant.call('DELETE', `${path}/Participants/${sid}`)],
      ['its proxy address is taken away', ({ change }, sid) => change(sid, proxy('null'))],
      ['its conversation is deleted', ({ path }) => tenant.call('DELETE', path)],
    ]
    if (family === 'service')
      releases.push(['its service is deleted', ({ service }) => tenant.call('DELETE', `/v1/Services/${service}`)])
    test.each(releases)('is free as soon as %s', async (_how, release) => {
      const place = await inFamily(family, { 'timers.closed': 'PT10M' })
      const { sid } = (await place.add(pair(phone, proxyPhone))).body
      const other = await v1().services.create({ friendlyName: 'Other' })
      const next = v1().services(other.sid).conversations
      const abroad = await next.create({})
      const path = `/v1/Services/${other.sid}/Conversations/${abroad.sid}`
      expect(refusal(await tenant.call('POST', `${path}/Participants`, pair(phone, proxyPhone)))).toEqual(held(place.sid))
      await release(place, sid)
      expect((await tenant.call('POST', `${path}/Participants`, pair(phone, proxyPhone))).status).toBe(201)
      // It is held anew, by one alone.
      const third = await next.create({})
      const again = await tenant.call(
        'POST',
        `/v1/Services/${other.sid}/Conversations/${third.sid}/Participants`,
        pair(phone, proxyPhone),
      )
      expect(refusal(again)).toEqual(held(abroad.sid))
    })

    test('is free once the timer of its conversation has run out, also before a sweep has come by', async () => {
      vi.useFakeTimers({ toFake: ['Date'] })
      try {
        const { sid, add, conversations, root, participants } = await inFamily(family, { 'timers.closed': 'PT10M' })
        await add(pair(phone, proxyPhone))
        const { sid: second } = await conversations.create({})
        const path = `${root}/Conversations/${second}/Participants`
        vi.setSystemTime(Date.now() + 10 * minuteMs - 1)
        expect(refusal(await tenant.call('POST', path, pair(phone, proxyPhone)))).toEqual(held(sid))
        vi.setSystemTime(Date.now() + 1)
        expect((await tenant.call('POST', path, pair(phone, proxyPhone))).status).toBe(201)
        // Who was in the closed one is still listed there, with the addresses.
        expect((await participants.list()).map(({ messagingBinding }) => messagingBinding)).toEqual([
          { type: 'sms', address: phone, proxy_address: proxyPhone },
        ])
        await tenant.advance('PT1M')
        expect((await conversations(sid).fetch()).state).toBe('closed')
        const third = await conversations.create({})
        const again = await tenant.call('POST', `${root}/Conversations/${third.sid}/Participants`, pair(phone, proxyPhone))
        expect(refusal(again)).toEqual(held(second))
      } finally {
        vi.useRealTimers()
      }
    })
  })

  test.each([
    ['by its caller', ({ path }: Place) => tenant.call('POST', path, { State: 'closed' })],
    ['by its timer', () => tenant.advance('PT10M')],
  ])('a conversation closed %s takes no change of its people and shows them all', async (_how, close) => {
    const place = await inFamily(family, { 'timers.closed': 'PT10M' })
    const { participants, seen, add, change, path } = place
    const sids = await oneOfEach(place)
    await close(place)
    const before = await seen()
    const closed = [400, 50377, "Can't update conversation as it's in final closed state"]
    for (const answer of [
      await add({ Identity: 'new' }),
      await add({ Identity: 'taken' }),
      await add(pair('+15550000042', proxyPhone)),
      await change('chat', { Attributes: '[]' }),
      await change('chat', { LastReadMessageIndex: '0' }),
      await change('chat', { LastReadTimestamp: '2026-01-02T03:04:05Z' }),
      await change('chat', {}),
      await change(sids.sms ?? '', proxy('null')),
      await tenant.call('DELETE', `${path}/Participants/chat`),
      await tenant.call('DELETE', `${path}/Participants/${sids.sms}`),
    ]) {
      expect(refusal(answer)).toEqual(closed)
    }
    expect(refusal(await add({ Identity: long }))).toEqual([...says.tooLong])
    expect(refusal(await change('chat', { LastReadMessageIndex: '-1' }))).toEqual([...says.lastIndex])
    expect((await change('nobody', { Attributes: '[]' })).status).toBe(404)
    expect(await seen()).toEqual(before)
    expect((await participants('chat').fetch()).identity).toBe('chat')
  })

  test('another account, service or conversation sees nobody', async () => {
    const place = await inFamily(family)
    const { root, path, conversations, seen } = place
    const { chat } = await oneOfEach(place)
    const before = await seen()
    const other = await v1().services.create({ friendlyName: 'Other' })
    const sibling = await conversations.create({})
    const as = (await newTenant(tenant)).credentials
    const places: [string, object][] = [
      [path, { as }],
      [path.replace(root, `/v1/Services/${other.sid}`), {}],
      [`${root}/Conversations/CH${nothing}`, {}],
    ]
    const missing = (asked: string) => [404, 20404, `The requested resource ${asked.slice(3)} was not found`]
    for (const [at, options] of [...places, [`${root}/Conversations/${sibling.sid}`, {}] as const]) {
      for (const key of [chat, 'chat']) {
        for (const method of ['GET', 'POST', 'DELETE']) {
          const asked = `${at}/Participants/${key}`
          const form = method === 'POST' ? { Attributes: '[]' } : undefined
          expect(refusal(await tenant.call(method, asked, form, options))).toEqual(missing(asked))
        }
      }
    }
    for (const [at, options] of places) {
      const asked = `${at}/Participants`
      expect(refusal(await tenant.call('GET', asked, undefined, options))).toEqual(missing(asked))
      expect(refusal(await tenant.call('POST', asked, { Identity: 'new' }, options))).toEqual(missing(asked))
    }
    expect(await seen()).toEqual(before)
    expect(await conversations(sibling.sid).participants.list()).toEqual([])
  })
})

describe('limits', () => {
  test('a conversation has 1,000 participants', async () => {
    const { add, path } = await inFamily('default')
    expect(await many(1000, (i) => add({ Identity: `user ${i}` }))).toEqual([201])
    const full = [403, 50417, 'Participants limit exceeded']
    expect(refusal(await add({ Identity: 'one more' }))).toEqual(full)
    expect(refusal(await add(pair(phone, proxyPhone)))).toEqual(full)
    // Who is in it already is told that; nobody became a user by it.
    expect(refusal(await add({ Identity: 'user 7' }))).toEqual([...says.exists])
    expect((await tenant.call('GET', `/v1/Users/${encodeURIComponent('one more')}`)).status).toBe(404)
    await tenant.call('DELETE', `${path}/Participants/${encodeURIComponent('user 7')}`)
    expect((await add({ Identity: 'one more' })).status).toBe(201)
    expect(refusal(await add({ Identity: 'two more' }))).toEqual(full)
    expect((await tenant.call('GET', `${path}/Participants?PageSize=1000`)).body.participants.length).toBe(1000)
  })

  test('50 of them have an address', async () => {
    const { add, path } = await inFamily('default')
    const number = (i: number) => `+155500${String(i).padStart(5, '0')}`
    expect(await many(48, (i) => add(pair(number(i), proxyPhone)))).toEqual([201])
    expect((await add(native(number(98)))).status).toBe(201)
    const { body: last } = await add(pair(`whatsapp:${number(99)}`, `whatsapp:${proxyPhone}`))
    const full = [403, 50418, 'Non-Chat participants limit exceeded']
    expect(refusal(await add(pair(number(100), proxyPhone)))).toEqual(full)
    expect(refusal(await add(native(number(100))))).toEqual(full)
    expect((await add({ Identity: 'chat', ...projected('+15559999999') })).status).toBe(201)
    await tenant.call('DELETE', `${path}/Participants/${last.sid}`)
    expect((await add(pair(number(100), proxyPhone))).status).toBe(201)
    expect(refusal(await add(pair(number(101), proxyPhone)))).toEqual(full)
  })

  test('an identity is in 1,000 open conversations of a service', async () => {
    const join = (sid: string, identity: string) =>
      persistent(tenant)('POST', `/v1/Conversations/${sid}/Participants`, { Identity: identity })
    const sids: string[] = []
    const open = async () => {
      const made = await persistent(tenant)('POST', '/v1/Conversations', {})
      sids.push(made.body.sid)
      return join(made.body.sid, 'busy')
    }
    expect(await many(1000, open)).toEqual([201])
    const full = [403, 50214, 'User conversation limit exceeded']
    expect(refusal(await open())).toEqual(full)
    const [first = '', second = '', third = ''] = sids
    const over = sids.at(-1) ?? ''
    expect((await tenant.call('GET', `/v1/Conversations/${over}/Participants`)).body.participants).toEqual([])
    expect((await join(over, 'idle')).status).toBe(201)
    expect(refusal(await join(first, 'busy'))).toEqual([...says.exists])
    // Inactive is open, closed and deleted are not; another service counts for itself.
    await tenant.call('POST', `/v1/Conversations/${first}`, { State: 'inactive' })
    expect(refusal(await join(over, 'busy'))).toEqual(full)
    await tenant.call('POST', `/v1/Conversations/${first}`, { State: 'closed' })
    expect((await join(over, 'busy')).status).toBe(201)
    expect(refusal(await open())).toEqual(full)
    await tenant.call('DELETE', `/v1/Conversations/${second}`)
    expect((await open()).status).toBe(201)
    expect(refusal(await open())).toEqual(full)
    await tenant.call('DELETE', `/v1/Conversations/${third}/Participants/busy`)
    expect((await open()).status).toBe(201)
    const other = await v1().services.create({ friendlyName: 'Other' })
    const abroad = await v1().services(other.sid).conversations.create({})
    const there = v1().services(other.sid).conversations(abroad.sid).participants
    expect((await there.create({ identity: 'busy' })).identity).toBe('busy')
  })
})
