import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startServer, type TestServer } from '../support/server.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'
import { catchMail, type SmtpCatcher } from './smtp-catcher.ts'

let relay: SmtpCatcher
let server: TestServer
beforeAll(async () => {
  relay = await catchMail()
  server = await startServer({ mailRelay: relay.url })
})
afterAll(async () => {
  await server.stop()
  await relay.close()
})

const support = { 'Bindings.Email.Address': 'support@example.com', 'Bindings.Email.Name': 'Support, Inc.' }

async function conversation(tenant: Tenant, members: Record<string, string>[], form: Record<string, string> = support) {
  const { body } = await tenant.call('POST', '/v1/Conversations', form)
  const path = `/v1/Conversations/${body.sid}`
  const participants = []
  for (const member of members) participants.push((await tenant.call('POST', `${path}/Participants`, member)).body)
  return { sid: body.sid as string, path, tag: body.bindings.email?.projected_address as string, participants }
}
const mailed = (address: string, more: Record<string, string> = {}) => ({
  'MessagingBinding.Address': address,
  'MessagingBinding.Type': 'email',
  ...more,
})

/** Resolves with the receipts once there are as many. */
async function receipts(tenant: Tenant, path: string, count: number) {
  return expect
    .poll(async () => (await tenant.call('GET', `${path}/Receipts`)).body.delivery_receipts)
    .toHaveLength(count)
    .then(async () => (await tenant.call('GET', `${path}/Receipts`)).body.delivery_receipts)
}

describe('a message to people with a mail address', () => {
  test('is one mail: the same bytes to each of them, with the conversation as its return address', async () => {
    const tenant = await newTenant(server)
    const { path, tag, sid } = await conversation(tenant, [
      mailed('Ann@example.org', { 'MessagingBinding.Name': 'Ann Lee' }),
      mailed('ben@example.org', { 'MessagingBinding.Level': 'cc' }),
    ])
    const sent = (await tenant.call('POST', `${path}/Messages`, { Author: 'alice', Body: 'Grüße', Subject: 'Your order' })).body
    const copies = [await relay.next(), await relay.next()]
    expect(copies.map(({ to }) => to)).toEqual([['Ann@example.org'], ['ben@example.org']])
    expect(copies[0]?.raw).toEqual(copies[1]?.raw)
    const { mail, from } = copies[0] ?? expect.unreachable()
    expect(mail).toMatchObject({
      from: { address: 'support@example.com', name: 'Support, Inc.' },
      reply_to: [{ address: tag }],
      to: [{ address: 'Ann@example.org', name: 'Ann Lee' }],
      cc: [{ address: 'ben@example.org', name: null }],
      subject: 'Your order',
      message_id: `<${sent.sid.toLowerCase()}@example.com>`,
      in_reply_to: [],
      references: [`<${sent.sid.toLowerCase()}@example.com>`],
      parts: [],
    })
    expect(mail.text?.trim()).toBe('Grüße')
    expect(JSON.stringify(mail.headers)).not.toContain(sid)
    // Each copy has a return path of its own, and its receipt the name that is in it.
    expect(from).toMatch(/^support\+b\.[0-9a-z]{25}\.[0-9a-z]{10}@example\.com$/)
    expect(copies[1]?.from).not.toBe(from)
    const found = await receipts(tenant, `${path}/Messages/${sent.sid}`, 2)
    expect(found.map(({ status }: { status: string }) => status)).toEqual(['sent', 'sent'])
    for (const { channel_message_sid } of found) expect(channel_message_sid).toMatch(/^EM[0-9a-f]{32}$/)
    const { delivery } = (await tenant.call('GET', `${path}/Messages/${sent.sid}`)).body
    expect(delivery).toMatchObject({ total: 2, sent: 'all', delivered: 'none' })
  })

  test('names the mails before it, and answers their subject', async () => {
    const tenant = await newTenant(server)
    const { path } = await conversation(tenant, [mailed('ann@example.org')])
    const first = (await tenant.call('POST', `${path}/Messages`, { Author: 'alice', Body: 'One', Subject: 'Order 7' })).body
    const second = (await tenant.call('POST', `${path}/Messages`, { Body: 'Two' })).body
    const id = ({ sid }: { sid: string }) => `<${sid.toLowerCase()}@example.com>`
    await relay.next()
    const { mail } = await relay.next()
    expect(mail).toMatchObject({ subject: 'Re: Order 7', in_reply_to: [id(first)], references: [id(second), id(first)] })
    const headers = Object.fromEntries(mail.headers.map(({ key, value }) => [key, value]))
    // Nobody is named as its author: a program has written it, and programs must not answer.
    expect(headers).toMatchObject({ 'auto-submitted': 'auto-generated', 'x-auto-response-suppress': 'OOF, AutoReply' })
  })

  test('carries attachments as they are', async () => {
    const tenant = await newTenant(server)
    const { path } = await conversation(tenant, [mailed('ann@example.org')])
    const { chat_service_sid } = (await tenant.call('GET', path)).body
    const upload = await tenant.call(
      'POST',
      `/v1/Services/${chat_service_sid}/Media?Filename=photo%20%C3%A4.png`,
      'PNG\r\n.\r\n',
      {
        headers: { 'content-type': 'image/png' },
        check: false,
      },
    )
    await tenant.call('POST', `${path}/Messages`, { Author: 'alice', Body: 'See', MediaSid: upload.body.sid })
    const { mail } = await relay.next()
    expect(mail.text?.trim()).toBe('See')
    expect(mail.parts.map((part) => [part.filename, part.content_type, Buffer.from(part.content).toString()])).toEqual([
      ['photo ä.png', 'image/png', 'PNG\r\n.\r\n'],
    ])
  })

  test('that the next server refuses has failed, with a code; an address that does not exist gets no more', async () => {
    const tenant = await newTenant(server)
    const { path } = await conversation(tenant, [
      mailed('Dead@example.org'),
      mailed('full@example.org'),
      mailed('spam@example.org'),
    ])
    relay.answer('dead@example.org', { code: 550, text: '5.1.1 no such user' })
    relay.answer('full@example.org', { code: 552, text: '5.2.2 over quota' })
    relay.answer('spam@example.org', { code: 554, text: 'no' })
    const one = (await tenant.call('POST', `${path}/Messages`, { Author: 'alice', Body: 'One' })).body
    const first = await receipts(tenant, `${path}/Messages/${one.sid}`, 3)
    const codes = (list: { status: string; error_code: number }[]) => list.map(({ status, error_code }) => [status, error_code])
    expect(codes(first)).toEqual([
      ['failed', 30005],
      ['failed', 30003],
      ['failed', 30008],
    ])
    const before = relay.attempts
    const two = (await tenant.call('POST', `${path}/Messages`, { Author: 'alice', Body: 'Two' })).body
    expect(codes(await receipts(tenant, `${path}/Messages/${two.sid}`, 3))[0]).toEqual(['undelivered', 30005])
    expect(relay.attempts - before).toBe(2)
    const blocks = `/accounts/${tenant.account_sid}/mail-blocks`
    expect((await tenant.admin('GET', blocks)).mail_blocks).toMatchObject([{ address: 'dead@example.org', error_code: 30005 }])
    relay.answer('dead@example.org', null)
    await tenant.admin('DELETE', `${blocks}/DEAD@example.org`)
    await tenant.call('POST', `${path}/Messages`, { Author: 'alice', Body: 'Three' })
    expect((await relay.next()).mail.text?.trim()).toBe('Three')
    await expect(tenant.admin('DELETE', `${blocks}/DEAD@example.org`)).rejects.toThrow('404')
  })

  test('is tried again after a temporary refusal, as the same mail', async () => {
    const tenant = await newTenant(server)
    const { path, sid } = await conversation(tenant, [mailed('busy@example.org')])
    relay.answer('busy@example.org', { code: 451, text: '4.3.0 try later' }, null)
    const sent = (await tenant.call('POST', `${path}/Messages`, { Author: 'alice', Body: 'Again' })).body
    const log = () => tenant.admin('GET', `/deliveries?conversation_sid=${sid}`)
    await expect.poll(async () => (await log()).deliveries[0]?.attempts.length).toBe(1)
    await tenant.advance('PT2S')
    const { mail } = await relay.next()
    expect(mail.message_id).toBe(`<${sent.sid.toLowerCase()}@example.com>`)
    expect(await receipts(tenant, `${path}/Messages/${sent.sid}`, 1)).toMatchObject([{ status: 'sent' }])
    const [{ attempts }] = (await log()).deliveries
    expect(attempts).toMatchObject([
      { status: 451, response: expect.stringContaining('4.3.0 try later') },
      { status: 250, response: expect.stringContaining('queued') },
    ])
  })

  test('of a conversation without a mailbox has failed', async () => {
    const tenant = await newTenant(server)
    const { path } = await conversation(tenant, [mailed('ann@example.org')], {})
    const sent = (await tenant.call('POST', `${path}/Messages`, { Author: 'alice', Body: 'From whom?' })).body
    expect(await receipts(tenant, `${path}/Messages/${sent.sid}`, 1)).toMatchObject([{ status: 'failed', error_code: 63007 }])
  })

  test('reaches the others when somebody has an address that no mail can be sent to', async () => {
    const tenant = await newTenant(server)
    const { path } = await conversation(tenant, [mailed('ann@example.org'), mailed('no,such@example.org')])
    const sent = (await tenant.call('POST', `${path}/Messages`, { Author: 'alice', Body: 'Hello' })).body
    const { mail } = await relay.next()
    expect(mail.to).toEqual([{ address: 'ann@example.org', name: null }])
    const found = await receipts(tenant, `${path}/Messages/${sent.sid}`, 2)
    expect(found).toMatchObject([{ status: 'sent' }, { status: 'failed', error_code: 30005 }])
  })

  test('of a mailbox that no mail can be sent from has failed, with a reason', async () => {
    const tenant = await newTenant(server)
    const from = { 'Bindings.Email.Address': 'sup,port@example.com' }
    const { path, sid } = await conversation(tenant, [mailed('ann@example.org')], from)
    const sent = (await tenant.call('POST', `${path}/Messages`, { Author: 'alice', Body: 'From whom?' })).body
    expect(await receipts(tenant, `${path}/Messages/${sent.sid}`, 1)).toMatchObject([{ status: 'failed', error_code: 63007 }])
    const { deliveries } = await tenant.admin('GET', `/deliveries?conversation_sid=${sid}`)
    expect(deliveries[0].attempts).toMatchObject([{ error: expect.stringContaining('Bindings.Email.Address') }])
  })

  test('cannot add a header or a recipient', async () => {
    const tenant = await newTenant(server)
    const evil = 'x\r\nBcc: eve@example.org\r\n\r\n<script>'
    const { path } = await conversation(tenant, [mailed('ann@example.org', { 'MessagingBinding.Name': evil })], {
      ...support,
      'Bindings.Email.Name': evil,
    })
    await tenant.call('POST', `${path}/Messages`, { Author: 'alice', Body: '.\r\n.\r\nQUIT', Subject: evil })
    const { mail, to } = await relay.next()
    expect(to).toEqual(['ann@example.org'])
    expect(mail.headers.map(({ key }) => key)).not.toContain('bcc')
    expect(mail.text?.trim()).toBe('.\n.\nQUIT')
  })
})

test('without a relay mail is not sent, and does not count as delivered', async () => {
  await using server = await startServer()
  const { path } = await conversation(server, [mailed('ann@example.org')])
  const sent = (await server.call('POST', `${path}/Messages`, { Author: 'alice', Body: 'Hello' })).body
  expect(await receipts(server, `${path}/Messages/${sent.sid}`, 1)).toMatchObject([{ status: 'failed', error_code: 63007 }])
})

test('in test mode every mail that leaves is caught and shown', async () => {
  await using server = await startServer({ testMode: true })
  const { path, tag, sid } = await conversation(server, [mailed('ann@example.org')])
  const sent = (await server.call('POST', `${path}/Messages`, { Author: 'alice', Body: 'Hello', Subject: 'Hi' })).body
  const [receipt] = await receipts(server, `${path}/Messages/${sent.sid}`, 1)
  expect(receipt).toMatchObject({ status: 'delivered' })
  const { mail } = await server.admin('GET', '/mail')
  expect(mail).toMatchObject([
    { sid: receipt.channel_message_sid, conversation_sid: sid, message_sid: sent.sid, recipient: 'ann@example.org' },
  ])
  const one = await server.admin('GET', `/mail/${mail[0].sid}`)
  expect(one).toMatchObject({ subject: 'Hi', text: 'Hello', reply_to: [{ address: tag }], attachments: [] })
  expect(one.source).toContain('\r\nSubject: Hi\r\n')
  await expect(server.admin('GET', '/mail/EM0')).rejects.toThrow('404')
  await server.admin('POST', '/reset', {})
  expect((await server.admin('GET', '/mail')).mail).toEqual([])
})
