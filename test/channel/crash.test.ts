import { expect, test } from 'vitest'
import { engine, newDatabase } from '../support/databases.ts'
import { standIn } from '../support/http-stand-in.ts'
import { type Serving, serve } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'

const account_sid = `AC${'c'.repeat(32)}`
const auth_token = 'aTokenOfTheCrashTests'
const adminToken = 'operator-token-of-the-crash-tests'
const proxy = '+15557654321'

/** On PostgreSQL each takes as long as the lease of the one that was killed. */
const rounds = engine === 'postgres' ? 1 : 3

const headers = { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' }

/** A carrier that answers when it is told to, and keeps what it was handed. */
async function startEndpoint() {
  const handed: { readonly message: string; readonly key: string }[] = []
  let released = Promise.withResolvers<void>()
  released.resolve()
  const { url, [Symbol.asyncDispose]: dispose } = await standIn(async ({ headers, body }) => {
    const form = new URLSearchParams(body.toString())
    handed.push({ message: form.get('MessageSid') ?? '', key: String(headers['i-twilio-idempotency-token']) })
    await released.promise
    return { status: 200, body: { status: 'sent' } }
  })
  return {
    url: `${url}/`,
    handed,
    hold: (hold: boolean) => {
      if (hold) released = Promise.withResolvers()
      else released.resolve()
    },
    [Symbol.asyncDispose]: dispose,
  }
}

test('a server that is killed while it hands messages over loses none, and repeats one with the same key only', async () => {
  await using database = await newDatabase()
  await using endpoint = await startEndpoint()
  const settings = {
    env: {
      ...database.env,
      PARLEY_ACCOUNT_SID: account_sid,
      PARLEY_AUTH_TOKEN: auth_token,
      PARLEY_ADMIN_TOKEN: adminToken,
      PARLEY_LOG_LEVEL: 'silent',
    },
  }
  let serving: Serving = await serve(settings)
  const admin = async (method: string, path: string, body?: object) => {
    const response = await fetch(`${serving.url}/admin/v1${path}`, {
      method,
      headers,
      ...(body && { body: JSON.stringify(body) }),
    })
    return (await response.json()) as { deliveries: { event_type: string; status: string }[] }
  }
  await admin('PUT', `/accounts/${account_sid}/channels/${proxy}`, { url: endpoint.url })
  const talks: string[] = []
  for (let i = 0; i < 6; i++) {
    const { conversations } = sdkFor(serving, account_sid, auth_token).conversations.v1
    const { sid } = await conversations.create({})
    const address = { 'messagingBinding.address': `+1555000000${i}`, 'messagingBinding.proxyAddress': proxy }
    await conversations(sid).participants.create(address)
    talks.push(sid)
  }
  const sent: string[] = []
  for (let round = 0; round < rounds; round++) {
    const { conversations } = sdkFor(serving, account_sid, auth_token).conversations.v1
    const before = endpoint.handed.length
    endpoint.hold(true)
    // Two in each: the second waits for the first, in its own conversation only.
    for (const talk of [...talks, ...talks])
      sent.push((await conversations(talk).messages.create({ body: `round ${round}` })).sid)
    await expect.poll(() => endpoint.handed.length).toBeGreaterThanOrEqual(before + talks.length)
    await serving.end('SIGKILL')
    endpoint.hold(false)
    serving = await serve(settings)
    const pending = async () => (await admin('GET', '/deliveries?status=pending&limit=100')).deliveries
    // On PostgreSQL the lease of the one that was killed ends first: it lasts as long as a slow send may.
    await expect.poll(pending, { timeout: 200_000 }).toEqual([])
  }
  const { deliveries } = await admin('GET', '/deliveries?limit=1000')
  const messages = deliveries.filter(({ event_type }) => event_type === 'channelMessage')
  expect(messages.map(({ status }) => status)).toEqual(sent.map(() => 'delivered'))
  expect(new Set(endpoint.handed.map(({ message }) => message))).toEqual(new Set(sent))
  const keys = Map.groupBy(endpoint.handed, ({ message }) => message)
  for (const [message, requests] of keys) expect([message, new Set(requests.map(({ key }) => key)).size]).toEqual([message, 1])
  // What was in flight when the server was killed has been repeated, or the test would prove nothing.
  expect(endpoint.handed.length).toBeGreaterThan(sent.length)
  const { conversations } = sdkFor(serving, account_sid, auth_token).conversations.v1
  for (const talk of talks) {
    for (const message of await conversations(talk).messages.list()) {
      const receipts = await conversations(talk).messages(message.sid).deliveryReceipts.list()
      expect(receipts.map(({ status }) => status)).toEqual(['sent'])
    }
  }
  await serving.end('SIGTERM')
})
