import { request } from 'undici'
import { expect, test } from 'vitest'
import { targetsOfEvent } from '../../src/mirror/events.ts'
import { expectEqual, settled, startMirrored, statusOf } from '../support/mirror.ts'

test('what happens past the mirror is read when the webhooks of the hosted side tell of it', async () => {
  await using scene = await startMirrored()
  const { mirror, hosted } = scene
  const filters = ['onMessageAdded', 'onMessageUpdated', 'onMessageRemoved', 'onConversationAdded', 'onConversationUpdated']
  const more = [
    'onConversationRemoved',
    'onConversationStateUpdated',
    'onParticipantAdded',
    'onParticipantRemoved',
    'onUserUpdated',
  ]
  await mirror.call('POST', '/v1/Configuration/Webhooks', [
    ['PostWebhookUrl', `${mirror.url}/mirror/events?from=hosted`],
    ...[...filters, ...more].map((name): [string, string] => ['Filters', name]),
  ])
  await settled(mirror)
  const headers = { 'x-twilio-webhook-enabled': 'true' }
  const there = (method: string, path: string, form?: Record<string, string>) =>
    hosted.call(method, `/v1${path}`, form, { headers })
  const isSame = async () => {
    // All that the hosted side has to tell has arrived.
    await expect.poll(async () => (await hosted.rows('deliveries')).filter(({ status }) => status === 'pending')).toEqual([])
    expect((await hosted.rows('deliveries')).filter(({ status }) => status !== 'delivered')).toEqual([])
    await settled(mirror)
    await expectEqual(mirror)
  }
  const { sid } = (await there('POST', '/Conversations', { UniqueName: 'one', 'Timers.Inactive': 'PT1M' })).body
  await there('POST', '/Conversations/one/Participants', { Identity: 'ada' })
  const first = (await there('POST', '/Conversations/one/Messages', { Body: 'from an app', Author: 'ada' })).body
  await isSame()
  await there('POST', `/Conversations/one/Messages/${first.sid}`, { Body: 'edited' })
  await there('DELETE', '/Conversations/one/Participants/ada')
  await there('POST', '/Users/ada', { FriendlyName: 'Ada' })
  await isSame()
  await there('DELETE', `/Conversations/one/Messages/${first.sid}`)
  await hosted.advance('PT2M')
  expect((await hosted.call('GET', `/v1/Conversations/${sid}`)).body.state).toBe('inactive')
  await isSame()
  await there('DELETE', '/Conversations/one')
  await isSame()
})

test('an event that nobody has signed, or that cannot be read, does nothing', async () => {
  await using scene = await startMirrored()
  const { mirror, wall } = scene
  const before = wall.requests.length
  const sid = `CH${'a'.repeat(32)}`
  const form = { EventType: 'onConversationAdded', AccountSid: mirror.account_sid, ChatServiceSid: `IS${'b'.repeat(32)}` }
  const body = new URLSearchParams({ ...form, ConversationSid: sid }).toString()
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  const send = async (init: object) => {
    const answer = await request(`${mirror.url}/mirror/events`, { method: 'POST', ...init })
    await answer.body.dump()
    return answer.statusCode
  }
  expect(await send({ body, headers: type })).toBe(403)
  expect(await send({ body, headers: { ...type, 'x-twilio-signature': 'bm9uZQ==' } })).toBe(403)
  expect(await send({ method: 'GET' })).toBe(403)
  expect(await send({ body: 'x'.repeat(2_000_000), headers: type })).toBe(413)
  expect(await send({ body, headers: { ...type, 'content-encoding': 'gzip' } })).toBe(415)
  expect((await statusOf(mirror)).to_read).toBe(0)
  expect(wall.requests.length).toBe(before)
})

test('an event of somebody else, or without what it is about, hints at nothing', () => {
  const account = `AC${'1'.repeat(32)}`
  const good = {
    EventType: 'onMessageAdded',
    AccountSid: account,
    ChatServiceSid: `IS${'2'.repeat(32)}`,
    ConversationSid: `CH${'3'.repeat(32)}`,
  }
  expect(targetsOfEvent(good, account)).toHaveLength(1)
  for (const spoilt of [
    { EventType: 'onMessageAdd' },
    { EventType: 'constructor' },
    { AccountSid: `AC${'9'.repeat(32)}` },
    { ChatServiceSid: '../../x' },
    { ConversationSid: 'CH1 2' },
  ]) {
    expect(targetsOfEvent({ ...good, ...spoilt }, account)).toEqual([])
  }
})
