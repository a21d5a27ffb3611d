import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import fc from 'fast-check'
import { afterEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { connectHead, listener, testProxy } from '../support/gateway.ts'
import { connectTo } from '../support/sockets.ts'

afterEach(() => vi.unstubAllEnvs())

async function proxied(...options: Parameters<typeof testProxy>) {
  for (const name of ['http_proxy', 'https_proxy', 'all_proxy', 'no_proxy']) {
    vi.stubEnv(name, '')
    vi.stubEnv(name.toUpperCase(), '')
  }
  const proxy = await testProxy(...options)
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  return proxy
}

async function listening(connected: (socket: Socket) => void) {
  const server = await listener(connected)
  onTestFinished(() => server[Symbol.asyncDispose]())
  return server
}

describe('CONNECT', () => {
  test.each(['conversations.twilio.com', 'conversations.dublin.ie1.twilio.com', 'CONVERSATIONS.twilio.com.'])(
    'to %s on port 443 ends at the TLS port of Parley, with exactly the line that PHP knows',
    async (host) => {
      const { send } = await proxied()
      const { until, socket } = send(connectHead(`${host}:443`))
      expect(await until(/tls$/)).toBe('HTTP/1.1 200 Connection established\r\n\r\ntls')
      socket.destroy()
    },
  )

  test('to port 80 ends at the port without TLS, to any other at none', async () => {
    const { send } = await proxied()
    const plain = send(`${connectHead('conversations.twilio.com:80')}GET / HTTP/1.1\r\n\r\n`)
    expect(await plain.closed).toMatch(/established\r\n\r\nHTTP\/1\.1 200 OK\r\n.*\r\n\r\nGET \/ HTTP/s)
    expect(await send(connectHead('conversations.twilio.com:8443')).closed).toMatch(
      /^HTTP\/1\.1 403 Parley serves ports 443 and 80/,
    )
  })

  test.each(['api.twilio.com:443', 'API.TWILIO.COM.:443', 'twilio.com:80', 'conversations.a.b.c.twilio.com:443'])(
    'to %s is refused with a sentence, in the status line and in the body',
    async (target) => {
      const { send, refusals } = await proxied()
      const sentence =
        /Parley stands in for conversations\.twilio\.com and tsock\.us1\.twilio\.com only and lets nothing through to [\w.]+: set PARLEY_GATEWAY_ALLOW=/
      const [head = '', body = ''] = (await send(connectHead(target)).closed).split('\r\n\r\n')
      expect(head).toMatch(/^HTTP\/1\.1 403 /)
      expect(head).toMatch(sentence)
      expect(body).toMatch(sentence)
      expect(refusals).toEqual([expect.stringMatching(sentence)])
    },
  )

  test('to any other host is a tunnel in which nothing is changed', async () => {
    const { send } = await proxied()
    const echo = await listening((socket) => void socket.pipe(socket))
    const bytes = Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('latin1')
    const { socket, closed } = send(connectHead(`127.0.0.1:${echo.port}`))
    socket.setEncoding('latin1')
    socket.end(bytes, 'latin1')
    expect(await closed).toBe(`HTTP/1.1 200 Connection established\r\n\r\n${bytes}`)
  })

  test('what arrives with the head is passed on', async () => {
    const { send } = await proxied()
    const echo = await listening((socket) => void socket.pipe(socket))
    const { socket, closed } = send(`${connectHead(`127.0.0.1:${echo.port}`)}early`)
    socket.end(' late')
    expect(await closed).toMatch(/\r\n\r\nearly late$/)
  })

  test('an end that has ended still receives', async () => {
    const { send } = await proxied()
    const server = await listening((socket) => {
      socket.resume()
      socket.once('end', () => socket.end('after the end'))
    })
    const { socket, closed } = send(connectHead(`127.0.0.1:${server.port}`))
    socket.end()
    expect(await closed).toMatch(/\r\n\r\nafter the end$/)
  })

  test('a server that ends still receives, and one that resets ends the tunnel', async () => {
    const { send } = await proxied()
    const received = Promise.withResolvers<string>()
    const server = await listening((socket) => {
      socket.end('bye')
      let text = ''
      socket.setEncoding('utf8').on('data', (data: string) => {
        text += data
      })
      socket.once('end', () => received.resolve(text))
    })
    const connection = connect({ port: Number(new URL((await proxied()).url).port), host: '127.0.0.1', allowHalfOpen: true })
    onTestFinished(() => void connection.destroy())
    connection.setEncoding('utf8').write(connectHead(`127.0.0.1:${server.port}`))
    await once(
      connection.on('data', () => {}),
      'end',
    )
    connection.end('still here')
    expect(await received.promise).toBe('still here')

    const rude = await listening((socket) => socket.resetAndDestroy())
    expect(await send(connectHead(`127.0.0.1:${rude.port}`)).closed).toMatch(/^(HTTP\/1\.1 (200|502) [^\n]*\n[\s\S]*)?$/)
  })

  test('a client that resets takes the connection to the server with it', async () => {
    const { send } = await proxied()
    const gone = Promise.withResolvers<void>()
    const server = await listening((socket) => {
      socket.resume().once('end', () => gone.resolve())
      socket.write('hello')
    })
    const { socket, until } = send(connectHead(`127.0.0.1:${server.port}`))
    await until(/hello/)
    socket.resetAndDestroy()
    await gone.promise
  })

  test('to where nobody listens is a 502 that says where', async () => {
    const { send } = await proxied()
    const { port, server } = await listener(() => {})
    await once(server.close(), 'close')
    expect(await send(connectHead(`127.0.0.1:${port}`)).closed).toMatch(
      new RegExp(`^HTTP/1\\.1 502 127\\.0\\.0\\.1:${port} cannot be reached \\(ECONNREFUSED\\)`),
    )
  })

  test('closing the proxy cuts its tunnels', async () => {
    const proxy = await proxied()
    const { until, closed } = proxy.send(connectHead('conversations.twilio.com:443'))
    await until(/tls$/)
    await proxy.close()
    await closed
  })
})

describe('a bad head', () => {
  test.each([
    ['CONNECT / HTTP/1.1\r\n\r\n', 400],
    ['CONNECT host HTTP/1.1\r\nHost: host\r\n\r\n', 400],
    ['CONNECT host:0 HTTP/1.1\r\nHost: host\r\n\r\n', 400],
    ['CONNECT http://host:443 HTTP/1.1\r\nHost: host\r\n\r\n', 400],
    ['CONNECT  HTTP/1.1\r\n\r\n', 400],
    ['connect host:443 HTTP/1.1\r\n\r\n', 400],
    ['GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n', 400],
    ['GET https://conversations.twilio.com/ HTTP/1.1\r\nHost: conversations.twilio.com\r\n\r\n', 400],
    ['OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n', 400],
    ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
    ['\x05\x01\x00', 400],
  ])('%j is %i', async (text, status) => {
    const { send } = await proxied()
    expect(await send(text).closed).toMatch(new RegExp(`^HTTP/1\\.1 ${status} `))
  })

  test.each([
    ['header', `CONNECT host:443 HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`],
    ['target of CONNECT', `CONNECT ${'h'.repeat(20_000)}:443 HTTP/1.1\r\n\r\n`],
    ['URL', `GET http://${'h'.repeat(20_000)}/ HTTP/1.1\r\n\r\n`],
  ])('with a huge %s is 431', async (_part, text) => {
    const { send } = await proxied()
    expect(await send(text).closed).toMatch(/^HTTP\/1\.1 431 /)
  })

  test('those that never end keep nobody else waiting', async () => {
    const { send, url } = await proxied()
    const halves = Array.from({ length: 50 }, () => send('CONNECT conversations.twilio.com:443 HTTP/1.1\r\nX: '))
    const { until, socket } = send(connectHead('conversations.twilio.com:443'))
    await until(/tls$/)
    for (const half of halves) half.socket.resetAndDestroy()
    await Promise.all(halves.map(({ closed }) => closed))
    const silent = connectTo(url)
    silent.socket.end()
    expect(await silent.closed).toBe('')
    socket.destroy()
  })

  test('whatever is sent, the proxy responds with HTTP or closes, and goes on', async () => {
    const { send } = await proxied()
    const piece = fc.oneof(
      fc.constantFrom(
        'CONNECT ',
        'GET ',
        'POST ',
        'http://',
        'conversations.twilio.com',
        'api.twilio.com',
        ':443',
        ':0',
        ' HTTP/1.1',
        ' HTTP/9',
      ),
      fc.constantFrom(
        '\r\n',
        '\n',
        '\r\n\r\n',
        ' ',
        '\0',
        'Host: a',
        'Content-Length: 3',
        'Transfer-Encoding: chunked',
        'Connection: upgrade',
      ),
      fc.string({ unit: 'binary', maxLength: 20 }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 12 }), async (pieces) => {
        // A name that no resolver is asked for: nothing leaves this machine.
        const text = pieces.join('')
        fc.pre(!/(CONNECT|http:\/\/)\s*(?!conversations|api)/i.test(text))
        const connection = send(text)
        connection.socket.end()
        const answer = await connection.closed
        expect(answer).toMatch(/^$|^HTTP\/1\.1 (200|400|403|408|431|502) /)
      }),
      { numRuns: 300 },
    )
    expect(await send(connectHead('conversations.twilio.com:443')).until(/tls$/)).toContain('200 Connection established')
  })
})

describe('plain HTTP', () => {
  test('to Conversations is served by the port without TLS, with the host that was asked for', async () => {
    const { send } = await proxied()
    const { closed } = send(
      'GET http://conversations.twilio.com/v1/Services?PageSize=2 HTTP/1.1\r\nHost: conversations.twilio.com\r\n' +
        'Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nAccept: a\r\n\r\n',
    )
    const seen = await closed
    expect(seen).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    expect(seen).toContain('GET /v1/Services?PageSize=2 HTTP/1.1\r\n')
    expect(seen).toMatch(/host: conversations\.twilio\.com\r\n/i)
    expect(seen).toMatch(/accept: a\r\n/i)
    expect(seen).not.toMatch(/proxy-|x-hop/i)
  })

  test.each([
    ['conversations.twilio.com', 'conversations.twilio.com'],
    ['CONVERSATIONS.dublin.ie1.twilio.com:80', 'conversations.dublin.ie1.twilio.com'],
  ])('to %s has the host of its target, whatever the client has in Host', async (authority, host) => {
    const { send } = await proxied()
    for (const header of ['Host: api.twilio.com\r\n', 'Host: other.test:81\r\n', 'Host:\r\n']) {
      const seen = await send(`GET http://${authority}/ HTTP/1.1\r\n${header}Connection: close\r\n\r\n`).closed
      expect(seen.match(/^host: .*$/gim)).toEqual([
        expect.stringMatching(new RegExp(`^host: ${host.replaceAll('.', '\\.')}$`, 'i')),
      ])
    }
  })

  test('to another host of Twilio is refused', async () => {
    const { send, refusals } = await proxied()
    const answer = await send('GET http://api.twilio.com/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n').closed
    expect(answer).toMatch(/^HTTP\/1\.1 403 [\s\S]*lets nothing through to api\.twilio\.com/)
    expect(refusals).toHaveLength(1)
  })

  test('to an allowed one, as to any other host, goes there, body and all', async () => {
    const { send } = await proxied()
    const server = await listening((socket) => {
      let text = ''
      socket.setEncoding('utf8').on('data', (data: string) => {
        text += data
        if (text.endsWith('body')) socket.end(`HTTP/1.1 418 Teapot\r\nX-Two: 1\r\nX-Two: 2\r\nConnection: close\r\n\r\n${text}`)
      })
    })
    const target = `http://127.0.0.1:${server.port}/a%20b?c`
    const answer = await send(
      `POST ${target} HTTP/1.1\r\nHost: api.twilio.com\r\nConnection: close\r\nContent-Length: 4\r\n\r\nbody`,
    ).closed
    expect(answer).toMatch(/^HTTP\/1\.1 418 Teapot\r\nx-two: 1\r\nx-two: 2\r\n/i)
    expect(answer).toMatch(/POST \/a%20b\?c HTTP\/1\.1\r\n[\s\S]*body/)
    expect(answer).toMatch(new RegExp(`^host: 127\\.0\\.0\\.1:${server.port}\r$`, 'im'))
  })
})

describe('the proxy that was set before', () => {
  /** Remembers the heads that it is sent, and opens every tunnel onto itself. */
  async function earlier(status = '200 OK') {
    const heads: string[] = []
    const server = await listening((socket) => {
      let text = ''
      socket.setEncoding('utf8').on('data', (data: string) => {
        text += data
        if (!text.includes('\r\n\r\n')) return
        heads.push(text)
        text = ''
        if (heads.at(-1)?.startsWith('CONNECT')) socket.write(`HTTP/1.1 ${status}\r\nVia: x\r\n\r\ntunnel`)
        else socket.end('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nplain')
      })
    })
    return { heads, url: `http://us%40er:pw@127.0.0.1:${server.port}` }
  }

  test('carries the tunnels to other hosts, with its credentials', async () => {
    const { send } = await proxied()
    const { heads, url } = await earlier()
    vi.stubEnv('HTTPS_PROXY', url)
    const { until, socket } = send(connectHead('example.invalid:443'))
    expect(await until(/tunnel$/)).toBe('HTTP/1.1 200 Connection established\r\n\r\ntunnel')
    expect(heads[0]).toMatch(/^CONNECT example\.invalid:443 HTTP\/1\.1\r\n/)
    expect(heads[0]).toContain(`Basic ${Buffer.from('us@er:pw').toString('base64')}`)
    socket.destroy()
  })

  test('carries plain requests', async () => {
    const { send } = await proxied()
    const { heads, url } = await earlier()
    vi.stubEnv('http_proxy', url)
    const answer = await send('GET http://example.invalid/a HTTP/1.1\r\nHost: example.invalid\r\nConnection: close\r\n\r\n')
      .closed
    expect(answer).toMatch(/plain$/m)
    expect(heads[0]).toMatch(/^GET http:\/\/example\.invalid:80\/a HTTP\/1\.1\r\n/)
  })

  test('carries nothing to Parley, nothing that NO_PROXY excepts, and nothing that is refused', async () => {
    const { send } = await proxied()
    const { heads, url } = await earlier()
    vi.stubEnv('ALL_PROXY', url)
    vi.stubEnv('NO_PROXY', '127.0.0.1')
    const echo = await listening((socket) => void socket.pipe(socket))
    await send(connectHead('conversations.twilio.com:443')).until(/tls$/)
    await send(`${connectHead(`127.0.0.1:${echo.port}`)}direct`).until(/direct$/)
    await send(connectHead('api.twilio.com:443')).closed
    expect(heads).toEqual([])
  })

  test('that refuses is a 502 with its status; one of an unknown kind is a 502 with a sentence', async () => {
    const { send } = await proxied()
    const { url } = await earlier('407 Proxy Authentication Required')
    vi.stubEnv('HTTPS_PROXY', url)
    expect(await send(connectHead('example.invalid:443')).closed).toMatch(
      /^HTTP\/1\.1 502 the proxy 127\.0\.0\.1:\d+ refused a tunnel .*407/,
    )
    vi.stubEnv('HTTPS_PROXY', 'socks5://127.0.0.1:1')
    expect(await send(connectHead('example.invalid:443')).closed).toMatch(
      /^HTTP\/1\.1 502 the proxy for example\.invalid is neither/,
    )
    expect(await send('GET http://example.invalid/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n').closed).toMatch(
      /^HTTP\/1\.1 502/,
    )
  })
})
