import { expect, test } from 'vitest'
import { connected, opened } from '../support/client.ts'
import { inspect, newDatabase } from '../support/databases.ts'
import { startCarrier } from '../support/faked-carrier.ts'
import { startServer } from '../support/server.ts'
import { newTenant } from '../support/tenant.ts'

test('one of two nodes listens for a channel and tells it what happens inside; the other takes over', async ({
  onTestFinished,
}) => {
  await using carrier = await startCarrier()
  const database = await newDatabase()
  onTestFinished(() => database.dispose())
  const secretKey = 'c'.repeat(64)
  const first = await startServer({ ...database.config, secretKey })
  let firstStopped = false
  onTestFinished(() => (firstStopped ? undefined : first.stop()))
  const second = await startServer({ ...database.config, secretKey })
  onTestFinished(second.stop)
  const tenant = await newTenant(first)
  const [from, address] = ['+15551230001', '+15551230002']
  const settings = { base_url: carrier.url, token: 'nodes', urgent: true }
  await first.admin('PUT', `/accounts/${tenant.account_sid}/channels/${encodeURIComponent(address)}`, { kind: 'faked', settings })
  const { sid } = await tenant.sdk.conversations.v1.conversations.create({})
  const talk = tenant.sdk.conversations.v1.conversations(sid)
  await talk.participants.create({ 'messagingBinding.address': from, 'messagingBinding.proxyAddress': address })
  await talk.participants.create({ identity: 'ann' })

  const streams = () => [...carrier.streams.keys()]
  await expect.poll(() => streams().length).toBe(1)
  const event = { kind: 'message', from, to: [address], name: null, subject: null, text: 'Hi', media: [], metadata: null }
  const tell = (external_id: string) => streams()[0]?.write(`${JSON.stringify({ ...event, external_id })}\n`)
  tell('streamed-1')
  await expect.poll(async () => (await talk.messages.list()).length).toBe(1)

  // Whichever node the client is connected to, one tells the channel.
  const ann = await opened(await connected({ ...tenant, url: second.url }, 'ann'), sid)
  await ann.typing()
  await ann.setAllMessagesRead()
  const typing = `/typing ${JSON.stringify({ address: from, external_id: 'streamed-1' })}`
  await expect.poll(() => carrier.told.toSorted()).toEqual(['/seen streamed-1', typing])

  firstStopped = true
  await first.stop()
  await expect.poll(() => streams().length).toBe(1)
  tell('streamed-2')
  // It has been told of this one before.
  tell('streamed-1')
  const as = { username: tenant.account_sid, password: tenant.auth_token }
  const messages = async () =>
    (await second.call('GET', `/v1/Conversations/${sid}/Messages`, undefined, { as })).body.messages.length
  await expect.poll(messages).toBe(2)
})

test('a message that is being sent is nobody else’s for as long as that may take', async ({ onTestFinished }) => {
  await using carrier = await startCarrier()
  const database = await newDatabase()
  onTestFinished(() => database.dispose())
  const server = await startServer(database.config)
  onTestFinished(server.stop)
  const address = '+15551230002'
  const settings = { base_url: carrier.url, token: 'nodes' }
  await server.admin('PUT', `/accounts/${server.account_sid}/channels/${encodeURIComponent(address)}`, {
    kind: 'faked',
    settings,
  })
  const { sid } = (await server.call('POST', '/v1/Conversations')).body
  const phone = { 'MessagingBinding.Address': '+15551230001', 'MessagingBinding.ProxyAddress': address }
  await server.call('POST', `/v1/Conversations/${sid}/Participants`, phone)

  const leftMs = async () => {
    await using inside = inspect(database.config)
    const left = `select l.until - extract(epoch from clock_timestamp()) * 1000 as left_ms
      from leases l join deliveries d on l.name = 'slot:' || d.slot where d.kind = 'message'`
    return Number(((await inside.query(left)) as { left_ms: unknown }[])[0]?.left_ms)
  }
  const sending = Promise.withResolvers<number>()
  const answered = Promise.withResolvers<void>()
  carrier.reply = async ({ key }) => {
    sending.resolve(await leftMs())
    return { body: { id: key }, delayUntil: answered.promise }
  }
  await server.call('POST', `/v1/Conversations/${sid}/Messages`, { Body: 'Hi' })
  // A send may take a minute.
  expect(await sending.promise).toBeGreaterThan(60_000)
  // A renewal does not shorten it: the one that is next is over when the lease of another slot is longer than it was.
  const shortest = async () => {
    await using inside = inspect(database.config)
    const [row] = (await inside.query("select min(until) as until from leases where name like 'slot:%'")) as { until: unknown }[]
    return Number(row?.until)
  }
  const before = await shortest()
  await expect.poll(shortest).toBeGreaterThan(before)
  expect(await leftMs()).toBeGreaterThan(55_000)
  answered.resolve()
  const delivered = async () => {
    await using inside = inspect(database.config)
    return (await inside.rows('deliveries')).map(({ status }) => status)
  }
  await expect.poll(delivered).toEqual(['delivered'])
  expect(carrier.handed.length).toBe(1)
})
