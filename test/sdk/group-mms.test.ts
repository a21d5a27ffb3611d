import { expect } from 'vitest'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

async function group(tenant: Tenant): Promise<string> {
  const { sid } = (await tenant.call('POST', '/v1/Conversations', {})).body
  const native = { 'MessagingBinding.Address': '+15550001111' }
  expect((await tenant.call('POST', `/v1/Conversations/${sid}/Participants`, native)).status).toBe(201)
  return sid
}

test('an author of a message to a group MMS is in it; the system may speak', async ({ tenant }) => {
  const path = `/v1/Conversations/${await group(tenant)}/Messages`
  expect(await tenant.call('POST', path, { Body: 'x', Author: 'stranger' })).toMatchObject({ status: 400, body: { code: 50513 } })
  expect((await tenant.call('GET', path)).body.messages).toEqual([])
  expect((await tenant.call('POST', path, { Body: 'x', Author: '+15550001111' })).status).toBe(201)
  expect((await tenant.call('POST', path, { Body: 'x' })).body).toMatchObject({ author: 'system', index: 1 })
})

test('who joins a group MMS by identity needs a projected address', async ({ tenant }) => {
  const path = `/v1/Conversations/${await group(tenant)}/Participants`
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
  expect((await tenant.call('POST', '/v1/ConversationWithParticipants', larger.reverse())).status).toBe(202)
  await tenant.call('POST', `/v1/Conversations/${first.body.sid}`, { State: 'closed' })
  expect((await tenant.call('POST', '/v1/ConversationWithParticipants', form)).status).toBe(202)
})
