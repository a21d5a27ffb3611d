import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** Where webhooks go, by what happens to them there. */
export interface Endpoints extends AsyncDisposable {
  url(kind: Kind): string
  readonly received: () => number
}

export const kinds = ['agrees', 'fails', 'hangs', 'redirects', 'cuts', 'refuses'] as const
export type Kind = (typeof kinds)[number]

export async function openEndpoints(): Promise<Endpoints> {
  let received = 0
  const server = createServer((request, response) => {
    received++
    request.resume()
    const kind = request.url?.split('/')[1]
    if (kind === 'fails') response.writeHead(500).end('no')
    else if (kind === 'redirects') response.writeHead(302, { location: '/agrees' }).end()
    else if (kind === 'cuts') response.destroy()
    else if (kind !== 'hangs') response.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    // Nobody listens on port 1.
    url: (kind) => (kind === 'refuses' ? 'http://127.0.0.1:1/' : `http://127.0.0.1:${port}/${kind}`),
    received: () => received,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
