import fc from 'fast-check'
import { test as base, expect } from 'vitest'
import type { Applied } from '../../src/records/apply.ts'
import { type ImportReport, importRecords } from '../../src/transfer/import.ts'
import { hostedLines, hostedService, movedAccount, hostedSid as sid, textOf } from '../support/moving.ts'
import { startServer, type TestServer } from '../support/server.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests change records of every kind
type Line = any

const test = base.extend<{ server: TestServer }>({
  // biome-ignore lint/correctness/noEmptyPattern: Vitest reads from the pattern which fixtures this one needs.
  server: async ({}, use) => {
    await using server = await startServer({ account_sid: movedAccount })
    await use(server)
  },
})

async function* bytes(text: string): AsyncGenerator<Uint8Array> {
  // In small parts: lines and characters are cut wherever it happens.
  const all = Buffer.from(text)
  for (let start = 0; start < all.length; start += 777) yield all.subarray(start, start + 777)
}

function imported(server: TestServer, text: string): Promise<ImportReport> {
  return importRecords({
    source: bytes(text),
    media: null,
    send: (records) => results(server, records),
    startTimers: async (service_sid) => void (await server.admin('POST', '/import/timers', { service_sid })),
    check: async (records) => (await server.admin('POST', '/import/check', { records })).results,
  })
}

const results = async (server: TestServer, records: readonly Line[]): Promise<Applied[]> =>
  (await server.admin('POST', '/import', { records })).results

const good = (conversations = 2, messages = 3): Line[] => [...hostedLines(conversations, messages)]
const records = () => good().slice(1, -1)
const first = (kind: string): Line => structuredClone(records().find((line) => line.kind === kind))

test('every fault of a file is named with its line, and the other lines are taken', async ({ server }) => {
  const lines = textOf(good()).trimEnd().split('\n')
  const end = lines.length
  const deep = `${'['.repeat(400_000)}${']'.repeat(400_000)}`
  lines.splice(
    -1,
    0,
    'no JSON',
    '',
    '[]',
    '{"kind":"dragon"}',
    '{"a":[{"\\u005f_proto__":1}]}',
    deep,
    `{"x":"${'y'.repeat(1_048_577)}"}`,
  )
  const message = lines.findIndex((line) => line.includes('Message 1 of 2'))
  lines[message] = (lines[message] ?? '').replace('"index":2', '"index":"two"')
  const report = await imported(server, `\ufeff${lines.join('\r\n')}`)
  expect(report.faults.map(({ line, fault }) => [line, fault])).toEqual([
    [end, 'it is not JSON'],
    [end + 2, expect.stringContaining('it is not a JSON object')],
    [end + 3, expect.stringContaining('its kind is not one of')],
    [end + 4, expect.stringContaining('it has a key __proto__')],
    [end + 5, 'it has more than 20 levels'],
    [end + 6, 'it is longer than 1048576 bytes'],
    [message + 1, 'resource.index must be a whole number from 0 on'],
  ])
  expect(report.counts.get('message')).toEqual({ read: 6, created: 5, updated: 0, unchanged: 0, kept: 0, refused: 1, skipped: 0 })
})

test.each([
  ['nothing', '', 1, 'the file is empty'],
  ['no header', '{"kind":"end","counts":{}}\n', 1, 'the first line is not a header'],
  ['another format', '{"kind":"header","format":2}\n', 1, 'it has format 2; this version reads format 1'],
  ['an empty line before another format', '\n{"kind":"header","format":2}\n', 2, 'it has format 2; this version reads format 1'],
  ['no end', '{"kind":"header","format":1}\n', 1, 'the file ends here without its last line: it is not complete'],
  ['other bytes', '\u{1f99c}\0\n', 1, 'it is not JSON'],
  [
    'fewer than it says',
    '{"kind":"header","format":1}\n{"kind":"end","counts":{"user":2}}\n',
    2,
    'the file should have 2 of it, and has 0',
  ],
])('a file with %s is not taken for a good one', async (_, text, line, fault) => {
  await using server = await startServer({ account_sid: movedAccount })
  expect((await imported(server, text)).faults).toMatchObject([{ line, fault }])
})

test('what cannot be put where it says is refused, and leaves nothing', async ({ server }) => {
  expect((await imported(server, textOf(good()))).faulty).toBe(0)
  const other = await server.admin('POST', '/accounts', {})
  const refusedFor = async (kind: string, change: (line: Line) => void) => {
    const line = first(kind)
    change(line)
    return (await results(server, [line]))[0]
  }
  const refused = (text: string) => ({ refused: expect.stringContaining(text) })
  const newService = sid('IS', 99)

  expect(await refusedFor('user', (line) => (line.account_sid = sid('AC', 9)))).toEqual(refused('there is no account'))
  expect(await refusedFor('user', (line) => (line.chat_service_sid = newService))).toEqual(refused('there is no service'))
  expect(await refusedFor('service', (line) => (line.account_sid = other.sid))).toEqual({
    refused: expect.not.stringContaining(movedAccount),
  })
  // Neither here nor below is it said whose it is.
  const theirs = { account_sid: other.sid, chat_service_sid: other.default_chat_service_sid }
  for (const kind of ['conversation', 'user', 'role']) {
    expect(await refusedFor(kind, (line) => Object.assign(line, theirs))).toEqual({
      refused: expect.not.stringContaining(movedAccount),
    })
  }
  expect(await refusedFor('participant', (line) => Object.assign(line, theirs))).toEqual(refused('there is no conversation'))
  expect(await refusedFor('message', (line) => (line.resource.sid = sid('IM', 5)))).toEqual(
    refused('its message_index is that of IM'),
  )
  expect(await refusedFor('user', (line) => (line.resource.sid = sid('US', 5)))).toEqual(refused('its identity is that of US'))
  expect(
    await refusedFor('user', (line) =>
      Object.assign(line.resource, { sid: sid('US', 5), identity: 'x', role_sid: sid('RL', 9) }),
    ),
  ).toEqual(refused('there is no role'))
  expect(await refusedFor('participant', (line) => Object.assign(line.resource, { sid: sid('MB', 5), identity: 'x' }))).toEqual(
    refused('there is no user'),
  )
  expect(await refusedFor('configuration', (line) => (line.resource.default_conversation_role_sid = sid('RL', 9)))).toEqual(
    refused('ole not found'),
  )
  const answered = {
    kind: 'external_id',
    account_sid: movedAccount,
    resource: {
      channel: '+15551234567',
      external_id: 'carrier-1',
      direction: 'in',
      chat_service_sid: other.default_chat_service_sid,
      conversation_sid: sid('CH', 1),
      date_created: '2026-01-01T00:00:00Z',
    },
  }
  const placed = { ...answered, resource: { ...answered.resource, chat_service_sid: hostedService } }
  const reported = { ...placed, resource: { ...placed.resource, message_index: 7 } }
  expect(await results(server, [answered, placed, placed, reported, { ...answered, kind: 'channel' }])).toEqual([
    refused('there is no conversation'),
    { outcome: 'created' },
    { outcome: 'unchanged' },
    { outcome: 'kept' },
    refused('it has no secrets'),
  ])
  const pair = { type: 'sms', address: '+15551230001', proxy_address: '+15551230002' }
  const byAddress = (n: number) => {
    const line = first('participant')
    Object.assign(line, { conversation_sid: sid('CH', n) })
    Object.assign(line.resource, { sid: sid('MB', 70 + n), identity: null, messaging_binding: pair })
    return line
  }
  expect(await results(server, [byAddress(1), byAddress(2)])).toEqual([
    { outcome: 'created' },
    refused(`its address is that of ${sid('MB', 71)}`),
  ])
  expect((await imported(server, textOf(good()))).counts.get('message')).toMatchObject({ unchanged: 6 })
})

test('a second pass updates what has changed there, and keeps what has been changed here since', async ({ server }) => {
  await imported(server, textOf(good()))
  const at = `/v1/Services/${hostedService}`
  const [message, user] = [first('message'), first('user')]
  await server.call('POST', `${at}/Users/ada`, { FriendlyName: 'changed here' })
  message.resource.body = 'changed there'
  message.resource.date_updated = '2026-01-04T00:00:00Z'
  expect(await results(server, [message, message, user])).toEqual([
    { outcome: 'updated' },
    { outcome: 'unchanged' },
    { outcome: 'kept' },
  ])
  user.resource.attributes = '{"changed":"there"}'
  expect(await results(server, [user])).toEqual([{ outcome: 'kept' }])
  expect((await server.call('GET', `${at}/Users/ada`)).body).toMatchObject({ friendly_name: 'changed here', attributes: '{}' })
  expect((await server.call('GET', `${at}/Conversations/${sid('CH', 1)}/Messages/${message.resource.sid}`)).body).toMatchObject({
    body: 'changed there',
    index: message.resource.index,
  })
})

test('nothing is announced, and timers fire when all is there', async ({ server }) => {
  const lines = good(1, 1)
  const conversation = lines.find(({ kind }) => kind === 'conversation')
  // Long ago.
  conversation.resource.timers = { date_closed: '2026-01-05T00:00:00Z' }
  const at = `/v1/Services/${hostedService}/Conversations/${sid('CH', 1)}`
  const webhook = { url: 'http://127.0.0.1:9/hook', method: 'POST', filters: ['onMessageAdded', 'onConversationStateUpdated'] }
  const dates = { date_created: '2026-01-01T00:00:00Z', date_updated: '2026-01-01T00:00:00Z' }
  lines.splice(-1, 1, {
    kind: 'conversation_webhook',
    account_sid: movedAccount,
    chat_service_sid: hostedService,
    conversation_sid: sid('CH', 1),
    resource: { sid: sid('WH', 1), target: 'webhook', configuration: webhook, ...dates },
  })
  expect((await results(server, lines.slice(1))).every((one) => 'outcome' in one)).toBe(true)
  await server.advance('PT1H')
  expect((await server.call('GET', at)).body).toMatchObject({ state: 'active', timers: { date_closed: '2026-01-05T00:00:00Z' } })
  expect((await server.admin('GET', '/deliveries')).deliveries).toEqual([])
  expect(await server.admin('POST', '/import/timers', { service_sid: hostedService })).toEqual({ started: 1, next_after: null })
  await server.advance('PT1S')
  expect((await server.call('GET', at)).body).toMatchObject({ state: 'closed', date_updated: '2026-01-05T00:00:00Z' })
  expect((await server.admin('GET', '/deliveries')).deliveries).toMatchObject([{ event_type: 'onConversationStateUpdated' }])
})

test('timers are started a part at a time, whatever else is in the service', async ({ server }) => {
  const lines = good(2500, 0)
  const conversations = lines.filter(({ kind }) => kind === 'conversation')
  // Few of many: those without a timer are passed over once.
  for (const n of [1, 1500, 2400]) conversations[n].resource.timers = { date_closed: '2026-01-05T00:00:00Z' }
  const report = await importRecords({
    source: bytes(textOf(lines)),
    media: null,
    send: (records) => results(server, records),
    startTimers: async () => {},
    check: async () => [],
  })
  expect(report.faults).toEqual([])
  const service_sid = hostedService
  const some = await server.admin('POST', '/import/timers', { service_sid })
  expect(some).toEqual({ started: 2, next_after: sid('CH', 2000) })
  const rest = { service_sid, after: some.next_after }
  expect(await server.admin('POST', '/import/timers', rest)).toEqual({ started: 1, next_after: null })
  expect(await server.admin('POST', '/import/timers', { service_sid })).toMatchObject({ started: 0 })
})

test('two imports of the same at once store it once', async ({ server }) => {
  const text = textOf(good(40, 5))
  const reports = await Promise.all([imported(server, text), imported(server, text), imported(server, text)])
  for (const { faults } of reports) expect(faults).toEqual([])
  const total = (outcome: 'created' | 'updated') =>
    reports.reduce((sum, { counts }) => sum + (counts.get('message')?.[outcome] ?? 0), 0)
  expect([total('created'), total('updated')]).toEqual([200, 0])
  const again = await imported(server, text)
  for (const [kind, counts] of again.counts) expect([kind, counts.unchanged]).toEqual([kind, counts.read])
})

test('a conversation that people are in keeps what they do meanwhile', async ({ server }) => {
  const lines = good(1, 3)
  const at = `/v1/Services/${hostedService}/Conversations/${sid('CH', 1)}`
  const half = lines.findIndex((line) => line.kind === 'message') + 1
  expect((await results(server, lines.slice(1, half))).every((one) => 'outcome' in one)).toBe(true)
  const { body } = await server.call('POST', `${at}/Messages`, { Author: 'ada', Body: 'meanwhile' })
  expect(body.index).toBe(1)
  const report = await imported(server, textOf(lines))
  expect(report.faults).toEqual([])
  const listed = (await server.call('GET', `${at}/Messages`)).body.messages
  expect(listed.map((one: Line) => [one.index, one.body])).toEqual([
    [0, 'Message 0 of 1'],
    [1, 'meanwhile'],
    [2, 'Message 1 of 1'],
    [4, 'Message 2 of 1'],
  ])
  expect((await server.call('POST', `${at}/Messages`, { Author: 'ada', Body: 'next' })).body.index).toBe(5)
})

/** What a parser of JSON refuses is named by `lines.ts`. */
const strange = fc.jsonValue().filter((value) => !/__proto__|constructor/.test(JSON.stringify(value)))

test('no record brings the server down', async ({ server }) => {
  await imported(server, textOf(good(1, 1)))
  const lines = records()
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.tuple(fc.nat(lines.length - 1), fc.nat(30), strange), { minLength: 1, maxLength: 20 }),
      async (changes) => {
        const batch = changes.map(([n, key, value]) => {
          const line: Line = structuredClone(lines[n])
          const keys = Object.keys(line.resource)
          line.resource[keys[key % keys.length] ?? ''] = value
          return line
        })
        expect(await results(server, batch)).toHaveLength(batch.length)
      },
    ),
    { numRuns: 60 },
  )
})
