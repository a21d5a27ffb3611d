import type { Message } from '@twilio/conversations'
import { describe, expect } from 'vitest'
import { connected, conversationWith, next, opened } from '../support/client.ts'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

const v1 = ({ sdk }: Tenant) => sdk.conversations.v1

const seconds = (date: Date | null | undefined) => Math.floor(Number(date) / 1000)

/** Two people who follow a conversation. */
async function scene(tenant: Tenant) {
  const sid = await conversationWith(tenant, 'ann', 'bob')
  const [ann, bob] = await Promise.all([connected(tenant, 'ann'), connected(tenant, 'bob')])
  const [here, there] = await Promise.all([opened(ann, sid), opened(bob, sid)])
  return { sid, ann, bob, here, there, rest: v1(tenant).conversations(sid) }
}

describe('a message', () => {
  test('knows its author, its participant and its times', async ({ tenant }) => {
    const { here, there, rest } = await scene(tenant)
    const added = next<Message>(there, 'messageAdded')
    await here
      .prepareMessage()
      .setBody('hello')
      .setSubject('Greeting')
      .setAttributes({ a: [1] })
      .build()
      .send()
    const message = await added
    const [stored] = await rest.messages.list()
    expect(message).toMatchObject({ sid: stored?.sid, participantSid: stored?.participantSid, subject: 'Greeting', type: 'text' })
    // REST shows whole seconds.
    expect(seconds(message.dateCreated)).toEqual(seconds(stored?.dateCreated))
    expect((await message.getParticipant()).identity).toBe('ann')
    expect(await message.getChannelMetadata()).toBeNull()
    expect([message.attachedMedia, message.aggregatedDeliveryReceipt]).toEqual([[], null])
  })

  test('is edited: its new body and attributes are announced', async ({ tenant }) => {
    const { here, there } = await scene(tenant)
    await here.sendMessage('hello', { a: 1 })
    await expect.poll(async () => (await there.getMessages()).items.length).toBe(1)
    const [sent] = (await here.getMessages()).items as [Message]
    const body = next(there, 'messageUpdated', ({ updateReasons }) => updateReasons.includes('body'))
    await sent.updateBody('good bye')
    expect((await body).message).toMatchObject({ body: 'good bye', author: 'ann' })
    const attributes = next(there, 'messageUpdated', ({ updateReasons }) => updateReasons.includes('attributes'))
    await sent.updateAttributes({ a: 2 })
    expect((await attributes).message.attributes).toEqual({ a: 2 })
    await expect.poll(() => sent.attributes).toEqual({ a: 2 })
  })

  test('is deleted: it is gone from the history, and its index is not given again', async ({ tenant }) => {
    const { here, there } = await scene(tenant)
    for (const text of ['one', 'two']) await here.sendMessage(text)
    await expect.poll(async () => (await there.getMessages()).items.length).toBe(2)
    const [, second] = (await here.getMessages()).items as [Message, Message]
    const removed = next<Message>(there, 'messageRemoved')
    await second.remove()
    expect(await removed).toMatchObject({ index: 1, body: 'two' })
    expect((await there.getMessages()).items.map(({ body }) => body)).toEqual(['one'])
    expect(await here.sendMessage('three')).toBe(2)
  })

  test('of a content template has the text of the template', async ({ tenant }) => {
    const { here, there } = await scene(tenant)
    const sid = `HX${'a'.repeat(32)}`
    await tenant.admin('PUT', `/accounts/${tenant.account_sid}/contents/${sid}`, {
      friendly_name: 'greeting',
      variables: { 1: 'you' },
      types: { 'twilio/text': { body: 'Hello {{1}}' } },
    })
    const added = next<Message>(there, 'messageAdded')
    await here.prepareMessage().setContentTemplate(sid, []).build().send()
    expect(await added).toMatchObject({ body: 'Hello you', contentSid: sid })
  })
})

test('receipts of a message come as they are reported, as a summary and one by one', async ({ tenant, catcher }) => {
  const { here, there, rest } = await scene(tenant)
  const proxy = '+15550009999'
  const channel = { url: catcher.url('/channel') }
  await tenant.admin('PUT', `/accounts/${tenant.account_sid}/channels/${encodeURIComponent(proxy)}`, channel)
  const sids = new Map<string, string>()
  catcher.reply(({ path, params }) => {
    if (path !== '/channel') return {}
    const sid = `SM${String(sids.size + 1).repeat(32)}`
    sids.set(String(params.To), sid)
    return { status: 201, body: JSON.stringify({ sid, status: 'sent' }) }
  })
  const addresses = ['+15550001111', '+15550002222']
  for (const address of addresses)
    await rest.participants.create({ 'messagingBinding.address': address, 'messagingBinding.proxyAddress': proxy })
  const added = next<Message>(there, 'messageAdded')
  await here.sendMessage('hello')
  const message = await added
  await expect.poll(() => message.aggregatedDeliveryReceipt).toMatchObject({ total: 2, sent: 'all', delivered: 'none' })
  const report = (to: string, status: string, more: object = {}) =>
    tenant.admin('POST', '/receipts', { account_sid: tenant.account_sid, channel_message_sid: sids.get(to), status, ...more })
  const told = next(there, 'messageUpdated', ({ updateReasons }) => updateReasons.includes('deliveryReceipt'))
  await report('+15550001111', 'delivered')
  expect((await told).message.aggregatedDeliveryReceipt).toMatchObject({ total: 2, sent: 'all', delivered: 'some', read: 'none' })
  await report('+15550002222', 'undelivered', { error_code: 30003 })
  await expect.poll(() => message.aggregatedDeliveryReceipt).toMatchObject({ delivered: 'some', undelivered: 'some' })
  const receipts = await message.getDetailedDeliveryReceipts()
  expect(
    receipts.map(({ channelMessageSid, status, errorCode }) => [channelMessageSid, status, Number(errorCode)]).sort(),
  ).toEqual(
    [
      [sids.get('+15550001111'), 'delivered', 0],
      [sids.get('+15550002222'), 'undelivered', 30003],
    ].sort(),
  )
  expect(new Set(receipts.map(({ messageSid }) => messageSid))).toEqual(new Set([message.sid]))
})

test('the date of the state is that of its last change, and other changes are not taken for one', async ({ tenant }) => {
  const { there, rest } = await scene(tenant)
  const stateDate = () => there.state?.dateUpdated.getTime()
  const first = stateDate()
  await tenant.advance('PT1S')
  const renamed = next(there, 'updated', ({ updateReasons }) => updateReasons.includes('friendlyName'))
  await rest.update({ friendlyName: 'Renamed' })
  expect((await renamed).updateReasons).not.toContain('state')
  expect(stateDate()).toBe(first)
  expect(there.dateUpdated?.getTime()).toBeGreaterThan(first ?? Number.NaN)
  const inactive = next(there, 'updated', ({ updateReasons }) => updateReasons.includes('state'))
  await rest.update({ state: 'inactive' })
  await inactive
  expect(there.state?.current).toBe('inactive')
  expect(stateDate()).toBeGreaterThan(first ?? Number.NaN)
  const second = stateDate()
  await tenant.advance('PT1S')
  const active = next(there, 'updated', ({ updateReasons }) => updateReasons.includes('state'))
  await rest.messages.create({ body: 'wakes it up' })
  await active
  expect(there.state?.current).toBe('active')
  expect(stateDate()).toBeGreaterThan(second ?? Number.NaN)
})

test('a closed conversation is shown as such and refuses, an inactive one becomes active by a message', async ({ tenant }) => {
  const { here, there, rest } = await scene(tenant)
  await here.sendMessage('hello')
  const [message] = (await here.getMessages()).items as [Message]
  const inactive = next(there, 'updated', ({ conversation }) => conversation.state?.current === 'inactive')
  await rest.update({ 'timers.inactive': 'PT1M' })
  await tenant.advance('PT61S')
  expect((await inactive).updateReasons).toContain('state')
  const active = next(there, 'updated', ({ conversation }) => conversation.state?.current === 'active')
  await here.sendMessage('again')
  await active
  const closed = next(there, 'updated', ({ conversation }) => conversation.state?.current === 'closed')
  await rest.update({ state: 'closed' })
  expect((await closed).conversation.state.dateUpdated).toBeInstanceOf(Date)
  await expect.poll(() => here.state?.current).toBe('closed')
  const refusals: [string, () => Promise<unknown>][] = [
    ['send', () => here.sendMessage('too late')],
    ['edit', () => message.updateBody('too late')],
    ['leave', () => here.leave()],
  ]
  for (const [what, refused] of refusals) {
    const error = await refused().catch((reason: unknown) => reason)
    expect([what, error]).toMatchObject([what, { status: 400, body: { code: 50377 } }])
  }
  expect((await rest.messages.list()).map(({ body }) => body)).toEqual(['hello', 'again'])
})
