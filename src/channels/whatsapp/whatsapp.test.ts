import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { channelIo, settingsFrom } from '../../../test/support/channel-io.ts'
import { standIn } from '../../../test/support/http-stand-in.ts'
import { outbound, outboundMedia } from '../../../test/support/outbound.ts'
import { became, said, startWhatsAppCloud, type WhatsAppCloud } from '../../../test/support/whatsapp-cloud.ts'
import { type ChannelEvent, type MessageEvent, type RawRequest, RefusedError, RetryError, UnprovenError } from '../adapter.ts'
import { whatsapp } from './kind.ts'
import { settings as declared, type WhatsAppSettings } from './settings.ts'

const [access_token, appSecret, verify_token] = ['EAAJB-token', 'app-secret-of-tests', 'verify-me']
const [phoneNumberId, anotherId] = ['106540352242922', '106540352242923']
const [ours, theirs] = ['whatsapp:+15550783881', 'whatsapp:+16505551234']
const hook = 'https://parley.example/channels/CN0'
const template_sid = `HX${'1'.repeat(32)}`

let cloud: WhatsAppCloud
let settings: WhatsAppSettings
let io: ReturnType<typeof channelIo>

beforeAll(async () => {
  const numbers = { [phoneNumberId]: '+1 555-078-3881', [anotherId]: '+1 555-078-3882' }
  cloud = await startWhatsAppCloud({ access_token, app_secret: appSecret, numbers })
  settings = settingsFrom(declared, {
    phone_number_id: phoneNumberId,
    access_token,
    app_secret: appSecret,
    verify_token,
    base_url: cloud.url,
  })
})
beforeEach(() => {
  io = channelIo(ours, hook)
  for (const list of [cloud.messages, cloud.marks, cloud.attempts]) list.length = 0
  cloud.script(undefined)
})
afterAll(() => cloud[Symbol.asyncDispose]())

const send = (more: Parameters<typeof outbound>[0] = {}, given = settings) =>
  whatsapp.send(given, outbound({ from: ours, to: theirs, ...more }), io)
const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => undefined,
    (error: unknown) => error,
  )

/** What a webhook of Meta's means: the stand-in posts it to a server that hands it to the kind, as the core does. */
async function receive(post: (url: string) => Promise<Response>, given = settings): Promise<readonly ChannelEvent[]> {
  const { raw, reply } = await posted(post)
  const result = await whatsapp.webhook?.(given, raw, io)
  expect(reply.status).toBe(200)
  expect(result?.reply.status).toBe(200)
  return result?.events ?? expect.fail('no webhook')
}

async function posted(post: (url: string) => Promise<Response>): Promise<{ raw: RawRequest; reply: Response }> {
  let raw: RawRequest | undefined
  await using server = await standIn(({ method, path, headers, body }) => {
    const texts = Object.entries(headers).map(([name, value]) => [name, String(value)])
    raw = { method, url: `${hook}${path}`, path: '/', headers: Object.fromEntries(texts), body }
    return { status: 200 }
  })
  const reply = await post(server.url)
  return { raw: raw ?? expect.fail('nothing came'), reply }
}

const contacts = [{ profile: { name: 'Sheena Nelson' }, wa_id: '16505551234' }]
const told = (message: object, id = phoneNumberId) => receive((url) => cloud.notify(url, id, { contacts, messages: [message] }))
async function message(given: object): Promise<MessageEvent> {
  const [event, ...more] = await told(given)
  expect(more).toEqual([])
  return event?.kind === 'message' ? event : expect.fail('no message')
}
const from = '16505551234'

describe('send', () => {
  test('hands over the text, the recipient and the key', async () => {
    const accepted = await send({ text: 'Grüße' })
    const [sent] = cloud.messages
    expect(accepted).toMatchObject({ external_id: sent?.id, status: 'sent', response_status: 200 })
    expect(sent).toMatchObject({
      phone_number_id: phoneNumberId,
      messaging_product: 'whatsapp',
      to: '+16505551234',
      type: 'text',
      text: { body: 'Grüße' },
      biz_opaque_callback_data: outbound().key,
    })
  })

  test('somebody whose number is hidden is reached by their id', async () => {
    await send({ to: 'whatsapp:US.13491208655302741918' })
    expect(cloud.messages[0]).toMatchObject({ recipient: 'US.13491208655302741918' })
    expect(cloud.messages[0]).not.toHaveProperty('to')
  })

  test.each([
    ['image/jpeg', 'image', true],
    ['image/png; x=1', 'image', true],
    ['video/mp4', 'video', true],
    ['application/pdf', 'document', true],
    ['image/gif', 'document', true],
    ['audio/ogg', 'audio', false],
    ['image/webp', 'sticker', false],
  ])('%s is sent as %s by its link', async (content_type, type, captioned) => {
    const media = outboundMedia(content_type, undefined, 'file.bin')
    const accepted = await send({ text: 'Look', media: [media] })
    const parts = cloud.messages.map((part) => [part.type, part[part.type]])
    const file = { link: media.url(), ...(type === 'document' && { filename: 'file.bin' }) }
    if (captioned) expect(parts).toEqual([[type, { ...file, caption: 'Look' }]])
    else
      expect(parts).toEqual([
        ['text', { preview_url: true, body: 'Look' }],
        [type, file],
      ])
    expect(accepted.external_id).toBe(cloud.messages.at(-1)?.id)
  })

  test('a text that is too long for a caption goes ahead; several media follow each other', async () => {
    await send({ text: 'x'.repeat(1025), media: [outboundMedia('image/png'), outboundMedia('image/jpeg')] })
    expect(cloud.messages.map(({ type }) => type)).toEqual(['text', 'image', 'image'])
  })

  test('media are uploaded where that is set', async () => {
    const bytes = Buffer.from('a picture')
    await send({ text: 'Look', media: [outboundMedia('image/png', bytes)] }, { ...settings, media: 'upload' })
    const { id, caption } = cloud.messages[0]?.image ?? {}
    expect(caption).toBe('Look')
    expect(Buffer.from(cloud.media.get(id)?.bytes ?? [])).toEqual(bytes)
    expect(cloud.media.get(id)?.type).toBe('image/png')
  })

  test('a picture that is too large is a document', async () => {
    await send({ text: null, media: [{ ...outboundMedia('image/png'), size: 6_000_000 }] })
    expect(cloud.messages[0]?.type).toBe('document')
  })

  test('a template stands for a ContentSid, with its variables in their places', async () => {
    const content = { sid: template_sid, variables: '{"2":"B","1":"A","10":"J"}' }
    const mapped = (template: object) => ({ ...settings, templates: JSON.stringify({ [template_sid]: template }) })
    const plain = { name: 'order_update', language: 'en_US' }
    await send({ content }, mapped(plain))
    await send({ content: { sid: template_sid, variables: '{"first_name":"Ann"}' } }, mapped(plain))
    const header = { type: 'image', variable: '1' }
    const buttons = [
      { type: 'url', index: 0, variable: '10' },
      { type: 'quick_reply', index: 1, variable: '2' },
    ]
    await send({ content }, mapped({ ...plain, header, body: ['2', '3'], buttons }))
    await send({ content: { sid: template_sid, variables: null } }, mapped(plain))
    const text = (value: string) => ({ type: 'text', text: value })
    const language = { code: 'en_US' }
    expect(cloud.messages.map(({ template }) => template)).toEqual([
      { name: 'order_update', language, components: [{ type: 'body', parameters: [text('A'), text('B'), text('J')] }] },
      {
        name: 'order_update',
        language,
        components: [{ type: 'body', parameters: [{ ...text('Ann'), parameter_name: 'first_name' }] }],
      },
      {
        name: 'order_update',
        language,
        components: [
          { type: 'header', parameters: [{ type: 'image', image: { link: 'A' } }] },
          { type: 'body', parameters: [text('B'), text('')] },
          { type: 'button', sub_type: 'url', index: '0', parameters: [text('J')] },
          { type: 'button', sub_type: 'quick_reply', index: '1', parameters: [{ type: 'payload', payload: 'B' }] },
        ],
      },
      { name: 'order_update', language },
    ])
  })

  test('a ContentSid that stands for no template is sent as its text', async () => {
    await send({ text: 'Hello Ann', content: { sid: template_sid, variables: null } })
    expect(cloud.messages[0]).toMatchObject({ type: 'text', text: { body: 'Hello Ann' } })
  })

  test('a refusal has the code of Meta', async () => {
    cloud.script(() => ({ status: 400, body: { error: { message: '(#131047) Re-engagement message', code: 131047 } } }))
    const error = await caught(send())
    expect(error).toBeInstanceOf(RefusedError)
    expect(error).toMatchObject({ answer: { response: '131047; (#131047) Re-engagement message' } })
    expect(error).toMatchObject({ errorCode: 131047, message: 'Meta responded 400 with code 131047' })
    expect(await caught(send({}, { ...settings, access_token: 'expired' }))).toMatchObject({
      name: 'RefusedError',
      errorCode: 190,
    })
  })

  test.each([
    [429, 4],
    [500, 131000],
    [503, 2],
    [400, 130429],
    [400, 131056],
    [400, 80007],
    [502, null],
  ])('%i with code %s is tried again', async (status, code) => {
    cloud.script(() => ({ status, body: code === null ? 'Bad Gateway' : { error: { code, message: 'x' } } }))
    expect(await caught(send())).toMatchObject({ name: 'RetryError', errorCode: code, answer: { response_status: status } })
  })

  test('no response is tried again, and so is what Meta calls transient', async () => {
    cloud.script(() => ({ status: 0, hangUp: true }))
    expect(await caught(send())).toBeInstanceOf(RetryError)
    cloud.script(() => ({ status: 400, body: { error: { code: 1, is_transient: true } } }))
    expect(await caught(send())).toBeInstanceOf(RetryError)
  })

  test.each([
    [200, '<html>'],
    [200, '{}'],
    [200, '{"messages":[7]}'],
    [200, '{"messages":[{"id":""}]}'],
    [302, ''],
    [404, '{"error":"x"}'],
  ])('an odd response is a refusal: %i %s', async (status, body) => {
    cloud.script(() => ({ status, body }))
    expect(await caught(send())).toMatchObject({ name: 'RefusedError', errorCode: 30008 })
  })
})

describe('webhook', () => {
  const verify = (query: string) =>
    whatsapp.webhook?.(settings, { method: 'GET', url: `${hook}?${query}`, path: '/', headers: {}, body: Buffer.of() }, io)

  test('is verified by its token', async () => {
    const result = await verify(`hub.mode=subscribe&hub.verify_token=${verify_token}&hub.challenge=1158201444`)
    expect(result).toEqual({ reply: { status: 200, content_type: 'text/plain; charset=utf-8', body: '1158201444' }, events: [] })
  })

  test.each([
    '',
    `hub.verify_token=${verify_token}`,
    'hub.mode=subscribe&hub.verify_token=wrong',
    `hub.mode=x&hub.verify_token=${verify_token}`,
    `hub.mode=subscribe&hub.verify_token=${verify_token}&hub.challenge=${'1'.repeat(2000)}`,
  ])('is not verified by %s', async (query) => {
    expect(await caught(Promise.resolve(verify(query)))).toBeInstanceOf(UnprovenError)
  })

  test('refuses what Meta has not signed', async () => {
    const { raw } = await posted((url) =>
      cloud.notify(url, phoneNumberId, { contacts, messages: [said(from, 'text', { body: 'x' })] }),
    )
    const signature = raw.headers['x-hub-signature-256'] ?? ''
    const wrong: RawRequest[] = [
      { ...raw, headers: {} },
      { ...raw, headers: { 'x-hub-signature-256': '' } },
      { ...raw, headers: { 'x-hub-signature-256': signature.replace('sha256=', 'sha1=') } },
      { ...raw, headers: { 'x-hub-signature-256': signature.toUpperCase() } },
      { ...raw, body: Buffer.concat([raw.body, Buffer.from(' ')]) },
      { ...raw, method: 'PUT' },
      (await posted((url) => cloud.postRaw(url, raw.body.toString(), 'another secret'))).raw,
    ]
    for (const request of wrong)
      expect(await caught(Promise.resolve(whatsapp.webhook?.(settings, request, io)))).toBeInstanceOf(UnprovenError)
    expect((await whatsapp.webhook?.(settings, raw, io))?.events).toHaveLength(1)
  })

  test('a text becomes a message with its sender and what Meta says of it', async () => {
    const given = said(from, 'text', { body: 'Hi 👋' }, { context: { forwarded: true } })
    expect(await message(given)).toEqual({
      kind: 'message',
      external_id: given.id,
      from: theirs,
      to: [ours],
      name: 'Sheena Nelson',
      subject: null,
      text: 'Hi 👋',
      media: [],
      metadata: {
        context: { ProfileName: 'Sheena Nelson', WaId: from, Forwarded: 'true' },
        message: { id: given.id, timestamp: '1739321024', type: 'text', context: { forwarded: true } },
      },
    })
  })

  test.each(['image', 'audio', 'video', 'document', 'sticker', 'voice'])(
    '%s: the file is fetched with the token',
    async (type) => {
      const bytes = Buffer.from(`bytes of ${type}`)
      const id = cloud.keep(bytes, 'application/x-test')
      const event = await message(said(from, type, { id, mime_type: 'image/jpeg', caption: 'Look', filename: 'a.jpg' }))
      expect(event).toMatchObject({ text: 'Look', media: [{ filename: 'a.jpg', content_type: 'image/jpeg' }] })
      const content = event.media[0]?.content
      if (!content || !('url' in content)) expect.fail('no URL')
      expect((await fetch(content.url)).status).toBe(401)
      expect(Buffer.from(await (await fetch(content.url, { headers: content.headers ?? {} })).arrayBuffer())).toEqual(bytes)
    },
  )

  test('the token is sent to no URL that is less secure than the API', async () => {
    const id = cloud.keep(Buffer.from('x'), 'image/png')
    const replaced = {
      ...io,
      request: async () => ({ status: 200, headers: {}, body: Buffer.from(JSON.stringify({ url: `http://h.test/${id}` })) }),
    }
    const { raw } = await posted((url) => cloud.notify(url, phoneNumberId, { messages: [said(from, 'image', { id })] }))
    const secure = { ...settings, base_url: 'https://graph.facebook.com' }
    expect((await whatsapp.webhook?.(secure, raw, replaced))?.events).toMatchObject([
      { media: [], text: expect.stringContaining('no longer') },
    ])
  })

  test('a file that is gone leaves a note; one that cannot be had now makes Meta come again', async () => {
    const gone = await message(said(from, 'image', { id: '404', caption: 'Look' }))
    expect(gone).toMatchObject({ text: 'Look\n[a file that is no longer available]', media: [] })
    expect(io.warnings).toEqual([expect.stringMatching(/^Meta refused a medium: .*code 100/)])
    const away = { ...settings, base_url: 'http://127.0.0.1:1' }
    const notify = (url: string) => cloud.notify(url, phoneNumberId, { messages: [said(from, 'image', { id: '1' })] })
    expect(await caught(receive(notify, away))).toBeInstanceOf(RetryError)
  })

  test.each<[string, object | null, string]>([
    ['button', { text: 'Yes', payload: 'yes' }, 'Yes'],
    ['interactive', { type: 'button_reply', button_reply: { id: 'b1', title: 'Cancel' } }, 'Cancel'],
    ['interactive', { type: 'list_reply', list_reply: { id: 'l1', title: 'Express', description: 'Next day' } }, 'Express'],
    ['interactive', { type: 'nfm_reply', nfm_reply: { name: 'flow', body: 'Sent', response_json: '{}' } }, 'Sent'],
    ['interactive', { type: '__proto__' }, '[interactive message]'],
    [
      'location',
      { latitude: 48.1, longitude: 11.5, name: 'Office', address: 'High Street 1' },
      'Office\nHigh Street 1\n48.1, 11.5',
    ],
    [
      'contacts',
      [
        { name: { formatted_name: 'Ann Lee' }, phones: [{ phone: '+1 555' }], emails: [{ email: 'a@x.test' }] },
        { name: { first_name: 'Bo' } },
      ],
      'Ann Lee\n+1 555\na@x.test\n\nBo',
    ],
    ['reaction', { message_id: 'wamid.1', emoji: '👍' }, '👍'],
    ['order', { product_items: [{ product_retailer_id: 'sku', quantity: 2 }], text: 'Soon' }, '[order]\n2 × sku\nSoon'],
    [
      'order',
      { product_items: [{ quantity: { toString: 1 }, product_retailer_id: [[]] }, { quantity: '3' }] },
      '[order]\n1 × ?\n3 × ?',
    ],
    ['order', { product_items: 7, text: {} }, '[order]'],
    ['system', { body: 'User A changed from 1 to 2', type: 'user_changed_number' }, 'User A changed from 1 to 2'],
    ['unsupported', { type: 'poll_creation' }, '[unsupported message: poll_creation]'],
    ['hologram', {}, '[hologram message]'],
    ['constructor', {}, '[constructor message]'],
  ])('%s %o reads %s', async (type, content, text) => {
    const event = await message(said(from, type, content))
    expect(event.text).toBe(text)
    expect(event.metadata).toMatchObject({ message: { type, [type]: content } })
  })

  test.each<[string, object]>([
    ['reaction', { message_id: 'wamid.1' }],
    ['request_welcome', {}],
    ['text', { body: '' }],
  ])('%s %o says nothing', async (type, content) => {
    expect(await told(said(from, type, content))).toEqual([])
  })

  test('what is too long or too deep to describe a message is left out', async () => {
    const depth = 200_000
    const deep = JSON.stringify(said(from, 'hologram', { a: 0 })).replace(
      '{"a":0}',
      `{"a":${'['.repeat(depth)}${']'.repeat(depth)}}`,
    )
    const metadata = { phone_number_id: phoneNumberId }
    const body = JSON.stringify({ entry: [{ changes: [{ field: 'messages', value: { metadata, messages: ['deep'] } }] }] })
    const [event] = await receive((url) => cloud.postRaw(url, body.replace('"deep"', deep)))
    expect(event).toMatchObject({ text: '[hologram message]', metadata: { context: { WaId: from } } })
    const long = await message(said(from, 'hologram', { a: 'x'.repeat(20_000) }))
    for (const each of [event, long]) expect(each).not.toHaveProperty('metadata.message')
  })

  test('a message to a group is dropped with a warning', async () => {
    expect(await told(said(from, 'text', { body: 'x' }, { group_id: 'G1' }))).toEqual([])
    expect(io.warnings).toEqual([expect.stringContaining('group')])
  })

  test('a sender whose number is hidden has their id as address', async () => {
    const { from: _, ...hidden } = said('', 'text', { body: 'x' }, { from_user_id: 'US.1349' })
    const names = [{ profile: { name: 'Ann', username: 'ann' }, user_id: 'US.1349' }]
    const [event] = await receive((url) => cloud.notify(url, phoneNumberId, { contacts: names, messages: [hidden] }))
    expect(event).toMatchObject({ from: 'whatsapp:US.1349', name: 'Ann' })
  })

  test('statuses come in batches and in any order', async () => {
    const failure = { code: 131047, title: 'Re-engagement message' }
    const events = await receive((url) =>
      cloud.notify(
        url,
        phoneNumberId,
        { statuses: [became('wamid.1', 'read'), became('wamid.1', 'sent')] },
        { statuses: [became('wamid.2', 'failed', failure), became('wamid.3', 'played'), became('wamid.4', 'deleted')] },
        { errors: [{ code: 130429, title: 'Rate limit hit' }] },
      ),
    )
    expect(events).toEqual([
      { kind: 'status', external_id: 'wamid.1', status: 'read', error_code: null },
      { kind: 'status', external_id: 'wamid.1', status: 'sent', error_code: null },
      { kind: 'status', external_id: 'wamid.2', status: 'failed', error_code: 131047 },
      { kind: 'status', external_id: 'wamid.3', status: 'read', error_code: null },
    ])
    expect(io.warnings).toEqual([expect.stringContaining('130429')])
  })

  test('what is about another number of the app is for that number', async () => {
    const address = 'whatsapp:+15550783882'
    expect(await told(said(from, 'text', { body: 'x' }), anotherId)).toMatchObject([{ to: [address], address }])
    const statuses = [became('wamid.1', 'read')]
    expect(await receive((url) => cloud.notify(url, anotherId, { statuses }))).toMatchObject([
      { external_id: 'wamid.1', address },
    ])
    expect(await receive((url) => cloud.notify(url, '999', { statuses }))).toEqual([])
  })

  test.each(['', '[]', 'null', '7', '{', '{"entry":', `${'['.repeat(5000)}`])('%s is no JSON object', async (body) => {
    const { raw } = await posted((url) => cloud.postRaw(url, body))
    expect((await whatsapp.webhook?.(settings, raw, io))?.reply.status).toBe(400)
  })

  test('any signed JSON yields events of the right form, or none', async () => {
    const keys = fc.constantFrom(
      'entry',
      'changes',
      'field',
      'value',
      'metadata',
      'messages',
      'statuses',
      'contacts',
      'errors',
      'id',
      'from',
      'type',
      'text',
      'body',
      'phone_number_id',
      'order',
      'product_items',
      'quantity',
      'toString',
      'profile',
      'wa_id',
      'status',
      'code',
      'interactive',
      'location',
      '__proto__',
    )
    const leaf = fc.oneof(
      fc.constantFrom(
        'messages',
        phoneNumberId,
        'text',
        'contacts',
        'reaction',
        'order',
        'location',
        'interactive',
        'system',
        'failed',
        'sent',
        from,
      ),
      fc.jsonValue({ maxDepth: 1 }),
    )
    const { node } = fc.letrec((tie) => ({
      node: fc.oneof(
        { depthSize: 'small' },
        leaf,
        fc.array(tie('node'), { maxLength: 3 }),
        fc.dictionary(keys, tie('node'), { maxKeys: 5 }),
      ),
    }))
    const change = fc.record({
      field: fc.constant('messages'),
      value: fc.record({
        metadata: fc.record({ phone_number_id: fc.constant(phoneNumberId) }),
        messages: fc.array(node, { maxLength: 3 }),
        statuses: fc.array(node, { maxLength: 3 }),
        contacts: node,
        errors: node,
      }),
    })
    const bodies = fc.oneof(
      node,
      fc.record({ entry: fc.array(fc.record({ changes: fc.array(change, { maxLength: 2 }) }), { maxLength: 2 }) }),
    )
    const { createHmac } = await import('node:crypto')
    await fc.assert(
      fc.asyncProperty(bodies, async (given) => {
        const body = Buffer.from(JSON.stringify(given))
        const headers = { 'x-hub-signature-256': `sha256=${createHmac('sha256', appSecret).update(body).digest('hex')}` }
        const result = await whatsapp.webhook?.(settings, { method: 'POST', url: hook, path: '/', headers, body }, io)
        for (const event of result?.events ?? []) {
          if (event.kind === 'typing') expect.fail('no typing')
          expect(event.external_id).not.toBe('')
          if (event.kind === 'message') expect(event.text !== null || event.media.length > 0).toBe(true)
        }
      }),
      { numRuns: 300 },
    )
  })
})

describe('what people inside do', () => {
  test('reading marks the message as read, typing shows that somebody types', async () => {
    await whatsapp.seen?.(settings, 'wamid.1', io)
    await whatsapp.typing?.(settings, { address: theirs, external_id: 'wamid.2' }, io)
    await whatsapp.typing?.(settings, { address: theirs, external_id: null }, io)
    const mark = { messaging_product: 'whatsapp', status: 'read', phone_number_id: phoneNumberId }
    expect(cloud.marks).toEqual([
      { ...mark, message_id: 'wamid.1' },
      { ...mark, message_id: 'wamid.2', typing_indicator: { type: 'text' } },
    ])
  })

  test('neither does where read marks are off', async () => {
    await whatsapp.seen?.({ ...settings, read_marks: false }, 'wamid.1', io)
    await whatsapp.typing?.({ ...settings, read_marks: false }, { address: theirs, external_id: 'wamid.2' }, io)
    expect(cloud.marks).toEqual([])
  })
})

describe('settings', () => {
  test.each([
    [{ phone_number_id: '+15550783881' }, /digits/],
    [{ access_token: 'a b' }, /made of/],
    [{ api_version: '25' }, /like v25/],
    [{ media: 'fax' }, /one of/],
    [{ read_marks: 'yes' }, /true or false/],
  ])('%o is refused', (wrong, words) => {
    expect(() =>
      settingsFrom(declared, { phone_number_id: phoneNumberId, access_token, app_secret: appSecret, verify_token, ...wrong }),
    ).toThrow(words)
  })

  const plain = { name: 'a', language: 'en' }
  test.each([
    ['{', /JSON object/],
    ['[]', /JSON object/],
    ['{"x":{}}', /no ContentSid/],
    [JSON.stringify({ [template_sid]: { name: 'a' } }), /language/],
    [JSON.stringify({ [template_sid]: { ...plain, body: [1] } }), /must have/],
    [JSON.stringify({ [template_sid]: { ...plain, header: { type: 'x', variable: '1' } } }), /must have/],
    [JSON.stringify({ [template_sid]: { ...plain, buttons: [{ type: 'url', index: 10, variable: '1' }] } }), /must have/],
    [JSON.stringify({ [template_sid]: { ...plain, colour: 'red' } }), /must have/],
  ])('templates %s', (templates, words) => {
    expect(whatsapp.problem?.({ ...settings, templates })).toMatch(words)
  })

  test('templates may be given as an object, or as a text with line breaks', () => {
    const given = { [template_sid]: plain }
    for (const templates of [given, JSON.stringify(given), JSON.stringify(given, null, 2)]) {
      expect(declared.templates.parse(templates)).toBe(JSON.stringify(given))
    }
    for (const wrong of [7, true, [given], 'a\nb']) expect(() => declared.templates.parse(wrong)).toThrow(/must/)
  })

  test('the base has no query, and right settings have no problem', () => {
    expect(whatsapp.problem?.({ ...settings, base_url: 'https://x/?a=1' })).toMatch(/base_url/)
    expect(whatsapp.problem?.({ ...settings, templates: JSON.stringify({ [template_sid]: plain }) })).toBeUndefined()
  })

  test('the check says what is wrong', async () => {
    expect(await whatsapp.check?.(settings, io)).toMatchObject({ ok: true })
    expect(await whatsapp.check?.({ ...settings, access_token: 'wrong' }, io)).toMatchObject({ ok: false, says: /190/ })
    expect(await whatsapp.check?.({ ...settings, phone_number_id: anotherId }, io)).toMatchObject({
      ok: false,
      says: /another number/,
    })
  })
})
