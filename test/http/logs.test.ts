import { Writable } from 'node:stream'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { all_events, settled } from '../support/hooked.ts'
import { auth_token, startServer } from '../support/server.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

/** In everything that somebody might not want to read in a log. */
const mark = 'confidential'
const phone = '+15550001234'

/** A log that is kept, in all detail. */
function keptLog() {
  const lines: string[] = []
  const out = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(...chunk.toString().split('\n').filter(Boolean))
      done()
    },
  })
  return { lines, log: pino({ level: 'trace', base: null }, out) }
}

test('a run leaves no name, identity, address, text or secret in the log, whatever succeeds or fails', async () => {
  const { lines, log } = keptLog()
  const server = await startServer({}, { log })
  const catcher = await catchWebhooks({ authToken: auth_token })
  try {
    const { conversations, configuration, users } = server.sdk.conversations.v1
    const path = `/${mark}-hook?token=${mark}`
    await configuration.webhooks().update({
      preWebhookUrl: catcher.url(path).replace('http://', `http://user:${mark}@`),
      postWebhookUrl: catcher.url(path),
      filters: all_events,
    })
    const { sid } = await conversations.create({
      uniqueName: `${mark} room`,
      friendlyName: mark,
      attributes: `{"is":"${mark}"}`,
      xTwilioWebhookEnabled: 'true',
    })
    catcher.reply(({ params }) => ({ status: params.EventType?.endsWith('ed') ? 500 : 200, body: `{"${mark}":` }))
    await conversations(sid).participants.create({ identity: `${mark}@example.org`, xTwilioWebhookEnabled: 'true' })
    await conversations(sid).participants.create({
      'messagingBinding.address': phone,
      'messagingBinding.proxyAddress': '+15550005678',
    })
    await conversations(sid).messages.create({ author: `${mark}@example.org`, body: mark, xTwilioWebhookEnabled: 'true' })
    await conversations(`${mark} room`).fetch()
    await users(`${mark}@example.org`).fetch()
    for (const [method, url] of [
      ['GET', `/v1/Conversations/${mark}/Messages/${mark}?Order=${mark}`],
      ['GET', `/v1/ParticipantConversations?Identity=${mark}`],
      ['GET', `/v1/ParticipantConversations?Address=${encodeURIComponent(phone)}`],
      ['GET', `/v1/${mark}`],
      ['GET', `/v1/Conversations/%E0%A4%A/${mark}`],
      ['GET', `/${mark}`],
      ['PUT', `/v1/Conversations/${mark}`],
      ['POST', `/admin/v1/${mark}`],
    ] as const) {
      await server.call(method, url, method === 'GET' ? undefined : { Body: mark }, { check: false })
    }
    await server.call('GET', '/v1/Conversations', undefined, { as: { username: mark, password: mark }, check: false })
    await server.call('GET', '/v1/Conversations', undefined, {
      as: { username: server.account_sid, password: `${mark}${mark}` },
      check: false,
    })
    await settled(server)
  } finally {
    await server.stop()
    await catcher.close()
  }
  const text = lines.join('\n')
  expect(text).not.toContain(mark)
  expect(text).not.toContain(phone.slice(1))
  expect(text).not.toContain(auth_token)
  const entries = lines.map((line): Record<string, unknown> => JSON.parse(line))
  expect(entries.map(({ msg }) => msg)).toEqual(expect.arrayContaining(['request', 'webhook failed', 'login failed']))
  const requests = entries.filter(({ msg }) => msg === 'request')
  for (const entry of requests) {
    expect(entry).toMatchObject({ from: '127.0.0.1', request: expect.stringMatching(/^RQ[0-9a-f]{32}$/) })
  }
  const served = requests.filter(({ status }) => status === 200)
  expect(served).toContainEqual(
    expect.objectContaining({ operation: 'FetchUser', path: '/v1/Users/:key', account: server.account_sid }),
  )
})
