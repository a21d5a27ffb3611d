import type { AddressInfo } from 'node:net'
import { createServer, type Socket } from 'node:net'
import { expect } from 'vitest'
import { test } from '../support/fixtures.ts'

const header = { 'x-twilio-webhook-enabled': 'true' }

test('what a pre-action webhook was asked about is what is deleted, though its name has moved on meanwhile', async ({
  tenant,
  catcher,
}) => {
  await tenant.call('POST', '/v1/Configuration/Webhooks', { PreWebhookUrl: catcher.url(), Filters: 'onConversationRemove' })
  const first = (await tenant.call('POST', '/v1/Conversations', { UniqueName: 'swap' })).body
  let second = { sid: '' }
  catcher.reply(async () => {
    await tenant.call('POST', `/v1/Conversations/${first.sid}`, { UniqueName: 'moved' })
    second = (await tenant.call('POST', '/v1/Conversations', { UniqueName: 'swap' })).body
    return {}
  })
  expect((await tenant.call('DELETE', '/v1/Conversations/swap', undefined, { headers: header })).status).toBe(204)
  expect((await catcher.next()).params.ConversationSid).toBe(first.sid)
  expect((await tenant.call('GET', `/v1/Conversations/${first.sid}`)).status).toBe(404)
  expect((await tenant.call('GET', `/v1/Conversations/${second.sid}`)).status).toBe(200)
})

test('a change of the default service while the webhook is asked moves nothing into the other service', async ({
  tenant,
  catcher,
}) => {
  await tenant.call('POST', '/v1/Configuration/Webhooks', { PreWebhookUrl: catcher.url(), Filters: 'onConversationAdd' })
  const { default_chat_service_sid: before } = (await tenant.call('GET', '/v1/Configuration')).body
  const other = (await tenant.call('POST', '/v1/Services', { FriendlyName: 'Other' })).body.sid
  catcher.reply(async () => {
    await tenant.call('POST', '/v1/Configuration', { DefaultChatServiceSid: other })
    return {}
  })
  const made = await tenant.call('POST', '/v1/Conversations', { FriendlyName: 'x' }, { headers: header })
  expect(made.body.chat_service_sid).toBe(before)
})

test('a webhook that has said no has said no, whatever becomes of the rest of its answer', async ({ tenant }) => {
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
  await tenant.call('POST', '/v1/Configuration/Webhooks', { PreWebhookUrl: url, Filters: 'onConversationAdd' })
  for (let i = 0; i < 2; i++) {
    const answer = await tenant.call('POST', '/v1/Conversations', {}, { headers: header })
    expect(answer).toMatchObject({ status: 403, body: { code: 50056 } })
  }
  expect((await tenant.call('GET', '/v1/Conversations')).body.conversations).toEqual([])
  hook.close()
})
