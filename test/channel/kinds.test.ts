import { afterAll, describe, expect, test } from 'vitest'
import type { ChannelEvent } from '../../src/channels/adapter.ts'
import { ask } from '../support/admin.ts'
import { type CarrierReply, type FakedCarrier, type Handed, startCarrier } from '../support/faked-carrier.ts'
import { startFileServer } from '../support/file-server.ts'
import { standIn } from '../support/http-stand-in.ts'
import type { TestServer } from '../support/server.ts'

let server: Awaited<ReturnType<typeof startFileServer>>
let carrier: FakedCarrier
let numbers = 0

test.beforeAll(async () => {
  carrier = await startCarrier()
  server = await startFileServer()
})
afterAll(async () => {
  await server.stop()
  await carrier[Symbol.asyncDispose]()
})

const number = () => `+1666${String(++numbers).padStart(7, '0')}`
const token = 'a-token-of-the-carrier'
const replies = new Map<string, (message: Handed) => CarrierReply | Promise<CarrierReply>>()
const channelPath = (address: string) => `/accounts/${server.account_sid}/channels/${encodeURIComponent(address)}`
const set = (address: string, body: object) => ask(server, 'PUT', channelPath(address), body)

/** A channel of the faked carrier for a new number. */
async function channel(reply?: (message: Handed) => CarrierReply | Promise<CarrierReply>) {
  const address = number()
  if (reply) replies.set(address, reply)
  carrier.reply = (message) => replies.get(message.from ?? '')?.(message) ?? { body: { id: `wamid.${message.key}=` } }
  const { status, body } = await set(address, { kind: 'faked', settings: { base_url: carrier.url, token } })
  expect(status).toBe(200)
  const path = `/channels/${body.sid}`
  return {
    address,
    sid: body.sid as string,
    path,
    handed: () => carrier.handed.filter(({ from }) => from === address),
    tell: (events: readonly ChannelEvent[], headers: object = { 'x-token': token }) =>
      fetch(server.url + path, { method: 'POST', headers: { ...headers }, body: JSON.stringify(events) }),
  }
}

/** A conversation with one person behind a proxy address. */
async function conversation(proxy: string, address = number(), on: TestServer = server) {
  const { sid } = (await on.call('POST', '/v1/Conversations', {})).body
  const path = `/v1/Conversations/${sid}`
  const form = { 'MessagingBinding.Address': address, 'MessagingBinding.ProxyAddress': proxy }
  await on.call('POST', `${path}/Participants`, form)
  return {
    sid: sid as string,
    path,
    address,
    say: async (given: Record<string, string> = { Body: 'Hello', Author: 'alice' }) =>
      (await on.call('POST', `${path}/Messages`, given)).body as { sid: string },
    messages: async () =>
      (await on.call('GET', `${path}/Messages`)).body.messages as { body: string; media: { sid: string }[] }[],
  }
}

const receiptOf = async (path: string, { sid }: { sid: string }) =>
  (await server.call('GET', `${path}/Messages/${sid}/Receipts`)).body.delivery_receipts[0]
const settled = (path: string, message: { sid: string }, status: string) =>
  expect.poll(async () => (await receiptOf(path, message))?.status).toBe(status)
const deliveryIn = async (sid: string) =>
  (await server.admin('GET', `/deliveries?conversation_sid=${sid}`)).deliveries.find(
    (row: { event_type: string }) => row.event_type === 'channelMessage',
  )
const inbound = (from: string, to: string, external_id: string, more: object = {}): ChannelEvent => ({
  ...{ kind: 'message', external_id, from, to: [to], name: null, subject: null, text: 'Hi', media: [], metadata: null },
  ...more,
})
const status = (
  external_id: string,
  reported: 'delivered' | 'read' | 'failed',
  error_code: number | null = null,
): ChannelEvent => ({
  ...{ kind: 'status', external_id, status: reported, error_code },
})

describe('settings', () => {
  test('are declared by the kind: listed, checked, sealed and shown masked', async () => {
    const { body } = await ask(server, 'GET', '/channel-kinds')
    expect(body.kinds.map(({ name }: { name: string }) => name)).toEqual(expect.arrayContaining(['webhook', 'loopback', 'faked']))
    const { settings: declared } = body.kinds.find(({ name }: { name: string }) => name === 'faked')
    expect(declared[1]).toEqual({
      name: 'token',
      description: 'What proves requests in both directions',
      required: true,
      secret: true,
      schema: { type: 'string', minLength: 1, maxLength: 64 },
      default: null,
    })
    const address = number()
    const made = await set(address, { kind: 'faked', settings: { base_url: carrier.url, token: 'first', ttl: 5 } })
    expect(made.body).toMatchObject({
      kind: 'faked',
      url: null,
      settings: { base_url: carrier.url, token: '********', region: 'eu', ttl: 5, urgent: false },
    })
    const stored = async () => (await server.rows('channels')).find((row) => row.proxy_address === address)
    expect(JSON.stringify(await stored())).not.toContain('first')
    // The mask keeps the secret; the other settings are replaced as a whole.
    const kept = await set(address, { kind: 'faked', settings: { base_url: 'http://127.0.0.1:9', token: '********' } })
    expect(kept.body).toMatchObject({ sid: made.body.sid, settings: { token: '********', ttl: null } })
    // Another kind has none of it to keep.
    await set(address, { kind: 'loopback', settings: {} })
    const lost = await set(address, { kind: 'faked', settings: { base_url: carrier.url, token: '********' } })
    expect([lost.status, lost.body.error]).toEqual([400, expect.stringContaining('no secret is stored')])
  })

  test.each<[object, string]>([
    [{}, 'kind is required, or url alone'],
    [{ kind: 'pigeon', settings: {} }, 'kind must be one of twilio, whatsapp, webhook, loopback'],
    [{ kind: 'faked' }, 'settings.base_url is required'],
    [{ kind: 'faked', settings: { base_url: 'x' } }, 'settings.token is required'],
    [{ kind: 'faked', settings: { base_url: 7, token: 'x' } }, 'settings.base_url must be of type string'],
    [{ kind: 'faked', settings: { base_url: '', token: 'x' } }, 'settings.base_url must not be empty'],
    [{ kind: 'faked', settings: { base_url: 'a\nb', token: 'x' } }, 'settings.base_url must not contain control characters'],
    [{ kind: 'faked', settings: { base_url: 'x', token: 'y'.repeat(65) } }, 'settings.token must have at most 64 characters'],
    [{ kind: 'faked', settings: { base_url: 'x', token: 'x', region: 'mars' } }, 'settings.region must be one of eu, us'],
    [{ kind: 'faked', settings: { base_url: 'x', token: 'x', ttl: 61 } }, 'settings.ttl must be a whole number from 1 to 60'],
    [{ kind: 'faked', settings: { base_url: 'x', token: 'x', ttl: '5' } }, 'settings.ttl must be a whole number from 1 to 60'],
    [{ kind: 'faked', settings: { base_url: 'x', token: 'x', urgent: 'yes' } }, 'settings.urgent must be true or false'],
    [{ kind: 'faked', settings: { base_url: 'x', token: 'x', urgent: true, region: 'us' } }, 'not possible in us'],
    [{ kind: 'faked', settings: { base_url: 'x', token: 'x', tokn: 'x' } }, 'settings.tokn is not a setting of this kind'],
    [{ kind: 'faked', settings: { base_url: 'x', token: 'x', ['__proto__']: 'x' } }, ''],
    [{ kind: 'faked', settings: [] }, 'settings must be of type object'],
    [{ kind: 'webhook', settings: { url: 'ftp://example.com' } }, 'settings.url must be an http or https URL'],
    [{ kind: 'webhook', url: 'http://example.com/', settings: {} }, 'url stands alone'],
    [{ kind: 'loopback', url: 'http://example.com/' }, 'url stands alone'],
  ])('%j is refused', async (body, sentence) => {
    const refused = await set(number(), body)
    if (sentence === '') return expect(refused.status).toBeLessThan(500)
    expect([refused.status, refused.body.error]).toEqual([400, expect.stringContaining(sentence)])
  })

  test('belong to an address that the kind carries', async () => {
    const refused = await set('messenger:ann', { kind: 'faked', settings: { base_url: 'x', token: 'x' } })
    expect([refused.status, refused.body.error]).toEqual([400, 'the kind faked does not carry messenger'])
  })

  test('are tried by a check', async () => {
    const { address } = await channel()
    expect(await ask(server, 'POST', `${channelPath(address)}/check`)).toMatchObject({
      status: 200,
      body: { ok: true, says: 'the carrier said 200' },
    })
    await set(address, { kind: 'faked', settings: { base_url: 'http://127.0.0.1:1', token } })
    expect((await ask(server, 'POST', `${channelPath(address)}/check`)).body).toMatchObject({ ok: false })
    await set(address, { url: 'http://127.0.0.1:1' })
    expect((await ask(server, 'POST', `${channelPath(address)}/check`)).status).toBe(400)
    expect((await ask(server, 'POST', `${channelPath(number())}/check`)).status).toBe(404)
  })
})

describe('sending', () => {
  test('hands a kind everything of a message, and keeps what the carrier calls it', async () => {
    const one = await channel()
    const talk = await conversation(one.address)
    const message = await talk.say()
    await settled(talk.path, message, 'sent')
    const [handed, ...others] = one.handed()
    expect(others).toEqual([])
    expect(handed).toMatchObject({
      from: one.address,
      to: talk.address,
      tries: 0,
      text: 'Hello',
      subject: null,
      html: null,
      content: null,
      media: [],
      author: { identity: 'alice', name: null },
      sids: { account: server.account_sid, conversation: talk.sid, message: message.sid },
      callback: `${server.url}${one.path}`,
    })
    expect((await receiptOf(talk.path, message)).channel_message_sid).toMatch(/^SM[0-9a-f]{32}$/)
    expect(await deliveryIn(talk.sid)).toMatchObject({
      kind: 'message',
      status: 'delivered',
      attempts: [{ status: 200, error: null, response: JSON.stringify({ id: `wamid.${handed?.key}=` }) }],
    })
  })

  test('tries again with the same key after a temporary failure, and not after a refusal', async () => {
    const answers = [{ status: 503 }, { status: 429 }, { body: { id: 'at-last' } }]
    const one = await channel(() => answers.shift() ?? {})
    const talk = await conversation(one.address)
    const message = await talk.say()
    for (const attempts of [1, 2]) {
      await expect.poll(async () => (await deliveryIn(talk.sid)).attempts.length).toBe(attempts)
      await server.advance(`PT${4 ** (attempts - 1)}S`)
    }
    await settled(talk.path, message, 'sent')
    expect(new Set(one.handed().map(({ key }) => key)).size).toBe(1)
    expect(one.handed().map(({ tries }) => tries)).toEqual([0, 1, 2])
    expect((await deliveryIn(talk.sid)).attempts.map((attempt: { error: string }) => attempt.error)).toEqual([
      'the carrier said 503',
      'the carrier said 429',
      null,
    ])

    const other = await channel(() => ({ status: 400, body: { code: 63016 } }))
    const second = await conversation(other.address)
    const refused = await second.say()
    await settled(second.path, refused, 'undelivered')
    expect((await receiptOf(second.path, refused)).error_code).toBe(63016)
    expect(other.handed()).toHaveLength(1)
  })

  test('refuses what the channel does not carry before it is asked', async () => {
    const one = await channel()
    const talk = await conversation(one.address)
    const long = await talk.say({ Body: 'more than twenty characters' })
    await settled(talk.path, long, 'failed')
    expect((await receiptOf(talk.path, long)).error_code).toBe(21617)
    const { chat_service_sid } = (await server.call('GET', talk.path)).body
    const upload = async (type: string, bytes: string) => {
      const headers = { 'content-type': type }
      return (await server.call('POST', `/v1/Services/${chat_service_sid}/Media`, bytes, { headers, check: false })).body.sid
    }
    const text = await talk.say({ MediaSid: await upload('text/plain', 'words') })
    await settled(talk.path, text, 'failed')
    expect((await receiptOf(talk.path, text)).error_code).toBe(12300)
    const big = await talk.say({ MediaSid: await upload('image/png', 'x'.repeat(1001)) })
    await settled(talk.path, big, 'failed')
    expect((await receiptOf(talk.path, big)).error_code).toBe(11751)
    expect(one.handed()).toEqual([])
    const good = await talk.say({ MediaSid: await upload('image/png', 'pixels') })
    await settled(talk.path, good, 'sent')
    const [media] = one.handed()[0]?.media ?? []
    expect(await (await fetch(media?.url ?? '')).text()).toBe('pixels')
  })

  test('a template goes with its SID and variables, and with its text', async () => {
    const one = await channel()
    const talk = await conversation(one.address)
    const ContentSid = `HX${'7'.repeat(32)}`
    const template = { types: { 'twilio/text': { body: 'Hello {{1}}' } } }
    await server.admin('PUT', `/accounts/${server.account_sid}/contents/${ContentSid}`, template)
    const message = await talk.say({ ContentSid, ContentVariables: '{"1":"Ada"}' })
    await settled(talk.path, message, 'sent')
    expect(one.handed()[0]).toMatchObject({ text: 'Hello Ada', content: { sid: ContentSid, variables: '{"1":"Ada"}' } })
  })
})

describe('what providers tell', () => {
  test('is taken from whoever proves to be one; an unknown channel is not found, whoever asks', async () => {
    const one = await channel()
    const get = (path: string, headers: Record<string, string> = { 'x-token': token }) => fetch(server.url + path, { headers })
    expect(await (await get(`${one.path}/status?a=1`)).text()).toBe('/status')
    expect(await (await get(one.path)).text()).toBe('/')
    expect((await get(one.path, {})).status).toBe(403)
    expect((await one.tell([], { 'x-token': 'wrong' })).status).toBe(403)
    const told = await one.tell([])
    expect([told.status, await told.text()]).toEqual([202, server.url + one.path])
    const { body: loopback } = await set(number(), { kind: 'loopback', settings: {} })
    const bodies = await Promise.all(
      [`/channels/CN${'0'.repeat(32)}`, `/channels/${loopback.sid}`, '/channels/nobody', '/channels/nobody/at/all'].map(
        async (path) => {
          const response = await get(path)
          return `${response.status} ${await response.text()}`
        },
      ),
    )
    expect(new Set(bodies)).toEqual(new Set(['404 {"error":"not found"}']))
    const huge = await fetch(server.url + one.path, {
      method: 'POST',
      headers: { 'x-token': token },
      body: 'x'.repeat(5_000_000),
    })
    expect(huge.status).toBe(413)
  })

  test('a message that is told twice, or ten times at once, is one', async () => {
    const one = await channel()
    const talk = await conversation(one.address)
    const event = inbound(talk.address, one.address, 'wamid.twice')
    expect((await one.tell([event])).status).toBe(202)
    expect((await one.tell([event])).status).toBe(202)
    const another = inbound(talk.address, one.address, 'wamid.many')
    const answers = await Promise.all(Array.from({ length: 10 }, () => one.tell([another])))
    expect(answers.map((answer) => answer.status)).toEqual(Array(10).fill(202))
    expect((await talk.messages()).map(({ body }) => body)).toEqual(['Hi', 'Hi'])
    // Another channel may use the same id.
    const other = await channel()
    const elsewhere = await conversation(other.address)
    await other.tell([inbound(elsewhere.address, other.address, 'wamid.twice')])
    expect(await elsewhere.messages()).toHaveLength(1)
  })

  test('the first message of a stranger, told many times at once, makes one conversation', async () => {
    const one = await channel()
    const form = { Type: 'sms', Address: one.address, 'AutoCreation.Enabled': 'true', 'AutoCreation.Type': 'default' }
    await server.call('POST', '/v1/Configuration/Addresses', form)
    const from = number()
    const answers = await Promise.all(Array.from({ length: 8 }, () => one.tell([inbound(from, one.address, 'wamid.first')])))
    expect(answers.map((answer) => answer.status)).toEqual(Array(8).fill(202))
    const mine = (await server.call('GET', `/v1/ParticipantConversations?Address=${encodeURIComponent(from)}`)).body.conversations
    expect(mine).toHaveLength(1)
    expect((await server.call('GET', `/v1/Conversations/${mine[0].conversation_sid}/Messages`)).body.messages).toHaveLength(1)
  })

  test('media come by value and by URL, several, with the sender and what the channel says', async () => {
    await using host = await standIn(({ path, headers }) => {
      if (path === '/moved') return { status: 302, headers: { location: '/file' } }
      if (path === '/gone') return { status: 404 }
      if (headers.authorization !== 'Bearer x') return { status: 401 }
      return { status: 200, headers: { 'content-type': 'image/jpeg' }, body: 'fetched' }
    })
    const one = await channel()
    const talk = await conversation(one.address)
    const headers = { authorization: 'Bearer x' }
    const by = (path: string) => ({ filename: null, content_type: null, content: { url: host.url + path, headers } })
    const event = inbound(talk.address, one.address, 'wamid.media', {
      text: 'Look',
      name: 'Ann',
      media: [by('/moved'), by('/gone')],
      metadata: { from: 'here' },
    })
    expect((await one.tell([event])).status).toBe(202)
    const { body } = await ask(server, 'POST', '/inbound', {
      from: talk.address,
      to: one.address,
      external_id: 'by-the-operator',
      media: [
        { content: Buffer.from('bytes').toString('base64'), content_type: 'text/plain', filename: '../a/b.txt' },
        { content: Buffer.from('more').toString('base64') },
      ],
    })
    const [first, second] = await talk.messages()
    // What is not there is left out.
    expect(first?.media).toEqual([expect.objectContaining({ content_type: 'image/jpeg', size: 7, filename: null })])
    expect(second?.media).toEqual([
      expect.objectContaining({ content_type: 'text/plain', size: 5, filename: 'b.txt' }),
      expect.objectContaining({ content_type: 'application/octet-stream', size: 4 }),
    ])
    const metadata = `${talk.path}/Messages/${(await server.call('GET', `${talk.path}/Messages`)).body.messages[0].sid}/ChannelMetadata`
    expect((await server.call('GET', metadata, undefined, { check: false })).body).toMatchObject({
      type: 'sms',
      data: { from: 'here' },
    })
    const again = await ask(server, 'POST', '/inbound', { from: talk.address, to: one.address, external_id: 'by-the-operator' })
    expect(again).toEqual({ status: 200, body: { ...body, duplicate: true } })
  })

  test('a file is stored whatever its name and type are, without what no engine can store', async () => {
    await using host = await standIn(() => ({ status: 200, body: 'a file' }))
    const one = await channel()
    const talk = await conversation(one.address)
    const odd = (filename: string, content_type: string) => ({ filename, content_type, content: { url: `${host.url}/file` } })
    const media = [odd('a\0b.txt', 'text/plain'), odd('c\ud800.txt', 'text/plain; x=\0'), odd('\0', '\0')]
    const event = inbound(talk.address, one.address, 'wamid.odd', { text: null, media })
    expect((await one.tell([event])).status).toBe(202)
    expect((await talk.messages())[0]?.media).toEqual([
      expect.objectContaining({ filename: 'ab.txt', content_type: 'text/plain' }),
      expect.objectContaining({ filename: 'c\ufffd.txt', content_type: 'text/plain; x=' }),
      expect.objectContaining({ filename: null, content_type: 'application/octet-stream' }),
    ])
  })

  test.each<[object, string]>([
    [{ media: [{}] }, 'media.0 needs either url or content'],
    [{ media: [{ url: 'http://a.test', content: 'YQ==' }] }, 'media.0 needs either url or content'],
    [{ media: [{ content: '§' }] }, 'media.0.content is not base64'],
    [{ media: [{ url: 'ftp://a.test/' }] }, 'not an http or https URL'],
    [{ media: [{ url: 'http://127.0.0.1:1/' }] }, 'media could not be stored'],
    [{ media: [{ content: '' }] }, 'media could not be stored'],
    [{ media: Array(11).fill('ME1') }, 'at most 10'],
    [{ external_id: '' }, 'external_id'],
    [{ external_id: 'x'.repeat(256) }, 'external_id'],
  ])('inbound %j is refused', async (more, sentence) => {
    const one = await channel()
    const talk = await conversation(one.address)
    const refused = await ask(server, 'POST', '/inbound', { from: talk.address, to: one.address, body: 'x', ...more })
    expect([refused.status, refused.body.error]).toEqual([400, expect.stringContaining(sentence)])
    expect(await talk.messages()).toEqual([])
  })

  test('a message from a stranger, without an address configuration, is dropped and acknowledged', async () => {
    const one = await channel()
    expect((await one.tell([inbound(number(), one.address, 'wamid.nobody')])).status).toBe(202)
    expect((await one.tell([inbound('nobody', one.address, 'wamid.nobody')])).status).toBe(202)
    expect((await one.tell([inbound(number(), one.address, '')])).status).toBe(202)
  })
})

describe('statuses', () => {
  test('come out of order: what failed may have been delivered after all, and is read', async () => {
    const one = await channel(() => ({ body: { id: 'order-1' } }))
    const talk = await conversation(one.address)
    const message = await talk.say()
    await settled(talk.path, message, 'sent')
    await one.tell([status('order-1', 'failed', 131026)])
    expect(await receiptOf(talk.path, message)).toMatchObject({ status: 'failed', error_code: 131026 })
    await one.tell([status('order-1', 'delivered')])
    expect(await receiptOf(talk.path, message)).toMatchObject({ status: 'delivered', error_code: 0 })
    await one.tell([status('order-1', 'failed', 131026), status('order-1', 'read'), status('order-1', 'delivered')])
    expect(await receiptOf(talk.path, message)).toMatchObject({ status: 'read', error_code: 0 })
    const reported = await ask(server, 'POST', '/receipts', { external_id: 'order-1', status: 'read' })
    expect(reported).toMatchObject({ status: 200, body: { status: 'read' } })
  })

  test('that overtake the answer of the carrier are kept for a minute, and no longer', async () => {
    let answer = Promise.withResolvers<void>()
    let id = 'early-1'
    const one = await channel(() => ({ body: { id }, delayUntil: answer.promise }))
    const talk = await conversation(one.address)
    const message = await talk.say()
    await expect.poll(() => one.handed().length).toBe(1)
    await one.tell([status('early-1', 'delivered'), status('early-1', 'read')])
    answer.resolve()
    await settled(talk.path, message, 'read')

    answer = Promise.withResolvers<void>()
    id = 'early-2'
    const second = await talk.say()
    await expect.poll(() => one.handed().length).toBe(2)
    const kept = await ask(server, 'POST', '/receipts', { external_id: 'early-2', address: one.address, status: 'delivered' })
    expect(kept).toEqual({ status: 202, body: { external_id: 'early-2', status: 'delivered' } })
    await server.advance('PT61S')
    answer.resolve()
    await settled(talk.path, second, 'sent')
    expect((await ask(server, 'POST', '/receipts', { external_id: 'unknown', status: 'read' })).status).toBe(404)
    expect((await ask(server, 'POST', '/receipts', { status: 'read' })).status).toBe(400)
  })
})

describe('a channel that listens', () => {
  test('is begun with its settings, begun anew when they change or it fails, and ends with the channel', async () => {
    const address = number()
    const talk = await conversation(address)
    const settings = { base_url: carrier.url, token: 'stream-1', urgent: true }
    await set(address, { kind: 'faked', settings })
    const streamOf = (name: string) => [...carrier.streams].find(([, given]) => given === name)?.[0]
    await expect.poll(() => streamOf('stream-1')).toBeDefined()
    const event = inbound(talk.address, address, 'streamed-1')
    streamOf('stream-1')?.write(`${JSON.stringify(event)}\n`)
    await expect.poll(async () => (await talk.messages()).length).toBe(1)

    await set(address, { kind: 'faked', settings: { ...settings, token: 'stream-2' } })
    await expect.poll(() => streamOf('stream-2')).toBeDefined()
    expect(streamOf('stream-1')).toBeUndefined()
    // It fails: begun again after a pause.
    const failing = streamOf('stream-2')
    failing?.destroy()
    await expect.poll(() => carrier.streams.size).toBe(0)
    await server.advance('PT5M')
    await expect.poll(() => streamOf('stream-2')).toBeDefined()
    streamOf('stream-2')?.write(`${JSON.stringify({ ...event, external_id: 'streamed-2' })}\n`)
    await expect.poll(async () => (await talk.messages()).length).toBe(2)
    await server.admin('DELETE', channelPath(address))
    await expect.poll(() => streamOf('stream-2')).toBeUndefined()
  })
})

test('what people inside have read is told outside, by the last message that came', async () => {
  const one = await channel()
  const talk = await conversation(one.address)
  await server.call('POST', `${talk.path}/Participants`, { Identity: 'ann' })
  await one.tell([inbound(talk.address, one.address, 'read-0'), inbound(talk.address, one.address, 'read-1')])
  await talk.say()
  const read = (index: string) => server.call('POST', `${talk.path}/Participants/ann`, { LastReadMessageIndex: index })
  await read('0')
  await expect.poll(() => carrier.told).toContain('/seen read-0')
  await read('2')
  await expect.poll(() => carrier.told).toContain('/seen read-1')
  await read('1')
  expect(carrier.told.filter((line) => line.startsWith('/seen'))).toHaveLength(2)
})

test('a group MMS is sent from the number behind which its author is', async () => {
  const one = await channel()
  const [ann, ben] = [number(), number()]
  const { sid } = (await server.call('POST', '/v1/Conversations', {})).body
  const path = `/v1/Conversations/${sid}`
  for (const address of [ann, ben]) await server.call('POST', `${path}/Participants`, { 'MessagingBinding.Address': address })
  await server.call('POST', `${path}/Participants`, { Identity: 'agent', 'MessagingBinding.ProjectedAddress': one.address })
  await server.call('POST', `${path}/Messages`, { Author: 'agent', Body: 'Hello both' })
  await expect.poll(() => one.handed().map(({ to }) => to)).toEqual([ann, ben])
})
