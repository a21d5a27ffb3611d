import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { expect, test } from 'vitest'
import { startServer } from '../support/server.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

const header = { 'x-twilio-webhook-enabled': 'true' }

test('what a pre-action webhook was asked about is what is deleted, though its name has moved on meanwhile', async () => {
  await using server = await startServer()
  await using catcher = await catchWebhooks()
  await server.call('POST', '/v1/Configuration/Webhooks', { PreWebhookUrl: catcher.url(), Filters: 'onConversationRemove' })
  const first = (await server.call('POST', '/v1/Conversations', { UniqueName: 'swap' })).body
  let second = { sid: '' }
  catcher.reply(async () => {
    await server.call('POST', `/v1/Conversations/${first.sid}`, { UniqueName: 'moved' })
    second = (await server.call('POST', '/v1/Conversations', { UniqueName: 'swap' })).body
    return {}
  })
  expect((await server.call('DELETE', '/v1/Conversations/swap', undefined, { headers: header })).status).toBe(204)
  expect((await catcher.next()).params.ConversationSid).toBe(first.sid)
  expect((await server.call('GET', `/v1/Conversations/${first.sid}`)).status).toBe(404)
  expect((await server.call('GET', `/v1/Conversations/${second.sid}`)).status).toBe(200)
})

test('a change of the default service while the webhook is asked moves nothing into the other service', async () => {
  await using server = await startServer()
  await using catcher = await catchWebhooks()
  await server.call('POST', '/v1/Configuration/Webhooks', { PreWebhookUrl: catcher.url(), Filters: 'onConversationAdd' })
  const { default_chat_service_sid: before } = (await server.call('GET', '/v1/Configuration')).body
  const other = (await server.call('POST', '/v1/Services', { FriendlyName: 'Other' })).body.sid
  catcher.reply(async () => {
    await server.call('POST', '/v1/Configuration', { DefaultChatServiceSid: other })
    return {}
  })
  const made = await server.call('POST', '/v1/Conversations', { FriendlyName: 'x' }, { headers: header })
  expect(made.body.chat_service_sid).toBe(before)
})

test('a webhook that has said no has said no, whatever becomes of the rest of its answer', async () => {
  await using server = await startServer()
  const answers = [
    'HTTP/1.1 403 Forbidden\r\ncontent-length: 100\r\n\r\nabc',
    'HTTP/1.1 500 Oops\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
  ]
  const hook = createServer((socket: Socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(answers.shift() ?? ''))
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => hook.once('listening', resolve))
  const url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/`
  await server.call('POST', '/v1/Configuration/Webhooks', { PreWebhookUrl: url, Filters: 'onConversationAdd' })
  for (let i = 0; i < 2; i++) {
    const answer = await server.call('POST', '/v1/Conversations', {}, { headers: header })
    expect(answer).toMatchObject({ status: 403, body: { code: 50056 } })
  }
  expect((await server.call('GET', '/v1/Conversations')).body.conversations).toEqual([])
  hook.close()
})
