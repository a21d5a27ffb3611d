import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startServer, type TestServer } from '../support/server.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'
import { type Outside, outside } from './outside.ts'
import { catchMail, type SmtpCatcher } from './smtp-catcher.ts'

let relay: SmtpCatcher
let server: TestServer
let world: Outside
beforeAll(async () => {
  relay = await catchMail()
  server = await startServer({ mailRelay: relay.url, mailListen: { host: '127.0.0.1', port: 0 } })
  world = outside(server.mailPort ?? expect.unreachable())
})
afterAll(async () => {
  world.close()
  await server.stop()
  await relay.close()
})

let boxes = 0

/** An account with a mailbox of its own that opens conversations. */
async function mailbox(more: Record<string, string> = {}) {
  const tenant = await newTenant(server)
  const address = `support${++boxes}@example.com`
  const form = { Type: 'email', Address: address, 'AutoCreation.Enabled': 'true', 'AutoCreation.Type': 'default', ...more }
  const made = await tenant.call('POST', '/v1/Configuration/Addresses', form)
  expect(made.status).toBe(201)
  return { tenant, address }
}

async function conversations(tenant: Tenant) {
  const { body } = await tenant.call('GET', '/v1/Conversations?PageSize=100')
  return body.conversations.toSorted((a: { sid: string }, b: { sid: string }) => (a.sid < b.sid ? -1 : 1))
}
async function only(tenant: Tenant) {
  const found = await conversations(tenant)
  expect(found).toHaveLength(1)
  return found[0]
}
async function messagesOf(tenant: Tenant, sid: string) {
  return (await tenant.call('GET', `/v1/Conversations/${sid}/Messages`)).body.messages
}
async function membersOf(tenant: Tenant, sid: string) {
  const { participants } = (await tenant.call('GET', `/v1/Conversations/${sid}/Participants`)).body
  return participants.map((one: { messaging_binding: object }) => one.messaging_binding)
}
async function metadataOf(tenant: Tenant, { conversation_sid, sid }: { conversation_sid: string; sid: string }) {
  // The official description has only the link to it.
  const path = `/v1/Conversations/${conversation_sid}/Messages/${sid}/ChannelMetadata`
  return (await tenant.call('GET', path, undefined, { check: false })).body
}
/** The code and text of a refusal. */
async function refusal(sending: Promise<string>) {
  const error = await sending.then(
    (response) => expect.unreachable(response),
    (thrown: Error & { response?: string }) => thrown,
  )
  return error.response ?? error.message
}

describe('a new mail', () => {
  test('opens a conversation: its sender is in it, and those in its Cc', async () => {
    const { tenant, address } = await mailbox()
    const reply = await world.send({
      to: address,
      headers: {
        To: `Support <${address}>, "Bob, B." <bob@example.org>`,
        Cc: 'carol@example.org, ann@EXAMPLE.org',
        Subject: 'My order',
      },
      text: 'Where is it?\n',
    })
    expect(reply).toMatch(/^250 /)
    const { sid, bindings, state } = await only(tenant)
    expect(state).toBe('active')
    expect(bindings.email.projected_address).toMatch(/^support\d+\+[0-9a-f]{20}@example\.com$/)
    expect(await membersOf(tenant, sid)).toEqual([
      { type: 'email', address: 'ann@example.org', level: 'to', name: 'Ann Lee' },
      { type: 'email', address: 'bob@example.org', level: 'to', name: 'Bob, B.' },
      { type: 'email', address: 'carol@example.org', level: 'cc', name: null },
    ])
    const [message] = await messagesOf(tenant, sid)
    expect(message).toMatchObject({ author: 'ann@example.org', body: 'Where is it?', delivery: null })
    expect(message.media).toEqual([expect.objectContaining({ content_type: 'text/plain', size: 12 })])
    // Nobody is sent what its sender has sent them.
    expect(relay.waiting).toEqual([])
  })

  test('is kept as it came, for the operator', async () => {
    const { tenant, address } = await mailbox()
    const raw = `From: ann@example.org\r\nTo: ${address}\r\nSubject: Raw\r\nMessage-ID: <raw@example.org>\r\nReferences: <a@x> <b@x>\r\nIn-Reply-To: <b@x>\r\n\r\nAs it \xe9 is\r\n`
    await world.send({ to: address, raw: Buffer.from(raw, 'latin1') })
    const { sid } = await only(tenant)
    const [message] = await messagesOf(tenant, sid)
    const { type, data } = await metadataOf(tenant, message)
    expect(type).toBe('email')
    expect(data).toEqual({
      message_id: '<raw@example.org>',
      in_reply_to: '<b@x>',
      references: '<a@x> <b@x>',
      source: expect.stringMatching(/^ME/),
    })
    const { chat_service_sid } = await only(tenant)
    const content = await fetch(`${server.url}/v1/Services/${chat_service_sid}/Media/${data.source}/Content`, {
      headers: { authorization: `Basic ${Buffer.from(`${tenant.account_sid}:${tenant.auth_token}`).toString('base64')}` },
    })
    expect(Buffer.from(await content.arrayBuffer()).toString('latin1')).toContain('As it \xe9 is\r\n')
  })

  test('with a Reply-To shows it in the name of its sender', async () => {
    const { tenant, address } = await mailbox()
    await world.send({ to: address, headers: { 'Reply-To': 'Office <office@example.net>' } })
    expect(await membersOf(tenant, (await only(tenant)).sid)).toMatchObject([
      { address: 'ann@example.org', name: 'Ann Lee (reply-to: office@example.net)' },
    ])
  })

  test('is told to webhooks with the channel as its source', async () => {
    const { tenant, address } = await mailbox()
    const { catchWebhooks } = await import('../support/webhook-catcher.ts')
    const catcher = await catchWebhooks({ authToken: tenant.auth_token })
    const Filters = 'onConversationAdded'
    await tenant.call('POST', '/v1/Configuration/Webhooks', [
      ['PostWebhookUrl', catcher.url()],
      ['Filters', Filters],
      ['Filters', 'onParticipantAdded'],
      ['Filters', 'onMessageAdded'],
    ])
    await world.send({ to: address })
    const events = [await catcher.next(), await catcher.next(), await catcher.next()].map(({ params }) => params)
    expect(events.map(({ EventType, Source }) => [EventType, Source])).toEqual([
      ['onConversationAdded', 'EMAIL'],
      ['onParticipantAdded', 'EMAIL'],
      ['onMessageAdded', 'EMAIL'],
    ])
    expect(events[2]).toMatchObject({ Author: 'ann@example.org', Body: 'Hello' })
    expect(JSON.parse(events[2]?.ChannelMetadata ?? '')).toMatchObject({ type: 'email' })
    await catcher.close()
  })
})

describe('threading', () => {
  /** A conversation that a mail has opened, and Parley's answer to it. */
  async function opened(more: { text?: string; headers?: Record<string, string> } = {}) {
    const { tenant, address } = await mailbox()
    await world.send({ to: address, ...more })
    const { sid, bindings } = await only(tenant)
    const path = `/v1/Conversations/${sid}`
    const answer = async (Body: string) => {
      const members = (await membersOf(tenant, sid)).length
      await tenant.call('POST', `${path}/Messages`, { Author: 'alice', Body })
      const copies = []
      for (let i = 0; i < members; i++) copies.push(await relay.next())
      return copies[0] ?? expect.unreachable()
    }
    const bodies = async () => (await messagesOf(tenant, sid)).map(({ body }: { body: string }) => body)
    return { tenant, address, sid, path, tag: bindings.email.projected_address as string, answer, bodies }
  }

  test('an answer goes out in the thread of the mail', async () => {
    const { address, tag, answer } = await opened({ headers: { Subject: 'Order 7', 'Message-ID': '<first@example.org>' } })
    const { mail, from } = await answer('On its way')
    expect(mail).toMatchObject({
      from: { address },
      reply_to: [{ address: tag }],
      subject: 'Re: Order 7',
      in_reply_to: ['<first@example.org>'],
      to: [{ address: 'ann@example.org', name: 'Ann Lee' }],
    })
    expect(mail.references).toEqual([mail.message_id, '<first@example.org>'])
    expect(from).toMatch(/^support\d+\+b\./)
  })

  test('a reply to the plus address is joined by it, whatever else is lost', async () => {
    const { tag, answer, bodies } = await opened()
    await answer('On its way')
    await world.send({
      to: tag.toUpperCase(),
      headers: { Subject: 'Something else' },
      text: 'Thanks!\n\nOn Thu, 26 Nov 2026 at 10:00, Support wrote:\n> On its way\n',
    })
    expect(await bodies()).toEqual(['Hello', 'On its way', 'Thanks!'])
  })

  test('a reply of the Cc person to the bare address is joined by its references', async () => {
    const { address, answer, bodies, tenant, sid } = await opened({ headers: { Cc: 'bob@example.org' } })
    const { mail } = await answer('On its way')
    await world.send({ from: 'bob@example.org', to: address, headers: { 'In-Reply-To': mail.message_id ?? '' }, text: 'Me too' })
    expect(await bodies()).toEqual(['Hello', 'On its way', 'Me too'])
    await world.send({
      from: 'bob@example.org',
      to: address,
      headers: { References: `<x@y> ${mail.message_id} <z@y>` },
      text: 'Again',
    })
    expect(await bodies()).toHaveLength(4)
    expect(await membersOf(tenant, sid)).toHaveLength(2)
  })

  test('a stranger with a guessed id is not joined', async () => {
    const { tenant, address, answer, bodies } = await opened()
    const { mail } = await answer('On its way')
    await world.send({ from: 'eve@example.net', to: address, headers: { 'In-Reply-To': mail.message_id ?? '' } })
    expect(await bodies()).toEqual(['Hello', 'On its way'])
    expect(await conversations(tenant)).toHaveLength(2)
  })

  test('a stranger with a forged tag is not joined', async () => {
    const { tenant, tag, bodies } = await opened()
    await world.send({ from: 'eve@example.net', to: tag.replace(/\+./, (found) => (found === '+0' ? '+1' : '+0')) })
    expect(await bodies()).toEqual(['Hello'])
    expect(await conversations(tenant)).toHaveLength(2)
  })

  test('somebody new who has the conversation’s own address joins it', async () => {
    const { tenant, tag, sid, bodies } = await opened()
    await world.send({
      from: 'Dave <dave@example.net>',
      to: tag,
      text: 'Ann asked me to answer',
      headers: { Cc: 'ann@example.org' },
    })
    expect(await bodies()).toEqual(['Hello', 'Ann asked me to answer'])
    expect(await membersOf(tenant, sid)).toMatchObject([
      { address: 'ann@example.org' },
      { address: 'dave@example.net', name: 'Dave' },
    ])
  })

  test('the tag of one mailbox is none of another', async () => {
    const { tag, bodies } = await opened()
    const other = await mailbox()
    const forged = tag.replace(/^[^+]+/, other.address.split('@')[0] ?? '')
    await world.send({ to: forged })
    expect(await bodies()).toEqual(['Hello'])
    expect(await conversations(other.tenant)).toHaveLength(1)
  })

  test('the second answer names the whole chain, in order', async () => {
    const { tag, answer } = await opened({ headers: { 'Message-ID': '<one@example.org>' } })
    const first = await answer('A')
    await world.send({ to: tag, headers: { 'Message-ID': '<two@example.org>', 'In-Reply-To': first.mail.message_id ?? '' } })
    const { mail } = await answer('B')
    expect(mail.references).toEqual([mail.message_id, '<one@example.org>', first.mail.message_id, '<two@example.org>'])
    expect(mail.in_reply_to).toEqual(['<two@example.org>'])
  })

  test('references that were lost, and an id that a relay has rewritten, do not matter', async () => {
    const { address, answer, bodies } = await opened()
    const { mail } = await answer('On its way')
    // Amazon SES gives the mail another Message-ID: what comes back names that, and what was in our References.
    await world.send({
      to: address,
      headers: { 'In-Reply-To': '<0102@eu.amazonses.com>', References: `${mail.message_id} <0102@eu.amazonses.com>` },
    })
    // Neither: then sender and mailbox tell.
    await world.send({ to: address, headers: { 'In-Reply-To': '<0102@eu.amazonses.com>' } })
    expect(await bodies()).toHaveLength(4)
  })

  test('sender and mailbox are found in whatever case; a pdf and an inline image are attachments of their own', async () => {
    const { address, bodies, tenant, sid } = await opened()
    const raw = [
      'From: ANN@EXAMPLE.ORG',
      `To: ${address}`,
      'Message-ID: <html@example.org>',
      'Content-Type: multipart/mixed; boundary=m',
      '',
      '--m',
      'Content-Type: multipart/related; boundary=r',
      '',
      '--r',
      'Content-Type: text/html; charset=utf-8',
      '',
      '<p>See <img src="cid:logo"></p>',
      '--r',
      'Content-Type: image/png; name="logo.png"',
      'Content-ID: <logo>',
      'Content-Transfer-Encoding: base64',
      '',
      'iVBORw0KGgo=',
      '--r--',
      '--m',
      'Content-Type: application/pdf',
      "Content-Disposition: attachment; filename*=UTF-8''%C3%A4.pdf",
      'Content-Transfer-Encoding: base64',
      '',
      'JVBERi0=',
      '--m--',
      '',
    ].join('\r\n')
    await world.send({ from: 'ANN@EXAMPLE.ORG', to: address.toUpperCase(), raw })
    expect(await bodies()).toEqual(['Hello', 'See'])
    const { media } = (await messagesOf(tenant, sid))[1]
    expect(media.map(({ filename, content_type }: Record<string, string>) => [filename, content_type])).toEqual([
      [null, 'text/plain'],
      [null, 'text/html'],
      ['logo.png', 'image/png'],
      ['ä.pdf', 'application/pdf'],
    ])
  })

  test('a reply after the close opens a new conversation, with what it quotes', async () => {
    const { tenant, tag, path, answer, sid } = await opened()
    const { mail } = await answer('Done')
    await tenant.call('POST', path, { State: 'closed' })
    await world.send({
      to: tag,
      headers: { 'In-Reply-To': mail.message_id ?? '' },
      text: 'One more thing\n\nOn Thu, 26 Nov 2026 at 10:00, Support wrote:\n> Done\n',
    })
    const [, second] = await conversations(tenant)
    expect(second.sid).not.toBe(sid)
    const [message] = await messagesOf(tenant, second.sid)
    expect(message.body).toBe('One more thing')
    // The quote is there for who wants to see the thread.
    expect(message.media).toHaveLength(2)
  })

  test('the same mail is in a conversation once, to however many of its addresses and however often it comes', async () => {
    const { address, tag, bodies } = await opened()
    const again = { to: [address, tag], headers: { 'Message-ID': '<twice@example.org>' }, text: 'Twice' }
    await world.send(again)
    await world.send(again)
    expect(await bodies()).toEqual(['Hello', 'Twice'])
    const unnamed = { to: address, headers: { 'Message-ID': null }, text: 'Without an id' }
    await world.send(unnamed)
    await world.send(unnamed)
    expect(await bodies()).toHaveLength(3)
  })

  test('a mailbox is that of the account that has configured it first, whatever another one does', async () => {
    const { tenant, address, bodies, tag } = await opened()
    const other = await newTenant(server)
    await other.call('POST', '/v1/Configuration/Addresses', { Type: 'email', Address: address, 'AutoCreation.Enabled': 'true' })
    const made = (await other.call('POST', '/v1/Conversations', { 'Bindings.Email.Address': address })).body
    for (const Address of ['ann@example.org', 'new@example.org']) {
      await other.call('POST', `/v1/Conversations/${made.sid}/Participants`, { 'MessagingBinding.Address': Address })
    }
    await world.send({ to: address, text: 'To the first' })
    await world.send({ to: tag, text: 'By the tag' })
    await world.send({ from: 'new@example.org', to: address })
    expect(await bodies()).toHaveLength(3)
    expect(await conversations(tenant)).toHaveLength(2)
    expect(await messagesOf(other, made.sid)).toEqual([])
    // The other one's own address is its own.
    await world.send({ to: made.bindings.email.projected_address, text: 'By the tag of the other' })
    expect(await messagesOf(other, made.sid)).toHaveLength(1)
  })

  test('a mailbox of conversations alone is that of the account that had it first, also when another one configures it', async () => {
    const [tenant, other] = [await newTenant(server), await newTenant(server)]
    const address = `bound${++boxes}@example.com`
    const binding = { 'Bindings.Email.Address': address }
    // Older, and with the mailbox later; its date is one that an import may have.
    const old = (await other.call('POST', '/v1/Conversations', { DateCreated: '2001-01-01T00:00:00Z' })).body
    const { sid } = (await tenant.call('POST', '/v1/Conversations', binding)).body
    await tenant.call('POST', `/v1/Conversations/${sid}/Participants`, { 'MessagingBinding.Address': 'ann@example.org' })
    const form = { Type: 'email', Address: address.toUpperCase(), 'AutoCreation.Enabled': 'true' }
    await other.call('POST', '/v1/Configuration/Addresses', form)
    await other.call('POST', `/v1/Conversations/${old.sid}`, binding)
    await other.call('POST', '/v1/Conversations', { ...binding, DateCreated: '2001-01-01T00:00:00Z' })
    // What is no other mailbox changes nothing.
    await tenant.call('POST', `/v1/Conversations/${sid}`, {
      'Bindings.Email.Address': address.toUpperCase(),
      FriendlyName: 'Later',
    })
    await world.send({ to: address, text: 'To the first' })
    expect(await messagesOf(tenant, sid)).toMatchObject([{ body: 'To the first' }])
    expect(await conversations(other)).toHaveLength(2)
    // Once the first one has it no more, it is the other's.
    await tenant.call('POST', `/v1/Conversations/${sid}`, { 'Bindings.Email.Address': `else${boxes}@example.com` })
    await world.send({ to: address, text: 'To the second' })
    expect(await messagesOf(tenant, sid)).toHaveLength(1)
    expect(await conversations(other)).toHaveLength(3)
  })

  test('a mail whose ids have control characters is taken, once', async () => {
    const { tenant, address } = await mailbox()
    const ids = { 'Message-ID': '<a\0b@x>', 'In-Reply-To': '<c\0d@x>', References: '<e\u0001f@x> <good@x>' }
    for (let i = 0; i < 2; i++) {
      expect(await world.send({ to: address, headers: ids, text: 'NUL' })).toMatch(/^250 /)
    }
    const { sid } = await only(tenant)
    const messages = await messagesOf(tenant, sid)
    expect(messages).toMatchObject([{ body: 'NUL' }])
    expect(await metadataOf(tenant, messages[0])).toMatchObject({
      data: { message_id: null, in_reply_to: null, references: '<good@x>' },
    })
  })

  test('the own address of a conversation is no mailbox of another account', async () => {
    const { tag, bodies } = await opened()
    const other = await newTenant(server)
    await other.call('POST', '/v1/Configuration/Addresses', { Type: 'email', Address: tag, 'AutoCreation.Enabled': 'true' })
    const made = (await other.call('POST', '/v1/Conversations', { 'Bindings.Email.Address': tag })).body
    await world.send({ to: tag, text: 'By the tag' })
    expect(await bodies()).toEqual(['Hello', 'By the tag'])
    expect(await conversations(other)).toMatchObject([{ sid: made.sid }])
    expect(await messagesOf(other, made.sid)).toEqual([])
  })
})

describe('automatic mail', () => {
  test('joins a conversation, marked as such, but opens none', async () => {
    const { tenant, address } = await mailbox()
    expect(await world.send({ to: address, headers: { Precedence: 'bulk', 'List-Id': '<news.example.org>' } })).toMatch(/^250 /)
    expect(await world.send({ to: address, headers: { 'Auto-Submitted': 'auto-replied' } })).toMatch(/^250 /)
    expect(await conversations(tenant)).toEqual([])
    await world.send({ to: address })
    const { sid, bindings } = await only(tenant)
    await world.send({ to: bindings.email.projected_address, headers: { 'Auto-Submitted': 'auto-replied' }, text: 'I am away' })
    const [, away] = await messagesOf(tenant, sid)
    expect(away.body).toBe('I am away')
    expect(await metadataOf(tenant, away)).toMatchObject({ data: { automatic: 'auto_submitted' } })
  })

  test('two programs that answer each other send one mail each', async () => {
    const { tenant, address } = await mailbox()
    await world.send({ to: address })
    const { sid } = await only(tenant)
    const answer = async () => (await tenant.call('POST', `/v1/Conversations/${sid}/Messages`, { Body: 'We got your mail' })).body
    await answer()
    const { from } = await relay.next()
    // The other one answers to the return path, as auto-responders do.
    await world.send({ to: from, path: '', headers: { 'Auto-Submitted': 'auto-replied' }, text: 'I am away' })
    expect(await messagesOf(tenant, sid)).toHaveLength(3)
    const { sid: second } = await answer()
    const receipts = `/v1/Conversations/${sid}/Messages/${second}/Receipts`
    await expect.poll(async () => (await tenant.call('GET', receipts)).body.delivery_receipts).toHaveLength(1)
    expect((await tenant.call('GET', receipts)).body.delivery_receipts).toMatchObject([{ status: 'failed', error_code: 30007 }])
    expect(relay.waiting).toEqual([])
    // A person's answer goes out.
    await tenant.call('POST', `/v1/Conversations/${sid}/Messages`, { Author: 'alice', Body: 'When are you back?' })
    expect((await relay.next()).mail.text?.trim()).toBe('When are you back?')
  })

  test('a mail from a mailbox of the same account is dropped: it would come back for ever', async () => {
    const { tenant, address } = await mailbox()
    const second = address.replace('@', '.sales@')
    await tenant.call('POST', '/v1/Configuration/Addresses', { Type: 'email', Address: second, 'AutoCreation.Enabled': 'true' })
    await world.send({ from: second, to: address })
    expect(await conversations(tenant)).toEqual([])
    // To another account it is a person's address like any other.
    const other = await mailbox()
    await world.send({ from: other.address, to: address, headers: { Cc: second } })
    const { sid } = await only(tenant)
    expect(await membersOf(tenant, sid)).toMatchObject([{ address: other.address }])
  })

  test('a sender who does not stop is told to wait', async () => {
    const { address } = await mailbox()
    for (let i = 0; i < 100; i++) await world.send({ from: 'loop@example.org', to: address })
    expect(await refusal(world.send({ from: 'loop@example.org', to: address }))).toMatch(/^450 4\.7\.1/)
    expect(await world.send({ from: 'other@example.org', to: address })).toMatch(/^250 /)
    await server.advance('PT61M')
    expect(await world.send({ from: 'loop@example.org', to: address })).toMatch(/^250 /)
  })
})

describe('a bounce', () => {
  const dsn = (recipient: string, action: string, status: string, original = '<unknown@example.com>') =>
    [
      'From: MAILER-DAEMON@mx.example.org',
      'To: x',
      'Subject: Undelivered',
      'Content-Type: multipart/report; report-type=delivery-status; boundary=b',
      '',
      '--b',
      '',
      'It failed.',
      '--b',
      'Content-Type: message/delivery-status',
      '',
      'Reporting-MTA: dns; mx.example.org',
      '',
      `Final-Recipient: rfc822; ${recipient}`,
      `Action: ${action}`,
      `Status: ${status}`,
      '--b',
      'Content-Type: message/rfc822',
      '',
      `Message-ID: ${original}`,
      '',
      'Hello',
      '--b--',
      '',
    ].join('\r\n')

  async function sent() {
    const { tenant, address } = await mailbox()
    await world.send({ to: address, headers: { Cc: 'bob@example.org' } })
    const { sid } = await only(tenant)
    const path = `/v1/Conversations/${sid}/Messages`
    const message = (await tenant.call('POST', path, { Author: 'alice', Body: 'Hi' })).body
    const copies = [await relay.next(), await relay.next()]
    const receipts = async () => {
      const { delivery_receipts } = (await tenant.call('GET', `${path}/${message.sid}/Receipts`)).body
      return delivery_receipts.map((one: { status: string; error_code: number }) => [one.status, one.error_code])
    }
    await expect.poll(receipts).toEqual([
      ['sent', 0],
      ['sent', 0],
    ])
    return { tenant, address, sid, path, copies, receipts }
  }

  test('to the return path moves the receipt of that copy, opens nothing, and ends the mail to an address that does not exist', async () => {
    const { tenant, sid, path, copies, receipts } = await sent()
    await world.send({ to: copies[1]?.from ?? '', path: '', raw: dsn('bob@example.org', 'failed', '5.1.1') })
    expect(await receipts()).toEqual([
      ['sent', 0],
      ['undelivered', 30005],
    ])
    expect(await messagesOf(tenant, sid)).toHaveLength(2)
    await only(tenant)
    const before = relay.attempts
    const next = (await tenant.call('POST', path, { Author: 'alice', Body: 'Again' })).body
    expect((await relay.next()).to).toEqual(['ann@example.org'])
    const poll = () => tenant.call('GET', `${path}/${next.sid}/Receipts`).then(({ body }) => body.delivery_receipts)
    await expect.poll(poll).toHaveLength(2)
    expect(relay.attempts - before).toBe(1)
    // Who writes has the address after all.
    await world.send({ from: 'bob@example.org', to: copies[0]?.mail.reply_to[0]?.address ?? '' })
    expect((await tenant.admin('GET', `/accounts/${tenant.account_sid}/mail-blocks`)).mail_blocks).toEqual([])
  })

  test('that says nothing certain changes nothing; one of success moves the receipt, and a late failure no more', async () => {
    const { copies, receipts } = await sent()
    const to = copies[0]?.from ?? ''
    await world.send({ to, path: '', raw: dsn('ann@example.org', 'delayed', '4.4.1') })
    expect((await receipts())[0]).toEqual(['sent', 0])
    await world.send({ to, path: '', raw: dsn('ann@example.org', 'delivered', '2.1.5') })
    expect((await receipts())[0]).toEqual(['delivered', 0])
    await world.send({ to, path: '', raw: dsn('ann@example.org', 'failed', '5.2.2') })
    expect((await receipts())[0]).toEqual(['delivered', 0])
  })

  test('to the mailbox finds its mail by the Message-ID, and blocks nobody', async () => {
    const { tenant, address, copies, receipts } = await sent()
    const raw = dsn('bob@example.org', 'failed', '5.1.1', copies[0]?.mail.message_id ?? '')
    await world.send({ to: address, path: '', raw })
    expect((await receipts())[1]).toEqual(['undelivered', 30005])
    expect((await tenant.admin('GET', `/accounts/${tenant.account_sid}/mail-blocks`)).mail_blocks).toEqual([])
  })

  test('with a forged return path is no mailbox here', async () => {
    const { copies, receipts } = await sent()
    const forged = (copies[0]?.from ?? '').replace(/\.(.)/, (_, digit) => `.${digit === '0' ? '1' : '0'}`)
    await world.send({ to: forged, path: '', raw: dsn('ann@example.org', 'failed', '5.1.1') })
    expect((await receipts())[0]).toEqual(['sent', 0])
  })
})

describe('the listener', () => {
  test('takes mail for mailboxes here only: it is no relay', async () => {
    const { tenant, address } = await mailbox()
    expect(await refusal(world.send({ to: `nobody.${address}` }))).toMatch(/^550 5\.1\.1/)
    expect(await refusal(world.send({ to: 'someone@gmail.com' }))).toMatch(/^550 5\.1\.1/)
    expect(await refusal(world.send({ to: address.replace('@', '%gmail.com@') }))).toMatch(/^550 5\.1\.1/)
    // Of several recipients those that are known get it.
    await world.send({ to: [address, 'someone@gmail.com'] })
    await only(tenant)
    // A tag of the sender's own belongs to the mailbox.
    await world.send({ from: 'tim@example.org', to: address.replace('@', '+shop@') })
    expect(await conversations(tenant)).toHaveLength(2)
  })

  test('refuses what has no place: a mailbox that opens nothing, a suspended account', async () => {
    const closed = await mailbox({ 'AutoCreation.Enabled': 'false' })
    expect(await refusal(world.send({ to: closed.address }))).toMatch(/^550 5\.7\.1/)
    const { tenant, address } = await mailbox()
    await tenant.admin('POST', `/accounts/${tenant.account_sid}`, { status: 'suspended' })
    expect(await refusal(world.send({ to: address }))).toMatch(/^550 5\.7\.1/)
  })

  test('refuses a mail that is too large, before it is sent and after', async () => {
    await using small = await startServer({ mailListen: { host: '127.0.0.1', port: 0 }, mailMaxBytes: 2048 })
    await small.call('POST', '/v1/Configuration/Addresses', {
      Type: 'email',
      Address: 'a@example.com',
      'AutoCreation.Enabled': 'true',
    })
    const sender = outside(small.mailPort ?? 0)
    expect(await refusal(sender.send({ to: 'a@example.com', text: 'x'.repeat(3000) }))).toMatch(/^552 /)
    expect(await sender.send({ to: 'a@example.com', text: 'x'.repeat(1000) })).toMatch(/^250 /)
    sender.close()
  })

  test('takes hostile mail in one piece', async () => {
    const { tenant, address } = await mailbox()
    const parts = Array.from({ length: 2000 }, (_, i) => `--b${i}\r\nContent-Type: multipart/mixed; boundary=b${i + 1}\r\n\r\n`)
    const raw = `From: ann@example.org\r\nSubject: Deep\r\nContent-Type: multipart/mixed; boundary=b0\r\n\r\n${parts.join('')}`
    await world.send({ to: address, raw })
    const [message] = await messagesOf(tenant, (await only(tenant)).sid)
    expect(message).toMatchObject({ body: '', media: null })
    expect(await metadataOf(tenant, message)).toMatchObject({
      data: { unparsed: expect.stringMatching(/nesting/i), source: expect.stringMatching(/^ME/) },
    })
  })
})

describe('POST /admin/v1/mail', () => {
  const post = async (query: string, body: string | Buffer, type = 'message/rfc822') => {
    const response = await fetch(`${server.url}/admin/v1/mail${query}`, {
      method: 'POST',
      headers: { authorization: 'Bearer operator-token-of-the-tests', 'content-type': type },
      body,
    })
    return { status: response.status, body: (await response.json()) as Record<string, unknown> }
  }

  test('takes a mail as a mail server has it', async () => {
    const { tenant, address } = await mailbox()
    const raw = `From: ann@example.org\r\nTo: ${address}\r\nMessage-ID: <posted-${address}>\r\n\r\nPosted\r\n`
    const first = await post(`?from=ann@example.org&to=${encodeURIComponent(address)}`, raw)
    const { sid } = await only(tenant)
    expect(first).toMatchObject({ status: 201, body: { results: [{ outcome: 'received', conversation_sid: sid, why: null }] } })
    expect(await post('', raw)).toMatchObject({
      status: 201,
      body: { results: [{ outcome: 'duplicate', conversation_sid: sid }] },
    })
    expect(await post(`?from=a@b.cd&to=${address}`, '')).toMatchObject({
      status: 422,
      body: { error: '5.6.0 the mail is empty' },
    })
    const bulk = await post('', raw.replace('Message-ID', 'Precedence: bulk\r\nX-Old').replace('ann@', 'new@'))
    expect(bulk).toMatchObject({ status: 201, body: { results: [{ outcome: 'dropped', why: 'automatic: bulk' }] } })
  })

  test('without an envelope in the query has that of the headers', async () => {
    const { tenant, address } = await mailbox()
    const raw = `Return-Path: <ann@example.org>\r\nDelivered-To: ${address}\r\nTo: list@example.net\r\n\r\nWithout a From\r\n`
    expect(await post('', raw)).toMatchObject({ status: 201, body: { results: [{ outcome: 'received' }] } })
    expect(await membersOf(tenant, (await only(tenant)).sid)).toMatchObject([
      { address: 'ann@example.org' },
      { address: 'list@example.net' },
    ])
  })

  test.for([
    ['', 'From: a@b.cd\r\nTo: nobody@nowhere.example\r\n\r\nx', 'message/rfc822', 422],
    ['', '', 'message/rfc822', 422],
    ['', '{}', 'application/json', 415],
    ['?what=1', 'x', 'message/rfc822', 400],
    [`?to=${'x'.repeat(300)}`, 'x', 'message/rfc822', 400],
  ] as const)('%s %j as %s is refused', async ([query, body, type, status]) => {
    expect(await post(query, body, type)).toMatchObject({ status, body: { error: expect.stringMatching(/./) } })
  })
})
