import { expect, onTestFinished, test } from 'vitest'
import { type ConnectionLimits, defaultConnectionLimits } from '../../src/client/connection.ts'
import { webhookTimeoutMs } from '../../src/delivery/client.ts'
import { RawClient } from '../support/client.ts'
import { gate } from '../support/hooked.ts'
import { startServer } from '../support/server.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

/*
 * Mobile clients give up on a request after ten seconds. The times of these servers are shorter, and nothing here needs them to be
 * kept: each test waits for what has to happen.
 */

/** Ann in a conversation of a server with these limits, and the endpoint of its pre-action webhook for new messages. */
async function scene(clientLimits: Partial<ConnectionLimits>) {
  const server = await startServer({}, { clientLimits })
  onTestFinished(server.stop)
  const catcher = await catchWebhooks({ authToken: server.auth_token })
  onTestFinished(catcher.close)
  const { configuration, conversations } = server.sdk.conversations.v1
  const { sid, chatServiceSid } = await conversations.create({})
  await conversations(sid).participants.create({ identity: 'ann' })
  await configuration.webhooks().update({ preWebhookUrl: catcher.url(), filters: ['onMessageAdd'], method: 'POST' })
  const raw = await RawClient.admitted(server, 'ann')
  const path = `/Client/v2/Services/${chatServiceSid}/Conversations/${sid}/Messages`
  const send = (body: string, name = body) =>
    raw.request('POST', path, { body: { body }, headers: { 'X-Twilio-Mutation-Id': name } })
  const stored = async () => (await conversations(sid).messages.list()).map(({ body }) => body)
  return { catcher, raw, send, stored }
}

const late = { status: 503, body: { code: 20503, status: 503, message: 'Service unavailable' } }

test('the time for a request has room for a webhook that takes all of its own', () => {
  const { requestTimeoutMs, writeMs } = defaultConnectionLimits
  expect(requestTimeoutMs).toBeLessThanOrEqual(9000)
  expect(webhookTimeoutMs + writeMs).toBeLessThanOrEqual(requestTimeoutMs)
})

test('a webhook that hangs costs its own time at most once', async () => {
  const { catcher, send, stored } = await scene({ requestTimeoutMs: 1000, writeMs: 500 })
  using held = gate()
  catcher.reply(({ params }) => (params.Body === 'hangs' ? { delayUntil: held.opened } : { status: 200 }))
  const [first, behind, last] = await Promise.all([send('hangs'), send('hangs', 'behind'), send('hangs', 'last')])
  // Nobody has consented: a webhook that is not given its time is no consent, or a crowd of requests would get past a veto.
  expect(first).toMatchObject(late)
  expect(behind).toMatchObject(late)
  expect(last).toMatchObject(late)
  held.open()
  await expect.poll(() => send('answered')).toMatchObject({ status: 201 })
  expect(await stored()).toEqual(['answered'])
})

test('what is done after all is not done again when it is repeated under its name', async () => {
  // The webhook may take longer than the request.
  const { catcher, send, stored } = await scene({ requestTimeoutMs: 300, writeMs: -60_000 })
  using held = gate()
  catcher.reply(() => ({ delayUntil: held.opened }))
  expect(await send('once')).toMatchObject(late)
  held.open()
  await expect.poll(stored).toEqual(['once'])
  await expect.poll(() => send('once')).toMatchObject({ status: 201, body: { body: 'once', index: 0 } })
  expect(await stored()).toEqual(['once'])
})

test('what has waited too long for those before it is not begun', async () => {
  const { catcher, raw, send, stored } = await scene({ requestTimeoutMs: 500, writeMs: -60_000 })
  using held = gate()
  catcher.reply(() => ({ delayUntil: held.opened }))
  const answers = await Promise.all([send('first'), send('second')])
  expect(answers).toMatchObject([late, late])
  // Reading waits for nobody.
  await expect.poll(() => raw.request('GET', '/Client/v2/Configuration')).toMatchObject({ status: 200 })
  held.open()
  await expect.poll(stored).toEqual(['first'])
  catcher.reply(() => ({}))
  await expect.poll(() => send('third')).toMatchObject({ status: 201 })
  expect(await stored()).toEqual(['first', 'third'])
})
