import { readdirSync, readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { automaticKind } from '../../src/channels/email/automatic.ts'
import { cutHtml, htmlToText } from '../../src/channels/email/html.ts'
import { readMail } from '../../src/channels/email/read.ts'
import { MailReader } from '../../src/channels/email/reader.ts'
import { unwrapBase64 } from '../../src/channels/email/unwrap.ts'
import { cutText } from '../../src/channels/email/visible.ts'

const MiB = 1024 * 1024
const head = (type: string) => `From: Ann <ann@example.org>\r\nSubject: Hostile\r\nMessage-ID: <h@x>\r\nContent-Type: ${type}\r\n`

function nested(depth: number): string {
  const open = Array.from({ length: depth }, (_, i) => `--b${i}\r\nContent-Type: multipart/mixed; boundary=b${i + 1}\r\n\r\n`)
  return `${head('multipart/mixed; boundary=b0')}\r\n${open.join('')}--b${depth}\r\n\r\nDeep inside\r\n`
}

/*
 * Each of these took longer than a test may before it was bounded, or would with an expression that looks again at what it has seen.
 * The time limit of a test is its bound.
 */
const mails: Readonly<Record<string, () => string | Buffer>> = {
  '2,000 nested parts': () => nested(2000),
  '100,000 headers': () => `${head('text/plain')}${'X-Filler: 1234567890\r\n'.repeat(100_000)}\r\nText\r\n`,
  'a header of 5 MB': () => `${head('text/plain')}X-Long: ${'a'.repeat(5 * MiB)}\r\n\r\nText\r\n`,
  'a subject of encoded words without end': () => `${head('text/plain')}Subject: ${'=?utf-8?Q?'.repeat(30_000)}\r\n\r\nText\r\n`,
  '20,000 recipients': () => `${head('text/plain')}To: ${'"x, y" <a@example.org>, '.repeat(20_000)}\r\n\r\nText\r\n`,
  'addresses of nothing but quotes and brackets': () => `${head('text/plain')}To: ${'"<(\\'.repeat(50_000)}\r\n\r\nText\r\n`,
  '10,000 flat parts': () =>
    `${head('multipart/mixed; boundary=b')}\r\n${'--b\r\nContent-Type: x/y\r\n\r\nz\r\n'.repeat(10_000)}--b--\r\n`,
  'a line of 10 MB': () => `${head('text/plain')}\r\n${'a'.repeat(10 * MiB)}\r\n`,
  '100,000 empty lines': () => `${head('text/plain')}\r\n${'\r\n'.repeat(100_000)}end\r\n`,
  '20 million empty lines': () => `${head('text/plain')}\r\n${'\n'.repeat(20_000_000)}end\r\n`,
  '100,000 quoted lines': () => `${head('text/plain')}\r\n${'> a\r\n'.repeat(100_000)}end\r\n`,
  'the beginning of a quote 30,000 times': () => `${head('text/plain')}\r\n${'On a a a a a a a\r\n'.repeat(30_000)}`,
  'labels without end': () => `${head('text/plain')}\r\n${'From: x\r\nTo: y\r\n\r\n'.repeat(20_000)}`,
  NULs: () => Buffer.concat([Buffer.from(`${head('text/plain')}\r\n`), Buffer.alloc(5 * MiB)]),
  'a zip bomb as an attachment': () =>
    `${head('application/zip')}Content-Transfer-Encoding: base64\r\n\r\n${gzipSync(Buffer.alloc(20 * MiB)).toString('base64')}\r\n`,
  'shift states without end': () => `${head('text/plain; charset=iso-2022-jp')}\r\n${'\x1b$B\x1b(B'.repeat(500_000)}\r\n`,
  'base64 of 10 MB in UTF-16': () =>
    `${head('text/plain; charset=utf-16le')}Content-Transfer-Encoding: base64\r\n\r\n${Buffer.alloc(5 * MiB, 'a\0').toString('base64')}\r\n`,
  'HTML of 300,000 open elements': () => `${head('text/html')}\r\n${'<div>'.repeat(300_000)}deep\r\n`,
  'HTML of 1 MB of open angle brackets': () => `${head('text/html')}\r\n${'<'.repeat(MiB)}\r\n`,
  'HTML of comments that do not end': () => `${head('text/html')}\r\n${'<!--'.repeat(200_000)}\r\n`,
  'HTML of styles that do not end': () => `${head('text/html')}\r\n<p class="gmail_quote">${'<style>a</'.repeat(100_000)}\r\n`,
  'HTML of a class that does not end': () => `${head('text/html')}\r\n<p ${'class=gmail '.repeat(100_000)}>x\r\n`,
  'HTML of images': () =>
    `${head('multipart/related; boundary=b')}\r\n--b\r\nContent-Type: text/html\r\n\r\n${'<img alt="" src="cid:x">'.repeat(50_000)}${'<img '.repeat(50_000)}\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <x>\r\n\r\nabc\r\n--b--\r\n`,
  'HTML and text in turns': () =>
    `${head('multipart/mixed; boundary=b')}\r\n${`--b\r\nContent-Type: text/html\r\n\r\n${'<p>'.repeat(100)}\r\n--b\r\nContent-Type: text/plain\r\n\r\ntext\r\n`.repeat(1000)}--b--\r\n`,
  'a mail in a mail in a mail …': () => {
    let mail = 'Subject: inner\r\n\r\ntext\r\n'
    for (let i = 0; i < 200; i++) mail = `Content-Type: message/rfc822\r\nSubject: ${i}\r\n\r\n${mail}`
    return `From: Ann <ann@example.org>\r\n${mail}`
  },
  'a report of 10,000 recipients': () =>
    `${head('multipart/report; report-type=delivery-status; boundary=b')}\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\n${'Final-Recipient: rfc822;a@b.c\r\nAction: failed\r\n\r\n'.repeat(10_000)}--b--\r\n`,
  'a bounce without a reason': () =>
    `From: mailer-daemon@example.org\r\nSubject: undeliverable\r\n\r\n${'<a a a a@ <'.repeat(200_000)}\r\n`,
  nothing: () => '',
  'one byte': () => 'a',
  'headers without an end': () => 'From: a@b.cd',
}

describe('hostile mail is taken apart, or kept in one piece, in bounded time and memory', () => {
  test.for(Object.entries(mails))('%s', async ([, make]) => {
    const raw = Buffer.from(make())
    const mail = await readMail(raw)
    const { content } = mail
    automaticKind(mail, null, true)
    expect(Buffer.byteLength(content.text ?? '')).toBeLessThanOrEqual(32_768)
    expect(content.files.length).toBeLessThanOrEqual(103)
    // Nothing expands: what is kept is not larger than what came, but for a name on each image.
    const kept = content.files.reduce((sum, file) => sum + file.content.length, 0)
    expect(kept).toBeLessThanOrEqual(3 * raw.length + 1024)
    if (mail.unparsed !== null) expect(mail.from?.address).toBe('ann@example.org')
  })
})

test('what is beyond the limits has its headers, and says why', async () => {
  for (const raw of [nested(2000), `${head('text/plain')}${'X-Filler: 1234567890\r\n'.repeat(100_000)}\r\nText\r\n`]) {
    const mail = await readMail(Buffer.from(raw))
    expect(mail).toMatchObject({ subject: 'Hostile', message_id: '<h@x>', unparsed: expect.stringMatching(/./) })
  }
})

test('a text whose characters have several bytes is cut to what a body holds', async () => {
  for (const [character, kept] of [
    ['漢', 10_922],
    ['é', 16_384],
    ['😀', 8_192],
  ] as const) {
    const raw = Buffer.from(
      `${head('text/plain; charset=utf-8')}Content-Transfer-Encoding: 8bit\r\n\r\n${character.repeat(40_000)}\r\n`,
    )
    const { content } = await readMail(raw)
    expect(content.text).toBe(character.repeat(kept))
    expect(content.files[0]?.content.length).toBe(Buffer.byteLength(character.repeat(40_000)))
  }
})

test('the parts that are left out are counted', async () => {
  const part = '--b\r\nContent-Type: x/y\r\n\r\nz\r\n'
  const mail = await readMail(Buffer.from(`${head('multipart/mixed; boundary=b')}\r\n${part.repeat(250)}--b--\r\n`))
  expect(mail.content).toMatchObject({ omitted: 150, files: { length: 100 } })
})

test('the cost of cutting grows with the text, not with its square', () => {
  // By what is looked at, not by the clock: a text ten times as long gives the same result for its beginning.
  const short = cutText(`Answer\n\n${'On a a a a a\n'.repeat(1000)}`)
  const long = cutText(`Answer\n\n${'On a a a a a\n'.repeat(100_000)}`)
  expect(long.visible.startsWith(short.visible)).toBe(true)
  expect(long.visible.length).toBeLessThanOrEqual(128 * 1024)
  expect(htmlToText('<p>a</p>'.repeat(500_000)).length).toBeLessThanOrEqual(256 * 1024)
  const huge = '<div class="gmail_quote">x</div>'.repeat(100_000)
  expect(cutHtml(huge)).toEqual({ visible: huge, quoted: null })
})

test('a large mail is read in a thread, with the same result; the next one too after a thread has died', async () => {
  const reader = new MailReader()
  const photo = Buffer.alloc(MiB, 'photo').toString('base64').replace(/.{76}/g, '$&\r\n')
  const raw = Buffer.from(
    `${head('multipart/mixed; boundary=b')}\r\n--b\r\n\r\nHello\r\n--b\r\nContent-Type: image/jpeg; name=p.jpg\r\nContent-Transfer-Encoding: base64\r\n\r\n${photo}\r\n--b--\r\n`,
  )
  const mails = await Promise.all([
    reader.read(raw),
    reader.read(raw),
    reader.read(Buffer.from(`${head('text/plain')}\r\nsmall\r\n`)),
  ])
  expect(mails.map(({ content }) => [content.text, content.files.at(-1)?.content.length])).toEqual([
    ['Hello', MiB],
    ['Hello', MiB],
    ['small', 5],
  ])
  const { content, ...known } = await readMail(raw)
  expect(mails[0]).toMatchObject(known)
  expect(mails[0]?.content.files.map(({ content }) => Buffer.from(content).toString('base64'))).toEqual(
    content.files.map((file) => Buffer.from(file.content).toString('base64')),
  )
  await reader.close()
  expect((await reader.read(raw)).content.text).toBe('Hello')
  await reader.close()
})

test('joining the lines of base64 changes nothing but the number of lines', async () => {
  const folder = new URL('corpus/', import.meta.url)
  for (const name of readdirSync(folder).filter((one) => one.endsWith('.eml'))) {
    const raw = readFileSync(new URL(name, folder))
    expect(await readMail(unwrapBase64(raw)), name).toEqual(await readMail(raw))
  }
  const photo = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 7919) & 255))
  const wrapped = photo.toString('base64').replace(/.{76}/g, '$&\r\n')
  const inText = 'Content-Transfer-Encoding: base64\r\n\r\nQUJD\r\nREVG\r\n'
  const raw = Buffer.from(
    `${head('multipart/mixed; boundary=b')}\r\n--b\r\n\r\n${inText}\r\n--b\r\nContent-Type: image/jpeg\r\ncontent-transfer-encoding : BASE64\r\n\r\n${wrapped}\r\n--b--\r\n`,
  )
  const joined = unwrapBase64(raw)
  expect(joined.filter((byte) => byte === 10).length).toBeLessThan(100)
  const { content } = await readMail(joined)
  expect(content.text).toContain('QUJD\nREVG')
  expect(Buffer.from(content.files.at(-1)?.content ?? [])).toEqual(photo)
})
