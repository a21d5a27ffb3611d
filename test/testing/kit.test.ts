import twilio from 'twilio'
import { expect, test, vi } from 'vitest'
import { type Connection, joinParley, startParley } from '../../src/testing.ts'

test('a server starts in this process, its clock moves, its webhooks arrive signed, and it is gone at the end', async () => {
  let url: string
  {
    await using parley = await startParley()
    url = parley.url
    const { conversations } = parley.client().conversations.v1
    const { sid, accountSid } = await conversations.create({ 'timers.inactive': 'PT10M' })
    expect(accountSid).toBe(parley.account.sid)
    await parley.clock.advance('PT10M')
    expect(parley.webhooks.requests).toHaveLength(1)
    const { params, headers, url: sentTo } = await parley.webhooks.next({ EventType: 'onConversationStateUpdated' })
    expect(params).toMatchObject({ ConversationSid: sid, StateTo: 'inactive', Reason: 'TIMER' })
    const signature = headers['x-twilio-signature']
    expect(twilio.validateRequest(parley.account.authToken, String(signature), sentTo, params)).toBe(true)
    expect((await conversations(sid).fetch()).state).toBe('inactive')
  }
  await expect(fetch(`${url}/healthz`)).rejects.toThrow()
})

test('a client asks for webhooks with each request, or with none', async () => {
  await using parley = await startParley()
  await parley.client().conversations.v1.conversations.create({ friendlyName: 'silent' })
  await parley.client({ webhooks: true }).conversations.v1.conversations.create({ friendlyName: 'told' })
  await parley.settled()
  expect(parley.webhooks.requests.map(({ params }) => params.FriendlyName)).toEqual(['told'])
})

test('a client talks to Parley alone', async () => {
  await using parley = await startParley()
  await expect(parley.client().messages.list()).rejects.toThrow('not for Parley, so it was not sent')
})

test('next takes each webhook once, waits for one that is still to come, and says what has arrived', async () => {
  await using parley = await startParley()
  const { conversations } = parley.client({ webhooks: true }).conversations.v1
  const [first, second] = [parley.webhooks.next(), parley.webhooks.next({ FriendlyName: 'B' })]
  await conversations.create({ friendlyName: 'A' })
  await conversations.create({ friendlyName: 'B' })
  expect((await first).params.FriendlyName).toBe('A')
  expect((await second).params.FriendlyName).toBe('B')
  const third = parley.webhooks.next(({ params }) => params.EventType === 'onConversationAdded', { timeout_ms: 1 })
  await expect(third).rejects.toThrow(/no such webhook within 1 ms: .*\(returned before\) \/ .*"FriendlyName":"A"/s)
})

test('stop ends what still waits: a webhook to come and a request that is to be late', async () => {
  const parley = await startParley()
  const next = parley.webhooks.next()
  await parley.fail({ operation: 'ListConversation', latency: 'PT1M' })
  const late = parley.client().conversations.v1.conversations.list()
  const ended = Promise.all([
    expect(next).rejects.toThrow('the webhook catcher was closed: none has arrived'),
    expect(late).rejects.toThrow(),
  ])
  // The fault has been taken: the request waits.
  await vi.waitFor(async () => expect(await faultsOf(parley.connection)).toEqual([]))
  await parley.stop()
  await ended
  await expect(parley.webhooks.next()).rejects.toThrow('the webhook catcher was closed')
})

async function faultsOf({ url, adminToken }: Connection): Promise<unknown> {
  const response = await fetch(`${url}/admin/v1/faults`, { headers: { authorization: `Bearer ${adminToken}` } })
  const { faults } = (await response.json()) as { faults: unknown }
  return faults
}

test('a webhook that is not signed with the token of the account is refused and never returned', async () => {
  await using parley = await startParley()
  for (const signature of [undefined, '', 'AAAA', 'A'.repeat(28)]) {
    const headers = { ...(signature !== undefined && { 'x-twilio-signature': signature }) }
    const body = new URLSearchParams({ EventType: 'onMessageAdded' })
    expect((await fetch(parley.webhooks.url, { method: 'POST', body, headers })).status).toBe(403)
  }
  expect(parley.webhooks.requests).toEqual([])
  const none = parley.webhooks.next({}, { timeout_ms: 1 })
  await expect(none).rejects.toThrow('4 with a missing or wrong signature were refused; none has arrived')
})

test('what the catcher replies counts: a pre-action webhook may refuse', async () => {
  await using parley = await startParley()
  const { configuration, conversations } = parley.client({ webhooks: true }).conversations.v1
  await configuration.webhooks().update({ preWebhookUrl: `${parley.webhooks.url}pre`, filters: ['onConversationAdd'] })
  parley.webhooks.reply({ status: 403 })
  await expect(conversations.create({})).rejects.toMatchObject({ status: 403 })
  parley.webhooks.reply(({ path }) => ({ body: JSON.stringify({ friendly_name: `by ${path}` }) }))
  expect((await conversations.create({})).friendlyName).toBe('by /pre')
})

test('reset goes back to the first account with its SIDs, to real time, and to a catcher that is empty', async () => {
  await using parley = await startParley()
  const { v1 } = parley.client({ webhooks: true }).conversations
  const { defaultChatServiceSid } = await v1.configuration().fetch()
  const rolesBefore = (await v1.roles.list()).map(({ sid }) => sid)
  for (let round = 0; round < 10; round++) {
    await v1.configuration.webhooks().update({ postWebhookUrl: 'http://127.0.0.1:1/', filters: ['onConversationAdded'] })
    await v1.conversations.create({ uniqueName: 'order', 'timers.closed': 'PT10M' })
    await v1.services.create({ friendlyName: 'Another' })
    await parley.clock.advance('P1D')
    await parley.fail({ operation: 'ListConversation', status: 500 })
    await parley.reset()
    expect(await v1.conversations.list()).toEqual([])
    expect((await v1.services.list()).map(({ sid }) => sid)).toEqual([defaultChatServiceSid])
    expect((await v1.roles.list()).map(({ sid }) => sid)).toEqual(rolesBefore)
    expect(Math.abs((await parley.clock.now()).getTime() - Date.now())).toBeLessThan(60_000)
    expect(parley.webhooks.requests).toEqual([])
    await v1.conversations.create({ friendlyName: `round ${round}` })
    await parley.webhooks.next({ EventType: 'onConversationAdded', FriendlyName: `round ${round}` })
  }
})

test('a snapshot is gone back to as often as one likes, with its rows, its time and what its timers have left', async () => {
  await using parley = await startParley()
  const { conversations } = parley.client().conversations.v1
  const { sid } = await conversations.create({ uniqueName: 'order', 'timers.inactive': 'PT10M' })
  await conversations(sid).messages.create({ body: 'one' })
  await parley.clock.advance('PT9M')
  const at = await parley.clock.now()
  const snapshot = await parley.snapshot()
  for (let round = 0; round < 3; round++) {
    await conversations(sid).messages.create({ body: 'two' })
    await parley.clock.advance('P1D')
    expect((await conversations(sid).fetch()).state).toBe('inactive')
    await parley.restore(snapshot)
    expect((await conversations('order').fetch()).state).toBe('active')
    expect((await conversations(sid).messages.list()).map(({ body }) => body)).toEqual(['one'])
    expect((await parley.clock.now()).getTime() - at.getTime()).toBeLessThan(60_000)
    await parley.clock.advance('PT59S')
    await parley.clock.advance('PT1S')
    expect((await conversations(sid).fetch()).state).toBe('inactive')
    await parley.restore(snapshot)
  }
  await expect(parley.restore({ snapshot: 'none' })).rejects.toThrow('there is no snapshot none')
})

test('media of a snapshot are still there after it', async () => {
  await using parley = await startParley()
  const { v1 } = parley.client().conversations
  const { defaultChatServiceSid } = await v1.configuration().fetch()
  const authorization = `Basic ${btoa(`${parley.account.sid}:${parley.account.authToken}`)}`
  const media = `${parley.url}/v1/Services/${defaultChatServiceSid}/Media`
  const uploaded = await fetch(media, { method: 'POST', headers: { authorization, 'content-type': 'text/plain' }, body: 'hello' })
  const { sid } = (await uploaded.json()) as { sid: string }
  const snapshot = await parley.snapshot()
  await fetch(`${media}/${sid}`, { method: 'DELETE', headers: { authorization } })
  await parley.restore(snapshot)
  const content = await fetch(`${media}/${sid}/Content`, { headers: { authorization } })
  expect(await content.text()).toBe('hello')
})

test('an inbound message finds the conversation of its two addresses', async () => {
  await using parley = await startParley()
  const { conversations } = parley.client().conversations.v1
  const { sid } = await conversations.create({})
  const pair = { 'messagingBinding.address': '+15551234567', 'messagingBinding.proxyAddress': '+15557654321' }
  await conversations(sid).participants.create(pair)
  const received = await parley.inbound({ from: '+15551234567', to: '+15557654321', body: 'Hi' })
  expect(received).toMatchObject({ account_sid: parley.account.sid, conversation_sid: sid, created: false })
  expect((await conversations(sid).messages.list()).map(({ body }) => body)).toEqual(['Hi'])
  const stranger = parley.inbound({ from: '+15550000000', to: '+15557654321', body: 'Hi' })
  await expect(stranger).rejects.toThrow('Parley refuses POST /admin/v1/inbound with 404: +15550000000 has no open conversation')
})

test('requests fail as a test wants them to, and then no more', async () => {
  await using parley = await startParley()
  const { conversations } = parley.client().conversations.v1
  await parley.fail({ operation: 'CreateConversation', status: 429, times: 2 })
  for (let i = 0; i < 2; i++) {
    await expect(conversations.create({})).rejects.toMatchObject({ status: 429, code: 20429, message: 'Too Many Requests' })
  }
  expect(await conversations.list()).toEqual([])
  await conversations.create({})
  await parley.fail({ operation: 'ListConversation', drop: true })
  await expect(conversations.list()).rejects.toThrow(/socket hang up|ECONNRESET/)
  await parley.fail({ operation: 'ListConversation', latency: 'PT0.01S' })
  expect(await conversations.list()).toHaveLength(1)
  const other = await parley.newAccount()
  await parley.fail({ operation: 'ListConversation', status: 503 })
  expect(await other.client().conversations.v1.conversations.list()).toEqual([])
  await expect(conversations.list()).rejects.toMatchObject({ status: 503 })
  await other.stop()
})

test('accounts of their own share a server: neither rows, nor time, nor webhooks', async () => {
  await using parley = await startParley()
  const accounts = await Promise.all([parley.newAccount(), joinParley(parley.connection)])
  await Promise.all(
    accounts.map(async (account, i) => {
      const { conversations } = account.client().conversations.v1
      const { sid } = await conversations.create({ 'timers.inactive': 'PT10M' })
      await account.clock.advance(i === 0 ? 'PT10M' : 'PT9M')
      expect((await conversations(sid).fetch()).state).toBe(i === 0 ? 'inactive' : 'active')
      expect(account.webhooks.requests).toHaveLength(i === 0 ? 1 : 0)
      await account.stop()
    }),
  )
  expect(parley.webhooks.requests).toEqual([])
})
