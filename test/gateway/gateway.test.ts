import { once } from 'node:events'
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { connect, createServer, type DetailedPeerCertificate, type TLSSocket } from 'node:tls'
import { ProxyAgent, request } from 'undici'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Authority } from '../../src/gateway/authority.ts'
import { ask } from '../support/admin.ts'
import { folder } from '../support/process.ts'
import { auth_token, startServer } from '../support/server.ts'
import { connectTo } from '../support/sockets.ts'

interface Opened {
  readonly proxy_url: string
  readonly tls_port: number
  readonly authority: string
  readonly account_sid: string
  readonly auth_token: string
}

async function opened(overrides: Parameters<typeof startServer>[0] = {}) {
  const server = await startServer(overrides)
  onTestFinished(server.stop)
  const { status, body } = await ask(server, 'POST', '/gateway')
  expect(status).toBe(200)
  const gateway: Opened = body
  return { server, gateway, agent: agentOf(gateway) }
}

/** What an HTTP client does with the proxy and the certificate that it is given. */
function agentOf({ proxy_url, authority }: Opened): ProxyAgent {
  const agent = new ProxyAgent({ uri: proxy_url, proxyTunnel: true, requestTls: { ca: authority } })
  onTestFinished(() => agent.destroy())
  return agent
}

function get(
  { account_sid, auth_token }: Opened,
  dispatcher: ProxyAgent,
  url: string,
  init: { method?: 'POST'; body?: string } = {},
) {
  const authorization = `Basic ${Buffer.from(`${account_sid}:${auth_token}`).toString('base64')}`
  const headers = { authorization, ...(init.body && { 'content-type': 'application/x-www-form-urlencoded' }) }
  return request(url, { dispatcher, headers, ...init })
}

/** Connects by TLS as a client that asks for `servername` and trusts nothing but the authority. */
async function handshake(
  { tls_port, authority }: Pick<Opened, 'tls_port' | 'authority'>,
  servername: string,
): Promise<TLSSocket> {
  const socket = connect({ port: tls_port, host: '127.0.0.1', servername, ca: authority, ALPNProtocols: ['h2', 'http/1.1'] })
  onTestFinished(() => void socket.destroy())
  await once(socket, 'secureConnect')
  return socket
}

describe('the gateway of a server', () => {
  test('is the same one each time, with the credentials of the account that is asked for', async () => {
    const { server, gateway } = await opened()
    expect(gateway).toMatchObject({ account_sid: server.account_sid, auth_token })
    expect((await ask(server, 'POST', '/gateway', {})).body).toEqual(gateway)
    const other = (await ask(server, 'POST', '/accounts', { friendly_name: 'Other' })).body
    const { body } = await ask(server, 'POST', '/gateway', { account_sid: other.sid })
    expect(body).toEqual({ ...gateway, account_sid: other.sid, auth_token: other.auth_token })
    expect((await ask(server, 'POST', '/gateway', { account_sid: 'ACno' })).status).toBe(404)
    expect((await ask(server, 'POST', '/gateway', { port: 1 })).status).toBe(400)
    expect((await ask(server, 'POST', '/gateway', {}, 'not-the-operator-token')).status).toBe(401)
  })

  test('that cannot open is a 409 that says why, and opens once it can', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const { port } = taken.address() as AddressInfo
    const server = await startServer()
    onTestFinished(server.stop)
    for (const setting of ['gatewayPort', 'gatewayTlsPort']) {
      await expect(startServer({ [setting]: port })).rejects.toThrow(/port \d+ on 127\.0\.0\.1 is in use: .* set PARLEY_GATEWAY/)
    }
    using place = folder()
    writeFileSync(place.file('parley.gateway'), 'a file, where a folder should be')
    const broken = await startServer({ database: { engine: 'sqlite', file: place.file('parley.db') } })
    onTestFinished(broken.stop)
    expect(await ask(broken, 'POST', '/gateway')).toMatchObject({
      status: 409,
      body: { error: expect.stringContaining('parley.gateway') },
    })
    rmSync(place.file('parley.gateway'))
    expect((await ask(broken, 'POST', '/gateway')).status).toBe(200)
    await once(taken.close(), 'close')
  })

  test('is asked for twice at once and opens once', async () => {
    const server = await startServer()
    onTestFinished(server.stop)
    const [one, two] = await Promise.all([ask(server, 'POST', '/gateway'), ask(server, 'POST', '/gateway')])
    expect(one).toEqual(two)
  })

  test('links are https, with the host that the caller used, from the first page to the last', async () => {
    const { gateway, agent } = await opened()
    for (const host of ['conversations.twilio.com', 'conversations.dublin.twilio.com', 'conversations.dublin.ie1.twilio.com']) {
      const created = await get(gateway, agent, `https://${host}/v1/Services`, { method: 'POST', body: 'FriendlyName=a' })
      expect(await created.body.json()).toMatchObject({ url: expect.stringMatching(`^https://${host}/v1/Services/IS`) })
    }
    let url: string | null = 'https://conversations.twilio.com/v1/Services?PageSize=1'
    const pages = []
    while (url !== null) {
      const page: { meta: Record<string, string | null> } = JSON.parse(await (await get(gateway, agent, url)).body.text())
      pages.push(page.meta)
      for (const link of ['url', 'first_page_url', 'next_page_url', 'previous_page_url']) {
        if (page.meta[link]) expect(page.meta[link]).toMatch(/^https:\/\/conversations\.twilio\.com\/v1\/Services\?/)
      }
      url = page.meta.next_page_url ?? null
    }
    expect(pages).toHaveLength(4)
  })

  test('links are those of the public URL only for callers that do not use a name of Twilio', async () => {
    const { gateway, agent, server } = await opened({ publicUrl: 'https://chat.example.com/base' })
    const service = await (await get(gateway, agent, 'https://conversations.twilio.com/v1/Services')).body.text()
    expect(JSON.parse(service).services[0].url).toMatch(/^https:\/\/conversations\.twilio\.com\/v1\/Services\/IS/)
    const { body } = await server.call('GET', '/v1/Services', undefined, { check: false })
    expect(JSON.stringify(body)).toContain('"url":"https://chat.example.com/base/v1/Services/IS')
  })

  test('refuses other hosts of Twilio', async () => {
    const { gateway, agent } = await opened()
    await expect(get(gateway, agent, 'https://api.twilio.com/2010-04-01/Accounts.json')).rejects.toThrow(/403/)
  })

  test('certificates carry the name that the client asks for, http/1.1 is spoken, and any other name is refused', async () => {
    const { gateway } = await opened()
    for (const name of ['conversations.twilio.com', 'conversations.sydney.au1.twilio.com', 'Conversations.Ashburn.twilio.com']) {
      const socket = await handshake(gateway, name)
      expect(socket.getPeerCertificate().subjectaltname).toBe(`DNS:${name.toLowerCase()}`)
      expect(socket.alpnProtocol).toBe('http/1.1')
    }
    await expect(handshake(gateway, 'api.twilio.com')).rejects.toThrow()
    await expect(handshake(gateway, 'localhost')).rejects.toThrow()
  })

  test('what is no TLS is cut, and nobody else notices', async () => {
    const { gateway, server } = await opened()
    const plain = connectTo(`http://127.0.0.1:${gateway.tls_port}`)
    plain.socket.write('GET / HTTP/1.1\r\n\r\n')
    await plain.closed
    const half = connectTo(`http://127.0.0.1:${gateway.tls_port}`)
    half.socket.write('\x16\x03\x01')
    await handshake(gateway, 'conversations.twilio.com')
    // Neither an open handshake nor an idle connection holds up the end.
    await server.stop()
    await half.closed
  })

  test('limits apply as they do without TLS: a bad request is a 400 in the usual form', async () => {
    const { gateway } = await opened()
    const socket = await handshake(gateway, 'conversations.twilio.com')
    socket.end('nonsense\r\n\r\n')
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 400 [\s\S]*"status":400/)
  })
})

describe('the certificate authority', () => {
  const standard = 'conversations.twilio.com'

  async function checked(authority: Authority, name: string): Promise<DetailedPeerCertificate> {
    const server = createServer(authority.credentialsFor(name)).listen(0, '127.0.0.1')
    onTestFinished(() => void server.close())
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const socket = await handshake({ tls_port: port, authority: authority.certificate }, name)
    return socket.getPeerCertificate(true)
  }

  test('is made at first use, readable by its owner only, and kept', async () => {
    using place = folder()
    const first = await Authority.open(place.file('gateway'))
    expect(statSync(place.file('gateway/authority.pem')).mode & 0o777).toBe(0o600)
    expect((await Authority.open(place.file('gateway'))).certificate).toBe(first.certificate)
    expect((await Authority.open(null)).certificate).not.toBe(first.certificate)
  })

  test('vouches for names below twilio.com and for no other', async () => {
    const authority = await Authority.open(null)
    const leaf = await checked(authority, standard)
    expect(leaf.issuerCertificate.subject.CN).toMatch(/^Parley [0-9a-f]{8}$/)
    const days = (Date.parse(leaf.valid_to) - Date.parse(leaf.valid_from)) / 86_400_000
    expect(days).toBeLessThanOrEqual(398)
    for (const name of ['example.com', 'twilio.com.example', 'localhost']) {
      await expect(checked(authority, name)).rejects.toThrow(/permitted subtree/)
    }
  })

  test.each([
    ['empty', ''],
    ['something else', 'x'.repeat(100)],
    ['cut off', '-----BEGIN PRIVATE KEY-----\nMIIE'],
  ])('a file that is %s is reported with what to do', async (_what, content) => {
    using place = folder()
    await Authority.open(place.file('.'))
    writeFileSync(place.file('authority.pem'), content)
    await expect(Authority.open(place.file('.'))).rejects.toThrow(/authority\.pem is not a certificate authority .* delete it/)
  })

  test('a certificate with the key of another one is reported as well', async () => {
    using place = folder()
    const key = (text: string) => /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----/.exec(text)?.[0] ?? ''
    for (const name of ['a', 'b']) await Authority.open(place.file(name))
    const [a, b] = ['a', 'b'].map((name) => readFileSync(place.file(`${name}/authority.pem`), 'utf8'))
    writeFileSync(place.file('a/authority.pem'), (a ?? '').replace(key(a ?? ''), key(b ?? '')))
    await expect(Authority.open(place.file('a'))).rejects.toThrow(/delete it/)
  })
})
