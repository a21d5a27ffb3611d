import { expect, type TestContext, test } from 'vitest'
import { connected, next, opened, RawClient } from '../support/client.ts'
import { newDatabase } from '../support/databases.ts'
import { startServer } from '../support/server.ts'
import { newTenant } from '../support/tenant.ts'

/** Two nodes of one database, and an account as each of them serves it. */
async function twoNodes({ onTestFinished }: Pick<TestContext, 'onTestFinished'>) {
  const database = await newDatabase()
  onTestFinished(() => database.dispose())
  const first = await startServer(database.config)
  onTestFinished(first.stop)
  const second = await startServer(database.config)
  onTestFinished(second.stop)
  const here = await newTenant(first)
  const there = { ...here, url: second.url }
  const { sid } = await here.sdk.conversations.v1.conversations.create({ friendlyName: 'Order' })
  const rest = here.sdk.conversations.v1.conversations(sid)
  for (const identity of ['ann', 'bob']) await rest.participants.create({ identity })
  return { here, there, sid, rest }
}

test('clients of two nodes hear each other', async (context) => {
  const { here, there, sid } = await twoNodes(context)
  const [ann, bob] = [await opened(await connected(here, 'ann'), sid), await opened(await connected(there, 'bob'), sid)]
  const heard = next(bob, 'messageAdded')
  await ann.sendMessage('hello')
  expect((await heard).body).toBe('hello')
  const typing = next(ann, 'typingStarted')
  await bob.typing()
  expect((await typing).identity).toBe('bob')
  const read = next(ann, 'participantUpdated')
  await bob.setAllMessagesRead()
  expect((await read).participant).toMatchObject({ identity: 'bob', lastReadMessageIndex: 0 })
})

test('what another node takes away is taken away here', async (context) => {
  const { here, there, sid, rest } = await twoNodes(context)
  const raw = await RawClient.admitted(there, 'ann')
  const requests = [{ object_sid: `${sid}.messages`, last_event_id: 0 }]
  await raw.request('POST', '/v4/Subscriptions', { body: { action: 'establish', correlation_id: 1, requests } })
  await raw.event('subscription_established')
  await rest.messages.create({ body: 'for ann' })
  await raw.event('list_item_added')
  const lag = async (name: string) => {
    const text = await (await fetch(`${there.url}/metrics`)).text()
    return Number(new RegExp(`^parley_client_lag_seconds_${name} (.*)$`, 'm').exec(text)?.[1])
  }
  // From the commit on the other node, which has told when it was.
  await expect.poll(() => lag('count')).toBeGreaterThan(0)
  expect(await lag('sum')).toBeLessThan(3600)
  const bob = await opened(await connected(there, 'bob'), sid)
  await rest.participants('ann').remove()
  const heard = next(bob, 'messageAdded')
  await rest.messages.create({ body: 'not for ann' })
  await heard
  expect(raw.frames.map(({ payload }) => String(payload)).filter((text) => text.includes('not for ann'))).toEqual([])
  await here.admin('POST', `/accounts/${here.account_sid}`, { status: 'suspended' })
  await raw.closed
})
