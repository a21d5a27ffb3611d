import { describe, expect } from 'vitest'
import { type Family, families, openFamily } from '../support/family.ts'
import { test } from '../support/fixtures.ts'
import { persistent } from '../support/persistent.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'
import { catchWebhooks } from '../support/webhook-catcher.ts'

let tenant: Tenant

test.beforeEach(({ tenant: own }) => {
  tenant = own
})

const v1 = () => tenant.sdk.conversations.v1

async function inFamily(family: Family) {
  const { root, service, users, conversations } = await openFamily(tenant, family)
  const join = async (identity: string, given: Parameters<typeof conversations.create>[0] = {}) => {
    const { sid } = await conversations.create(given)
    const participant = await conversations(sid).participants.create({ identity })
    return { sid, participant: participant.sid }
  }
  return { root, service, users, conversations, join }
}

describe.each(families)('conversations of a user, %s family', (family) => {
  test('a membership is shown with its conversation', async () => {
    const { root, service, users, conversations, join } = await inFamily(family)
    const { sid, participant } = await join('alice', {
      friendlyName: 'F',
      uniqueName: 'room',
      attributes: '{"a":1}',
      'timers.inactive': 'PT1M',
      'timers.closed': 'PT10M',
    })
    const user = await users('alice').fetch()
    const conversation = await conversations(sid).fetch()
    const shown = (await users(user.sid).userConversations(sid).fetch()).toJSON()
    expect(shown).toEqual({
      accountSid: tenant.account_sid,
      chatServiceSid: service,
      conversationSid: sid,
      unreadMessagesCount: null,
      lastReadMessageIndex: null,
      participantSid: participant,
      userSid: user.sid,
      friendlyName: 'F',
      conversationState: 'active',
      timers: conversation.timers,
      attributes: '{"a":1}',
      dateCreated: conversation.dateCreated,
      dateUpdated: conversation.dateUpdated,
      createdBy: 'system',
      notificationLevel: 'default',
      uniqueName: 'room',
      url: `${tenant.url}${root}/Users/${user.sid}/Conversations/${sid}`,
      links: {
        participant: `${tenant.url}${root}/Conversations/${sid}/Participants/${participant}`,
        conversation: `${tenant.url}${root}/Conversations/${sid}`,
      },
    })
    expect(shown.timers).toHaveProperty('date_closed')
    for (const [who, which] of [
      ['alice', sid],
      ['alice', 'room'],
      [user.sid, 'room'],
    ] as const) {
      expect((await users(who).userConversations(which).fetch()).toJSON()).toEqual(shown)
    }
    expect((await users('alice').userConversations.list()).map((one) => one.toJSON())).toEqual([shown])
  })

  test('the read horizon is the participant’s, and counts what is behind it', async () => {
    const { users, conversations, join } = await inFamily(family)
    const { sid, participant } = await join('bob')
    const mine = users('bob').userConversations(sid)
    const ids: string[] = []
    for (const body of ['0', '1', '2', '3']) ids.push((await conversations(sid).messages.create({ body })).sid)
    expect((await mine.fetch()).unreadMessagesCount).toBeNull()
    const before = await conversations(sid).participants(participant).fetch()
    await tenant.advance('PT1M')
    expect(await mine.update({ lastReadMessageIndex: 1 })).toMatchObject({ lastReadMessageIndex: 1, unreadMessagesCount: 2 })
    const moved = await conversations(sid).participants(participant).fetch()
    expect(moved.lastReadMessageIndex).toBe(1)
    expect(Math.abs(Date.parse(moved.lastReadTimestamp) - tenant.clock.now())).toBeLessThan(5000)
    expect(moved.dateUpdated).toEqual(before.dateUpdated)
    expect((await mine.fetch()).unreadMessagesCount).toBe(2)
    await conversations(sid)
      .messages(ids[2] ?? '')
      .remove()
    expect((await mine.fetch()).unreadMessagesCount).toBe(1)
    expect((await users('bob').userConversations.list())[0]?.unreadMessagesCount).toBe(1)
    expect((await mine.update({ lastReadMessageIndex: 99 })).unreadMessagesCount).toBe(0)
    const lastReadTimestamp = new Date('2026-01-02T03:04:05Z')
    await mine.update({ lastReadMessageIndex: 0, lastReadTimestamp })
    expect(await conversations(sid).participants(participant).fetch()).toMatchObject({
      lastReadMessageIndex: 0,
      lastReadTimestamp: '2026-01-02T03:04:05Z',
    })
    // And the other way round.
    await conversations(sid).participants('bob').update({ lastReadMessageIndex: 2 })
    expect(await mine.fetch()).toMatchObject({ lastReadMessageIndex: 2, unreadMessagesCount: 1 })
    expect(await mine.update({ lastReadMessageIndex: null as unknown as number })).toMatchObject({
      lastReadMessageIndex: null,
      unreadMessagesCount: null,
    })
    expect((await conversations(sid).participants('bob').fetch()).lastReadTimestamp).toBeNull()
  })

  test('the notification level is kept for this user alone', async () => {
    const { users, conversations, join } = await inFamily(family)
    const { sid } = await join('carol')
    await conversations(sid).participants.create({ identity: 'dave' })
    const muted = await users('carol').userConversations(sid).update({ notificationLevel: 'muted' })
    expect(muted.notificationLevel).toBe('muted')
    expect((await users('carol').userConversations(sid).fetch()).notificationLevel).toBe('muted')
    expect((await users('dave').userConversations(sid).fetch()).notificationLevel).toBe('default')
  })

  test.each([
    [{ NotificationLevel: 'loud' }, 50210, 'Invalid notification level'],
    [{ NotificationLevel: '' }, 50210, 'Invalid notification level'],
    [{ LastReadTimestamp: 'yesterday' }, 50405, 'Invalid last consumption timestamp format'],
    [{ LastReadMessageIndex: 'one' }, 50421, 'Invalid last read message index format'],
    [{ LastReadMessageIndex: '-1' }, 50421, 'Invalid last read message index format'],
    [{ NotificationLevel: 'muted', LastReadMessageIndex: '1.5' }, 50421, 'Invalid last read message index format'],
  ] as [Record<string, string>, number, string][])('%o is refused with %i and changes nothing', async (form, code, message) => {
    const { root, join } = await inFamily(family)
    const { sid } = await join('eve')
    const path = `${root}/Users/eve/Conversations/${sid}`
    const before = (await tenant.call('GET', path)).body
    const { status, body } = await tenant.call('POST', path, form)
    expect([status, body.code, body.message]).toEqual([400, code, message])
    expect((await tenant.call('GET', path)).body).toEqual(before)
  })

  test('words in any case; no known parameter changes nothing', async () => {
    const { root, join } = await inFamily(family)
    const { sid } = await join('fay')
    const path = `${root}/Users/fay/Conversations/${sid}`
    expect((await tenant.call('POST', path, { NotificationLevel: 'MUTED' })).body.notification_level).toBe('muted')
    expect(await tenant.call('POST', path, { Nonsense: '1' })).toMatchObject({
      status: 200,
      body: { notification_level: 'muted', last_read_message_index: null },
    })
  })

  test('leaving removes the participant and nothing else', async () => {
    const { root, users, conversations, join } = await inFamily(family)
    const { sid, participant } = await join('gil', { uniqueName: 'party' })
    await conversations(sid).messages.create({ author: 'gil', body: 'bye' })
    expect(await users('gil').userConversations('party').remove()).toBe(true)
    await expect(conversations(sid).participants(participant).fetch()).rejects.toMatchObject({ status: 404 })
    expect((await conversations(sid).messages.list()).map(({ author }) => author)).toEqual(['gil'])
    expect((await users('gil').fetch()).identity).toBe('gil')
    const { status, body } = await tenant.call('DELETE', `${root}/Users/gil/Conversations/${sid}`)
    const message = `The requested resource ${root.slice(3)}/Users/gil/Conversations/${sid} was not found`
    expect([status, body.code, body.message]).toEqual([404, 20404, message])
    expect(await users('gil').userConversations.list()).toEqual([])
    await conversations(sid).participants.create({ identity: 'gil' })
    expect((await users('gil').userConversations.list()).length).toBe(1)
  })

  test('a closed conversation is shown and can neither be changed nor left', async () => {
    const { users, conversations, join } = await inFamily(family)
    const { sid } = await join('hal', { 'timers.closed': 'PT10M' })
    const mine = users('hal').userConversations(sid)
    // Closed by its deadline, whether a sweep has come by or not.
    tenant.clock.moveTo(tenant.clock.now() + 600_000)
    const mute = () => mine.update({ notificationLevel: 'muted' })
    for (const change of [mute, () => mine.update({}), () => mine.remove()]) {
      await expect(change()).rejects.toMatchObject({
        status: 400,
        code: 50377,
        message: "Can't update conversation as it's in final closed state",
      })
    }
    expect(await mine.fetch()).toMatchObject({ conversationState: 'closed', timers: {}, notificationLevel: 'default' })
    expect((await users('hal').userConversations.list()).map(({ conversationState }) => conversationState)).toEqual(['closed'])
    expect((await conversations(sid).participants.list()).length).toBe(1)
  })

  test('lists every state, the liveliest first, in pages both ways', async () => {
    const { users, conversations, join } = await inFamily(family)
    const ids: string[] = []
    for (let i = 0; i < 5; i++) {
      ids.push((await join('ida')).sid)
      await tenant.advance('PT1S')
    }
    await conversations.create({})
    await conversations(ids[1] ?? '').messages.create({ body: 'up' })
    await conversations(ids[3] ?? '').update({ state: 'inactive' })
    await conversations(ids[4] ?? '').update({ state: 'closed' })
    const wanted = [1, 4, 3, 2, 0].map((i) => ids[i])
    const mine = users('ida').userConversations
    const listed = await mine.list()
    expect(listed.map(({ conversationSid }) => conversationSid)).toEqual(wanted)
    expect(listed.map(({ conversationState }) => conversationState)).toEqual(['active', 'closed', 'inactive', 'active', 'active'])
    expect((await mine.list({ pageSize: 2 })).map(({ conversationSid }) => conversationSid)).toEqual(wanted)
    const first = await mine.page({ pageSize: 2 })
    const second = await first.nextPage()
    const third = await second?.nextPage()
    expect(third?.instances.map(({ conversationSid }) => conversationSid)).toEqual(wanted.slice(4))
    expect(third?.nextPageUrl).toBeUndefined()
    const back = await third?.previousPage()
    expect(back?.instances.map(({ conversationSid }) => conversationSid)).toEqual(wanted.slice(2, 4))
    const front = await back?.previousPage()
    expect(front?.instances.map(({ conversationSid }) => conversationSid)).toEqual(wanted.slice(0, 2))
    expect(front?.previousPageUrl).toBeUndefined()
  })

  test('nobody, a stranger and another service find nothing', async () => {
    const { root, users, conversations, join } = await inFamily(family)
    const { sid } = await join('jim')
    await users.create({ identity: 'kim' })
    const apart = await conversations.create({ uniqueName: 'apart' })
    const other = await v1().services.create({ friendlyName: 'Other' })
    await v1().services(other.sid).users.create({ identity: 'jim' })
    const as = (await newTenant(tenant)).credentials
    const expect404 = async (path: string, options = {}) => {
      for (const method of ['GET', 'POST', 'DELETE']) {
        const { status, body } = await tenant.call(method, path, method === 'POST' ? {} : undefined, options)
        expect([status, body.code, body.message]).toEqual([404, 20404, `The requested resource ${path.slice(3)} was not found`])
      }
    }
    await expect404(`${root}/Users/jim/Conversations/${sid}`, { as })
    await expect404(`/v1/Services/${other.sid}/Users/jim/Conversations/${sid}`)
    await expect404(`${root}/Users/kim/Conversations/${sid}`)
    await expect404(`${root}/Users/nobody/Conversations/${sid}`)
    await expect404(`${root}/Users/jim/Conversations/${apart.sid}`)
    await expect404(`${root}/Users/jim/Conversations/apart`)
    expect((await tenant.call('GET', `${root}/Users/nobody/Conversations`)).body.code).toBe(20404)
    expect((await tenant.call('GET', `${root}/Users/kim/Conversations`)).body.conversations).toEqual([])
    expect((await tenant.call('GET', `/v1/Services/${other.sid}/Users/jim/Conversations`)).body.conversations).toEqual([])
    expect((await tenant.call('POST', `${root}/Users/jim/Conversations`, {})).body.code).toBe(20004)
  })
})

test('the count of unread messages stops at 1,000', async () => {
  const conversation = await v1().conversations.create({})
  await v1().conversations(conversation.sid).participants.create({ identity: 'lee' })
  const path = `/v1/Conversations/${conversation.sid}/Messages`
  const call = persistent(tenant)
  const send = (count: number) =>
    Promise.all(Array.from({ length: count }, () => call('POST', path, { Body: 'x' }, { check: false })))
  await send(1000)
  const mine = v1().users('lee').userConversations(conversation.sid)
  expect((await mine.update({ lastReadMessageIndex: 0 })).unreadMessagesCount).toBe(999)
  await send(2)
  expect((await mine.fetch()).unreadMessagesCount).toBe(1000)
  expect((await v1().users('lee').userConversations.list())[0]?.unreadMessagesCount).toBe(1000)
})

test('tells no webhook, whatever the header says', async () => {
  await using hook = await catchWebhooks()
  await v1()
    .configuration.webhooks()
    .update({
      preWebhookUrl: hook.url('/pre'),
      postWebhookUrl: hook.url('/post'),
      filters: ['onParticipantUpdate', 'onParticipantRemove', 'onParticipantUpdated', 'onParticipantRemoved', 'onUserAdded'],
    })
  const { sid } = await v1().conversations.create({})
  await v1().conversations(sid).participants.create({ identity: 'mia' })
  const headers = { 'x-twilio-webhook-enabled': 'true' }
  const path = `/v1/Users/mia/Conversations/${sid}`
  expect((await tenant.call('POST', path, { LastReadMessageIndex: '0' }, { headers })).status).toBe(200)
  expect((await tenant.call('DELETE', path, undefined, { headers })).status).toBe(204)
  await v1().users.create({ identity: 'ned', xTwilioWebhookEnabled: 'true' })
  expect((await hook.next()).params.EventType).toBe('onUserAdded')
  expect(hook.requests.length).toBe(1)
})
