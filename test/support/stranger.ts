import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Stranger extends AsyncDisposable {
  readonly port: number
  /** The `Authorization` headers of what it was sent. */
  tokens(): string[]
  /** How many requests it was sent. */
  asked(): number
}

/** Somebody else's program on a port of this machine. */
export async function stranger(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Stranger> {
  const seen: IncomingMessage[] = []
  const server = createServer((asked, response) => {
    seen.push(asked)
    answer(asked, response)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    // It listens on a port.
    port: (server.address() as AddressInfo).port,
    tokens: () => seen.map(({ headers }) => headers.authorization).filter((header) => header !== undefined),
    asked: () => seen.length,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await once(server.close(), 'close')
    },
  }
}
