import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import fastify from 'fastify'
import { expect, test as plain } from 'vitest'
import { eventRoutes } from '../../src/admin/events.ts'
import { installationAccess } from '../../src/api/rights.ts'
import type { Listener, Notice, Reader } from '../../src/storage/database.ts'
import { followEvents, type StreamedEvent } from '../support/events.ts'
import { test } from '../support/fixtures.ts'
import { startServer } from '../support/server.ts'

const about = (sid: string) => (event: StreamedEvent) => event.type === 'conversation' && event.data.sid === sid
const isOfType = (type: string) => (event: StreamedEvent) => event.type === type

test('a new conversation, its messages and its participants are events, which hold nothing but its SID', async ({ tenant }) => {
  await using events = await followEvents(tenant)
  const { conversations } = tenant.sdk.conversations.v1
  const { sid } = await conversations.create({ friendlyName: 'Secret name' })
  expect((await events.next(about(sid))).data).toEqual({ sid })
  await conversations(sid).messages.create({ body: 'Secret text' })
  await events.next(about(sid))
  const participant = await conversations(sid).participants.create({ identity: 'ann' })
  await events.next(about(sid))
  await conversations(sid).participants(participant.sid).remove()
  await events.next(about(sid))
  await conversations(sid).update({ state: 'closed' })
  await events.next(about(sid))
  await conversations(sid).remove()
  await events.next(about(sid))
})

test.for(['the header', 'the query'])(
  'a stream that comes back with the id of its last event in %s is sent what it has missed',
  async (where, { tenant }) => {
    const { conversations } = tenant.sdk.conversations.v1
    const first = await (async () => {
      await using events = await followEvents(tenant)
      const { sid } = await conversations.create({})
      return await events.next(about(sid))
    })()
    const { sid } = await conversations.create({})
    await using witness = await followEvents(tenant)
    const { sid: later } = await conversations.create({})
    await witness.next(about(later))
    await using events = await followEvents(tenant, where === 'the query' ? { query: first.id } : first.id)
    const types: string[] = []
    await events.next((event) => {
      types.push(event.type)
      return about(sid)(event)
    })
    await events.next(about(later))
    expect(types).not.toContain('reset')
  },
)

test.each(['', 'nonsense', '00-7', 'x'.repeat(5000), '-', '-1'])(
  'an id that is not known is answered by a reset: %s',
  async (id) => {
    await using server = await startServer()
    await using events = await followEvents(server, id)
    await events.next(isOfType('reset'))
    if (id.length > 64) return
    await using queried = await followEvents(server, { query: id })
    await queried.next(isOfType('reset'))
  },
)

test('deliveries are events when they are made and when they are answered, the clock when it is moved', async ({
  tenant,
  catcher,
}) => {
  await tenant.sdk.conversations.v1.configuration
    .webhooks()
    .update({ postWebhookUrl: catcher.url(), filters: ['onConversationAdded'] })
  await using events = await followEvents(tenant)
  await tenant.sdk.conversations.v1.conversations.create({ xTwilioWebhookEnabled: 'true' })
  const delivered = async () => (await tenant.admin('GET', '/deliveries?status=pending')).deliveries.length === 0
  do await events.next(isOfType('deliveries'))
  while (!(await delivered()))
  await tenant.advance('PT1S')
  await events.next(isOfType('clock'))
})

plain('more than a page can take one by one is one reset', async () => {
  let notify: Listener = () => {}
  const subscribe = (listener: Listener) => {
    notify = listener
  }
  await using server = fastify()
  server.decorateRequest('access', null)
  server.addHook('onRequest', async (request) => {
    request.access = installationAccess
  })
  // Nothing is looked up for a follower who has all accounts.
  await server.register(eventRoutes({ subscribe, read: {} as Reader }), { prefix: '/admin/v1' })
  const url = await server.listen()
  await using events = await followEvents({ url })
  await events.next(isOfType('start'))
  const about = (i: number): Notice => ({ topic: 'sync', object: `CH${i.toString(16).padStart(32, '0')}.channel` })
  notify(
    Array.from({ length: 200 }, (_, i) => about(i)),
    0,
  )
  const types: string[] = []
  for (let i = 0; i < 200; i++) types.push((await events.next(() => true)).type)
  expect(new Set(types)).toEqual(new Set(['conversation']))
  notify(
    Array.from({ length: 201 }, (_, i) => about(i)),
    0,
  )
  expect((await events.next(() => true)).type).toBe('reset')
  notify([about(1), about(1)], 0)
  expect((await events.next(() => true)).data.sid).toBe(`CH${'1'.padStart(32, '0')}`)
})

plain('what comes after the end of a stream that its reader has not taken yet does no harm', async () => {
  const listeners: Listener[] = []
  await using server = fastify({ forceCloseConnections: true })
  const responses: ServerResponse[] = []
  server.decorateRequest('access', null)
  server.addHook('onRequest', async (request, reply) => {
    request.access = { ...installationAccess, id: `OP${responses.push(reply.raw)}` }
  })
  const subscribe = (listener: Listener) => void listeners.push(listener)
  await server.register(eventRoutes({ subscribe, read: {} as Reader }), { prefix: '/admin/v1' })
  const url = await server.listen()
  // It reads nothing.
  const silent = connect({ port: Number(new URL(url).port), host: new URL(url).hostname })
  silent.pause()
  silent.write('GET /admin/v1/events HTTP/1.1\r\nhost: localhost\r\n\r\n')
  await expect.poll(() => responses[0]?.headersSent).toBe(true)
  const [response] = responses
  const errors: Error[] = []
  response?.on('error', (error) => errors.push(error))
  while ((response?.writableLength ?? 0) < 100_000) {
    response?.write(`: ${'x'.repeat(65_536)}\n\n`)
    await turn()
  }
  await using witness = await followEvents({ url })
  await witness.next(isOfType('start'))
  for (const listener of listeners) listener([{ topic: 'access', sid: 'OP1' }, { topic: 'emptied' }], 0)
  await witness.next(isOfType('reset'))
  expect(response?.writableEnded).toBe(true)
  expect(response?.closed).toBe(false)
  expect(errors).toEqual([])
  silent.destroy()
})

test('a stream ends when the server stops, and does not hold it up', async () => {
  const server = await startServer()
  const events = await followEvents(server)
  await server.stop()
  await events.ended
})

test('without the operator token there is no stream', async ({ tenant }) => {
  await expect(followEvents(tenant, undefined, 'wrong-operator-token')).rejects.toThrow('401')
})
