import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { imapBox } from '../../src/channels/email/imap.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type Dovecot, hasDovecot, startDovecot, user } from './dovecot.ts'

test('a URL names server, user and mailbox', () => {
  expect(imapBox('imaps://a%40b.cd:p%2Fw@mail.example.com/Support%20box')).toEqual({
    host: 'mail.example.com',
    port: 993,
    secure: true,
    user: 'a@b.cd',
    password: 'p/w',
    mailbox: 'Support box',
  })
  expect(imapBox('imap://a:b@[::1]:1143')).toMatchObject({ host: '::1', port: 1143, secure: false, mailbox: 'INBOX' })
})

describe.skipIf(!hasDovecot)('a mailbox that is emptied by IMAP', () => {
  let dovecot: Dovecot
  let server: TestServer
  const mail = (n: number, more = '', body = `Mail ${n}`) =>
    `Return-Path: <ann${n}@example.org>\r\n${more}From: Ann <ann${n}@example.org>\r\nTo: ${user}\r\nMessage-ID: <imap-${n}@example.org>\r\nSubject: ${n}\r\n\r\n${body}\r\n`

  beforeAll(async () => {
    dovecot = await startDovecot()
    dovecot.deliver(mail(1))
    server = await startServer({ mailImap: dovecot.url, mailMaxBytes: 20_000 })
    await server.call('POST', '/v1/Configuration/Addresses', { Type: 'email', Address: user, 'AutoCreation.Enabled': 'true' })
  })
  afterAll(async () => {
    await server?.stop()
    await dovecot?.stop()
  })

  const senders = async () => {
    const { conversations } = (await server.call('GET', '/v1/Conversations?PageSize=100')).body
    const found = []
    for (const { sid } of conversations) {
      const { messages } = (await server.call('GET', `/v1/Conversations/${sid}/Messages`)).body
      found.push(...messages.map(({ author }: { author: string }) => author))
    }
    return found.sort()
  }

  test('what is in it, and what comes, is taken and marked as read', async () => {
    // The first may have come before there was a mailbox: then it was refused, and flagged for the operator.
    await expect.poll(() => dovecot.flags()[0]).toMatch(/S/)
    dovecot.deliver(mail(2))
    await expect.poll(senders).toContain('ann2@example.org')
    await expect.poll(() => dovecot.flags()[1]).toBe('S')
  })

  test('a mail that is too large or refused is flagged, and holds up no other', async () => {
    dovecot.deliver(mail(3, '', 'x'.repeat(30_000)))
    dovecot.deliver(mail(4, '').replace(/From:.*/, 'From: nobody'))
    dovecot.deliver(mail(5))
    await expect.poll(senders).toContain('ann5@example.org')
    await expect.poll(() => dovecot.flags().slice(2)).toEqual(['FS', 'S', 'S'])
    expect(await senders()).not.toContain('ann3@example.org')
  })

  test('to the conversation’s own address, as a server has delivered it, is joined; a bounce has no sender', async () => {
    const { conversations } = (await server.call('GET', '/v1/Conversations')).body
    const { sid, bindings } = conversations[0]
    const tag = bindings.email.projected_address
    dovecot.deliver(mail(6, `Delivered-To: ${tag}\r\n`))
    const authors = async () =>
      (await server.call('GET', `/v1/Conversations/${sid}/Messages`)).body.messages.map((one: { author: string }) => one.author)
    await expect.poll(authors).toContain('ann6@example.org')
    dovecot.deliver(mail(7).replace(/Return-Path: .*/, 'Return-Path: <>'))
    await expect.poll(() => dovecot.flags().at(-1)).toBe('S')
    expect(await senders()).not.toContain('ann7@example.org')
  })

  test('after the server was away the mailbox is read again', async () => {
    await dovecot.restart()
    dovecot.deliver(mail(8))
    await expect.poll(senders).toContain('ann8@example.org')
  })
})
