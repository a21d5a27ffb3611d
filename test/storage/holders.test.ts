import { expect } from 'vitest'
import type { ConversationRow, ParticipantRow } from '../../src/storage/schema.ts'
import { RawClient } from '../support/client.ts'
import type { FileServer } from '../support/file-server.ts'
import { testWithRows as test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

/*
 * What many rows hang on is deleted at once for everybody who looks, although most of the rows are changed afterwards.
 */

const v1 = '/v1'

function nth(prefix: string, n: number): string {
  return prefix + n.toString(16).padStart(32, '0')
}

/** A conversation with one participant, as the API makes them. */
async function model({ rows }: FileServer, tenant: Tenant, form: Record<string, string> = {}) {
  const { sid } = (await tenant.call('POST', `${v1}/Conversations`, form)).body
  await tenant.call('POST', `${v1}/Conversations/${sid}/Participants`, { Identity: 'alice' })
  const conversation = (await rows('conversations')).find((row) => row.sid === sid) as ConversationRow
  const participant = (await rows('participants')).find((row) => row.conversation_sid === sid) as ParticipantRow
  return { conversation, participant }
}

async function participantsOf(tenant: Tenant, sid: string) {
  return (await tenant.call('GET', `${v1}/Conversations/${sid}/Participants?PageSize=1000`)).body.participants as {
    readonly role_sid: string
  }[]
}

let made = 0

test('a role that 3,000 participants have is gone at once, and nobody has it any more', async ({ server, tenant }) => {
  const role = { FriendlyName: 'Guest', Type: 'conversation', Permission: 'sendMessage' }
  const { sid: role_sid } = (await tenant.call('POST', `${v1}/Roles`, role)).body
  const { conversation, participant } = await model(server, tenant)
  const sids = [1, 2, 3, 4].map(() => nth('CH', ++made))
  for (const sid of sids) {
    await server.insert('conversations', { ...conversation, sid })
    for (let i = 0; i < 750; i++) {
      const member = { sid: nth('MB', ++made), conversation_sid: sid, identity: `i${i}`, user_sid: nth('US', i), role_sid }
      await server.insert('participants', { ...participant, ...member })
    }
  }
  expect((await tenant.call('DELETE', `${v1}/Roles/${role_sid}`)).status).toBe(204)
  expect((await tenant.call('GET', `${v1}/Roles/${role_sid}`)).status).toBe(404)
  for (const sid of sids.toReversed()) {
    const roles = new Set((await participantsOf(tenant, sid)).map((one) => one.role_sid))
    expect([...roles]).toEqual([participant.role_sid])
  }
  const holders = async () => (await server.rows('participants')).filter((row) => row.role_sid === role_sid).length
  await expect.poll(holders).toBe(0)
  await expect.poll(() => server.rows('removals')).toEqual([])
  const services = await server.rows('services')
  expect(services.map((row) => row.replaced_roles)).toEqual(services.map(() => '{}'))
})

test('whoever follows a roster is told of each role that is taken from its members, however many they are', async ({
  server,
  tenant,
}) => {
  const role = { FriendlyName: 'Guest', Type: 'conversation', Permission: 'sendMessage' }
  const { sid: role_sid } = (await tenant.call('POST', `${v1}/Roles`, role)).body
  const { conversation, participant } = await model(server, tenant)
  const sid = nth('CH', ++made)
  const count = 750
  await server.insert('conversations', { ...conversation, sid, created_by: 'alice', last_event_id: count })
  for (let i = 0; i < count; i++) {
    const member = {
      sid: nth('MB', ++made),
      conversation_sid: sid,
      identity: i === 0 ? 'alice' : `i${i}`,
      event_id: i + 1,
      role_sid,
    }
    await server.insert('participants', { ...participant, ...member, created_event_id: i + 1 })
  }
  const following = await RawClient.admitted(tenant, 'alice')
  const requests = [{ object_sid: `${sid}.roster`, last_event_id: count }]
  const body = { action: 'establish', correlation_id: 1, requests }
  expect((await following.request('POST', '/v4/Subscriptions', { body })).status).toBe(200)
  await following.event('subscription_established')
  expect((await tenant.call('DELETE', `${v1}/Roles/${role_sid}`)).status).toBe(204)
  const told: { id: number; item_key: string; item_data: { roleSid: string } }[] = []
  while (told.length < count) told.push(...(await following.event('map_item_updated')).events)
  expect(new Set(told.map(({ item_key }) => item_key)).size).toBe(count)
  expect(new Set(told.map(({ item_data }) => item_data.roleSid))).toEqual(new Set([participant.role_sid]))
  expect(told.map(({ id }) => id)).toEqual(Array.from({ length: count }, (_, i) => count + 1 + i))
  expect(following.takeEvents('map_item_updated')).toEqual([])
})

test('a user with 1,000 memberships in closed conversations has left them at once', async ({ server, tenant }) => {
  const { conversation, participant } = await model(server, tenant)
  const sids = Array.from({ length: 1000 }, () => nth('CH', ++made))
  for (const sid of sids) {
    await server.insert('conversations', { ...conversation, sid, state: 'closed' })
    const membership = { sid: nth('MB', ++made), conversation_sid: sid, open: 0, closed_activity: made }
    await server.insert('participants', { ...participant, ...membership })
  }
  const last = sids.at(-1) ?? ''
  expect(await participantsOf(tenant, last)).toHaveLength(1)
  const found = (await tenant.call('GET', `${v1}/Users/alice/Conversations?PageSize=1000`)).body.conversations
  // The open one had its activity last, then the closed ones from the last to the first.
  const shown = found.map((one: { conversation_sid: string }) => one.conversation_sid)
  expect(shown).toEqual([conversation.sid, ...sids.slice(1).toReversed()])

  expect((await tenant.call('DELETE', `${v1}/Users/alice`)).status).toBe(204)
  expect(await participantsOf(tenant, conversation.sid)).toEqual([])
  for (const sid of [sids[0] ?? '', last]) expect(await participantsOf(tenant, sid)).toEqual([])
  expect((await tenant.call('GET', `${v1}/Conversations/${last}/Participants/alice`)).status).toBe(404)
  await tenant.call('POST', `${v1}/Users`, { Identity: 'alice' })
  for (const path of ['Users/alice/Conversations', 'ParticipantConversations?Identity=alice']) {
    expect((await tenant.call('GET', `${v1}/${path}`)).body.conversations).toEqual([])
  }
  const left = async () => (await server.rows('participants')).filter((row) => row.user_sid === participant.user_sid).length
  await expect.poll(left).toBe(0)
  await expect.poll(() => server.rows('removals')).toEqual([])
})
