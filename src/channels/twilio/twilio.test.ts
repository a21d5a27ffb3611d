import fc from 'fast-check'
import officialTwilio from 'twilio'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { channelIo, settingsFrom } from '../../../test/support/channel-io.ts'
import { outbound, outboundMedia } from '../../../test/support/outbound.ts'
import { type Carrier, startCarrier } from '../../../test/support/twilio-carrier.ts'
import { type RawRequest, RefusedError, RetryError, UnprovenError } from '../adapter.ts'
import { twilio } from './kind.ts'
import { settings as declared, type TwilioSettings } from './settings.ts'
import { isProven } from './signature.ts'

const account_sid = `AC${'5'.repeat(32)}`
const auth_token = '0123456789abcdef0123456789abcdef'
const [ours, theirs, other, third] = ['+15557654321', '+15551234567', '+15552222222', '+15553333333'] as const
const hook = 'https://parley.example/channels/CN0'

let carrier: Carrier
let settings: TwilioSettings
let io: ReturnType<typeof channelIo>

beforeAll(async () => {
  carrier = await startCarrier({ account_sid, auth_token })
  settings = settingsFrom(declared, { account_sid, auth_token, base_url: carrier.url })
})
beforeEach(() => {
  io = channelIo(ours, hook)
  carrier.messages.length = 0
  carrier.attempts.length = 0
  carrier.script(undefined)
})
afterAll(() => carrier[Symbol.asyncDispose]())

const send = (more: Parameters<typeof outbound>[0] = {}, given = settings) => twilio.send(given, outbound(more), io)
const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

/** A request as the core hands it to the kind, signed by the official package. */
function signed(params: Record<string, string>, { url = hook, method = 'POST', token = auth_token } = {}): RawRequest {
  const form = new URLSearchParams(params).toString()
  const isPost = method === 'POST'
  const target = isPost ? url : `${url}?${form}`
  const signature = officialTwilio.getExpectedTwilioSignature(token, target, isPost ? params : {})
  return { method, url: target, path: '/', headers: { 'x-twilio-signature': signature }, body: Buffer.from(isPost ? form : '') }
}

const receive = async (request: RawRequest) => (await twilio.webhook?.(settings, request, io)) ?? expect.fail('no webhook')
const eventsOf = async (params: Record<string, string>) => (await receive(signed(params))).events

describe('send', () => {
  test('hands over the text, the numbers, the key and where to report', async () => {
    const accepted = await send({ text: 'Grüße & 1+1' })
    const [message] = carrier.messages
    expect(accepted).toMatchObject({ external_id: message?.sid, status: 'sent', response_status: 201 })
    expect(message?.key).toBe(outbound().key)
    expect(message?.params).toEqual([
      ['To', theirs],
      ['From', ours],
      ['Body', 'Grüße & 1+1'],
      ['StatusCallback', hook],
    ])
  })

  test('names each medium by its link', async () => {
    const media = [outboundMedia('image/png'), outboundMedia('application/pdf')]
    await send({ text: null, media })
    expect(carrier.messages[0]?.params.filter(([name]) => name === 'MediaUrl')).toEqual(
      media.map((each) => ['MediaUrl', each.url()]),
    )
    expect(carrier.messages[0]?.params.some(([name]) => name === 'Body')).toBe(false)
  })

  test('a template goes by its sid, or as its text where the carrier has none', async () => {
    const content = { sid: `HX${'1'.repeat(32)}`, variables: '{"1":"Ann"}' }
    await send({ text: 'Hello Ann', content })
    await send({ text: 'Hello Ann', content: { ...content, variables: null } })
    await send({ text: 'Hello Ann', content }, { ...settings, templates: 'text' })
    const [bySid, plain, byText] = carrier.messages.map(({ params }) => Object.fromEntries(params))
    expect(bySid).toMatchObject({ ContentSid: content.sid, ContentVariables: '{"1":"Ann"}' })
    expect(bySid).not.toHaveProperty('Body')
    expect(plain).not.toHaveProperty('ContentVariables')
    expect(byText).toMatchObject({ Body: 'Hello Ann' })
    expect(byText).not.toHaveProperty('ContentSid')
  })

  test('a messaging service is named besides the number, and an API key sends in place of the auth token', async () => {
    const messaging_service_sid = `MG${'1'.repeat(32)}`
    await send({}, { ...settings, messaging_service_sid })
    expect(Object.fromEntries(carrier.messages[0]?.params ?? [])).toMatchObject({
      From: ours,
      MessagingServiceSid: messaging_service_sid,
    })
    const error = await caught(send({}, { ...settings, api_key_sid: 'SK1', api_key_secret: 'wrong' }))
    expect(error).toMatchObject({ name: 'RefusedError', errorCode: 20003, answer: { response_status: 401 } })
    expect(io.requests.at(-1)?.headers?.authorization).toBe(`Basic ${Buffer.from('SK1:wrong').toString('base64')}`)
  })

  test('a refusal has the code of the carrier, and neither number nor text in its message', async () => {
    const error = await caught(send({ to: 'not a number', text: 'secret text' }))
    expect(error).toBeInstanceOf(RefusedError)
    expect(error).toMatchObject({ errorCode: 21211, status: 'failed', answer: { response_status: 400 } })
    expect((error as Error).message).not.toMatch(/not a number|secret/)
    expect(error).toMatchObject({ answer: { response: expect.stringContaining("Invalid 'To' Phone Number") } })
  })

  test.each([429, 500, 502, 503])('%i is tried again', async (status) => {
    carrier.script(() => ({ status, body: { code: 20429, message: 'Too Many Requests', status } }))
    const error = await caught(send())
    expect(error).toBeInstanceOf(RetryError)
    expect(error).toMatchObject({ errorCode: 20429, answer: { response_status: status } })
  })

  test('no response is tried again, and the repeated request has the same key', async () => {
    carrier.script(() => ({ status: 0, hangUp: true }))
    expect(await caught(send())).toBeInstanceOf(RetryError)
    carrier.script(undefined)
    await send({ tries: 1 })
    expect(carrier.attempts.map(({ headers }) => headers['i-twilio-idempotency-token'])).toEqual([outbound().key, outbound().key])
  })

  test.each([
    [201, { sid: 'SM1', status: 'delivered' }, { external_id: 'SM1', status: 'delivered' }],
    [200, { sid: 'SM1', status: 'accepted' }, { external_id: 'SM1', status: 'sent' }],
    [201, { sid: 'SM1', status: 'failed', error_code: 30007 }, { status: 'failed', error_code: 30007 }],
    [201, { sid: 'SM1', status: 'undelivered' }, { status: 'undelivered', error_code: 30008 }],
    [201, { sid: 'SM1' }, { status: 'sent' }],
  ])('%i %o', async (status, body, accepted) => {
    carrier.script(() => ({ status, body }))
    expect(await send()).toMatchObject(accepted)
  })

  test.each([
    [200, '<html>'],
    [200, '[]'],
    [200, '{"sid":7}'],
    [302, ''],
    [404, 'not found'],
    [400, '{"code":"x"}'],
    [400, `{"code":${'['.repeat(30_000)}${']'.repeat(30_000)}}`],
  ])('an odd response is a refusal: %i %s', async (status, body) => {
    carrier.script(() => ({ status, body }))
    const error = await caught(send())
    // What the stand-in passes on below 300 it counts as accepted.
    expect(error).toMatchObject({ name: 'RefusedError', errorCode: 30008 })
  })
})

describe('webhook', () => {
  test.each(['POST', 'GET'])('a message by %s becomes an event, and is answered with an empty document', async (method) => {
    const params = carrier.inbound(theirs, ours, { Body: 'Ün & mehr', ProfileName: 'Ann', WaId: '15551234567' })
    const { reply, events } = await receive(signed(params, { method }))
    expect(reply).toMatchObject({ status: 200, content_type: 'text/xml' })
    expect(reply.body).toMatch(/<Response\/>$/)
    expect(events).toEqual([
      {
        kind: 'message',
        external_id: params.MessageSid,
        from: theirs,
        to: [ours],
        name: 'Ann',
        subject: null,
        text: 'Ün & mehr',
        media: [],
        metadata: { context: { ProfileName: 'Ann', WaId: '15551234567' } },
      },
    ])
  })

  test('a request to the URL for failures is the same message', async () => {
    const failed = { ErrorCode: '11200', ErrorUrl: hook }
    const [event] = await eventsOf(carrier.inbound(theirs, ours, { Body: 'again', ...failed }))
    expect(event).toMatchObject({ kind: 'message', text: 'again', metadata: null })
  })

  test('a group MMS is for all its numbers', async () => {
    const params = carrier.inbound(theirs, ours, { Body: 'All', OtherRecipients0: other, OtherRecipients2: third })
    expect(await eventsOf(params)).toMatchObject([{ from: theirs, to: [ours, other, third], metadata: null }])
  })

  test('media are fetched with the credentials from the hosts of the carrier, and without them from elsewhere', async () => {
    const mine = carrier.keep(Buffer.from('picture'), 'image/png')
    const urls = [mine, 'https://evil.example/x', 'https://mcs.us1.twilio.com/x', 'ftp://x/', 'nonsense']
    const media = Object.fromEntries(urls.map((url, i) => [`MediaUrl${i}`, url]))
    const params = carrier.inbound(theirs, ours, { NumMedia: '5', MediaContentType0: 'image/png', ...media })
    const known = async (given: TwilioSettings) => {
      const { events } = (await twilio.webhook?.(given, signed(params), io)) ?? expect.fail('no webhook')
      const [event] = events
      if (event?.kind !== 'message') expect.fail('no message')
      return event.media.map(({ content }) =>
        'url' in content ? [content.url, content.headers?.authorization !== undefined] : [],
      )
    }
    const [, evil, vendors] = urls
    expect(await known(settings)).toEqual([
      [mine, true],
      [evil, false],
      [vendors, false],
    ])
    const vendor = { ...settings, base_url: 'https://api.ie1.twilio.com' }
    expect(await known(vendor)).toEqual([
      [mine, false],
      [evil, false],
      [vendors, true],
    ])
    expect(await known({ ...settings, base_url: 'https://twilio.com.evil.example' })).toEqual([
      [mine, false],
      [evil, false],
      [vendors, false],
    ])
  })

  test.each([
    ['sent', 'sent'],
    ['delivered', 'delivered'],
    ['read', 'read'],
    ['undelivered', 'undelivered'],
    ['failed', 'failed'],
    ['canceled', 'failed'],
  ])('the status %s is %s', async (given, status) => {
    const [event] = await eventsOf({ MessageSid: 'SM1', MessageStatus: given, ErrorCode: '30005' })
    expect(event).toEqual({ kind: 'status', external_id: 'SM1', status, error_code: 30005 })
    const [older] = await eventsOf({ SmsSid: 'SM2', SmsStatus: given })
    expect(older).toEqual({ kind: 'status', external_id: 'SM2', status, error_code: null })
  })

  test.each(['queued', 'accepted', 'scheduled', 'sending', 'partially_delivered', '__proto__', ''])(
    '%s says nothing',
    async (status) => {
      expect(await eventsOf({ MessageSid: 'SM1', MessageStatus: status })).toEqual([])
    },
  )

  test('a location is told in words', async () => {
    const place = { Latitude: '48.1', Longitude: '11.5', Label: 'Office', Address: 'High Street 1' }
    const [event] = await eventsOf(carrier.inbound(theirs, ours, place))
    expect(event).toMatchObject({ text: 'Office\nHigh Street 1\n48.1, 11.5', metadata: { context: place } })
  })

  test('refuses what the carrier has not signed', async () => {
    const params = carrier.inbound(theirs, ours, { Body: 'x' })
    const right = signed(params)
    const wrong: RawRequest[] = [
      signed(params, { token: 'another' }),
      { ...right, headers: {} },
      { ...right, headers: { 'x-twilio-signature': '' } },
      { ...right, url: `${hook}?x=1` },
      { ...right, url: hook.replace('parley', 'evil') },
      { ...right, body: Buffer.concat([right.body, Buffer.from('&Body=y')]) },
      { ...right, body: Buffer.alloc(0) },
      { ...right, method: 'GET' },
      { ...right, method: 'PUT' },
      { ...right, body: Buffer.alloc(5_000_000, 'a=1&') },
      { ...right, body: Buffer.from('a=1&'.repeat(1000)) },
    ]
    for (const request of wrong) expect(await caught(receive(request))).toBeInstanceOf(UnprovenError)
    expect((await receive(right)).events).toHaveLength(1)
  })
})

describe('the signature', () => {
  const part = fc.stringMatching(/^[a-z0-9%'+ äé~-]{0,6}$/)
  const urls = fc
    .tuple(
      fc.constantFrom('http', 'https', 'HTTPS'),
      fc.constantFrom('h.test', 'H.test', '[::1]', '127.0.0.1'),
      fc.constantFrom('', ':443', ':80', ':8443', ':'),
      part,
      part,
    )
    .map(([scheme, host, port, path, query]) => `${scheme}://${host}${port}/${path}${query === '' ? '' : `?q=${query}&b=1`}`)
  const forms = fc.dictionary(fc.string({ maxLength: 8 }), fc.string({ maxLength: 8 }), { maxKeys: 4 })

  test('is accepted exactly where the official validator accepts it', () => {
    fc.assert(
      fc.property(urls, urls, forms, fc.boolean(), (url, another, form, same) => {
        const signature = officialTwilio.getExpectedTwilioSignature(auth_token, same ? url : another, form)
        expect(isProven(auth_token, url, form, signature)).toBe(officialTwilio.validateRequest(auth_token, signature, url, form))
      }),
      { numRuns: 500 },
    )
  })

  test.each([
    ['https://h.test/a?b=1', 'https://h.test:443/a?b=1'],
    ['https://h.test:443/a', 'https://h.test/a'],
    ['https://h.test:8443/a', 'https://h.test/a'],
    ['http://h.test/a', 'http://h.test:80/a'],
    ['https://h.test', 'https://h.test/'],
  ])('of %s with the port or without: %s', (url, asSigned) => {
    const signature = officialTwilio.getExpectedTwilioSignature(auth_token, asSigned, { a: '1' })
    expect(isProven(auth_token, url, { a: '1' }, signature)).toBe(true)
    expect(officialTwilio.validateRequest(auth_token, signature, url, { a: '1' })).toBe(true)
  })

  test('covers repeated parameters as the official package does', async () => {
    const params = { Body: 'x', From: theirs, To: ours, MessageSid: 'SM1', Extra: ['b', 'a', 'b'] }
    const signature = officialTwilio.getExpectedTwilioSignature(auth_token, hook, params)
    const body = Buffer.from('Body=x&From=%2B15551234567&To=%2B15557654321&MessageSid=SM1&Extra=b&Extra=a&Extra=b')
    const request = { method: 'POST', url: hook, path: '/', headers: { 'x-twilio-signature': signature }, body }
    expect((await receive(request)).events).toHaveLength(1)
  })
})

test('any signed form yields events of the right form, or none', async () => {
  const names = fc.constantFrom(
    'MessageSid',
    'SmsSid',
    'From',
    'To',
    'Body',
    'NumMedia',
    'MediaUrl0',
    'MediaContentType0',
    'SmsStatus',
    'MessageStatus',
    'ErrorCode',
    'OtherRecipients0',
    'OtherRecipients',
    'Latitude',
    'Longitude',
    'ProfileName',
    '__proto__',
    'constructor',
    '',
  )
  const values = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.constantFrom('received', 'failed', '1', '-1', '1e9', 'NaN', '0x10', '+15551234567', 'http://[', 'data:,x'),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(names, values), { maxLength: 12 }), async (pairs) => {
      const params = Object.fromEntries(new URLSearchParams(pairs))
      const { reply, events } = await receive(signed(params))
      expect(reply.status).toBe(200)
      for (const event of events) {
        if (event.kind === 'typing') expect.fail('no typing')
        expect(event.external_id).not.toBe('')
        if (event.kind === 'message') expect(event.to.every((to) => to !== '')).toBe(true)
        else expect(event.error_code === null || event.error_code > 0).toBe(true)
      }
    }),
    { numRuns: 200 },
  )
})

describe('settings', () => {
  test.each([
    [{ account_sid: 'AC/../x' }, /made of/],
    [{ auth_token: 'with space' }, /made of/],
    [{ auth_token: 'line\nbreak' }, /control|made of/],
    [{ base_url: 'ftp://x' }, /http or https/],
    [{ templates: 'maybe' }, /one of/],
  ])('%o is refused', (wrong, words) => {
    expect(() => settingsFrom(declared, { account_sid, auth_token, ...wrong })).toThrow(words)
  })

  test('a key goes with its secret, and the base URL has no query', () => {
    expect(twilio.problem?.({ ...settings, api_key_sid: 'SK1' })).toMatch(/together/)
    for (const base_url of ['https://x/?a=1', 'https://x/#a', 'https://user:password@x/']) {
      expect(twilio.problem?.({ ...settings, base_url })).toMatch(/base_url/)
    }
    expect(twilio.problem?.(settings)).toBeUndefined()
  })

  test('the check says what is wrong', async () => {
    expect(await twilio.check?.(settings, io)).toMatchObject({ ok: true })
    expect(await twilio.check?.({ ...settings, auth_token: 'wrong' }, io)).toMatchObject({ ok: false, says: /credentials/ })
    expect(await twilio.check?.({ ...settings, base_url: `${carrier.url}/elsewhere` }, io)).toMatchObject({ ok: false })
  })
})
