import { request as httpRequest, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import type { ConversationListInstance } from 'twilio/lib/rest/conversations/v1/conversation.js'
import { describe, expect } from 'vitest'
import { checkAnswer } from '../support/contract.ts'
import { test } from '../support/fixtures.ts'
import { sdkFor } from '../support/sdk.ts'
import type { Answer, Credentials, Tenant } from '../support/tenant.ts'

const minuteMs = 60_000

let tenant: Tenant

test.beforeEach(({ tenant: own }) => {
  tenant = own
})

/** One family of paths in an account of its own. */
interface Place {
  readonly as: Credentials
  readonly service_sid: string
  /** Path of the family with `/v1`. */
  readonly root: string
  readonly conversations: ConversationListInstance
  /** The same service through the other family. */
  readonly twin: { readonly root: string; readonly conversations: ConversationListInstance }
  call(method: string, tail: string, form?: Record<string, string>, headers?: Record<string, string>): Promise<Answer>
}

async function newAccount(): Promise<Credentials> {
  const made = await tenant.admin('POST', '/accounts', {})
  return { username: made.sid, password: made.auth_token }
}

/** The service is the account's default one, so that both families reach it. */
async function place(family: 'default' | 'service'): Promise<Place> {
  const as = await newAccount()
  const { v1 } = sdkFor(tenant, as.username, as.password).conversations
  const { sid: service_sid } = await v1.services.create({ friendlyName: 'Support' })
  await v1.configuration().update({ defaultChatServiceSid: service_sid })
  // The official types name the two lists apart; what they can do is the same.
  const ofService = v1.services(service_sid).conversations as unknown as ConversationListInstance
  const both = {
    default: { root: '/v1', conversations: v1.conversations },
    service: { root: `/v1/Services/${service_sid}`, conversations: ofService },
  }
  const { root } = both[family]
  return {
    as,
    service_sid,
    ...both[family],
    twin: both[family === 'default' ? 'service' : 'default'],
    call: (method, tail, form, headers = {}) => tenant.call(method, root + tail, form, { as, headers }),
  }
}

/** A request whose path no URL parser touches: `..` must arrive as it is. */
async function exactly(as: Credentials, method: string, path: string): Promise<Answer> {
  const authorization = `Basic ${Buffer.from(`${as.username}:${as.password}`).toString('base64')}`
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const { hostname, port } = new URL(tenant.url)
    httpRequest({ hostname, port, method, path, headers: { authorization } }, resolve).on('error', reject).end()
  })
  const body = await json(answer)
  checkAnswer(method, path, answer.statusCode ?? 0, body)
  return { status: answer.statusCode ?? 0, headers: answer.headers, body }
}

function notFound(path: string) {
  return { status: 404, code: 20404, message: `The requested resource ${path} was not found` }
}

/** An instant of a body, moved on by minutes, in the form of bodies. */
function later(iso: string, minutes: number): string {
  return `${new Date(Date.parse(iso) + minutes * minuteMs).toISOString().slice(0, -5)}Z`
}

const missing_sid = `CH${'0'.repeat(32)}`

/** The mailbox with the tag of a conversation. */
const tagged = (mailbox: string) => expect.stringMatching(new RegExp(`^${mailbox}\\+[0-9a-f]{20}@example\\.com$`))

describe.each(['default', 'service'] as const)('conversations of the %s family', (family) => {
  test('an empty body makes an active, nameless conversation without timers', async () => {
    const { call, as, service_sid } = await place(family)
    const { status, body } = await call('POST', '/Conversations')
    expect(status).toBe(201)
    expect(body).toMatchObject({
      sid: expect.stringMatching(/^CH[0-9a-f]{32}$/),
      account_sid: as.username,
      chat_service_sid: service_sid,
      messaging_service_sid: expect.stringMatching(/^MG[0-9a-f]{32}$/),
      friendly_name: null,
      unique_name: null,
      attributes: '{}',
      state: 'active',
      timers: {},
      bindings: {},
    })
    expect(body.date_updated).toBe(body.date_created)
    expect((await call('GET', `/Conversations/${body.sid}`)).body).toEqual(body)
  })

  test('keeps every parameter that it was created with', async () => {
    const { conversations } = await place(family)
    const MG = `MG${'Ab'.repeat(16)}`
    const created = await conversations.create({
      friendlyName: 'Ünï 🎈',
      uniqueName: 'order 17',
      dateCreated: new Date('2020-01-02T03:04:05.999Z'),
      dateUpdated: new Date('2021-01-02T03:04:05Z'),
      messagingServiceSid: MG,
      attributes: '{"topic":"feedback"}',
      state: 'inactive',
      'timers.inactive': 'PT1M',
      'timers.closed': 'PT10M',
      'bindings.email.address': 'sales@example.com',
      'bindings.email.name': 'Sales',
    })
    const fetched = await conversations(created.sid).fetch()
    for (const seen of [created, fetched]) {
      expect(seen).toMatchObject({
        friendlyName: 'Ünï 🎈',
        uniqueName: 'order 17',
        dateCreated: new Date('2020-01-02T03:04:05Z'),
        dateUpdated: new Date('2021-01-02T03:04:05Z'),
        messagingServiceSid: MG,
        attributes: '{"topic":"feedback"}',
        state: 'inactive',
        bindings: { email: { projected_address: tagged('sales'), name: 'Sales' } },
      })
      expect(Object.keys(seen.timers)).toEqual(['date_closed'])
    }
    // Imported dates do not move its deadlines into the past.
    await tenant.advance('PT9M')
    expect((await conversations(created.sid).fetch()).state).toBe('inactive')
  })

  test.each([
    ['spaces', 'two  words', 'two%20%20words'],
    ['a slash', 'a/b', 'a%2Fb'],
    ['an encoded slash', 'a%2Fb', 'a%252Fb'],
    ['a plus, which is no space', 'a+b', 'a+b'],
    ['an encoded plus', 'c+d', 'c%2Bd'],
    ['a percent sign', '100%', '100%25'],
    ['what looks like an escape', '%41', '%2541'],
    ['what looks like a doubled escape', '%2541', '%252541'],
    ['a question mark and a hash', 'who?#1', 'who%3F%231'],
    ['a semicolon', 'a;b=c', 'a;b=c'],
    ['reserved characters', "!$&'()*,:=@", "!$&'()*,:=@"],
    ['a combining accent', 'e\u0301', 'e%CC%81'],
    ['emoji', '👩‍👩‍👧', encodeURIComponent('👩‍👩‍👧')],
    ['256 code points of four bytes', '🎈'.repeat(256), '%F0%9F%8E%88'.repeat(256)],
    ['two dots', '..', '..'],
    ['two dots encoded', '.\u002e', '%2E%2E'],
    ['a single dot', '.', '.'],
    ['a reserved word', 'Messages', 'Messages'],
    ['a name of Object', '__proto__', '__proto__'],
    ['a sid of another kind', `IS${'a'.repeat(32)}`, `IS${'a'.repeat(32)}`],
    ['almost a sid', `CH${'a'.repeat(31)}`, `CH${'a'.repeat(31)}`],
    ['only a space', ' ', '%20'],
  ])('is found by a unique name with %s', async (_what, name, segment) => {
    const { as, root, call } = await place(family)
    const { body: created } = await call('POST', '/Conversations', { UniqueName: name })
    expect(created.unique_name).toBe(name)
    const { status, body } = await exactly(as, 'GET', `${root}/Conversations/${segment}`)
    expect([status, body]).toEqual([200, created])
    expect((await exactly(as, 'GET', `${root}/Conversations/${segment}/Messages`)).status).toBe(200)
    expect(await exactly(as, 'GET', `${root}/Conversations/x${segment}`)).toMatchObject({
      status: 404,
      body: notFound(`${root.slice(3)}/Conversations/x${segment}`),
    })
  })

  test('a name is found in its own letter case and its own normal form only', async () => {
    const { conversations } = await place(family)
    await conversations.create({ uniqueName: 'Caf\u00e9' })
    expect((await conversations(encodeURIComponent('Caf\u00e9')).fetch()).uniqueName).toBe('Caf\u00e9')
    for (const other of ['caf\u00e9', 'CAF\u00c9', 'Cafe\u0301', 'Cafe', 'Caf\u00e9 ']) {
      await expect(conversations(encodeURIComponent(other)).fetch()).rejects.toMatchObject({ status: 404 })
    }
  })

  test('a sid is found in its own letter case only', async () => {
    const { conversations } = await place(family)
    const { sid } = await conversations.create({})
    await expect(conversations(`CH${sid.slice(2).toUpperCase()}`).fetch()).rejects.toMatchObject({ status: 404 })
    await expect(conversations(sid.toLowerCase()).fetch()).rejects.toMatchObject({ status: 404 })
  })

  test('an update changes what it names and nothing else, by sid or by name', async () => {
    const { conversations } = await place(family)
    const first = await conversations.create({ friendlyName: 'a', uniqueName: 'u', attributes: '{"a":1}' })
    await tenant.advance('PT5S')
    const updated = await conversations('u').update({ friendlyName: 'b' })
    expect(updated).toMatchObject({ sid: first.sid, friendlyName: 'b', uniqueName: 'u', attributes: '{"a":1}' })
    expect(updated.dateCreated).toEqual(first.dateCreated)
    expect(updated.dateUpdated.getTime()).toBeGreaterThanOrEqual(first.dateUpdated.getTime() + 5000)
    const again = await conversations(first.sid).update({ uniqueName: 'v', attributes: '[]' })
    expect(again).toMatchObject({ friendlyName: 'b', uniqueName: 'v', attributes: '[]' })
    expect((await conversations('v').fetch()).sid).toBe(first.sid)
    await expect(conversations('u').fetch()).rejects.toMatchObject({ status: 404 })
  })

  test('every parameter can be updated', async () => {
    const { conversations } = await place(family)
    const { sid } = await conversations.create({})
    const changes = {
      friendlyName: 'f',
      uniqueName: 'u',
      dateCreated: new Date('2001-01-01T00:00:00Z'),
      dateUpdated: new Date('2002-01-01T00:00:00Z'),
      messagingServiceSid: `MG${'1'.repeat(32)}`,
      attributes: 'null',
      state: 'inactive' as const,
    }
    const updated = await conversations(sid).update({
      ...changes,
      'timers.closed': 'PT10M',
      'bindings.email.address': 'a@example.com',
    })
    expect(updated).toMatchObject({ ...changes, bindings: { email: { projected_address: tagged('a'), name: null } } })
    expect(Object.keys(updated.timers)).toEqual(['date_closed'])
    expect((await conversations(sid).fetch()).toJSON()).toEqual(updated.toJSON())
  })

  test('an update without a known parameter answers 200 and leaves the conversation as it was', async () => {
    const { call } = await place(family)
    const { body: created } = await call('POST', '/Conversations', { FriendlyName: 'a', 'Timers.Closed': 'PT1H' })
    await tenant.advance('PT5S')
    for (const form of [undefined, {}, { Unknown: 'x' }, { friendlyName: 'lower case' }]) {
      expect(await call('POST', `/Conversations/${created.sid}`, form)).toMatchObject({ status: 200, body: created })
    }
    expect((await call('GET', `/Conversations/${created.sid}`)).body).toEqual(created)
  })

  test('an update that sets the value it has moves date_updated all the same', async () => {
    const { conversations } = await place(family)
    const first = await conversations.create({ uniqueName: 'u', friendlyName: 'f' })
    await tenant.advance('PT5S')
    const updated = await conversations(first.sid).update({ uniqueName: 'u', friendlyName: 'f', state: 'active' })
    expect(updated.dateUpdated.getTime()).toBeGreaterThan(first.dateUpdated.getTime())
  })

  test('an empty value clears, resets or keeps, as each parameter has it', async () => {
    const { call } = await place(family)
    const { body: created } = await call('POST', '/Conversations', {
      FriendlyName: 'f',
      UniqueName: 'u',
      Attributes: '{"a":1}',
      MessagingServiceSid: `MG${'2'.repeat(32)}`,
      'Timers.Inactive': 'PT1H',
      'Timers.Closed': 'PT2H',
      'Bindings.Email.Address': 'a@example.com',
      'Bindings.Email.Name': 'A',
    })
    const update = async (form: Record<string, string>) => (await call('POST', `/Conversations/${created.sid}`, form)).body
    expect((await update({ FriendlyName: '' })).friendly_name).toBe('f')
    expect((await update({ UniqueName: '' })).unique_name).toBeNull()
    expect((await update({ Attributes: '' })).attributes).toBe('{}')
    expect((await update({ MessagingServiceSid: '' })).messaging_service_sid).toBe(`MG${'2'.repeat(32)}`)
    expect(Object.keys((await update({ 'Timers.Inactive': '' })).timers)).toEqual(['date_closed'])
    expect((await update({ 'Timers.Closed': '' })).timers).toEqual({})
    expect((await update({ 'Bindings.Email.Address': '' })).bindings).toEqual({ email: { projected_address: null, name: 'A' } })
    expect((await update({ 'Bindings.Email.Name': '' })).bindings).toEqual({})
    expect((await call('GET', '/Conversations/u')).status).toBe(404)
    expect((await call('POST', '/Conversations', { UniqueName: 'u' })).status).toBe(201)
  })

  test('empty values at creation are the same as none', async () => {
    const { call } = await place(family)
    const { status, body } = await call('POST', '/Conversations', {
      FriendlyName: '',
      UniqueName: '',
      Attributes: '',
      MessagingServiceSid: '',
      'Timers.Inactive': '',
      'Timers.Closed': '',
      'Bindings.Email.Address': '',
      'Bindings.Email.Name': '',
    })
    expect(status).toBe(201)
    expect(body).toMatchObject({ friendly_name: null, unique_name: null, attributes: '{}', timers: {}, bindings: {} })
    expect(body.messaging_service_sid).toMatch(/^MG[0-9a-f]{32}$/)
    expect((await call('POST', '/Conversations', { UniqueName: '' })).status).toBe(201)
  })

  test('a deleted conversation is gone, its name is free at once, and others stay', async () => {
    const { conversations, call, root } = await place(family)
    const { sid } = await conversations.create({ uniqueName: 'u' })
    const other = await conversations.create({})
    expect(await call('DELETE', `/Conversations/${sid}`)).toMatchObject({ status: 204, body: '' })
    const path = `${root.slice(3)}/Conversations/${sid}`
    for (const method of ['DELETE', 'GET', 'POST']) {
      expect((await call(method, `/Conversations/${sid}`)).body).toMatchObject(notFound(path))
    }
    expect((await call('GET', `/Conversations/${sid}/Messages`)).body).toMatchObject(notFound(`${path}/Messages`))
    expect((await call('GET', '/Conversations/u')).status).toBe(404)
    const heir = await conversations.create({ uniqueName: 'u' })
    expect((await conversations('u').fetch()).sid).toBe(heir.sid)
    expect((await conversations.list()).map((c) => c.sid).sort()).toEqual([other.sid, heir.sid].sort())
  })

  test('can be deleted by name', async () => {
    const { conversations } = await place(family)
    await conversations.create({ uniqueName: 'a b' })
    expect(await conversations('a%20b').remove()).toBe(true)
    expect(await conversations.list()).toEqual([])
  })

  test('urls and links are by sid, of the family asked and under the host asked', async () => {
    const { call, root } = await place(family)
    const { body: created } = await call('POST', '/Conversations', { UniqueName: 'u' })
    const url = (host: string) => `${host}${root}/Conversations/${created.sid}`
    const links = (host: string) =>
      Object.fromEntries(
        ['participants', 'messages', 'webhooks', 'export'].map((name) => [
          name,
          `${url(host)}/${name[0]?.toUpperCase()}${name.slice(1)}`,
        ]),
      )
    expect(created).toMatchObject({ url: url(tenant.url), links: links(tenant.url) })
    const elsewhere = 'http://localhost:8443'
    const hosts = { host: 'localhost:8443' }
    for (const key of [created.sid, 'u']) {
      const { body } = await call('GET', `/Conversations/${key}`, undefined, hosts)
      expect(body).toMatchObject({ url: url(elsewhere), links: links(elsewhere) })
    }
    // What one host was told is not told to another.
    expect((await call('GET', `/Conversations/${created.sid}`)).body.url).toBe(url(tenant.url))
    const listed = await call('GET', '/Conversations', undefined, hosts)
    expect(listed.body.conversations[0].url).toBe(url(elsewhere))
    expect(listed.body.meta.url).toBe(`${elsewhere}${root}/Conversations?PageSize=50&Page=0`)
    for (const link of Object.values<string>(created.links)) {
      const { status } = await tenant.call('GET', link.slice(tenant.url.length), undefined, { as: (await place(family)).as })
      expect(status).toBe(404)
    }
  })

  test('the same conversation is seen through both families, but for its urls', async () => {
    const { conversations, twin, root } = await place(family)
    const created = await conversations.create({ uniqueName: 'u', 'timers.closed': 'P1D' })
    const seen = await twin.conversations('u').fetch()
    const { url, links, ...rest } = created.toJSON()
    const { url: otherUrl, links: otherLinks, ...others } = seen.toJSON()
    expect(others).toEqual(rest)
    expect([url, otherUrl]).toEqual([root, twin.root].map((at) => `${tenant.url}${at}/Conversations/${created.sid}`))
    expect(otherLinks).not.toEqual(links)
    await twin.conversations('u').update({ friendlyName: 'through the other' })
    expect((await conversations(created.sid).fetch()).friendlyName).toBe('through the other')
    expect((await twin.conversations.list()).map((c) => c.url)).toEqual([otherUrl])
    await expect(twin.conversations.create({ uniqueName: 'u' })).rejects.toMatchObject({ status: 409, code: 50353 })
    await twin.conversations('u').remove()
    await expect(conversations(created.sid).fetch()).rejects.toMatchObject({ status: 404 })
  })

  test('another service and another account see nothing of it', async () => {
    const { conversations, as, call, service_sid } = await place(family)
    const { sid } = await conversations.create({ uniqueName: 'mine' })
    const { v1 } = sdkFor(tenant, as.username, as.password).conversations
    const sibling = await v1.services.create({ friendlyName: 'Sibling' })
    const stranger = await place(family)
    const elsewhere: [string, Credentials][] = [
      [`/v1/Services/${sibling.sid}`, as],
      [stranger.root, stranger.as],
      [stranger.twin.root, stranger.as],
      [`/v1/Services/${service_sid}`, stranger.as],
    ]
    for (const [root, credentials] of elsewhere) {
      for (const key of [sid, 'mine']) {
        const path = `${root}/Conversations/${key}`
        for (const [method, form] of [['GET'], ['POST', { FriendlyName: 'stolen' }], ['DELETE']] as const) {
          const { body } = await tenant.call(method, path, form, { as: credentials })
          expect(body).toMatchObject(notFound(path.slice(3)))
        }
        const below = await tenant.call('GET', `${path}/Participants?PageSize=1`, undefined, { as: credentials })
        expect(below.body).toMatchObject(notFound(`${path.slice(3)}/Participants`))
      }
    }
    expect(await stranger.conversations.list()).toEqual([])
    expect(await v1.services(sibling.sid).conversations.list()).toEqual([])
    expect((await call('GET', '/Conversations/mine')).body).toMatchObject({ sid, friendly_name: null })
    // A name is unique within its service only.
    await v1.services(sibling.sid).conversations.create({ uniqueName: 'mine' })
    await stranger.conversations.create({ uniqueName: 'mine' })
  })

  test('a missing one answers 404 with the requested path, query and version left out', async () => {
    const { call, root } = await place(family)
    const base = root.slice(3)
    for (const tail of [
      `/Conversations/${missing_sid}`,
      '/Conversations/no%20such%2Fname',
      '/Conversations/nobody/Messages',
      '/Conversations/nobody/Participants',
      '/Conversations/nobody/Webhooks',
    ]) {
      expect((await call('GET', `${tail}?PageSize=3&x=1`)).body).toMatchObject(notFound(base + tail))
    }
  })

  test('what does not exist is not found, however wrong the parameters are', async () => {
    const { call, root } = await place(family)
    const { body } = await call('POST', `/Conversations/${missing_sid}`, { State: 'junk' })
    expect(body).toMatchObject(notFound(`${root.slice(3)}/Conversations/${missing_sid}`))
  })

  test.each([
    ['2015-04-05T06:07:08Z', '2015-04-05T06:07:08Z'],
    ['2015-04-05T06:07:08.999999999Z', '2015-04-05T06:07:08Z'],
    ['2015-04-05T06:07:08+02:00', '2015-04-05T04:07:08Z'],
    ['2015-04-05T06:07:08-0230', '2015-04-05T08:37:08Z'],
    ['2015-04-05T23:30:00-01', '2015-04-06T00:30:00Z'],
    ['2015-04-05T06:07:08', '2015-04-05T06:07:08Z'],
    ['2015-04-05T06:07Z', '2015-04-05T06:07:00Z'],
    ['2015-04-05', '2015-04-05T00:00:00Z'],
    ['1969-12-31T23:59:59.5Z', '1969-12-31T23:59:59Z'],
    ['2016-02-29T00:00:00Z', '2016-02-29T00:00:00Z'],
    ['9999-12-31T23:59:59Z', '9999-12-31T23:59:59Z'],
  ])('an imported date %s is shown as %s', async (given, shown) => {
    const { call } = await place(family)
    const { body: both } = await call('POST', '/Conversations', { DateCreated: given })
    expect([both.date_created, both.date_updated]).toEqual([shown, shown])
    const { body: created } = await call('POST', '/Conversations', { DateUpdated: given })
    expect(created.date_updated).toBe(shown)
    expect(created.date_created).not.toBe(shown)
    const { body: updated } = await call('POST', `/Conversations/${created.sid}`, { DateCreated: given, DateUpdated: given })
    expect([updated.date_created, updated.date_updated]).toEqual([shown, shown])
    const { body: renamed } = await call('POST', `/Conversations/${created.sid}`, { FriendlyName: 'now' })
    expect(renamed.date_created).toBe(shown)
    expect(renamed.date_updated).not.toBe(shown)
  })

  test.each([
    ['white space', '{ "topic":\t"feedback" ,\r\n "n" : 1.0e0 }\n'],
    ['characters beyond ASCII', '{"é":"🎈","\u2028":"\u00a0"}'],
    ['escapes', '{"\\u00e9":"\\ud83c\\udf88","s":"\\/\\n\\u0000"}'],
    ['a lone surrogate as an escape', '"\\ud83c"'],
    ['a repeated key', '{"a":1,"a":2}'],
    ['__proto__', '{"__proto__":{"x":1}}'],
    ['a number no double holds', '123456789012345678901234567890'],
    ['an array', '[1, [2]]'],
    ['a text', '"text"'],
    ['a number', '-0'],
    ['true', 'true'],
    ['null', 'null'],
    ['form syntax', '"a=1&b=2+3%20;"'],
  ])('attributes with %s come back byte for byte', async (_what, attributes) => {
    const { conversations } = await place(family)
    const created = await conversations.create({ attributes })
    expect(created.attributes).toBe(attributes)
    const updated = await conversations((await conversations.create({})).sid).update({ attributes })
    expect(updated.attributes).toBe(attributes)
    expect((await conversations(created.sid).fetch()).attributes).toBe(attributes)
    expect((await conversations.list()).map((c) => c.attributes)).toEqual([attributes, attributes])
  })

  test('attributes may be 16,384 bytes long and not one more', async () => {
    const { conversations } = await place(family)
    for (const character of ['a', 'é', '🎈']) {
      const text = `"${character.repeat(4000)}"`
      const exact = text + ' '.repeat(16_384 - Buffer.byteLength(text))
      expect(Buffer.byteLength(exact)).toBe(16_384)
      const { sid, attributes } = await conversations.create({ attributes: exact })
      expect(attributes).toBe(exact)
      const refusal = { status: 400, code: 50303, message: 'Attributes too long' }
      await expect(conversations(sid).update({ attributes: `${exact} ` })).rejects.toMatchObject(refusal)
      await expect(conversations.create({ attributes: `${exact} ` })).rejects.toMatchObject(refusal)
      expect((await conversations(sid).fetch()).attributes).toBe(exact)
    }
  })

  test('bindings show what there is of the email sender', async () => {
    const { conversations } = await place(family)
    const named = await conversations.create({ 'bindings.email.name': 'Sales' })
    expect(named.bindings).toEqual({ email: { projected_address: null, name: 'Sales' } })
    const full = await conversations(named.sid).update({ 'bindings.email.address': 'sales@example.com' })
    expect(full.bindings).toEqual({ email: { projected_address: tagged('sales'), name: 'Sales' } })
    expect(Object.keys(full.bindings.email)).toEqual(['projected_address', 'name'])
    const address = await conversations.create({ 'bindings.email.address': 'x@example.com' })
    expect(address.bindings).toEqual({ email: { projected_address: tagged('x'), name: null } })
  })

  test("the messaging service is the account's default unless given, and stays when that changes", async () => {
    const { conversations, as } = await place(family)
    const configuration = sdkFor(tenant, as.username, as.password).conversations.v1.configuration()
    const standard = (await configuration.fetch()).defaultMessagingServiceSid
    const first = await conversations.create({})
    expect(first.messagingServiceSid).toBe(standard)
    const MG = `MG${'3'.repeat(32)}`
    await configuration.update({ defaultMessagingServiceSid: MG })
    expect((await conversations.create({})).messagingServiceSid).toBe(MG)
    expect((await conversations(first.sid).fetch()).messagingServiceSid).toBe(standard)
  })

  test("the account's default timers apply where a request sets none; PT0S and empty switch them off", async () => {
    const { call, as, conversations } = await place(family)
    const configuration = sdkFor(tenant, as.username, as.password).conversations.v1.configuration()
    await configuration.update({ defaultInactiveTimer: 'PT1H', defaultClosedTimer: 'P1DT0.5S' })
    const create = async (form: Record<string, string>) => (await call('POST', '/Conversations', form)).body
    const plain = await create({})
    expect(plain.timers.date_inactive).toBe(later(plain.date_created, 60))
    expect(Object.keys(plain.timers)).toEqual(['date_inactive', 'date_closed'])
    const own = await create({ 'Timers.Inactive': 'PT2H' })
    expect(own.timers.date_inactive).toBe(later(own.date_created, 120))
    expect(Object.keys(own.timers)).toEqual(['date_inactive', 'date_closed'])
    for (const off of ['PT0S', '', 'P0D']) {
      expect(Object.keys((await create({ 'Timers.Inactive': off })).timers)).toEqual(['date_closed'])
      expect(Object.keys((await create({ 'Timers.Closed': off })).timers)).toEqual(['date_inactive'])
      expect((await create({ 'Timers.Closed': off, 'Timers.Inactive': off })).timers).toEqual({})
    }
    // Neither a later change of the defaults nor an update that names no timer touches an existing one.
    await configuration.update({ defaultInactiveTimer: 'PT0S', defaultClosedTimer: '' })
    const renamed = await conversations(plain.sid).update({ friendlyName: 'renamed' })
    expect(renamed.timers).toEqual(plain.timers)
    expect((await create({})).timers).toEqual({})
  })

  test('timers are shown as the state has them: the worked example without messages', async () => {
    const { call } = await place(family)
    const shown = async () => (await call('GET', `/Conversations/${created.sid}`)).body
    const move = async (state: string) => (await call('POST', `/Conversations/${created.sid}`, { State: state })).body
    const { body: created } = await call('POST', '/Conversations', { 'Timers.Inactive': 'PT10M', 'Timers.Closed': 'PT30M' })
    const t0 = created.date_created
    expect(created.timers).toEqual({ date_inactive: later(t0, 10), date_closed: later(t0, 30) })
    await tenant.advance('PT10M')
    expect(await shown()).toMatchObject({ state: 'inactive', date_updated: later(t0, 10) })
    expect((await shown()).timers).toEqual({ date_closed: later(t0, 30) })
    await tenant.advance('PT10M')
    const back = await move('active')
    expect(back.timers).toEqual({ date_inactive: later(back.date_updated, 10), date_closed: later(back.date_updated, 30) })
    await tenant.advance('PT5M')
    const left = await move('inactive')
    expect(left.timers).toEqual({ date_closed: later(left.date_updated, 30) })
    await tenant.advance('PT1M')
    const again = await move('active')
    expect(again.timers).toEqual({ date_inactive: later(again.date_updated, 10), date_closed: later(again.date_updated, 30) })
    await tenant.advance('PT5M')
    // Neither a rename nor the state it has counts anew.
    const edited = await call('POST', `/Conversations/${created.sid}`, { FriendlyName: 'x', State: 'active', Attributes: '[]' })
    expect(edited.body.timers).toEqual(again.timers)
    await tenant.advance('PT5M')
    expect((await shown()).timers).toEqual({ date_closed: later(again.date_updated, 30) })
    await tenant.advance('PT20M')
    expect(await shown()).toMatchObject({ state: 'closed', date_updated: later(again.date_updated, 30) })
    expect((await shown()).timers).toEqual({})
  })

  test('a change of either timer counts both from now; unsetting one leaves the other', async () => {
    const { call } = await place(family)
    const { body: created } = await call('POST', '/Conversations', { 'Timers.Inactive': 'PT10M', 'Timers.Closed': 'PT30M' })
    await tenant.advance('PT5M')
    const update = async (form: Record<string, string>) => (await call('POST', `/Conversations/${created.sid}`, form)).body
    const longer = await update({ 'Timers.Closed': 'PT1H' })
    expect(longer.timers).toEqual({ date_inactive: later(longer.date_updated, 10), date_closed: later(longer.date_updated, 60) })
    await tenant.advance('PT5M')
    const only = await update({ 'Timers.Inactive': 'PT0S' })
    expect(only.timers).toEqual({ date_closed: later(only.date_updated, 60) })
    await tenant.advance('PT50M')
    expect((await call('GET', `/Conversations/${created.sid}`)).body.state).toBe('active')
  })

  test('a closed timer that is no longer than the inactive one closes first', async () => {
    const { conversations } = await place(family)
    const { sid } = await conversations.create({ 'timers.inactive': 'PT10M', 'timers.closed': 'PT10M' })
    await tenant.advance('PT10M')
    expect(await conversations(sid).fetch()).toMatchObject({ state: 'closed', timers: {} })
  })

  test('a read and a list past a deadline show what the deadline did, before anything applied it', async () => {
    const { call } = await place(family)
    const { body: created } = await call('POST', '/Conversations', { 'Timers.Inactive': 'PT1M', 'Timers.Closed': 'PT10M' })
    const { body: idle } = await call('POST', '/Conversations', { 'Timers.Closed': 'PT1H' })
    // Read once, so that an answer kept in memory would be seen.
    await call('GET', `/Conversations/${created.sid}`)
    const sids = async (query: string) =>
      (await call('GET', `/Conversations${query}`)).body.conversations.map((c: { sid: string }) => c.sid)
    tenant.clock.moveTo(tenant.clock.now() + minuteMs)
    const inactive = { state: 'inactive', date_updated: later(created.date_created, 1) }
    expect((await call('GET', `/Conversations/${created.sid}`)).body).toMatchObject(inactive)
    const { body: listed } = await call('GET', '/Conversations')
    expect(listed.conversations.find((c: { sid: string }) => c.sid === created.sid)).toMatchObject(inactive)
    expect(await sids('?State=inactive')).toEqual([created.sid])
    expect(await sids('?State=active')).toEqual([idle.sid])
    tenant.clock.moveTo(tenant.clock.now() + 9 * minuteMs)
    const { body: closed } = await call('GET', `/Conversations/${created.sid}`)
    expect(closed).toMatchObject({ state: 'closed', timers: {}, date_updated: later(created.date_created, 10) })
    const refused = await call('POST', `/Conversations/${created.sid}`, { FriendlyName: 'late' })
    expect(refused.body).toMatchObject({ status: 400, code: 50377 })
    expect(await sids('?State=closed')).toEqual([created.sid])
    expect(await sids('?State=inactive')).toEqual([])
    expect((await call('GET', `/Conversations/${created.sid}`)).body).toEqual(closed)
  })

  test('an update past a deadline builds on what the deadline did', async () => {
    const { call } = await place(family)
    const { body: created } = await call('POST', '/Conversations', { 'Timers.Inactive': 'PT1M' })
    tenant.clock.moveTo(tenant.clock.now() + minuteMs)
    const { body: renamed } = await call('POST', `/Conversations/${created.sid}`, { FriendlyName: 'x' })
    expect(renamed).toMatchObject({ state: 'inactive', friendly_name: 'x', timers: {} })
    const { body: back } = await call('POST', `/Conversations/${created.sid}`, { State: 'active' })
    expect(back.timers).toEqual({ date_inactive: later(back.date_updated, 1) })
  })

  test('closed is final: it can be read and deleted, and nothing else', async () => {
    const { call } = await place(family)
    const { body: created } = await call('POST', '/Conversations', { UniqueName: 'u', 'Timers.Closed': 'PT10M' })
    const { status, body: closed } = await call('POST', '/Conversations/u', { State: 'CLOSED' })
    expect(status).toBe(200)
    expect(closed).toMatchObject({ state: 'closed', timers: {} })
    const refusal = { status: 400, code: 50377, message: "Can't update conversation as it's in final closed state" }
    const every: Record<string, string>[] = [
      {},
      { State: 'active' },
      { State: 'inactive' },
      { State: 'closed' },
      { FriendlyName: 'x' },
      { UniqueName: '' },
      { UniqueName: 'v' },
      { Attributes: '{}' },
      { DateCreated: '2020-01-01' },
      { DateUpdated: '2020-01-01' },
      { MessagingServiceSid: `MG${'4'.repeat(32)}` },
      { 'Timers.Inactive': 'PT1M' },
      { 'Timers.Closed': '' },
      { 'Bindings.Email.Name': 'x' },
      { Unknown: 'x' },
    ]
    for (const form of every) expect((await call('POST', '/Conversations/u', form)).body).toMatchObject(refusal)
    // A parameter that cannot be read is told first.
    expect((await call('POST', '/Conversations/u', { State: 'junk' })).body).toMatchObject({ code: 50378 })
    expect((await call('GET', '/Conversations/u')).body).toEqual(closed)
    expect((await call('GET', `/Conversations/${created.sid}/Messages`)).status).toBe(200)
    await tenant.advance('PT1H')
    expect((await call('GET', '/Conversations/u')).body).toEqual(closed)
    expect((await call('DELETE', '/Conversations/u')).status).toBe(204)
  })

  test('a closed conversation keeps its unique name until it is deleted', async () => {
    const { conversations } = await place(family)
    const { sid } = await conversations.create({ uniqueName: 'u' })
    const other = await conversations.create({ uniqueName: 'other' })
    await conversations(sid).update({ state: 'closed' })
    const taken = { status: 409, code: 50353, message: 'Conversation with provided unique name already exists' }
    await expect(conversations.create({ uniqueName: 'u' })).rejects.toMatchObject(taken)
    await expect(conversations(other.sid).update({ uniqueName: 'u', friendlyName: 'no' })).rejects.toMatchObject(taken)
    expect(await conversations('other').fetch()).toMatchObject({ sid: other.sid, friendlyName: null })
    expect((await conversations('u').fetch()).sid).toBe(sid)
    // What was refused left nothing behind.
    expect(await conversations.list()).toHaveLength(2)
    await conversations(sid).remove()
    expect((await conversations(other.sid).update({ uniqueName: 'u' })).uniqueName).toBe('u')
  })

  test('of many who want one name at once, exactly one gets it', async () => {
    const { call, conversations } = await place(family)
    const answers = await Promise.all(Array.from({ length: 10 }, () => call('POST', '/Conversations', { UniqueName: 'u' })))
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, ...Array(9).fill(409)])
    expect(await conversations.list()).toHaveLength(1)
  })

  test('a conversation of a deleted service is gone with it', async () => {
    const { as } = await place(family)
    const { v1 } = sdkFor(tenant, as.username, as.password).conversations
    const { sid } = await v1.services.create({ friendlyName: 'Short-lived' })
    const conversation = await v1.services(sid).conversations.create({})
    const path = `/v1/Services/${sid}/Conversations/${conversation.sid}`
    expect((await tenant.call('GET', path, undefined, { as })).status).toBe(200)
    await v1.services(sid).remove()
    expect((await tenant.call('GET', path, undefined, { as })).body).toMatchObject(notFound(path.slice(3)))
    expect((await tenant.call('GET', `/v1/Services/${sid}/Conversations`, undefined, { as })).status).toBe(404)
  })
})

test('the default family follows the default service; what is in the old one stays there', async () => {
  const as = await newAccount()
  const { v1 } = sdkFor(tenant, as.username, as.password).conversations
  const before = (await v1.configuration().fetch()).defaultChatServiceSid
  const old = await v1.conversations.create({ uniqueName: 'u' })
  expect(old.chatServiceSid).toBe(before)
  expect((await v1.conversations('u').fetch()).sid).toBe(old.sid)
  const { sid } = await v1.services.create({ friendlyName: 'Next' })
  await v1.configuration().update({ defaultChatServiceSid: sid })
  await expect(v1.conversations('u').fetch()).rejects.toMatchObject({ status: 404 })
  await expect(v1.conversations(old.sid).fetch()).rejects.toMatchObject({ status: 404 })
  expect(await v1.conversations.list()).toEqual([])
  expect(await v1.conversations.create({ uniqueName: 'u' })).toMatchObject({ chatServiceSid: sid })
  expect((await v1.services(before).conversations(old.sid).fetch()).uniqueName).toBe('u')
})
