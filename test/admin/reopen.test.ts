import { expect } from 'vitest'
import { eventTypes } from '../../src/events/names.ts'
import { ask } from '../support/admin.ts'
import { followEvents } from '../support/events.ts'
import { test } from '../support/fixtures.ts'
import { settled } from '../support/hooked.ts'
import type { Tenant } from '../support/tenant.ts'

const [ann, ours] = ['+15551234567', '+15557654321']
const pair = { 'messagingBinding.address': ann, 'messagingBinding.proxyAddress': ours }

async function defaultService({ sdk }: Tenant): Promise<string> {
  return (await sdk.conversations.v1.configuration().fetch()).defaultChatServiceSid
}

const pathOf = (service: string, sid: string) => `/services/${service}/conversations/${sid}/reopen`

test('a closed conversation is active again, with its people and new timers; no webhook is told', async ({ tenant, catcher }) => {
  const v1 = tenant.sdk.conversations.v1
  const service = await defaultService(tenant)
  const { sid } = await v1.conversations.create({ 'timers.inactive': 'PT10M', 'timers.closed': 'PT1H' })
  const here = v1.conversations(sid)
  await here.participants.create({ identity: 'alice' })
  await here.participants.create(pair)
  const { sid: gone } = await here.participants.create({ identity: 'bob' })
  await here.participants(gone).remove()
  await here.update({ state: 'closed' })
  await v1.configuration
    .webhooks()
    .update({ postWebhookUrl: catcher.url(), preWebhookUrl: catcher.url(), filters: [...eventTypes] })
  await tenant.advance('P3D')
  await using events = await followEvents(tenant)
  const opened = await tenant.admin('POST', pathOf(service, sid))
  expect(opened).toMatchObject({ sid, state: 'active' })
  expect((await events.next(({ type }) => type === 'reopened')).data).toEqual({ sid })
  await settled(tenant)
  expect(catcher.requests).toEqual([])
  const row = await here.fetch()
  const now = tenant.clock.now(tenant.account_sid)
  expect(row.state).toBe('active')
  expect(Math.abs(Date.parse(row.timers.date_inactive) - now - 600_000)).toBeLessThan(60_000)
  // Who had left stays out.
  const people = (await here.participants.list()).map(({ identity, messagingBinding }) => identity ?? messagingBinding?.address)
  expect(people.sort()).toEqual([ann, 'alice'].sort())
  // It has its addresses again.
  await tenant.admin('POST', '/inbound', { account_sid: tenant.account_sid, from: ann, to: ours, body: 'Still there?' })
  expect((await here.messages.list()).map(({ body }) => body)).toEqual(['Still there?'])
  const taken = await v1.conversations.create({})
  await expect(v1.conversations(taken.sid).participants.create(pair)).rejects.toMatchObject({ code: 50416 })
  // It closes as before.
  await tenant.advance('PT2H')
  expect((await here.fetch()).state).toBe('closed')
  const told = await catcher.next(({ params }) => params.StateTo === 'closed')
  expect(told.params).toMatchObject({ Reason: 'TIMER', StateFrom: expect.stringMatching(/active/) })
})

test('it is refused while its addresses are in another open conversation, and allowed once that has closed', async ({
  tenant,
}) => {
  const v1 = tenant.sdk.conversations.v1
  const service = await defaultService(tenant)
  const conversationWith = async (...members: Record<string, string>[]) => {
    const { sid } = await v1.conversations.create({})
    for (const member of members) await v1.conversations(sid).participants.create(member)
    return sid
  }
  const group = [
    { 'messagingBinding.address': ann },
    { 'messagingBinding.address': '+15559876543' },
    { identity: 'alice', 'messagingBinding.projectedAddress': ours },
  ]
  for (const [members, code] of [
    [[pair], 50416],
    [group, 50438],
  ] as const) {
    const first = await conversationWith(...members)
    await v1.conversations(first).update({ state: 'closed' })
    const second = await conversationWith(...members)
    const refused = await ask(tenant, 'POST', pathOf(service, first))
    expect(refused).toMatchObject({ status: 409, body: { error: expect.stringContaining(second), code } })
    expect((await v1.conversations(first).fetch()).state).toBe('closed')
    // Its timer has passed, whether or not anybody has written that.
    await v1.conversations(second).update({ 'timers.closed': 'PT10M' })
    await tenant.advance('PT11M')
    expect(await tenant.admin('POST', pathOf(service, first))).toMatchObject({ state: 'active' })
    await v1.conversations(first).update({ state: 'closed' })
  }
})

test('of a message and a reopening at one time both end well', async ({ tenant }) => {
  const v1 = tenant.sdk.conversations.v1
  const service = await defaultService(tenant)
  await v1.addressConfigurations.create({
    type: 'sms',
    address: ours,
    'autoCreation.enabled': true,
    'autoCreation.type': 'default',
  })
  const { account_sid } = tenant
  for (let i = 0; i < 10; i++) {
    const inbound = () => tenant.admin('POST', '/inbound', { account_sid, from: ann, to: ours, body: `${i}` })
    const { conversation_sid } = await inbound()
    await v1.conversations(conversation_sid).update({ state: 'closed' })
    const [received, reopening] = await Promise.all([inbound(), ask(tenant, 'POST', pathOf(service, conversation_sid))])
    expect(reopening.status).toBe(received.conversation_sid === conversation_sid ? 200 : 409)
    await v1.conversations(received.conversation_sid).update({ state: 'closed' })
  }
})

test('what is not closed, not there, or of another service is not reopened', async ({ tenant }) => {
  const v1 = tenant.sdk.conversations.v1
  const service = await defaultService(tenant)
  const { sid } = await v1.conversations.create({})
  const status = async (path: string) => (await ask(tenant, 'POST', path)).status
  expect(await ask(tenant, 'POST', pathOf(service, sid))).toMatchObject({
    status: 409,
    body: { error: 'the conversation is not closed' },
  })
  await v1.conversations(sid).update({ state: 'closed' })
  const other = await v1.services.create({ friendlyName: 'Other' })
  for (const path of [
    pathOf(other.sid, sid),
    pathOf(service, `CH${'0'.repeat(32)}`),
    pathOf(service, 'x'),
    pathOf('x', sid),
    pathOf(`IS${'0'.repeat(32)}`, sid),
    pathOf(service, encodeURIComponent('\0')),
  ]) {
    expect(await status(path), path).toBeGreaterThanOrEqual(400)
    expect(await status(path), path).toBeLessThan(405)
  }
  expect(await v1.conversations(sid).fetch()).toMatchObject({ state: 'closed' })
})
