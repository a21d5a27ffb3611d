import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'

/** What a wall does with a request instead of letting it through. */
export type Fault =
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  /** Sends the head and the first half of the true body, then cuts the connection. */
  | 'half'
  /** Cuts the connection before any answer. */
  | 'cut'
  /** Lets the request through, and cuts the connection in place of the answer. */
  | 'lost'

export interface Passed {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly authorization: string | undefined
}

export interface Wall extends AsyncDisposable {
  readonly url: string
  /** All that came to it, in order. */
  readonly requests: readonly Passed[]
  /** The most requests that were in it at once. */
  readonly mostAtOnce: number
  /** Decides about each request; awaited, so that it can change the far side first, or keep the request waiting. */
  judge: (passed: Passed) => Fault | null | Promise<Fault | null>
}

/** Stands in front of a server, whose host name stays that of the request, and does harm. */
export async function startWall(target: string): Promise<Wall> {
  const { hostname, port } = new URL(target)
  const requests: Passed[] = []
  let [atOnce, mostAtOnce] = [0, 0]
  const server = createServer((incoming, response) => {
    mostAtOnce = Math.max(mostAtOnce, ++atOnce)
    response.on('close', () => atOnce--)
    const passed = { method: incoming.method ?? '', path: incoming.url ?? '', authorization: incoming.headers.authorization }
    requests.push(passed)
    handle(incoming, response, passed).catch((error) => response.writeHead(599).end(String(error)))
  })
  const handle = async (incoming: IncomingMessage, response: ServerResponse, passed: Passed) => {
    const fault = await wall.judge(passed)
    if (fault === 'cut') return void response.destroy()
    if (typeof fault === 'object' && fault) return void response.writeHead(fault.status, fault.headers).end(fault.body)
    const { method, path, headers } = { ...passed, headers: incoming.headers }
    const forwarded = request({ hostname, port, method, path, headers })
    incoming.pipe(forwarded)
    const [answer] = (await once(forwarded, 'response')) as [IncomingMessage]
    if (fault === 'lost') return void answer.resume().on('end', () => response.destroy())
    response.writeHead(answer.statusCode ?? 0, answer.headers)
    if (fault !== 'half') return void answer.pipe(response)
    const body = await buffer(answer)
    response.write(body.subarray(0, Math.ceil(body.length / 2)), () => response.destroy())
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const wall: Wall = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get mostAtOnce() {
      return mostAtOnce
    },
    judge: () => null,
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
  return wall
}
