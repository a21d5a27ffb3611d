import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as pause } from 'node:timers/promises'

/** An endpoint for webhooks that answers in many ways, and sees whether each account's events are its own. */
export interface Hook extends AsyncDisposable {
  /** Each account has its own path below. */
  readonly url: string
  readonly faults: string[]
  readonly received: () => number
}

type Way = (response: ServerResponse) => unknown

const ways: readonly Way[] = [
  (response) => response.end(),
  (response) => response.end('{}'),
  (response) => response.writeHead(204).end(),
  (response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"body":"changed","friendly_name":"changed"}'),
  (response) =>
    response.writeHead(200, { 'content-type': 'application/json' }).end('{"attributes":"{","author":7,"__proto__":{"x":1}}'),
  (response) => response.writeHead(200, { 'content-type': 'application/json' }).end('['),
  (response) => response.writeHead(403).end(),
  (response) => response.writeHead(500).end('no'),
  (response) => response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end(),
  (response) => response.writeHead(401, { 'www-authenticate': 'Digest realm="x", nonce="' }).end(),
  (response) => response.writeHead(200).end('x'.repeat(200_000)),
  (response) => response.destroy(),
  async (response) => pause(50).then(() => response.end()),
]

/** `foreign`: by path, the marks of what other accounts have stored. */
export async function openHook(foreign: Readonly<Record<string, readonly string[]>>): Promise<Hook> {
  const faults: string[] = []
  let received = 0
  const server = createServer((request, response) => {
    // Most of the time it just agrees: a refused change goes no deeper.
    const way = received % 3 === 0 ? ways[(received / 3) % ways.length] : ways[0]
    received++
    text(request).then(
      (body) => {
        const all = `${request.url}\n${body}`
        const [, path = ''] = (request.url ?? '').split(/[/?#]/)
        const seen = (foreign[path] ?? []).find((mark) => all.includes(mark))
        if (seen !== undefined && faults.length < 50) faults.push(`a webhook of account ${path} has what is stored as ${seen}`)
        return way?.(response)
      },
      () => response.destroy(),
    )
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    url: `http://127.0.0.1:${port}`,
    faults,
    received: () => received,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
