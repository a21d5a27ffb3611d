import type { AddressInfo } from 'node:net'
import { parse } from 'node:querystring'
import fastify from 'fastify'
import { newSid } from '../../src/sids.ts'
import { input, serveParent } from '../child.ts'
import { nameOf, type Population, rowOf, sidOf } from '../population.ts'
import { owner, pageOf, rowObject, toJson } from './objects.ts'

/** A simple mock: Fastify over a Map, without authentication, log or durability. */
const population = input<Population>()
const bySid = new Map<string, object>()
const byName = new Map<string, object>()

function store(sid: string, unique_name: string, object: object): void {
  bySid.set(sid, object)
  byName.set(unique_name, object)
}

/** Restores the initial state: a growing heap would slow the later rounds. */
function refill(): void {
  bySid.clear()
  byName.clear()
  for (let i = 0; i < population.rows; i++) store(sidOf(population, i), nameOf(i), rowObject(population, i))
}

refill()
const page = [...bySid.values()].slice(0, 50)

interface Form {
  readonly FriendlyName: string
  readonly UniqueName: string
  readonly Attributes: string
}

const server = fastify({ logger: false })
server.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
  done(null, parse(body as string)),
)
server.get('/v1/Conversations', async () => pageOf(page))
server.get<{ Params: { key: string } }>('/v1/Conversations/:key', async ({ params: { key } }, reply) => {
  return bySid.get(key) ?? byName.get(key) ?? reply.code(404).send({})
})
server.post<{ Params: { key: string }; Body: Form }>('/v1/Conversations/:key', async ({ params: { key }, body }, reply) => {
  const was = bySid.get(key)
  if (!was) return reply.code(404).send({})
  const object = { ...was, friendly_name: body.FriendlyName }
  bySid.set(key, object)
  return object
})
server.post<{ Body: Form }>('/v1/Conversations', async ({ body }, reply) => {
  if (byName.has(body.UniqueName)) return reply.code(409).send({})
  const now = Date.now()
  const sid = newSid('conversation', now)
  const object = toJson({
    ...rowOf(population, 0, owner, now),
    sid,
    friendly_name: body.FriendlyName,
    unique_name: body.UniqueName,
    attributes: body.Attributes,
  })
  store(sid, body.UniqueName, object)
  return reply.code(201).send(object)
})

await server.listen({ port: 0, host: '127.0.0.1' })
serveParent({ port: (server.server.address() as AddressInfo).port }, (message) => {
  if ('trim' in message) refill()
})
