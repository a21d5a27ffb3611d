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
