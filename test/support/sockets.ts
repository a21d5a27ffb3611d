import { connect, type Socket } from 'node:net'

/** A connection of its own, for what no client library would send. */
export interface RawConnection {
  readonly socket: Socket
  /** What has come so far. */
  readonly received: () => string
  /** Resolves with what has come, once it matches. Rejects when the server closes the connection before. */
  until(pattern: RegExp): Promise<string>
  /** Resolves with everything that came, when the connection is closed. */
  readonly closed: Promise<string>
}

export function connectTo(url: string): RawConnection {
  const { port, hostname } = new URL(url)
  const socket = connect(Number(port), hostname)
  const { promise: closed, resolve } = Promise.withResolvers<string>()
  let received = ''
  socket.setEncoding('utf8')
  socket.on('data', (text: string) => {
    received += text
  })
  // A server that cuts a connection off may reset it.
  socket.on('error', () => {})
  socket.on('close', () => resolve(received))
  const until = (pattern: RegExp) =>
    new Promise<string>((found, missed) => {
      const look = () => pattern.test(received) && found(received)
      look()
      socket.on('data', look)
      socket.on('close', () => missed(new Error(`closed after: ${received}`)))
    })
  return { socket, received: () => received, until, closed }
}

/** The head of a request, with its empty line. */
export function head(method: string, path: string, headers: Readonly<Record<string, string | number>> = {}): string {
  const lines = Object.entries({ Host: 'localhost', ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`
}

/** The status and the JSON of the only response in a text. */
export function parsedResponse(text: string) {
  const end = text.indexOf('\r\n\r\n')
  const body = text.slice(end + 4)
  // Tests look into bodies of every kind.
  // biome-ignore lint/suspicious/noExplicitAny: see above
  return { status: Number(text.split(' ')[1]), head: text.slice(0, end), body: (body === '' ? null : JSON.parse(body)) as any }
}
