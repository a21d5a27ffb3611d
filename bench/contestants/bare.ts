import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { input, serveParent } from '../child.ts'
import type { Population } from '../population.ts'
import { pageObject, rowObject } from './objects.ts'

/** The upper bound: `node:http`, which serializes an object of the same size for each request. */
const population = input<Population>()
const object = rowObject(population, 0)
const page = pageObject(population)

function send(response: ServerResponse, status: number, what: object): void {
  const text = JSON.stringify(what)
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) }).end(text)
}

const server = createServer((request, response) => {
  if (request.method === 'GET') return send(response, 200, request.url?.includes('?') ? page : object)
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    Buffer.concat(chunks).toString()
    send(response, 201, object)
  })
})
server.listen(0, '127.0.0.1', () => serveParent({ port: (server.address() as AddressInfo).port }, () => ({})))
