import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** A request to a stand-in, read to its end. */
export interface Asked {
  readonly method: string
  /** Without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface Answered {
  readonly status: number
  readonly headers?: Record<string, string>
  /** Objects are sent as JSON. */
  readonly body?: object | Uint8Array | string
  /** Cuts the connection instead of answering. */
  readonly hangUp?: boolean
}

export interface StandIn {
  readonly url: string
  [Symbol.asyncDispose](): Promise<void>
}

/** A real server, in place of a provider's. */
export async function standIn(answer: (asked: Asked) => Answered | Promise<Answered>): Promise<StandIn> {
  const server = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://stand-in')
    const asked = { method: request.method ?? '', path: pathname, query: searchParams, headers: request.headers }
    try {
      const { status, headers, body, hangUp } = await answer({ ...asked, body: await buffer(request) })
      if (hangUp) return void response.destroy()
      const isJson = typeof body === 'object' && !(body instanceof Uint8Array)
      response.writeHead(status, { ...(isJson && { 'content-type': 'application/json' }), ...headers })
      response.end(isJson ? JSON.stringify(body) : body)
    } catch (error) {
      // A fault of the test is told, instead of looking like a dead connection.
      response.writeHead(599).end(String(error))
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
