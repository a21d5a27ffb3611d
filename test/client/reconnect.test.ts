import { once } from 'node:events'
import type { Conversation, Message } from '@twilio/conversations'
import { expect, onTestFinished } from 'vitest'
import { connected, conversationWith, next, opened, RawClient } from '../support/client.ts'
import { test } from '../support/fixtures.ts'
import { startProxy } from '../support/tcp-proxy.ts'
import type { Tenant } from '../support/tenant.ts'

const v1 = ({ sdk }: Tenant) => sdk.conversations.v1

/** A client whose network a test can cut. */
async function behindProxy(tenant: Tenant, identity: string) {
  const proxy = await startProxy(tenant.url)
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  const client = await connected({ ...tenant, url: proxy.url.replace(/\/+$/, '') }, identity)
  /** Cuts the connection, does something, and waits until the client has connected again. */
  const meanwhile = async (act: () => Promise<unknown>) => {
    const lost = next(client, 'connectionStateChanged', (state) => state === 'connecting')
    const back = next(client, 'connectionStateChanged', (state) => state === 'connected')
    proxy.cut()
    await lost
    await act()
    proxy.heal()
    await back
  }
  return { client, meanwhile }
}

/** An event of a list. */
interface Event {
  readonly item_index: number
  readonly id: number
  readonly item_data: object
}

/** What a listener to some event of the SDK is given. */
interface Told {
  readonly body?: string | null
  readonly sid?: string
  readonly identity?: string | null
  readonly message?: Message
}

test('what happened while a client was away is announced once', async ({ tenant }) => {
  const [kept, left, renamed] = [
    await conversationWith(tenant, 'ann', 'bob'),
    await conversationWith(tenant, 'ann'),
    await conversationWith(tenant, 'ann'),
  ]
  const rest = v1(tenant).conversations(kept)
  const [edited, deleted] = [await rest.messages.create({ body: 'e' }), await rest.messages.create({ body: 'd' })]
  const { client: ann, meanwhile } = await behindProxy(tenant, 'ann')
  const here = await opened(ann, kept)
  await opened(ann, left)
  await opened(ann, renamed)
  const told: string[] = []
  const log = (what: string) => (payload: Told) =>
    void told.push(`${what} ${payload.message?.body ?? payload.body ?? payload.identity ?? payload.sid}`)
  for (const event of ['messageAdded', 'messageUpdated', 'messageRemoved', 'participantJoined', 'participantLeft'] as const) {
    here.on(event as 'messageAdded', log(event) as never)
  }
  for (const event of ['conversationJoined', 'conversationLeft'] as const) ann.on(event, log(event) as never)
  const namesChanged = next(ann, 'conversationUpdated', ({ updateReasons }) => updateReasons.includes('friendlyName'))
  const added = await v1(tenant).conversations.create({ friendlyName: 'New' })
  const last = next<Message>(here, 'messageAdded', ({ body }) => body === 'last')
  const joined = next<Conversation>(ann, 'conversationJoined', ({ sid }) => sid === added.sid)
  const gone = next<Conversation>(ann, 'conversationLeft', ({ sid }) => sid === left)
  await meanwhile(async () => {
    await rest.messages(edited.sid).update({ body: 'edited' })
    await rest.messages(deleted.sid).remove()
    const brief = await rest.messages.create({ body: 'brief' })
    await rest.messages(brief.sid).remove()
    await rest.participants.create({ identity: 'carol' })
    await rest.participants('bob').remove()
    const fresh = await rest.messages.create({ body: 'fresh' })
    await rest.messages(fresh.sid).update({ body: 'fresh, edited' })
    await rest.messages.create({ body: 'last' })
    await v1(tenant).conversations(added.sid).participants.create({ identity: 'ann' })
    await v1(tenant).conversations(left).participants('ann').remove()
    await v1(tenant).conversations(renamed).update({ friendlyName: 'Renamed' })
  })
  await Promise.all([last, joined, gone, namesChanged])
  expect(told.sort()).toEqual(
    [
      'messageUpdated edited',
      'messageRemoved d',
      'messageAdded fresh, edited',
      'messageAdded last',
      'participantJoined carol',
      'participantLeft bob',
      `conversationJoined ${added.sid}`,
      `conversationLeft ${left}`,
    ].sort(),
  )
})

test('a long absence is replayed in parts, in order and without a gap', { timeout: 120_000 }, async ({ tenant }) => {
  const sid = await conversationWith(tenant, 'ann')
  const rest = v1(tenant).conversations(sid)
  await rest.messages.create({ body: 'first' })
  const { client: ann, meanwhile } = await behindProxy(tenant, 'ann')
  const here = await opened(ann, sid)
  const indexes: number[] = []
  here.on('messageAdded', ({ index }) => indexes.push(index))
  const last = next<Message>(here, 'messageAdded', ({ body }) => body === 'last')
  await meanwhile(async () => {
    // More than are read at a time; some side by side, for the longer a client is away, the longer it waits before it tries again.
    for (let part = 0; part < 10; part++) {
      await Promise.all(Array.from({ length: 25 }, (_, i) => rest.messages.create({ body: `${part} ${i}` })))
    }
    const made = (await rest.messages.list({ limit: 1000 })).slice(1)
    await Promise.all(made.filter(({ index }) => index % 50 === 0).map(({ sid: message }) => rest.messages(message).remove()))
    const changed = made.filter(({ index }) => index % 70 === 1)
    await Promise.all(changed.map(({ sid: message }) => rest.messages(message).update({ attributes: '{"late":true}' })))
    await rest.messages.create({ body: 'last' })
  })
  await last
  expect(indexes).toEqual((await rest.messages.list({ limit: 1000 })).slice(1).map(({ index }) => index))
})

test('a subscription is replayed from any position, and nothing comes of what may not be read', async ({ tenant }) => {
  const sid = await conversationWith(tenant, 'ann')
  const rest = v1(tenant).conversations(sid)
  for (let i = 0; i < 5; i++) await rest.messages.create({ body: `${i}` })
  const [ann, bob] = [await RawClient.admitted(tenant, 'ann'), await RawClient.admitted(tenant, 'bob')]
  const root = (await ann.request('GET', `/v3/Lists/${sid}.messages`)).body
  expect((await bob.request('GET', `/v3/Lists/${sid}.messages`)).status).toBe(403)
  for (let after = 0; after <= root.last_event_id; after++) {
    const body = {
      action: 'establish',
      correlation_id: after,
      requests: [{ object_sid: root.sid, object_type: 'list', last_event_id: after }],
    }
    const frames = [
      await ann.request('POST', '/v4/Subscriptions', { body }),
      await bob.request('POST', '/v4/Subscriptions', { body }),
    ]
    expect(frames.map(({ status }) => status)).toEqual([200, 200])
    const established = await ann.event('subscription_established')
    expect(established).toMatchObject({
      correlation_id: after,
      event: { last_event_id: root.last_event_id, replay_status: 'completed' },
    })
    const events = ann.takeEvents('list_item_added').flatMap((frame) => frame.events as { item_index: number; id: number }[])
    // The first participant took the first number.
    expect(events.map(({ item_index }) => item_index)).toEqual([0, 1, 2, 3, 4].filter((i) => i + 2 > after))
    expect((await bob.event('subscription_failed')).event).toMatchObject({ object_sid: root.sid, error: { status: 404 } })
  }
})

test('who was away when a conversation or a user was removed is told of it', async ({ tenant }) => {
  const [sid, other] = [await conversationWith(tenant, 'ann', 'bob', 'carol'), await conversationWith(tenant, 'ann', 'carol')]
  await v1(tenant).conversations(sid).participants.create({
    'messagingBinding.address': '+15550001111',
    'messagingBinding.proxyAddress': '+15550002222',
  })
  const [ann, bob] = [await RawClient.admitted(tenant, 'ann'), await RawClient.admitted(tenant, 'bob')]
  const user = async (identity: string) => (await v1(tenant).users(identity).fetch()).sid
  const [annsMap, bobsMap] = [`${await user('ann')}.channels`, `${await user('bob')}.channels`]
  const positionOf = async (client: RawClient, map: string) => (await client.request('GET', `/v3/Maps/${map}`)).body.last_event_id
  const removedSince = async (client: RawClient, object_sid: string, last_event_id: number) => {
    const body = { action: 'establish', correlation_id: object_sid, requests: [{ object_sid, last_event_id }] }
    await client.request('POST', '/v4/Subscriptions', { body })
    const { event } = await client.event('subscription_established')
    const found = client.takeEvents('map_item_removed').flatMap(({ events }) => events)
    return {
      keys: found.map(({ item_key }) => item_key),
      ids: found.map(({ id }) => id),
      now: event.last_event_id - last_event_id,
    }
  }
  const before = [
    await positionOf(ann, annsMap),
    await positionOf(bob, bobsMap),
    await positionOf(ann, `${other}.roster`),
  ] as const
  const carol = (await v1(tenant).conversations(other).participants('carol').fetch()).sid
  await v1(tenant).conversations(sid).remove()
  await v1(tenant).users('carol').remove()
  expect(await removedSince(ann, annsMap, before[0])).toEqual({ keys: [sid], ids: [before[0] + 1], now: 1 })
  expect(await removedSince(bob, bobsMap, before[1])).toEqual({ keys: [sid], ids: [before[1] + 1], now: 1 })
  expect(await removedSince(ann, `${other}.roster`, before[2])).toEqual({ keys: [carol], ids: [before[2] + 1], now: 1 })
})

test('what was read after the position of a subscription is not stale: its later changes are told, too', async ({ tenant }) => {
  const sid = await conversationWith(tenant, 'ann')
  const rest = v1(tenant).conversations(sid)
  const raw = await RawClient.admitted(tenant, 'ann')
  const path = `/v3/Lists/${sid}.messages`
  const { last_event_id } = (await raw.request('GET', path)).body
  const [edited, deleted] = [await rest.messages.create({ body: 'e' }), await rest.messages.create({ body: 'd' })]
  const read = (await raw.request('GET', `${path}/Items`)).body.items as { index: number; last_event_id: number }[]
  await rest.messages(edited.sid).update({ body: 'edited' })
  await rest.messages(deleted.sid).remove()
  const requests = [{ object_sid: `${sid}.messages`, object_type: 'list', last_event_id }]
  await raw.request('POST', '/v4/Subscriptions', { body: { action: 'establish', correlation_id: 1, requests } })
  await raw.event('subscription_established')
  const events = ['added', 'updated', 'removed'].flatMap((verb) =>
    raw
      .takeEvents(`list_item_${verb}`)
      .flatMap(({ events }) => events.map(({ item_index, id, item_data }: Event) => ({ verb, item_index, id, item_data }))),
  )
  const ids = read.map((item) => item.last_event_id) as [number, number]
  expect(events).toMatchObject([
    { verb: 'added', item_index: 0, id: ids[0] },
    { verb: 'updated', item_index: 0, id: ids[1] + 1, item_data: { text: 'edited' } },
    { verb: 'removed', item_index: 1, id: ids[1] + 2 },
  ])
})

test('who is removed is sent nothing any more, in the instant of the removal', async ({ tenant }) => {
  const sid = await conversationWith(tenant, 'ann', 'bob')
  const raw = await RawClient.admitted(tenant, 'ann')
  const requests = [`${sid}.messages`, `${sid}.roster`, `${sid}.channel`].map((object_sid) => ({
    object_sid,
    last_event_id: 100,
  }))
  await raw.request('POST', '/v4/Subscriptions', { body: { action: 'establish', correlation_id: 1, requests } })
  for (const _ of requests) await raw.event('subscription_established')
  const rest = v1(tenant).conversations(sid)
  await Promise.all([rest.participants('ann').remove(), rest.messages.create({ body: 'secret?' })])
  await rest.messages.create({ body: 'secret' })
  await rest.update({ friendlyName: 'secret' })
  for (const { object_sid } of requests) {
    const kind = object_sid.endsWith('messages') ? 'Lists' : object_sid.endsWith('roster') ? 'Maps' : 'Documents'
    expect((await raw.request('GET', `/v3/${kind}/${object_sid}`)).status).toBe(403)
  }
  expect(raw.frames.map(({ payload }) => String(payload)).filter((text) => text.includes('"secret"'))).toEqual([])
  raw.socket.close()
  await once(raw.socket, 'close')
})

test('who comes back with the position of another is sent what the other was, and what has happened since', async ({
  tenant,
}) => {
  const sid = await conversationWith(tenant, 'ann', 'bob', 'carol')
  const rest = v1(tenant).conversations(sid)
  const object_sid = `${sid}.messages`
  const [ann, bob, carol] = [
    await RawClient.admitted(tenant, 'ann'),
    await RawClient.admitted(tenant, 'bob'),
    await RawClient.admitted(tenant, 'carol'),
  ]
  const { last_event_id } = (await ann.request('GET', `/v3/Lists/${object_sid}`)).body
  const since = async (client: RawClient) => {
    const body = { action: 'establish', correlation_id: 1, requests: [{ object_sid, last_event_id }] }
    await client.request('POST', '/v4/Subscriptions', { body })
    const { event } = await client.event('subscription_established')
    const events = client.takeEvents('list_item_added').flatMap((frame) => frame.events as Event[])
    return { data: events.map(({ item_data }) => item_data), position: event.last_event_id - last_event_id }
  }
  await rest.messages.create({ body: 'one' })
  expect(await since(ann)).toMatchObject({ data: [{ text: 'one' }], position: 1 })
  expect(await since(bob)).toMatchObject({ data: [{ text: 'one' }], position: 1 })
  await rest.messages.create({ body: 'two' })
  expect(await since(carol)).toMatchObject({ data: [{ text: 'one' }, { text: 'two' }], position: 2 })
  await rest.participants('bob').remove()
  await bob.request('POST', '/v4/Subscriptions', {
    body: { action: 'establish', correlation_id: 2, requests: [{ object_sid, last_event_id }] },
  })
  expect((await bob.event('subscription_failed')).event).toMatchObject({ object_sid, error: { status: 404 } })
})
