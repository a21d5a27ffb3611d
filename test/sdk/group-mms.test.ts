import { afterAll, expect, test } from 'vitest'
import { startServer } from '../support/server.ts'

const server = await startServer()
afterAll(() => server.stop())

async function group(): Promise<string> {
  const { sid } = (await server.call('POST', '/v1/Conversations', {})).body
  const native = { 'MessagingBinding.Address': '+15550001111' }
  expect((await server.call('POST', `/v1/Conversations/${sid}/Participants`, native)).status).toBe(201)
  return sid
}

test('an author of a message to a group MMS is in it; the system may speak', async () => {
  const path = `/v1/Conversations/${await group()}/Messages`
  expect(await server.call('POST', path, { Body: 'x', Author: 'stranger' })).toMatchObject({ status: 400, body: { code: 50513 } })
  expect((await server.call('GET', path)).body.messages).toEqual([])
  expect((await server.call('POST', path, { Body: 'x', Author: '+15550001111' })).status).toBe(201)
  expect((await server.call('POST', path, { Body: 'x' })).body).toMatchObject({ author: 'system', index: 1 })
})

test('who joins a group MMS by identity needs a projected address', async () => {
  const path = `/v1/Conversations/${await group()}/Participants`
  expect(await server.call('POST', path, { Identity: 'alice' })).toMatchObject({ status: 400, body: { code: 50434 } })
  const projected = { Identity: 'alice', 'MessagingBinding.ProjectedAddress': '+15550003333' }
  expect((await server.call('POST', path, projected)).body.messaging_binding).toEqual({
    type: 'sms',
    projected_address: '+15550003333',
  })
  expect(await server.call('POST', path, { Identity: 'alice' })).toMatchObject({ status: 409, body: { code: 50433 } })
})

test('the same people are in one open group MMS; the refusal names it, closing frees them', async () => {
  const members = [
    '{"messaging_binding":{"address":"+15551112222"}}',
    '{"identity":"g","messaging_binding":{"projected_address":"+15551113333"}}',
  ]
  const form = members.map((member): [string, string] => ['Participant', member])
  const first = await server.call('POST', '/v1/ConversationWithParticipants', form)
  expect(first.status).toBe(202)
  expect(await server.call('POST', '/v1/ConversationWithParticipants', form)).toMatchObject({
    status: 409,
    body: { code: 50438, message: `Group MMS with given participant list already exists as Conversation ${first.body.sid}` },
  })
  const larger: [string, string][] = [...form, ['Participant', '{"messaging_binding":{"address":"+15551114444"}}']]
  expect((await server.call('POST', '/v1/ConversationWithParticipants', larger.reverse())).status).toBe(202)
  await server.call('POST', `/v1/Conversations/${first.body.sid}`, { State: 'closed' })
  expect((await server.call('POST', '/v1/ConversationWithParticipants', form)).status).toBe(202)
})
