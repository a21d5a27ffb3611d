import { expect } from 'vitest'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

const [anna, ben, ours] = ['+15550001111', '+15550002222', '+15550003333'] as const

async function post(tenant: Tenant, path: string, form: Record<string, string>) {
  return tenant.call('POST', path, form)
}

/** A conversation with these members; answers its path. */
async function group(tenant: Tenant, ...members: Record<string, string>[]): Promise<string> {
  const path = `/v1/Conversations/${(await post(tenant, '/v1/Conversations', {})).body.sid}`
  for (const member of members) expect((await post(tenant, `${path}/Participants`, member)).status).toBe(201)
  return path
}

const native = (address: string) => ({ 'MessagingBinding.Address': address })
const unattached = (address: string) => ({ 'MessagingBinding.ProjectedAddress': address })

test('an author of a message to a group MMS is in it, by identity or number; nobody else may speak', async ({ tenant }) => {
  const alice = { Identity: 'alice', ...unattached('+15550004444') }
  const path = `${await group(tenant, native(anna), native(ben), unattached(ours), alice)}/Messages`
  for (const author of [{ Author: 'stranger' }, { Author: 'system' }, { Author: '+15559999999' }, {}]) {
    const refused = await post(tenant, path, { Body: 'x', ...author } as Record<string, string>)
    expect(refused).toMatchObject({ status: 400, body: { code: 50513 } })
  }
  expect((await tenant.call('GET', path)).body.messages).toEqual([])
  for (const [index, author] of [anna, ours, 'alice'].entries()) {
    const { status, body } = await post(tenant, path, { Body: 'x', Author: author })
    expect([status, body.author, body.index]).toEqual([201, author, index])
    expect(body.participant_sid).toMatch(/^MB/)
  }
})

test('a projected address alone is an unattached participant', async ({ tenant }) => {
  const path = await group(tenant, native(anna))
  const { status, body } = await post(tenant, `${path}/Participants`, unattached(ours))
  expect(status).toBe(201)
  expect(body).toMatchObject({ identity: null, messaging_binding: { type: 'sms', projected_address: ours } })
  const refused = await post(tenant, `${path}/Participants`, unattached('nonsense'))
  expect(refused).toMatchObject({ status: 400, body: { code: 50407 } })
  // Nothing would be left of it.
  const emptied = await post(tenant, `${path}/Participants/${body.sid}`, unattached('null'))
  expect(emptied).toMatchObject({ status: 400, body: { code: 50442 } })
})

test('nobody has an address and a projected address', async ({ tenant }) => {
  const path = await group(tenant)
  const both = { ...native(anna), ...unattached(ours) }
  const refusal = { status: 400, body: { code: 50407, message: 'Invalid messaging binding address' } }
  expect(await post(tenant, `${path}/Participants`, both)).toMatchObject(refusal)
  const proxied = { ...both, 'MessagingBinding.ProxyAddress': '+15557777777' }
  expect(await post(tenant, `${path}/Participants`, proxied)).toMatchObject(refusal)
  const Participant = JSON.stringify({ messaging_binding: { address: anna, projected_address: ours } })
  expect(await post(tenant, '/v1/ConversationWithParticipants', { Participant })).toMatchObject(refusal)
})

test('an identity takes over a projected address, from nobody and from another identity', async ({ tenant, catcher }) => {
  const hook = { PostWebhookUrl: catcher.url(), Filters: 'onParticipantUpdated' }
  await post(tenant, '/v1/Configuration/Webhooks', hook)
  const path = await group(tenant, native(anna), native(ben), unattached(ours))
  const { participants } = (await tenant.call('GET', `${path}/Participants`)).body
  const { sid } = participants.find((one: { messaging_binding: object }) => 'projected_address' in one.messaging_binding)
  for (const Identity of ['alice', 'bob']) {
    const options = { headers: { 'X-Twilio-Webhook-Enabled': 'true' } }
    const { status, body } = await tenant.call('POST', `${path}/Participants/${sid}`, { Identity }, options)
    expect([status, body.identity, body.messaging_binding.projected_address]).toEqual([200, Identity, ours])
    expect((await catcher.next()).params).toMatchObject({ Identity, 'MessagingBinding.ProjectedAddress': ours })
    expect((await tenant.call('GET', `/v1/Users/${Identity}`)).status).toBe(200)
  }
  expect((await tenant.call('GET', `${path}/Participants/bob`)).body.sid).toBe(sid)
  expect((await tenant.call('GET', `${path}/Participants/alice`)).status).toBe(404)
  const chat = await group(tenant, { Identity: 'carol' })
  const refused = await post(tenant, `${chat}/Participants/carol`, { Identity: 'dave' })
  expect(refused).toMatchObject({ status: 400, body: { code: 50444 } })
})

test('a group of fewer than three numbers, or with somebody who has none, cannot be activated', async ({ tenant }) => {
  const path = await group(tenant, { Identity: 'chatter' }, native(anna), unattached(ours))
  const say = () => post(tenant, `${path}/Messages`, { Body: 'x', Author: anna })
  const refusal = { status: 400, body: { code: 50435, message: 'Group MMS activation failed.' } }
  expect(await say()).toMatchObject(refusal)
  expect((await post(tenant, `${path}/Participants`, native(ben))).status).toBe(201)
  expect(await say()).toMatchObject(refusal)
  expect((await tenant.call('DELETE', `${path}/Participants/chatter`)).status).toBe(204)
  expect((await say()).status).toBe(201)
})

test('who joins a group MMS by identity needs a projected address', async ({ tenant }) => {
  const path = `${await group(tenant, native(anna))}/Participants`
  expect(await tenant.call('POST', path, { Identity: 'alice' })).toMatchObject({ status: 400, body: { code: 50434 } })
  const projected = { Identity: 'alice', 'MessagingBinding.ProjectedAddress': '+15550003333' }
  expect((await tenant.call('POST', path, projected)).body.messaging_binding).toEqual({
    type: 'sms',
    projected_address: '+15550003333',
  })
  expect(await tenant.call('POST', path, { Identity: 'alice' })).toMatchObject({ status: 409, body: { code: 50433 } })
})

test('the same people are in one open group MMS; the refusal names it, closing frees them', async ({ tenant }) => {
  const members = [
    '{"messaging_binding":{"address":"+15551112222"}}',
    '{"identity":"g","messaging_binding":{"projected_address":"+15551113333"}}',
  ]
  const form = members.map((member): [string, string] => ['Participant', member])
  const first = await tenant.call('POST', '/v1/ConversationWithParticipants', form)
  expect(first.status).toBe(202)
  expect(await tenant.call('POST', '/v1/ConversationWithParticipants', form)).toMatchObject({
    status: 409,
    body: { code: 50438, message: `Group MMS with given participant list already exists as Conversation ${first.body.sid}` },
  })
  const larger: [string, string][] = [...form, ['Participant', '{"messaging_binding":{"address":"+15551114444"}}']]
  expect((await tenant.call('POST', '/v1/ConversationWithParticipants', larger)).status).toBe(202)
  await tenant.call('POST', `/v1/Conversations/${first.body.sid}`, { State: 'closed' })
  expect((await tenant.call('POST', '/v1/ConversationWithParticipants', form)).status).toBe(202)
})

test('an unattached participant counts for a group as well: the change that completes a set is refused', async ({ tenant }) => {
  const first = await group(tenant, native(anna), native(ben), unattached(ours))
  const taken = { status: 409, body: { code: 50438, message: expect.stringContaining(first.split('/').at(-1) ?? '') } }
  const second = await group(tenant, native(anna), native(ben))
  expect(await post(tenant, `${second}/Participants`, unattached(ours))).toMatchObject(taken)
  expect(await post(tenant, `${second}/Participants`, { Identity: 'a', ...unattached(ours) })).toMatchObject(taken)
  const form = [native(anna), unattached(ours), native(ben)].map((binding): [string, string] => {
    const [[name = '', address] = []] = Object.entries(binding)
    const key = name.endsWith('ProjectedAddress') ? 'projected_address' : 'address'
    return ['Participant', JSON.stringify({ messaging_binding: { [key]: address } })]
  })
  expect(await tenant.call('POST', '/v1/ConversationWithParticipants', form)).toMatchObject(taken)
  // A timer that has closed the first, written or not, frees its set.
  await post(tenant, first, { 'Timers.Closed': 'PT10M' })
  await tenant.advance('PT10M')
  expect((await tenant.call('POST', '/v1/ConversationWithParticipants', form)).status).toBe(202)
})
