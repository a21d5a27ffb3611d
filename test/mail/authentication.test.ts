import { generateKeyPairSync } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import { createTransport } from 'nodemailer'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { authenticated, isForged, trustedResults } from '../../src/channels/email/authentication.ts'
import { startServer, type TestServer } from '../support/server.ts'
import { type Outside, outside } from './outside.ts'

const keys = generateKeyPairSync('rsa', { modulusLength: 2048 })
const publicKey = keys.publicKey.export({ type: 'spki', format: 'der' }).toString('base64')

/** What the DNS says: 127.0.0.1 and the key may send for `strict.example`, nobody else. */
async function resolver(domain: string, type: string): Promise<string[][]> {
  const records: Readonly<Record<string, string>> = {
    'strict.example TXT': 'v=spf1 ip4:127.0.0.1 -all',
    's1._domainkey.strict.example TXT': `v=DKIM1; k=rsa; p=${publicKey}`,
    '_dmarc.strict.example TXT': 'v=DMARC1; p=reject',
    'lax.example TXT': 'v=spf1 -all',
    '_dmarc.lax.example TXT': 'v=DMARC1; p=none',
  }
  const found = records[`${domain} ${type}`]
  if (found === undefined) throw Object.assign(new Error(`no ${type} of ${domain}`), { code: 'ENOTFOUND' })
  return [[found]]
}

async function signed(from: string, to: string): Promise<Buffer> {
  const privateKey = keys.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()
  const transport = createTransport({
    streamTransport: true,
    newline: 'windows',
    dkim: { domainName: 'strict.example', keySelector: 's1', privateKey },
  })
  const { message } = await transport.sendMail({ from, to, subject: 'Signed', text: 'Signed text' })
  return Buffer.isBuffer(message) ? message : buffer(message)
}

const here = { ip: '127.0.0.1', helo: 'mx.strict.example' }
const elsewhere = { ip: '192.0.2.7', helo: 'forwarder.example' }
const from = 'ann@strict.example'

describe('a mail is checked against the DNS', () => {
  test('signed, from the right server', async () => {
    const raw = await signed(from, 'a@example.com')
    expect(await authenticated(raw, from, here, resolver)).toEqual({ spf: 'pass', dkim: 'pass', dmarc: 'pass', policy: 'reject' })
  })

  test('through a forwarder: SPF fails, and that proves nothing', async () => {
    const found = await authenticated(await signed(from, 'a@example.com'), from, elsewhere, resolver)
    expect(found).toMatchObject({ spf: 'fail', dkim: 'pass', dmarc: 'pass' })
    expect(isForged(found)).toBe(false)
  })

  test('forged, or changed on its way', async () => {
    const forged = await authenticated(Buffer.from(`From: ${from}\r\n\r\nForged\r\n`), from, elsewhere, resolver)
    expect(forged).toMatchObject({ spf: 'fail', dkim: 'none', dmarc: 'fail', policy: 'reject' })
    const raw = Buffer.from((await signed(from, 'a@example.com')).toString().replace('Signed text', 'Changed text'))
    const changed = await authenticated(raw, from, elsewhere, resolver)
    expect(changed.dmarc).toBe('fail')
    expect([forged, changed].map(isForged)).toEqual([true, true])
  })

  test('of a domain that only watches: it is not refused', async () => {
    const raw = Buffer.from('From: bob@lax.example\r\n\r\nx\r\n')
    const found = await authenticated(raw, 'bob@lax.example', elsewhere, resolver)
    expect(found).toMatchObject({ dmarc: 'fail', policy: 'none' })
    expect(isForged(found)).toBe(false)
  })
})

test.for([
  [
    'mx.example.com; spf=pass smtp.mailfrom=a@b.cd; dkim=fail header.d=b.cd; dmarc=fail (p=REJECT sp=NONE) header.from=b.cd',
    { spf: 'pass', dkim: 'fail', dmarc: 'fail', policy: 'reject' },
  ],
  ['MX.example.com 1; dmarc=pass policy.dmarc=quarantine', { spf: null, dkim: null, dmarc: 'pass', policy: 'quarantine' }],
  ['mx.example.com; none', { spf: null, dkim: null, dmarc: null, policy: null }],
  ['other.example.com; dmarc=pass', null],
  ['mx.example.com.evil.example; dmarc=pass', null],
] as const)('%s', ([value, expected]) => {
  expect(trustedResults([{ key: 'authentication-results', value }], 'mx.example.com')).toEqual(expected)
})

test('of several results the first of the trusted server counts: others may have written theirs below', () => {
  const headers = ['other; dmarc=pass', 'mx; dmarc=fail', 'mx; dmarc=pass'].map((value) => ({
    key: 'authentication-results',
    value,
  }))
  expect(trustedResults(headers, 'mx')?.dmarc).toBe('fail')
})

describe('PARLEY_MAIL_AUTH', () => {
  const box = 'support@example.com'
  const running: { server: TestServer; world: Outside }[] = []
  const started = async (config: Parameters<typeof startServer>[0]) => {
    const server = await startServer({ mailListen: { host: '127.0.0.1', port: 0 }, ...config }, { mailResolver: resolver })
    await server.call('POST', '/v1/Configuration/Addresses', { Type: 'email', Address: box, 'AutoCreation.Enabled': 'true' })
    const one = { server, world: outside(server.mailPort ?? 0) }
    running.push(one)
    return one
  }
  const last = async ({ server }: { server: TestServer }) => {
    const { conversations } = (await server.call('GET', '/v1/Conversations')).body
    const path = `/v1/Conversations/${conversations[0].sid}/Messages`
    const { messages } = (await server.call('GET', path)).body
    return (await server.call('GET', `${path}/${messages.at(-1).sid}/ChannelMetadata`, undefined, { check: false })).body.data
  }
  let rejecting: { server: TestServer; world: Outside }
  beforeAll(async () => {
    rejecting = await started({ mailAuth: 'reject' })
  })
  afterAll(async () => {
    for (const { server, world } of running) {
      world.close()
      await server.stop()
    }
  })

  test('reject: what its domain has sent is marked, what it has not is refused', async () => {
    const { world } = rejecting
    await world.send({ from, to: box, raw: await signed(from, box) })
    expect(await last(rejecting)).toMatchObject({
      authentication: { spf: 'pass', dkim: 'pass', dmarc: 'pass', policy: 'reject' },
    })
    // Right by its envelope, and forged by what people see.
    const forged = { from: 'eve@lax.example', to: box, headers: { From: from } }
    await expect(world.send(forged)).rejects.toThrow(/5\.7\.1.*DMARC/)
    await world.send({ from: 'bob@lax.example', to: box })
    expect(await last(rejecting)).toMatchObject({ authentication: { dmarc: 'fail', policy: 'none' } })
  })

  // DMARC asks the one domain of the one From: without it nothing fails, and people would be shown a sender whom nobody has checked.
  test.each([
    ['two From headers', `From: ${from}\r\nFrom: eve@lax.example`],
    ['two people in From', `From: ${from}, eve@lax.example`],
    ['a group in From', `From: friends: ${from}, eve@lax.example;`],
    ['Sender alone', `Sender: ${from}`],
    ['the envelope alone', 'X-Nobody: x'],
    ['a From without an address', `From: Ann\r\nSender: ${from}`],
  ])('reject: who is named by %s is not checked, and refused', async (_, headers) => {
    const raw = `${headers}\r\nTo: ${box}\r\nSubject: Forged\r\n\r\nForged\r\n`
    await expect(rejecting.world.send({ from, to: box, raw })).rejects.toThrow(/550 5\.7\.1 .*one sender/)
  })

  test('mark: a forged mail comes in, marked; spam as a trusted server sees it opens nothing', async () => {
    const marking = await started({ mailAuth: 'mark', mailTrust: 'mx.example.com' })
    const results = 'mx.example.com; dmarc=fail (p=reject) header.from=strict.example'
    await marking.world.send({ from, to: box, headers: { 'Authentication-Results': results } })
    expect(await last(marking)).toMatchObject({ authentication: { spf: null, dkim: null, dmarc: 'fail', policy: 'reject' } })
    await marking.world.send({ from: 'spam@lax.example', to: box, headers: { 'X-Spam-Flag': 'YES' } })
    expect((await marking.server.call('GET', '/v1/Conversations')).body.conversations).toHaveLength(1)
  })

  test('off: nothing is asked, and nothing is marked', async () => {
    const off = await started({})
    await off.world.send({ from, to: box, headers: { 'X-Spam-Flag': 'YES' } })
    expect(await last(off)).not.toHaveProperty('authentication')
  })
})
