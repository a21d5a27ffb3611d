import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { openProxy, type ProxyOptions } from '../../src/gateway/proxy.ts'
import { connectTo } from './sockets.ts'

export interface TestListener extends AsyncDisposable {
  readonly port: number
  readonly host: string
  readonly server: Server
}

/** A TCP server on loopback. Whatever is connected is cut at the end. */
export async function listener(connected: (socket: Socket) => void): Promise<TestListener> {
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    connected(socket)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    server,
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await once(server.close(), 'close')
    },
  }
}

/** A proxy before servers that say which of Parley's ports they are. */
export async function testProxy(options: Partial<ProxyOptions> = {}) {
  const tls = await listener((socket) => socket.write('tls'))
  const http = await listener((socket) => {
    socket.once('data', (data) => socket.end(`HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n${data}`))
  })
  const refusals: string[] = []
  const proxy = await openProxy({
    port: 0,
    parley: { tls, http },
    allowed: [],
    onRefusal: (sentence) => refusals.push(sentence),
    ...options,
  })
  return {
    url: proxy.url,
    close: proxy.close,
    refusals,
    /** Sends a text and returns the connection. */
    send(text: string) {
      const connection = connectTo(proxy.url)
      connection.socket.write(text)
      return connection
    },
    [Symbol.asyncDispose]: async () => {
      await proxy.close()
      await Promise.all([tls, http].map((server) => server[Symbol.asyncDispose]()))
    },
  }
}

export function connectHead(target: string): string {
  return `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`
}
