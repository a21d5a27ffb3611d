import { once } from 'node:events'
import type { Message } from '@twilio/conversations'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connected } from '../support/client.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type Outside, outside } from './outside.ts'
import { catchMail, type SmtpCatcher } from './smtp-catcher.ts'

let relay: SmtpCatcher
let server: TestServer
let world: Outside
const box = 'support@example.com'
beforeAll(async () => {
  relay = await catchMail()
  server = await startServer({ mailRelay: relay.url, mailListen: { host: '127.0.0.1', port: 0 } })
  world = outside(server.mailPort ?? 0)
  await server.call('POST', '/v1/Configuration/Addresses', { Type: 'email', Address: box, 'AutoCreation.Enabled': 'true' })
})
afterAll(async () => {
  world.close()
  await server.stop()
  await relay.close()
})

const html = (raw: string) =>
  `From: Ann <ann@example.org>\r\nTo: ${box}\r\nCc: Bob <bob@example.org>\r\nSubject: Order 7\r\nMessage-ID: <${raw.length}@example.org>\r\nContent-Type: text/html; charset=utf-8\r\n\r\n${raw}\r\n`

test('the official client reads a mail as its desktop does, and writes one', async () => {
  await world.send({ to: box, raw: html('<p>First</p>') })
  const { conversations } = (await server.call('GET', '/v1/Conversations')).body
  const path = `/v1/Conversations/${conversations[0].sid}`
  await server.call('POST', `${path}/Participants`, { Identity: 'agent' })
  const agent = await connected(server, 'agent')
  const conversation = await agent.getConversationBySid(conversations[0].sid)
  const added = once(conversation, 'messageAdded')
  await world.send({ to: box, raw: html('<p>Thanks</p><div class="gmail_quote"><blockquote>Earlier</blockquote></div>') })
  const [message] = (await added) as [Message]
  expect(message).toMatchObject({ author: 'ann@example.org', body: 'Thanks', subject: 'Order 7', attachedMedia: [] })
  const textOf = async (media: ReturnType<Message['getEmailBody']>) => {
    const url = await media?.getContentTemporaryUrl()
    return url ? (await fetch(url)).text() : null
  }
  // A message is a mail when it has a body of its own.
  expect(await textOf(message.getEmailBody('text/html'))).toBe('<p>Thanks</p>')
  expect(await textOf(message.getEmailHistory('text/html'))).toContain('Earlier')
  expect(await message.getMessageRecipients()).toMatchObject([
    { level: 'from', address: 'ann@example.org', name: 'Ann' },
    { level: 'cc', address: 'bob@example.org', name: 'Bob' },
  ])

  await conversation
    .prepareMessage()
    .setBody('Plain answer')
    .setSubject('Re: Order 7')
    .setEmailBody('text/html', { contentType: 'text/html', media: Buffer.from('<p>Rich <b>answer</b></p>') })
    .setEmailBody('text/plain', { contentType: 'text/plain', media: Buffer.from('Plain answer') })
    .addMedia({ contentType: 'application/pdf', filename: 'offer.pdf', media: Buffer.from('%PDF-1.4') })
    .build()
    .send()
  const { mail } = await relay.next()
  expect(mail).toMatchObject({
    subject: 'Re: Order 7',
    to: [{ address: 'ann@example.org' }],
    cc: [{ address: 'bob@example.org' }],
  })
  expect(mail.text?.trim()).toBe('Plain answer')
  expect(mail.html).toContain('<p>Rich <b>answer</b></p>')
  expect(mail.parts.map(({ filename, content }) => [filename, Buffer.from(content).toString()])).toEqual([
    ['offer.pdf', '%PDF-1.4'],
  ])
  const { items } = await conversation.getMessages(1)
  expect(await items[0]?.getMessageRecipients()).toMatchObject([
    { level: 'from', address: box, name: null },
    { level: 'to', address: 'ann@example.org' },
    { level: 'cc', address: 'bob@example.org' },
  ])
  const headers = mail.headers.map(({ key }) => key)
  // An agent has written it.
  expect(headers).not.toContain('auto-submitted')
})
