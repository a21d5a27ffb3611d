import { describe, expect, vi } from 'vitest'
import { type Family, families, openFamily } from '../support/family.ts'
import { test } from '../support/fixtures.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'

const minuteMs = 60_000
const nothing = '0'.repeat(32)

let tenant: Tenant

test.beforeEach(({ tenant: own }) => {
  tenant = own
})

const v1 = () => tenant.sdk.conversations.v1
type Form = Record<string, string>

const registerTemplate = (sid: string, types: object) =>
  tenant.admin('PUT', `/accounts/${tenant.account_sid}/contents/${sid}`, { types })

/** One family of paths, and a conversation in it. */
async function inFamily(family: Family, given: Parameters<ReturnType<typeof v1>['conversations']['create']>[0] = {}) {
  const { root, service, users, conversations } = await openFamily(tenant, family)
  const { sid } = await conversations.create(given)
  const { messages, participants } = conversations(sid)
  const path = `${root}/Conversations/${sid}`
  const conversation = async () => (await tenant.call('GET', path)).body
  /** Everything that a caller sees of the conversation. */
  const seen = async () => [
    await conversation(),
    (await tenant.call('GET', `${path}/Messages`)).body.messages,
    (await tenant.call('GET', `${path}/Participants`)).body.participants,
  ]
  return { root, service, users, conversations, sid, path, messages, participants, conversation, seen }
}

type Place = Awaited<ReturnType<typeof inFamily>>

/** The machine's time stands still; the test clock moves. */
async function withStillTime(run: () => Promise<void>): Promise<void> {
  vi.useFakeTimers({ toFake: ['Date'] })
  try {
    await run()
  } finally {
    vi.useRealTimers()
  }
}

/** Deadlines as minutes after an instant. */
function inMinutes(timers: unknown, from: number): Record<string, number> {
  const dates = Object.entries(timers as Form)
  return Object.fromEntries(dates.map(([name, at]) => [name, (Date.parse(at) - from) / minuteMs]))
}

function notFound(path: string) {
  return [404, 20404, `The requested resource ${path} was not found`]
}

const closed = { status: 400, code: 50377, message: "Can't update conversation as it's in final closed state" }

describe.each(families)('messages, %s family', (family) => {
  test('a message lives from creation to removal', async () => {
    const { root, service, sid, path, messages } = await inFamily(family)
    const made = (await tenant.call('POST', `${path}/Messages`, { Body: 'hello' })).body
    const url = `${tenant.url}${root}/Conversations/${sid}/Messages/${made.sid}`
    expect(made).toEqual({
      sid: expect.stringMatching(/^IM[0-9a-f]{32}$/),
      account_sid: tenant.account_sid,
      ...(family === 'service' && { chat_service_sid: service }),
      conversation_sid: sid,
      body: 'hello',
      media: null,
      author: 'system',
      participant_sid: null,
      attributes: '{}',
      date_created: expect.any(String),
      date_updated: made.date_created,
      index: 0,
      delivery: null,
      content_sid: null,
      url,
      links: { delivery_receipts: `${url}/Receipts`, channel_metadata: `${url}/ChannelMetadata` },
    })
    await tenant.advance('PT5S')
    const changed = await messages(made.sid).update({ body: 'bye', attributes: '{ "a": [1] }', author: 'alice', subject: 's' })
    expect(changed).toMatchObject({ body: 'bye', attributes: '{ "a": [1] }', author: 'alice', index: 0, participantSid: null })
    expect(changed.dateCreated.getTime()).toBe(Date.parse(made.date_created))
    expect(changed.dateUpdated.getTime()).toBeGreaterThanOrEqual(changed.dateCreated.getTime() + 5000)
    expect((await messages(made.sid).fetch()).toJSON()).toEqual(changed.toJSON())
    expect((await messages.list()).map((one) => one.toJSON())).toEqual([changed.toJSON()])
    expect(await messages(made.sid).remove()).toBe(true)
    expect(await messages.list()).toEqual([])
    const message = messages(made.sid)
    for (const gone of [() => message.fetch(), () => message.update({ body: 'x' }), () => message.remove()]) {
      await expect(gone()).rejects.toMatchObject({
        status: 404,
        code: 20404,
        message: `The requested resource ${path.slice(3)}/Messages/${made.sid} was not found`,
      })
    }
  })

  test('indexes count from 0 and none is given twice, whatever is deleted', async () => {
    const { messages } = await inFamily(family)
    const post = async () => {
      const { sid, index } = await messages.create({ body: 'm' })
      return { sid, index }
    }
    const made = [await post(), await post(), await post()]
    expect(made.map(({ index }) => index)).toEqual([0, 1, 2])
    await messages(made[2]?.sid ?? '').remove()
    made[2] = await post()
    expect(made[2]?.index).toBe(3)
    expect((await messages.list()).map(({ index }) => index)).toEqual([0, 1, 3])
    for (const { sid } of made) await messages(sid).remove()
    expect((await post()).index).toBe(4)
    await expect(messages.create({})).rejects.toMatchObject({ code: 50503 })
    expect((await post()).index).toBe(5)
  })

  test('lists by index, upwards unless told otherwise, in pages that new messages do not shift', async () => {
    const { path, messages } = await inFamily(family)
    for (let i = 0; i < 5; i++) await messages.create({ body: String(i) })
    const bodies = async (order: string) =>
      (await tenant.call('GET', `${path}/Messages${order}`)).body.messages.map((one: { body: string }) => one.body)
    expect(await bodies('')).toEqual(['0', '1', '2', '3', '4'])
    expect(await bodies('?Order=ASC')).toEqual(['0', '1', '2', '3', '4'])
    expect(await bodies('?Order=Desc')).toEqual(['4', '3', '2', '1', '0'])
    expect((await messages.list({ order: 'desc', limit: 2 })).map(({ index }) => index)).toEqual([4, 3])
    const first = await messages.page({ order: 'desc', pageSize: 2 })
    await messages.create({ body: '5' })
    const second = await first.nextPage()
    const third = await second?.nextPage()
    const pages = [first, second, third].map((page) => page?.instances.map(({ body }) => body))
    expect(pages).toEqual([['4', '3'], ['2', '1'], ['0']])
    expect(third?.nextPageUrl).toBeUndefined()
    expect((await third?.previousPage())?.instances.map(({ body }) => body)).toEqual(['2', '1'])
    const { body } = await tenant.call('GET', `${path}/Messages?Order=DESC&PageSize=2`)
    expect(body.meta).toMatchObject({ key: 'messages', url: `${tenant.url}${path}/Messages?Order=desc&PageSize=2&Page=0` })
    const refused = await tenant.call('GET', `${path}/Messages?Order=sideways`)
    expect([refused.status, refused.body.code]).toEqual([400, 20422])
  })

  test('who the author is: a participant by identity or address, or nobody', async () => {
    const { messages, participants } = await inFamily(family)
    const alice = await participants.create({ identity: 'alice' })
    const phone = await participants.create({
      'messagingBinding.address': 'whatsapp:+15550000001',
      'messagingBinding.proxyAddress': 'whatsapp:+15559990001',
    })
    const said = async (author: string | undefined) => {
      const made = await messages.create({ body: 'x', ...(author !== undefined && { author }) })
      return [made.author, made.participantSid]
    }
    expect(await said('alice')).toEqual(['alice', alice.sid])
    expect(await said('whatsapp:+15550000001')).toEqual(['whatsapp:+15550000001', phone.sid])
    expect(await said(undefined)).toEqual(['system', null])
    expect(await said('')).toEqual(['system', null])
    expect(await said('system')).toEqual(['system', null])
    // Nobody is found by another spelling, by a sid, or by the address of the other side.
    for (const author of ['Alice', alice.sid, '+15550000001', 'whatsapp:+15559990001', 'later']) {
      expect(await said(author)).toEqual([author, null])
    }
    const later = await participants.create({ identity: 'later' })
    expect(await said('later')).toEqual(['later', later.sid])
    const before = (await messages.list()).filter(({ author }) => author === 'later').map(({ participantSid }) => participantSid)
    expect(before).toEqual([null, later.sid])
  })

  test('an edit resolves its new author; another edit leaves author and participant alone', async () => {
    const { messages, participants } = await inFamily(family)
    const alice = await participants.create({ identity: 'alice' })
    const bob = await participants.create({ identity: 'bob' })
    const { sid } = await messages.create({ body: 'x', author: 'alice' })
    expect(await messages(sid).update({ author: 'bob' })).toMatchObject({ author: 'bob', participantSid: bob.sid })
    expect(await messages(sid).update({ author: 'zoe' })).toMatchObject({ author: 'zoe', participantSid: null })
    expect(await messages(sid).update({ author: 'alice' })).toMatchObject({ author: 'alice', participantSid: alice.sid })
    await participants('alice').remove()
    for (const given of [{ body: 'y' }, { attributes: '[]' }, { author: 'alice' }]) {
      expect(await messages(sid).update(given)).toMatchObject({ author: 'alice', participantSid: alice.sid })
    }
  })

  test('a chat-only message has no delivery; one with recipients on a channel counts them, its author not', async () => {
    const { messages, participants } = await inFamily(family)
    await participants.create({ identity: 'alice' })
    expect((await messages.create({ body: 'x', author: 'alice' })).delivery).toBeNull()
    for (const n of [1, 2]) {
      await participants.create({
        'messagingBinding.address': `+1555000000${n}`,
        'messagingBinding.proxyAddress': `+1555999000${n}`,
      })
    }
    const none = { sent: 'none', delivered: 'none', read: 'none', failed: 'none', undelivered: 'none' }
    expect((await messages.create({ body: 'x', author: 'alice' })).delivery).toEqual({ total: 2, ...none })
    expect((await messages.create({ body: 'x', author: '+15550000001' })).delivery).toEqual({ total: 1, ...none })
    expect((await messages.create({ body: 'x' })).delivery).toEqual({ total: 2, ...none })
  })

  test('the limits themselves are taken: bytes for body and attributes, code points for the rest', async () => {
    const { messages } = await inFamily(family)
    const body = 'é'.repeat(16_384)
    const author = '😀'.repeat(256)
    const attributes = `"${'é'.repeat(2047)}"`
    const made = await messages.create({ body, author, attributes, subject: '😀'.repeat(256) })
    expect(made).toMatchObject({ body, author, attributes })
    expect(await messages(made.sid).update({ body, author, attributes, subject: '😀'.repeat(256) })).toMatchObject({ body })
    const unusual = ' \r\n\t"&=+%00 ünï 🎈 '
    expect((await messages.create({ body: unusual })).body).toBe(unusual)
    for (const json of ['null', '7', '"x"', '[]', ' { "a" : 1 } ']) {
      expect((await messages.create({ body: 'x', attributes: json })).attributes).toBe(json)
    }
  })

  test('an empty body is a body, empty attributes are reset', async () => {
    const { path, messages } = await inFamily(family)
    const made = await messages.create({ body: '', attributes: '{"a":1}' })
    expect(made).toMatchObject({ body: '', index: 0 })
    await messages(made.sid).update({ body: 'full' })
    const { status, body } = await tenant.call('POST', `${path}/Messages/${made.sid}`, { Body: '', Attributes: '' })
    expect([status, body.body, body.attributes]).toEqual([200, '', '{}'])
  })

  test('content replaces body and media', async () => {
    const { messages } = await inFamily(family)
    const contentSid = `HX${'Ab'.repeat(16)}`
    await registerTemplate(contentSid, { 'twilio/location': { latitude: 1, longitude: 2 } })
    const made = await messages.create({
      contentSid,
      contentVariables: '{"1":"one"}',
      body: 'ignored',
      mediaSid: `ME${nothing}`,
    })
    expect(made).toMatchObject({ contentSid, body: null, media: null })
    expect(await messages.create({ contentSid })).toMatchObject({ contentSid, body: null, index: 1 })
    const most = Object.fromEntries([[`${'é'.repeat(16)}`, '😀'.repeat(256)]])
    expect((await messages.create({ contentSid, contentVariables: JSON.stringify(most) })).index).toBe(2)
    // Nothing of it can be edited: no such parameters on update.
    const edited = await messages(made.sid).update({ contentSid: 'HX1', contentVariables: '[', mediaSid: 'ME1' } as object)
    expect(edited.toJSON()).toEqual(made.toJSON())
  })

  test('dates can be imported: they are shown, and neither reorder nor turn back the clock of the conversation', async () => {
    const { messages, conversation } = await inFamily(family, { 'timers.inactive': 'PT10M' })
    const dated = async (body: string, dateCreated?: Date, dateUpdated?: Date) =>
      messages.create({ body, ...(dateCreated && { dateCreated }), ...(dateUpdated && { dateUpdated }) })
    const [y2010, y2020, y2030] = ['2010', '2020', '2030'].map((year) => new Date(`${year}-01-02T03:04:05Z`)) as [
      Date,
      Date,
      Date,
    ]
    await dated('first', y2030)
    const second = await dated('second', y2020, y2030)
    const third = await dated('third', y2010)
    expect([second.dateCreated, second.dateUpdated]).toEqual([y2020, y2030])
    expect([third.dateCreated, third.dateUpdated]).toEqual([y2010, y2010])
    const now = await dated('now')
    expect((await messages.list()).map(({ body }) => body)).toEqual(['first', 'second', 'third', 'now'])
    const old = await dated('old', y2010)
    const { timers } = await conversation()
    expect(Date.parse(timers.date_inactive)).toBeGreaterThanOrEqual(now.dateCreated.getTime() + 10 * minuteMs)
    expect(await messages(old.sid).update({ dateCreated: y2020, dateUpdated: y2020 })).toMatchObject({
      dateCreated: y2020,
      dateUpdated: y2020,
      index: 4,
    })
  })

  test('an update without a known parameter changes nothing, Index is not one', async () => {
    const { path, messages } = await inFamily(family)
    const { sid } = await messages.create({ body: 'x', author: 'a' })
    const before = (await tenant.call('GET', `${path}/Messages/${sid}`)).body
    await tenant.advance('PT1M')
    for (const form of [{}, { Index: '7', body: 'y', MediaSid: 'ME1', ContentSid: 'HX1' }] as Form[]) {
      expect(await tenant.call('POST', `${path}/Messages/${sid}`, form)).toMatchObject({ status: 200, body: before })
    }
  })

  const long = 'x'.repeat(257)
  const content = { ContentSid: `HX${nothing}` }
  const faults: [Form, number, string][] = [
    [{ Body: `${'é'.repeat(16_384)}x` }, 50504, 'Message body parameter is too long'],
    [{ Body: 'a\0b' }, 20422, 'Invalid Parameter'],
    [{ Body: 'x', Author: long }, 50310, 'Author parameter is too long'],
    [{ Body: 'x', Author: '😀'.repeat(257) }, 50310, 'Author parameter is too long'],
    [{ Body: 'x', Author: 'a\0b' }, 20422, 'Invalid Parameter'],
    [{ Body: 'x', Subject: long }, 20422, 'Invalid Parameter'],
    [{ Body: 'x', Attributes: '{' }, 50304, 'Attributes not valid JSON'],
    [{ Body: 'x', Attributes: `"${'é'.repeat(2048)}"` }, 50303, 'Attributes too long'],
    [{ Body: 'x', DateCreated: 'yesterday' }, 50308, 'Invalid Date Created parameter'],
    [{ Body: 'x', DateCreated: '' }, 50308, 'Invalid Date Created parameter'],
    [{ Body: 'x', DateUpdated: '2020-13-01T00:00:00Z' }, 50309, 'Invalid Date Updated parameter'],
  ]
  const faultsOfCreation: [Form, number, string][] = [
    [{}, 50503, 'Message body not provided'],
    [{ Author: 'alice', Attributes: '{}', Subject: 's' }, 50503, 'Message body not provided'],
    [{ body: 'x' }, 50503, 'Message body not provided'],
    [{ MediaSid: '' }, 50503, 'Message body not provided'],
    [{ ContentSid: '' }, 50503, 'Message body not provided'],
    [{ MediaSid: 'ME1' }, 50510, 'Invalid message media SID'],
    [{ Body: 'x', MediaSid: `IM${nothing}` }, 50510, 'Invalid message media SID'],
    [{ Body: 'x', MediaSid: `ME${nothing}` }, 50507, 'Media not found'],
    [{ ContentSid: 'HX1' }, 50526, 'Invalid content SID'],
    [{ Body: 'x', ContentVariables: '{}' }, 50528, 'Content SID is missing'],
    [{ ...content, ContentVariables: 'x' }, 50527, 'Invalid content variables format'],
    [{ ...content, ContentVariables: '[]' }, 50527, 'Invalid content variables format'],
    [{ ...content, ContentVariables: 'null' }, 50527, 'Invalid content variables format'],
    [{ ...content, ContentVariables: `{"1":"${'x'.repeat(27_800)}"}` }, 50529, 'Content variables are too long'],
    [{ ...content, ContentVariables: `{"${'k'.repeat(17)}":""}` }, 50540, 'Content variable key is too long'],
    [{ ...content, ContentVariables: `{"1":"${'x'.repeat(257)}"}` }, 50541, 'Content variable value is too long'],
  ]
  test.each([
    ...[...faultsOfCreation, ...faults].map((fault) => ['create', ...fault] as const),
    ...faults.map((fault) => ['update', ...fault] as const),
  ])('%s with %o is refused with %i and changes nothing', async (verb, form, code, message) => {
    const { path, messages, seen } = await inFamily(family, { state: 'inactive', 'timers.closed': 'PT10M' })
    await messages.create({ body: 'old', author: 'a' })
    await tenant.call('POST', path, { State: 'inactive' })
    const [{ sid } = { sid: '' }] = await messages.list()
    const before = await seen()
    const refused = await tenant.call('POST', `${path}/Messages${verb === 'create' ? '' : `/${sid}`}`, form)
    expect([refused.status, refused.body.code, refused.body.message]).toEqual([400, code, message])
    expect(await seen()).toEqual(before)
    expect((await messages.create({ body: 'next' })).index).toBe(1)
  })

  test.each([
    ['by its caller', async ({ path }: Place) => void (await tenant.call('POST', path, { State: 'closed' }))],
    ['by its timer', async () => tenant.advance('PT10M')],
  ])('a conversation closed %s takes no write and allows every read', async (_how, close) => {
    const place = await inFamily(family, { 'timers.closed': 'PT10M' })
    const { path, messages, seen } = place
    const { sid } = await messages.create({ body: 'x', author: 'a' })
    await close(place)
    const before = await seen()
    expect(before[0]).toMatchObject({ state: 'closed', timers: {} })
    for (const refused of [
      () => messages.create({ body: 'y' }),
      () => messages.create({ body: '', dateCreated: new Date(0) }),
      () => messages.create({ contentSid: `HX${nothing}` }),
      () => messages(sid).update({ body: 'y' }),
      () => messages(sid).update({ attributes: '{"a":1}' }),
      () => messages(sid).update({ dateUpdated: new Date(0) }),
      () => messages(sid).update({}),
      () => messages(sid).remove(),
    ]) {
      await expect(refused()).rejects.toMatchObject(closed)
    }
    // What is missing or malformed is told first.
    await expect(messages.create({})).rejects.toMatchObject({ code: 50503 })
    await expect(messages(sid).update({ author: long })).rejects.toMatchObject({ code: 50310 })
    await expect(messages(`IM${nothing}`).update({ body: 'y' })).rejects.toMatchObject({ status: 404 })
    expect(await seen()).toEqual(before)
    expect(await messages(sid).fetch()).toMatchObject({ body: 'x', index: 0 })
    expect((await messages.list({ order: 'desc' })).length).toBe(1)
    expect((await tenant.call('GET', `${path}/Messages/${sid}/Receipts`)).body.delivery_receipts).toEqual([])
  })

  const worked: [number, string, Form | null, string, Record<string, number>][] = [
    [0, 'create', null, 'active', { date_inactive: 10, date_closed: 30 }],
    [4, '/Messages', { Body: 'a' }, 'active', { date_inactive: 14, date_closed: 34 }],
    [14, 'timer', null, 'inactive', { date_closed: 34 }],
    [20, '/Messages', { Body: 'b' }, 'active', { date_inactive: 30, date_closed: 50 }],
    [25, '', { State: 'inactive' }, 'inactive', { date_closed: 55 }],
    [26, '', { State: 'active' }, 'active', { date_inactive: 36, date_closed: 56 }],
    [36, 'timer', null, 'inactive', { date_closed: 56 }],
    [56, 'timer', null, 'closed', {}],
  ]
  test.each([
    ['the sweep keeps up', (minutes: number) => tenant.advance(`PT${minutes}M`)],
    ['no sweep has come by', async (minutes: number) => void vi.setSystemTime(Date.now() + minutes * minuteMs)],
  ])('messages wake and count both timers anew, step by step, while %s', async (_name, pass) => {
    await withStillTime(async () => {
      const { path, conversation } = await inFamily(family, { 'timers.inactive': 'PT10M', 'timers.closed': 'PT30M' })
      const made = Date.parse((await conversation()).date_created)
      let at = 0
      for (const [minute, tail, form, state, timers] of worked) {
        if (minute > at) await pass(minute - at)
        at = minute
        if (form) expect((await tenant.call('POST', path + tail, form)).status).toBeLessThan(300)
        const shown = await conversation()
        expect([minute, shown.state, inMinutes(shown.timers, made)]).toEqual([minute, state, timers])
      }
      const refused = await tenant.call('POST', `${path}/Messages`, { Body: 'late' })
      expect([refused.status, refused.body.code]).toEqual([400, 50377])
    })
  })

  test('a message wakes a conversation that was made inactive, without timers too', async () => {
    const { messages, conversation, conversations, sid } = await inFamily(family, { state: 'inactive' })
    expect((await messages.create({ body: 'x' })).index).toBe(0)
    expect(await conversation()).toMatchObject({ state: 'active', timers: {} })
    await conversations(sid).update({ state: 'inactive', 'timers.inactive': 'PT5M' })
    const { dateCreated } = await messages.create({ body: 'y' })
    const { state, timers } = await conversation()
    expect([state, inMinutes(timers, dateCreated.getTime())]).toEqual(['active', { date_inactive: 5 }])
  })

  test.each(['active', 'inactive'] as const)('nothing but a message counts anew or wakes: %s', async (state) => {
    const { conversations, sid, path, messages, participants, users, conversation } = await inFamily(family, {
      'timers.inactive': 'PT30M',
      'timers.closed': 'PT60M',
    })
    const ids: string[] = []
    for (const body of ['0', '1', '2']) ids.push((await messages.create({ body, author: 'alice' })).sid)
    await participants.create({ identity: 'alice' })
    await conversations(sid).update({ state })
    const { timers } = await conversation()
    await tenant.advance('PT7M')
    await messages(ids[0] ?? '').update({ body: 'edited', author: 'bob', attributes: '[]' })
    await messages(ids[1] ?? '').remove()
    await messages(ids[2] ?? '').remove()
    await participants.create({ identity: 'bob' })
    await participants.create({ 'messagingBinding.address': '+15550000001', 'messagingBinding.proxyAddress': '+15559990001' })
    await participants('bob').update({ attributes: '{"a":1}' })
    await participants('alice').update({ lastReadMessageIndex: 0 })
    await users('alice').userConversations(sid).update({ lastReadMessageIndex: 2, notificationLevel: 'muted' })
    await participants('bob').remove()
    await conversations(sid).update({ attributes: '{"a":1}', friendlyName: 'F', uniqueName: 'u', state })
    expect((await tenant.call('POST', `${path}/Messages`, {})).status).toBe(400)
    expect(await conversation()).toMatchObject({ state, timers })
  })

  test('messages leave the conversation’s date of change alone', async () => {
    const { messages, conversation } = await inFamily(family)
    const before = await conversation()
    await tenant.advance('PT1M')
    const { sid } = await messages.create({ body: 'x' })
    await messages(sid).update({ body: 'y' })
    await messages(sid).remove()
    expect(await conversation()).toEqual(before)
  })

  test('conversations are listed by their last message, newest first', async () => {
    const { conversations, sid: first } = await inFamily(family)
    const next = async () => {
      await tenant.advance('PT2S')
      return (await conversations.create({})).sid
    }
    const [second, third] = [await next(), await next()]
    const listed = async () => (await conversations.list()).map(({ sid }) => sid)
    expect(await listed()).toEqual([third, second, first])
    await tenant.advance('PT2S')
    const { sid } = await conversations(first).messages.create({ body: 'x' })
    expect(await listed()).toEqual([first, third, second])
    await tenant.advance('PT2S')
    await conversations(second).messages.create({ body: 'x' })
    expect(await listed()).toEqual([second, first, third])
    // Only a message counts.
    await tenant.advance('PT2S')
    await conversations(first).messages(sid).update({ body: 'y' })
    await conversations(first).messages(sid).remove()
    await conversations(third).update({ friendlyName: 'F' })
    await conversations(third).participants.create({ identity: 'alice' })
    expect(await listed()).toEqual([second, first, third])
    await conversations(third).update({ state: 'inactive' })
    await conversations(third).messages.create({ body: 'wake' })
    expect(await listed()).toEqual([third, second, first])
    const active = await conversations.list({ state: 'active' })
    expect(active.map(({ sid }) => sid)).toEqual([third, second, first])
  })

  test('by the conversation’s unique name too; not by index', async () => {
    const { root, sid, messages } = await inFamily(family, { uniqueName: 'room 1' })
    const path = `${root}/Conversations/room%201/Messages`
    const { body } = await tenant.call('POST', path, { Body: 'x' })
    expect(body).toMatchObject({ conversation_sid: sid, url: `${tenant.url}${root}/Conversations/${sid}/Messages/${body.sid}` })
    expect((await tenant.call('GET', `${path}/${body.sid}`)).body).toEqual(body)
    expect((await tenant.call('GET', `${path}/0`)).status).toBe(404)
    expect((await messages.list()).length).toBe(1)
  })

  test('another account, service or conversation sees none of it', async () => {
    const { root, conversations, path, messages, seen } = await inFamily(family)
    const { sid } = await messages.create({ body: 'x' })
    const before = await seen()
    const other = await v1().services.create({ friendlyName: 'Other' })
    const sibling = await conversations.create({})
    const as = (await newTenant(tenant)).credentials
    const places: [string, object][] = [
      [path, { as }],
      [path.replace(root, `/v1/Services/${other.sid}`), {}],
      [`${root}/Conversations/CH${nothing}`, {}],
    ]
    for (const [place, options] of [...places, [`${root}/Conversations/${sibling.sid}`, {}] as const]) {
      for (const method of ['GET', 'POST', 'DELETE']) {
        const asked = `${place}/Messages/${sid}`
        const { status, body } = await tenant.call(method, asked, method === 'POST' ? { Body: 'y' } : undefined, options)
        expect([status, body.code, body.message]).toEqual(notFound(asked.slice(3)))
      }
    }
    for (const [place, options] of places) {
      for (const method of ['GET', 'POST']) {
        const form = method === 'POST' ? { Body: 'y' } : undefined
        const { status, body } = await tenant.call(method, `${place}/Messages`, form, options)
        expect([status, body.code, body.message]).toEqual(notFound(`${place}/Messages`.slice(3)))
      }
    }
    expect(await seen()).toEqual(before)
    expect(await conversations(sibling.sid).messages.list()).toEqual([])
  })

  test('a deleted conversation takes its messages along', async () => {
    const { conversations, sid, path, messages } = await inFamily(family, { uniqueName: 'room' })
    const made = await messages.create({ body: 'x' })
    await conversations(sid).remove()
    expect((await tenant.call('GET', `${path}/Messages/${made.sid}`)).status).toBe(404)
    expect((await tenant.call('GET', `${path}/Messages`)).status).toBe(404)
    const again = await conversations.create({ uniqueName: 'room' })
    expect(await conversations(again.sid).messages.list()).toEqual([])
    expect((await conversations(again.sid).messages.create({ body: 'y' })).index).toBe(0)
  })
})

test('both families see the same message of the default service', async () => {
  const { service, sid, messages } = await inFamily('default')
  const made = await messages.create({ body: 'x' })
  const path = `/v1/Services/${service}/Conversations/${sid}/Messages/${made.sid}`
  const { body } = await tenant.call('GET', path)
  expect(body).toMatchObject({ sid: made.sid, chat_service_sid: service, body: 'x', url: `${tenant.url}${path}` })
  await tenant.call('POST', path, { Body: 'y' })
  expect((await messages(made.sid).fetch()).body).toBe('y')
})
