import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { became, said } from '../../../test/support/whatsapp-cloud.ts'
import {
  anotherId,
  appSecret,
  caught,
  cloud,
  contacts,
  from,
  hook,
  io,
  phoneNumberId,
  posted,
  receive,
  settings,
  told,
  useMeta,
  verify_token,
} from '../../../test/support/whatsapp-kind.ts'
import { type RawRequest, UnprovenError } from '../adapter.ts'
import { whatsapp } from './kind.ts'

useMeta()

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
