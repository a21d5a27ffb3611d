import { describe, expect } from 'vitest'
import { type Family, families, openFamily } from '../support/family.ts'
import { test } from '../support/fixtures.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'

let tenant: Tenant

test.beforeEach(({ tenant: own }) => {
  tenant = own
})

const v1 = () => tenant.sdk.conversations.v1
const proxy = '+15557654321'

const inFamily = (family: Family) => openFamily(tenant, family)

describe.each(families)('conversations of a participant, %s family', (family) => {
  test('by identity', async () => {
    const { root, service, conversations, users, participantConversations } = await inFamily(family)
    const made = await conversations.create({
      friendlyName: 'F',
      uniqueName: 'U',
      attributes: '{"a":1}',
      'timers.inactive': 'PT1M',
      'timers.closed': 'PT10M',
    })
    const participant = await conversations(made.sid).participants.create({ identity: 'alice' })
    await conversations(made.sid).participants.create({ identity: 'bob' })
    const found = await participantConversations.list({ identity: 'alice' })
    expect(found.map((one) => one.toJSON())).toEqual([
      {
        accountSid: tenant.account_sid,
        chatServiceSid: service,
        conversationSid: made.sid,
        participantSid: participant.sid,
        conversationFriendlyName: 'F',
        conversationState: 'active',
        conversationTimers: made.timers,
        conversationAttributes: '{"a":1}',
        conversationDateCreated: made.dateCreated,
        conversationDateUpdated: made.dateUpdated,
        conversationCreatedBy: 'system',
        conversationUniqueName: 'U',
        participantUserSid: (await users('alice').fetch()).sid,
        participantIdentity: 'alice',
        participantMessagingBinding: null,
        links: {
          participant: `${tenant.url}${root}/Conversations/${made.sid}/Participants/${participant.sid}`,
          conversation: `${tenant.url}${root}/Conversations/${made.sid}`,
        },
      },
    ])
  })

  test('by address, also when one address is twice in a conversation', async () => {
    const { conversations, participantConversations } = await inFamily(family)
    const { sid } = await conversations.create({})
    const add = (proxy_address: string) =>
      conversations(sid).participants.create({
        'messagingBinding.address': '+375255555555',
        'messagingBinding.proxyAddress': proxy_address,
      })
    const first = await add(proxy)
    const [only] = await participantConversations.list({ address: '+375255555555' })
    expect(only).toMatchObject({
      conversationSid: sid,
      participantSid: first.sid,
      participantUserSid: null,
      participantIdentity: null,
    })
    expect(JSON.stringify(only?.participantMessagingBinding)).toBe(
      JSON.stringify({
        address: '+375255555555',
        proxy_address: proxy,
        type: 'sms',
        level: null,
        name: null,
        projected_address: null,
      }),
    )
    const second = await add('+15550000001')
    const both = await participantConversations.list({ address: '+375255555555', pageSize: 1 })
    expect(new Set(both.map(({ participantSid }) => participantSid))).toEqual(new Set([first.sid, second.sid]))
    expect(await participantConversations.list({ address: '375255555555' })).toEqual([])
  })

  test('an address of another channel is not the same', async () => {
    const { conversations, participantConversations } = await inFamily(family)
    const { sid } = await conversations.create({})
    await conversations(sid).participants.create({
      'messagingBinding.address': 'whatsapp:+375255555555',
      'messagingBinding.proxyAddress': `whatsapp:${proxy}`,
    })
    expect(await participantConversations.list({ address: '+375255555555' })).toEqual([])
    const [found] = await participantConversations.list({ address: 'whatsapp:+375255555555' })
    expect(found?.participantMessagingBinding).toMatchObject({ type: 'whatsapp' })
  })

  test('unknown, another spelling, another service and another account: an empty list', async () => {
    const { root, conversations, participantConversations } = await inFamily(family)
    const { sid } = await conversations.create({})
    await conversations(sid).participants.create({ identity: 'carol' })
    for (const identity of ['nobody', 'Carol', 'carol ', 'car']) {
      expect(await participantConversations.list({ identity })).toEqual([])
    }
    expect(await participantConversations.list({ address: 'carol' })).toEqual([])
    const other = await v1().services.create({ friendlyName: 'Other' })
    expect(await v1().services(other.sid).participantConversations.list({ identity: 'carol' })).toEqual([])
    const stranger = await newTenant(tenant)
    expect(await stranger.sdk.conversations.v1.participantConversations.list({ identity: 'carol' })).toEqual([])
    const elsewhere = await stranger.call('GET', `${root}/ParticipantConversations?Identity=carol`)
    expect(elsewhere.status).toBe(family === 'default' ? 200 : 404)
    await conversations(sid).participants('carol').remove()
    expect(await participantConversations.list({ identity: 'carol' })).toEqual([])
  })

  test('exactly one of the two', async () => {
    const { root } = await inFamily(family)
    const message = 'One user identifier parameter for lookup at a time is allowed. Please, use either Identity or Address.'
    const missing = 'Missing required parameter Identity in the query'
    for (const [query, code, text] of [
      ['?Identity=a&Address=%2B1', 50451, message],
      ['', 20001, missing],
      ['?Identity=', 20001, missing],
      ['?PageSize=5', 20001, missing],
      ['?Identity=a&PageSize=0', 20001, 'Invalid PageSize.'],
      ['?Identity=a&PageToken=x', 21481, 'Invalid PageToken'],
    ] as const) {
      const { status, body } = await tenant.call('GET', `${root}/ParticipantConversations${query}`)
      expect([status, body.code, body.message]).toEqual([400, code, text])
    }
    expect((await tenant.call('GET', `${root}/ParticipantConversations?Identity=a&Address=`)).status).toBe(200)
    const { body } = await tenant.call('POST', `${root}/ParticipantConversations`, {})
    expect(body.code).toBe(20004)
    expect((await tenant.call('GET', `${root}/ParticipantConversations/MB1`)).body.code).toBe(20404)
  })

  test('every state, in the order of the conversations, in pages whose urls keep the filter', async () => {
    const { root, conversations, participantConversations } = await inFamily(family)
    const ids: string[] = []
    for (const timers of [{}, { 'timers.closed': 'PT10M' }, { 'timers.inactive': 'PT1M' }]) {
      const { sid } = await conversations.create(timers)
      await conversations(sid).participants.create({ identity: 'dave+1' })
      ids.push(sid)
      await tenant.advance('PT1S')
    }
    await conversations(ids[0] ?? '').messages.create({ body: 'up' })
    // Deadlines count from when they pass, whether a sweep has come by or not.
    tenant.clock.moveTo(tenant.clock.now() + 600_000)
    const found = await participantConversations.list({ identity: 'dave+1' })
    expect(found.map((one) => [one.conversationSid, one.conversationState])).toEqual([
      [ids[0], 'active'],
      [ids[1], 'closed'],
      [ids[2], 'inactive'],
    ])
    const { body } = await tenant.call('GET', `${root}/ParticipantConversations?PageSize=2&Identity=dave%2B1`)
    const at = `${tenant.url}${root}/ParticipantConversations?Identity=dave%2B1&PageSize=2&Page=`
    expect(body.meta).toMatchObject({ key: 'conversations', page: 0, page_size: 2, first_page_url: `${at}0`, url: `${at}0` })
    expect(body.meta.next_page_url).toMatch(`${at}1&PageToken=PT`)
    const next = await tenant.call('GET', body.meta.next_page_url.slice(tenant.url.length))
    expect(next.body.conversations.map((one: { conversation_sid: string }) => one.conversation_sid)).toEqual([ids[2]])
    expect(next.body.meta.next_page_url).toBeNull()
    const back = await tenant.call('GET', next.body.meta.previous_page_url.slice(tenant.url.length))
    expect(back.body.conversations).toEqual(body.conversations)
    expect((await participantConversations.list({ identity: 'dave+1', pageSize: 1 })).map((one) => one.conversationSid)).toEqual([
      ids[0],
      ids[1],
      ids[2],
    ])
  })
})
