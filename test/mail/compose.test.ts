import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { compose, type OutgoingMail, referencesFor } from '../../src/channels/email/compose.ts'
import { parseMail } from '../../src/channels/email/parse.ts'
import { replySubject } from '../../src/resources/conversations/messages/mail.ts'

const mail: OutgoingMail = {
  from: { name: 'Support', address: 'support@example.com' },
  reply_to: 'support+0f3c@example.com',
  to: [{ name: 'Ann', address: 'ann@example.org' }],
  cc: [],
  subject: 'Hello',
  text: 'Text',
  html: null,
  message_id: '<im1@example.com>',
  in_reply_to: null,
  references: [],
  date: 1_795_000_000_000,
  automatic: false,
}
const file = (content: string) => ({
  filename: 'ä\r\nBcc: eve@example.org.pdf',
  content_type: 'application/pdf',
  content: Readable.from([content]),
})

test('the same mail has the same bytes each time', async () => {
  const once = () => buffer(compose({ ...mail, html: '<p>Text</p>', cc: mail.to }, [file('a'.repeat(100_000))]))
  expect(await once()).toEqual(await once())
})

test('what is given comes back, in each header and part', async () => {
  const sent = {
    ...mail,
    subject: 'Größe 🚀',
    html: '<p>Text</p>',
    in_reply_to: '<a@x>',
    references: ['<z@x>', '<a@x>'],
    automatic: true,
  }
  const parsed = await parseMail(await buffer(compose(sent, [file('%PDF')])))
  expect(parsed).toMatchObject({
    from: mail.from,
    to: mail.to,
    reply_to: [{ address: mail.reply_to }],
    subject: 'Größe 🚀',
    message_id: mail.message_id,
    in_reply_to: ['<a@x>'],
    references: ['<im1@example.com>', '<z@x>', '<a@x>'],
    html: expect.stringContaining('<p>Text</p>'),
  })
  expect(parsed.parts.map(({ content_type, content }) => [content_type, Buffer.from(content).toString()])).toEqual([
    ['application/pdf', '%PDF'],
  ])
  const headers = Object.fromEntries(parsed.headers.map(({ key, value }) => [key, value]))
  expect(headers).toMatchObject({ 'auto-submitted': 'auto-generated', 'x-auto-response-suppress': 'OOF, AutoReply' })
  expect(headers).not.toHaveProperty('bcc')
})

test('a name of several lines is one line in every header', async () => {
  const from = { name: 'Support\r\nBcc: eve@example.org', address: mail.from.address }
  const text = String(await buffer(compose({ ...mail, from }, [])))
  expect(text).toContain('From: "Support Bcc: eve@example.org" <support@example.com>\r\n')
  // An encoded line end is one again in programs that decode a header before they take it apart.
  expect(text).not.toMatch(/=0D|=0A/)
})

test('nothing given adds a header, a recipient or a part', async () => {
  const evil = fc.string({
    unit: fc.constantFrom(
      '\r\n',
      '\n',
      '\r',
      '\0',
      'Bcc: eve@example.org',
      '<',
      '>',
      '"',
      ',',
      ';',
      ':',
      'a',
      ' ',
      '=?',
      '\u2028',
      '--im1examplecom',
    ),
  })
  await fc.assert(
    fc.asyncProperty(evil, evil, evil, evil, async (name, subject, text, filename) => {
      const given = {
        ...mail,
        from: { ...mail.from, name },
        to: [{ ...mail.to[0], name, address: 'ann@example.org' }],
        subject,
        text,
      }
      const parsed = await parseMail(await buffer(compose(given, [{ ...file('x'), filename }])))
      const names = parsed.headers.map(({ key }) => key)
      expect(new Set(names).size).toBe(names.length)
      expect(names).not.toContain('bcc')
      expect(parsed.from?.address).toBe('support@example.com')
      expect(parsed.to.map(({ address }) => address)).toEqual(['ann@example.org'])
      expect(parsed.parts).toHaveLength(1)
    }),
    { numRuns: 300 },
  )
  for (const address of ['ann@example.org\r\nBcc: eve@example.org', 'a@b.cd, eve@example.org', 'a@b.cd>\0', '<a@b.cd>']) {
    expect(() => compose({ ...mail, to: [{ name: null, address }] }, [])).toThrow('not a mail address')
  }
})

test('a long chain is shortened in its middle', () => {
  const references = Array.from({ length: 100 }, (_, i) => `<${i}-${'x'.repeat(40)}@example.org>`)
  const sent = referencesFor({ message_id: '<own@x>', references })
  expect(sent.join(' ').length).toBeLessThanOrEqual(1500)
  expect([sent[0], sent[1], sent.at(-1)]).toEqual(['<own@x>', references[0], references.at(-1)])
  expect(sent.slice(2)).toEqual(references.slice(-(sent.length - 2)))
})

test.for([
  ['Order', 'Re: Order'],
  ['Re: Order', 'Re: Order'],
  ['AW: Order', 'AW: Order'],
  ['RE[2]: Order', 'RE[2]: Order'],
  ['Respect: a book', 'Re: Respect: a book'],
] as const)('the answer to %s is %s', ([subject, answer]) => expect(replySubject(subject)).toBe(answer))
