import { createServer, type Server } from 'node:net'
import { serveParent } from './child.ts'
import { Framer } from './framer.ts'

/** The webhook endpoints: a port that responds with 200, one that never responds, and one without a listener. */
export interface Sink {
  readonly sink: number
  readonly hang: number
  readonly down: number
}

/** Requests to the port `sink` since the last `reset`; times in epoch ms. */
export interface Arrivals {
  readonly count: number
  readonly firstMs: number
  readonly lastMs: number
}

let count = 0
let firstMs = 0
let lastMs = 0

const answering = createServer({ noDelay: true }, (socket) => {
  const framer = new Framer(() => {
    lastMs = Date.now()
    if (count++ === 0) firstMs = lastMs
    socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 'latin1')
  })
  socket.on('data', (chunk) => framer.push(chunk))
  socket.on('error', () => socket.destroy())
})
const hanging = createServer((socket) => socket.on('error', () => socket.destroy()).resume())
const down = createServer()

const sink = await listen(answering)
const hang = await listen(hanging)
const unused = await listen(down)
down.close()

serveParent({ sink, hang, down: unused } satisfies Sink, (message) => {
  if ('reset' in message) count = 0
  return { count, firstMs, lastMs } satisfies Arrivals
})

function listen(server: Server): Promise<number> {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port))
  })
}
