import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { WebSocketServer } from 'ws'
import { serveParent } from '../child.ts'
import { residentBytes } from '../clients/memory.ts'

/** The bare alternative to following: whatever is posted, as hex and one message a line, is sent to everybody who is connected. */
const server = createServer((request, response) => {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    const messages = Buffer.concat(chunks)
      .toString()
      .split('\n')
      .map((line) => Buffer.from(line, 'hex'))
    response.writeHead(201, { 'content-length': 0 }).end()
    for (const message of messages) for (const client of sockets.clients) client.send(message, { binary: true, compress: false })
  })
})
const sockets = new WebSocketServer({ server, perMessageDeflate: false })
// Acknowledgements arrive, and nobody looks at them.
sockets.on('connection', (socket) => socket.on('message', () => {}))
server.listen(0, '127.0.0.1', () =>
  serveParent({ port: (server.address() as AddressInfo).port }, (message) => ('memory' in message ? residentBytes() : {})),
)
