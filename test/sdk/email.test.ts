import { describe, expect } from 'vitest'
import { families, openFamily } from '../support/family.ts'
import { test } from '../support/fixtures.ts'
import { asking } from '../support/hooked.ts'

const ann = { 'MessagingBinding.Address': 'Ann@Example.org', 'MessagingBinding.Type': 'email' }
const phone = { 'MessagingBinding.Address': '+15550001111', 'MessagingBinding.ProxyAddress': '+15550002222' }

describe.each(families)('mail participants, %s family', (family) => {
  test('have an address, a level and a name, and no proxy address', async ({ tenant, catcher }) => {
    const { root } = await openFamily(tenant, family)
    const hook = { PostWebhookUrl: catcher.url(), Filters: 'onParticipantAdded' }
    await tenant.call('POST', '/v1/Configuration/Webhooks', hook)
    const { sid } = (await tenant.call('POST', `${root}/Conversations`, {})).body
    const path = `${root}/Conversations/${sid}/Participants`
    const full = { ...ann, 'MessagingBinding.Level': 'cc', 'MessagingBinding.Name': 'Ann' }
    const { status, body } = await tenant.call('POST', path, full, asking)
    expect(status).toBe(201)
    expect(body.identity).toBeNull()
    expect(body.messaging_binding).toEqual({ type: 'email', address: 'Ann@Example.org', level: 'cc', name: 'Ann' })
    const { params } = await catcher.next()
    expect(params).toMatchObject({
      'MessagingBinding.Type': 'email',
      'MessagingBinding.Address': 'Ann@Example.org',
      'MessagingBinding.Level': 'cc',
      'MessagingBinding.Name': 'Ann',
      RoleSid: body.role_sid,
    })
    expect(params).not.toHaveProperty('MessagingBinding.ProxyAddress')
    const plain = (await tenant.call('POST', path, { 'MessagingBinding.Address': 'ben@example.org' })).body
    expect(plain.messaging_binding).toEqual({ type: 'email', address: 'ben@example.org', level: 'to', name: null })
    // Found, and a message's author, without case.
    const found = await tenant.call('GET', `${root}/ParticipantConversations?Address=ANN@example.ORG`)
    expect(found.body.conversations).toEqual([
      expect.objectContaining({
        participant_sid: body.sid,
        participant_messaging_binding: {
          type: 'email',
          address: 'Ann@Example.org',
          level: 'cc',
          name: 'Ann',
          proxy_address: null,
          projected_address: null,
        },
      }),
    ])
    const Messages = `${root}/Conversations/${sid}/Messages`
    const message = (await tenant.call('POST', Messages, { Body: 'Hi', Author: 'ann@EXAMPLE.org' })).body
    expect(message).toMatchObject({ author: 'ann@EXAMPLE.org', participant_sid: body.sid, delivery: { total: 1 } })
  })

  test('are in one conversation once, and in many at a time', async ({ tenant }) => {
    const { root } = await openFamily(tenant, family)
    const Participant = JSON.stringify({
      messaging_binding: { address: 'ann@example.org', type: 'email', level: 'to', name: 'Ann' },
    })
    for (let i = 0; i < 2; i++) {
      const { status, body } = await tenant.call('POST', `${root}/ConversationWithParticipants`, { Participant })
      expect(status).toBe(202)
      const path = `${root}/Conversations/${body.sid}/Participants`
      expect((await tenant.call('GET', path)).body.participants[0].messaging_binding.name).toBe('Ann')
      const again = { status: 409, body: { code: 50433, message: 'Participant already exists' } }
      expect(await tenant.call('POST', path, ann)).toMatchObject(again)
    }
  })

  test.for([
    [{ ...ann, 'MessagingBinding.ProxyAddress': 'support@example.com' }, 50453],
    [{ ...ann, 'MessagingBinding.Level': 'bcc' }, 20422],
    [{ ...ann, 'MessagingBinding.Type': 'sms' }, 50407],
    [{ ...phone, 'MessagingBinding.Type': 'email' }, 50407],
    [{ ...phone, 'MessagingBinding.Level': 'to' }, 50420],
    [{ ...phone, 'MessagingBinding.Name': 'Ann' }, 50420],
    [{ Identity: 'ann', 'MessagingBinding.Name': 'Ann' }, 50420],
  ] as [Record<string, string>, number][])('%o is refused', async ([form, code], { tenant }) => {
    const { root } = await openFamily(tenant, family)
    const { sid } = (await tenant.call('POST', `${root}/Conversations`, {})).body
    const path = `${root}/Conversations/${sid}/Participants`
    expect(await tenant.call('POST', path, form)).toMatchObject({ status: 400, body: { code } })
    expect((await tenant.call('GET', path)).body.participants).toEqual([])
  })

  test('cannot be given a proxy address later', async ({ tenant }) => {
    const { root } = await openFamily(tenant, family)
    const { sid } = (await tenant.call('POST', `${root}/Conversations`, {})).body
    const path = `${root}/Conversations/${sid}/Participants`
    const made = (await tenant.call('POST', path, ann)).body
    const proxy = { 'MessagingBinding.ProxyAddress': 'support@example.com' }
    expect(await tenant.call('POST', `${path}/${made.sid}`, proxy)).toMatchObject({ status: 400, body: { code: 50453 } })
  })

  test('a mailbox is shown with the tag of its conversation, unless it has one of its own', async ({ tenant }) => {
    const { conversations } = await openFamily(tenant, family)
    const made = await conversations.create({ 'bindings.email.address': 'support@example.com', 'bindings.email.name': 'Support' })
    const { projected_address, name } = made.bindings.email
    expect(projected_address).toMatch(/^support\+[0-9a-f]{20}@example\.com$/)
    expect(name).toBe('Support')
    expect((await conversations(made.sid).update({ friendlyName: 'x' })).bindings).toEqual(made.bindings)
    const other = await conversations.create({ 'bindings.email.address': 'support@example.com' })
    expect(other.bindings.email.projected_address).not.toBe(projected_address)
    const own = await conversations.create({ 'bindings.email.address': 'support+vip@example.com' })
    expect(own.bindings.email.projected_address).toBe('support+vip@example.com')
  })
})

test('a mail goes into the open conversation of its sender and mailbox, else makes one without a proxy address', async ({
  tenant,
}) => {
  const { account_sid } = tenant
  const mailbox = { Type: 'email', Address: 'support@example.com', 'AutoCreation.Enabled': 'true' }
  await tenant.call('POST', '/v1/Configuration/Addresses', mailbox)
  const receive = (from: string, to: string) => tenant.admin('POST', '/inbound', { account_sid, from, to, body: 'Hi' })
  const first = await tenant.admin('POST', '/inbound', {
    account_sid,
    from: 'Ann@example.org',
    to: 'support@example.com',
    body: 'Hello',
    profile_name: 'Ann',
  })
  expect(first.created).toBe(true)
  const path = `/v1/Conversations/${first.conversation_sid}`
  const [member] = (await tenant.call('GET', `${path}/Participants`)).body.participants
  expect(member.messaging_binding).toEqual({ type: 'email', address: 'Ann@example.org', level: 'to', name: 'Ann' })
  const { projected_address } = (await tenant.call('GET', path)).body.bindings.email
  for (const to of ['SUPPORT@example.com', projected_address.toUpperCase()]) {
    const reply = await receive('ANN@EXAMPLE.ORG', to)
    expect(reply).toMatchObject({ conversation_sid: first.conversation_sid, participant_sid: member.sid, created: false })
  }
  // Of several open ones, the address of one alone tells which.
  const second = (await tenant.call('POST', '/v1/Conversations', { 'Bindings.Email.Address': 'support@example.com' })).body
  await tenant.call('POST', `/v1/Conversations/${second.sid}/Participants`, { 'MessagingBinding.Address': 'ann@example.org' })
  const tagged = await receive('ann@example.org', second.bindings.email.projected_address)
  expect(tagged.conversation_sid).toBe(second.sid)
  await tenant.call('POST', path, { State: 'closed' })
  expect((await receive('ann@example.org', projected_address).catch((error: Error) => error.message)) as string).toContain('404')
  expect((await receive('ann@example.org', 'support@example.com')).conversation_sid).toBe(second.sid)
})

test('the channel metadata of an inbound message can be fetched; other messages have none', async ({ tenant }) => {
  const { account_sid } = tenant
  const [from, to] = ['whatsapp:+15550001111', 'whatsapp:+15550002222']
  await tenant.call('POST', '/v1/Configuration/Addresses', { Type: 'whatsapp', Address: to, 'AutoCreation.Enabled': 'true' })
  const received = await tenant.admin('POST', '/inbound', { account_sid, from, to, body: 'Hi', profile_name: 'Ada' })
  const { default_chat_service_sid } = (await tenant.call('GET', '/v1/Configuration')).body
  const get = (path: string) => tenant.call('GET', path, undefined, { check: false })
  for (const root of ['/v1', `/v1/Services/${default_chat_service_sid}`]) {
    const messages = `${root}/Conversations/${received.conversation_sid}/Messages`
    const { links } = (await tenant.call('GET', `${messages}/${received.message_sid}`)).body
    const path = links.channel_metadata.slice(tenant.url.length)
    expect(path).toBe(`${messages}/${received.message_sid}/ChannelMetadata`)
    expect(await get(path)).toMatchObject({ status: 200, body: { type: 'whatsapp', data: { context: { ProfileName: 'Ada' } } } })
    const { sid } = (await tenant.call('POST', messages, { Body: 'Hello' })).body
    expect(await get(`${messages}/${sid}/ChannelMetadata`)).toMatchObject({ status: 404, body: { code: 50530 } })
    const missing = await get(`${messages}/IM${'0'.repeat(32)}/ChannelMetadata`)
    expect(missing).toMatchObject({ status: 404, body: { code: 20404 } })
    expect(await tenant.call('POST', path, {}, { check: false })).toMatchObject({ status: 405, body: { code: 20004 } })
  }
})
