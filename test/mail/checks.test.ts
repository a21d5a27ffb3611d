import { generateKeyPairSync } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { createTransport } from 'nodemailer'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { MailReader } from '../../src/channels/email/reader.ts'
import { checkable } from '../../src/channels/email/signatures.ts'
import { startServer } from '../support/server.ts'
import { outside } from './outside.ts'

const MiB = 1024 * 1024
const keys = generateKeyPairSync('rsa', { modulusLength: 2048 })
const publicKey = keys.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')
const from = 'ann@strict.example'
const request = { sender: from, connection: { ip: '127.0.0.1', helo: 'mx.strict.example' } }
const passed = { spf: 'pass', dkim: 'pass', dmarc: 'pass', policy: 'reject' }

/** What the DNS says, and what it was asked for. */
function dns() {
  const asked: string[] = []
  const records: Readonly<Record<string, string>> = {
    'strict.example TXT': 'v=spf1 ip4:127.0.0.1 -all',
    's1._domainkey.strict.example TXT': `v=DKIM1; k=rsa; p=${publicKey}`,
    '_dmarc.strict.example TXT': 'v=DMARC1; p=reject',
  }
  const resolver = async (domain: string, type: string): Promise<string[][]> => {
    asked.push(domain)
    const found = records[`${domain} ${type}`]
    if (found === undefined) throw Object.assign(new Error(`no ${type} of ${domain}`), { code: 'ENOTFOUND' })
    return [[found]]
  }
  return { asked, resolver }
}

async function signed(text: string): Promise<Buffer> {
  const privateKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const transport = createTransport({
    streamTransport: true,
    newline: 'windows',
    dkim: { domainName: 'strict.example', keySelector: 's1', privateKey },
  })
  const { message } = await transport.sendMail({ from, to: 'a@example.com', subject: 'Signed', text })
  return Buffer.isBuffer(message) ? message : buffer(message)
}

const signature = (i: number, more = '') =>
  `DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=d${i}.example; s=s; h=from; l=${i}; bh=x; b=y${more}\r\n`
const mailWith = (headers: string, body = 'Text\r\n') =>
  Buffer.from(`${headers}From: ${from}\r\nTo: support@example.com\r\nSubject: Signed\r\n\r\n${body}`)
const signaturesIn = (raw: Uint8Array | undefined) =>
  Buffer.from(raw ?? [])
    .toString('latin1')
    .match(/^DKIM-Signature/gim)?.length ?? 0

describe('a mail is checked in bounded time', () => {
  let reader: MailReader
  beforeEach(() => {
    reader = new MailReader()
  })
  afterEach(() => reader.close())

  test('a large one in the thread, with the DNS of this one, beside mails that are read', async () => {
    const raw = await signed('Signed text of many lines\n'.repeat(40_000))
    expect(raw.length).toBeGreaterThan(MiB)
    const { asked, resolver } = dns()
    const checking = reader.check(raw, request, resolver)
    const reading = reader.read(raw)
    expect(await checking).toEqual(passed)
    expect(asked).toEqual(expect.arrayContaining(['s1._domainkey.strict.example', '_dmarc.strict.example']))
    expect((await reading).subject).toBe('Signed')
    const changed = Buffer.from(raw)
    changed.write('?', raw.length - 10)
    expect(await reader.check(changed, { ...request, connection: null }, resolver)).toMatchObject({ dmarc: 'fail' })
  })

  test('of many signatures the first ones count, and the DNS is asked for no others', async () => {
    const { asked, resolver } = dns()
    // Of no byte of the body, so that they are right but for their keys.
    const empty = 'l=0; bh=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='
    const others = Array.from({ length: 300 }, (_, i) =>
      signature(i).replace(/l=\d+; h=from; bh=x|h=from; l=\d+; bh=x/, `h=from; ${empty}`),
    )
    const raw = await signed('Signed text')
    const signedAfter = (count: number) => Buffer.concat([Buffer.from(others.slice(0, count).join('')), raw])
    expect(await reader.check(signedAfter(9), request, resolver)).toEqual(passed)
    asked.length = 0
    expect(await reader.check(signedAfter(300), request, resolver)).toMatchObject({
      spf: 'pass',
      dkim: expect.not.stringMatching('pass'),
    })
    expect(asked.filter((name) => name.includes('_domainkey'))).toHaveLength(10)
  })

  // What cannot be sent to the thread shows that a mail goes there.
  const unsendable = { ...request, sender: (() => '') as unknown as string }

  test('what would hold up the event loop is computed in the thread', async () => {
    const { resolver } = dns()
    for (const raw of [
      mailWith(signature(1).replace('l=1; ', ''), ' \t'.repeat(2 * MiB)),
      mailWith(Array.from({ length: 10 }, (_, i) => signature(i)).join(''), ' \t'.repeat(MiB / 32)),
    ]) {
      expect(await reader.check(raw, unsendable, resolver)).toEqual({ unchecked: 'temperror' })
      expect(await reader.check(raw, request, resolver)).toMatchObject({ spf: 'pass', dkim: 'neutral' })
    }
  })

  test('after a failure of the thread the next mail is checked', async () => {
    const raw = await signed('Signed text of many lines\n'.repeat(40_000))
    const { resolver } = dns()
    const [failed, next] = await Promise.all([reader.check(raw, unsendable, resolver), reader.check(raw, request, resolver)])
    expect([failed, next]).toEqual([{ unchecked: 'temperror' }, passed])
  })
})

describe('what is checked of a mail', () => {
  test('ten signatures, of a large mail fewer, none of them long', () => {
    const many = Array.from({ length: 20 }, (_, i) => signature(i)).join('')
    expect(signaturesIn(checkable(mailWith(many))?.raw)).toBe(10)
    expect(signaturesIn(checkable(mailWith(many, 'a'.repeat(20 * MiB)))?.raw)).toBe(3)
    const long = checkable(mailWith(signature(1, ';a=b'.repeat(3000)) + signature(2)))
    expect(long?.signatures).toBe(1)
    expect(signaturesIn(long?.raw)).toBe(1)
    expect(long?.raw.toString()).toMatch(/^X-DKIM-Signature/)
  })

  test.each([
    ['folded before its colon', 'DKIM-Signature\r\n : v=1\r\n'],
    ['in other letters', 'dkim-SIGNATURE \t: v=1\r\n'],
    ['of ARC', 'ARC-Message-Signature: i=1; a=rsa-sha256\r\n'],
  ])('a signature %s counts as well', (_, header) => {
    const found = checkable(mailWith(header.repeat(20)))
    const left = found?.raw.toString().split(/^X-/m).length ?? 0
    expect(left - 1).toBe(header.startsWith('ARC') ? 20 : 10)
  })

  test('a line that is no header belongs to the one above, also when that one is not looked at', () => {
    const raw = mailWith(`${signature(1, ';a=b'.repeat(3000))}, eve@lax.example\r\n`)
    expect(checkable(raw)?.raw.toString()).toBe(`X-${raw.toString()}`)
  })

  test('the headers end at the first empty line, whatever ends lines', () => {
    for (const raw of [
      '\r\nDKIM-Signature: x\r\n',
      '\nDKIM-Signature: x\n',
      'A: b\n\nDKIM-Signature: x\n',
      'A: b\n\r\nDKIM-Signature: x',
      '',
      'a',
    ]) {
      const found = checkable(Buffer.from(raw))
      expect(found).toMatchObject({ signatures: 0 })
      expect(found?.raw.toString()).toBe(raw)
    }
  })

  test.each([
    ['long', `X: ${'a'.repeat(200_000)}\r\n`],
    ['of many lines', `X: a\r\n${' b\r\n'.repeat(5000)}`],
    ['many', 'X: a\r\n'.repeat(5000)],
    ['of a long name', `X${' '.repeat(100_000)}\r: a\r\n`],
    ['without an end', 'X'.repeat(MiB)],
  ])('nothing when headers are %s', async (_, headers) => {
    expect(checkable(mailWith(headers))).toBeNull()
    expect(await new MailReader().check(mailWith(headers), request, dns().resolver)).toEqual({ unchecked: 'permerror' })
  })
})

test.each(['mark', 'reject'] as const)(
  'PARLEY_MAIL_AUTH=%s: a mail whose headers are too large to be checked',
  async (mailAuth) => {
    const listen = { mailListen: { host: '127.0.0.1', port: 0 }, mailAuth } as const
    const server = await startServer(listen, { mailResolver: dns().resolver })
    const world = outside(server.mailPort ?? expect.unreachable())
    try {
      const box = 'support@example.com'
      await server.call('POST', '/v1/Configuration/Addresses', { Type: 'email', Address: box, 'AutoCreation.Enabled': 'true' })
      const sending = world.send({ from, to: box, raw: mailWith(`X: ${'a'.repeat(200_000)}\r\n`) })
      if (mailAuth === 'reject') {
        await expect(sending).rejects.toThrow(/550 5\.7\.1 the headers/)
        return
      }
      expect(await sending).toMatch(/^250/)
      const { conversations } = (await server.call('GET', '/v1/Conversations')).body
      const path = `/v1/Conversations/${conversations[0].sid}/Messages`
      const { messages } = (await server.call('GET', path)).body
      const metadata = await server.call('GET', `${path}/${messages[0].sid}/ChannelMetadata`, undefined, { check: false })
      expect(metadata.body.data.authentication).toEqual({ spf: null, dkim: 'permerror', dmarc: 'permerror', policy: null })
    } finally {
      world.close()
      await server.stop()
    }
  },
)
