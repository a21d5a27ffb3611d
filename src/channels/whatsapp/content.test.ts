import { describe, expect, test } from 'vitest'
import { said } from '../../../test/support/whatsapp-cloud.ts'
import {
  caught,
  cloud,
  from,
  io,
  message,
  ours,
  phoneNumberId,
  posted,
  receive,
  settings,
  theirs,
  told,
  useMeta,
} from '../../../test/support/whatsapp-kind.ts'
import { RetryError } from '../adapter.ts'
import { whatsapp } from './kind.ts'

useMeta()

describe('an inbound message', () => {
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
})
