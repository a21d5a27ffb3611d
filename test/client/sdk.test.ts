import type { Conversation, Message, Participant } from '@twilio/conversations'
import { describe, expect } from 'vitest'
import { connected, conversationWith, next, opened } from '../support/client.ts'
import { ClientSdk } from '../support/client-sdk.ts'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

const v1 = (tenant: Tenant) => tenant.sdk.conversations.v1

async function all(
  first: Promise<{ items: Conversation[]; hasNextPage: boolean; nextPage(): Promise<never> }>,
): Promise<Conversation[]> {
  const found: Conversation[] = []
  let page = await first
  for (;;) {
    found.push(...page.items)
    if (!page.hasNextPage) return found
    page = await page.nextPage()
  }
}

test('the client is of the version that this run is about', () => {
  expect(ClientSdk.version).toBe(process.env.PARLEY_TEST_CLIENT_SDK ?? '3.0.1')
})

describe('a client', () => {
  test('initializes, lists its conversations and reads them', async ({ tenant }) => {
    const sid = await conversationWith(tenant, 'ann', 'bob')
    await conversationWith(tenant, 'bob')
    await v1(tenant).conversations(sid).messages.create({ author: 'bob', body: 'Hello 😀 日本', attributes: '{"a":1}' })
    const client = await connected(tenant, 'ann')
    const [conversation, ...others] = await all(client.getSubscribedConversations() as never)
    expect(others).toEqual([])
    expect(conversation).toMatchObject({
      sid,
      friendlyName: 'Order',
      createdBy: 'system',
      status: 'joined',
      lastReadMessageIndex: null,
    })
    expect(conversation?.lastMessage?.index).toBe(0)
    const { items } = await (conversation as Conversation).getMessages()
    expect(items.map(({ author, body, index, attributes, type }) => [author, body, index, attributes, type])).toEqual([
      ['bob', 'Hello 😀 日本', 0, { a: 1 }, 'text'],
    ])
    const members = await (conversation as Conversation).getParticipants()
    expect(members.map(({ identity }) => identity).sort()).toEqual(['ann', 'bob'])
    expect(await (await client.getUser('bob')).identity).toBe('bob')
  })

  test('creates a conversation, joins it and sends', async ({ tenant }) => {
    const client = await connected(tenant, 'ann')
    const joined = next<Conversation>(client, 'conversationJoined')
    const conversation = await client.createConversation({ friendlyName: 'Trip', uniqueName: 'trip', attributes: { to: 'Rome' } })
    expect([conversation.status, conversation.createdBy, conversation.attributes]).toEqual([
      'notParticipating',
      'ann',
      { to: 'Rome' },
    ])
    await conversation.join()
    expect((await joined).sid).toBe(conversation.sid)
    await conversation.getMessages()
    const added = next<Message>(conversation, 'messageAdded')
    expect(await conversation.sendMessage('first', { n: 1 })).toBe(0)
    expect(await added).toMatchObject({ body: 'first', author: 'ann', index: 0, attributes: { n: 1 } })
    const { sid } = conversation
    expect(await v1(tenant).conversations(sid).messages.list()).toMatchObject([{ body: 'first', author: 'ann' }])
    expect((await v1(tenant).conversations(sid).fetch()).friendlyName).toBe('Trip')
  })

  test('is told of what others do', async ({ tenant }) => {
    const sid = await conversationWith(tenant, 'ann', 'bob')
    const [ann, bob] = await Promise.all([connected(tenant, 'ann'), connected(tenant, 'bob')])
    const [here, there] = await Promise.all([opened(ann, sid), opened(bob, sid)])
    const added = next<Message>(there, 'messageAdded')
    await here.sendMessage('hello')
    const message = await added
    expect(message.lastUpdatedBy).toBeNull()
    const edited = next<{ message: Message }>(there, 'messageUpdated')
    const [sent] = (await here.getMessages()).items
    await sent?.updateBody('hello again')
    expect((await edited).message).toMatchObject({ body: 'hello again', lastUpdatedBy: 'ann' })
    expect(sent?.author).toBe('ann')
    const amended = next<{ message: Message }>(there, 'messageUpdated', ({ message: { body } }) => body === 'amended')
    await v1(tenant).conversations(sid).messages(message.sid).update({ body: 'amended' })
    expect((await amended).message.lastUpdatedBy).toBe('system')
    const typing = next(there, 'typingStarted')
    await here.typing()
    expect((await typing).identity).toBe('ann')
    const removed = next<Message>(there, 'messageRemoved')
    await sent?.remove()
    expect((await removed).sid).toBe(message.sid)
    const renamed = next(there, 'updated')
    await v1(tenant).conversations(sid).update({ friendlyName: 'Renamed' })
    expect((await renamed).updateReasons).toContain('friendlyName')
    const carol = next(there, 'participantJoined')
    await v1(tenant).conversations(sid).participants.create({ identity: 'carol' })
    expect((await carol).identity).toBe('carol')
    const left = next(there, 'participantLeft', ({ identity }) => identity === 'ann')
    await here.leave()
    await left
    const gone = next<Conversation>(bob, 'conversationRemoved')
    await v1(tenant).conversations(sid).remove()
    expect((await gone).sid).toBe(sid)
  })

  test('sees which role somebody has, also when it was deleted', async ({ tenant }) => {
    const sid = await conversationWith(tenant, 'ann', 'bob')
    const { roles, conversations } = v1(tenant)
    const guest = (await roles.create({ type: 'conversation', friendlyName: 'guest', permission: ['sendMessage'] })).sid
    const here = await opened(await connected(tenant, 'ann'), sid)
    const bob = await here.getParticipantByIdentity('bob')
    const plain = bob?.roleSid
    const changed = next<{ participant: Participant }>(here, 'participantUpdated')
    await conversations(sid).participants('bob').update({ roleSid: guest })
    expect((await changed).participant).toMatchObject({ identity: 'bob', roleSid: guest })
    const deleted = next<{ participant: Participant }>(here, 'participantUpdated')
    await roles(guest).remove()
    expect((await deleted).participant).toMatchObject({ identity: 'bob', roleSid: plain })
  })

  test('moves its read horizon, and others see it', async ({ tenant }) => {
    const sid = await conversationWith(tenant, 'ann', 'bob')
    for (let i = 0; i < 5; i++)
      await v1(tenant)
        .conversations(sid)
        .messages.create({ author: 'bob', body: `${i}` })
    const [ann, bob] = await Promise.all([connected(tenant, 'ann'), connected(tenant, 'bob')])
    const [here, there] = await Promise.all([opened(ann, sid), opened(bob, sid)])
    expect(await here.getUnreadMessagesCount()).toBeNull()
    const seen = next(there, 'participantUpdated')
    expect(await here.updateLastReadMessageIndex(2)).toBe(2)
    expect((await seen).participant).toMatchObject({ identity: 'ann', lastReadMessageIndex: 2 })
    expect(await here.setAllMessagesRead()).toBe(0)
    expect(await here.updateLastReadMessageIndex(1000)).toBe(0)
    // The SDK keeps what it has fetched for a tenth of a second.
    await expect.poll(() => here.getUnreadMessagesCount()).toBe(0)
    expect(await here.setAllMessagesUnread()).toBeNull()
    expect(await here.getMessagesCount()).toBe(5)
    expect(await here.getParticipantsCount()).toBe(2)
    const muted = next(here, 'updated', ({ updateReasons }) => updateReasons.includes('notificationLevel'))
    await here.setUserNotificationLevel('muted')
    await muted
    expect(here.notificationLevel).toBe('muted')
  })

  test('changes its user, and others see it', async ({ tenant }) => {
    const [ann, bob] = await Promise.all([connected(tenant, 'ann'), connected(tenant, 'bob')])
    const seen = await bob.getUser('ann')
    const updated = next(seen, 'updated')
    await ann.user.updateFriendlyName('Ann Ⓐ')
    expect((await updated).updateReasons).toEqual(['friendlyName'])
    expect(seen.friendlyName).toBe('Ann Ⓐ')
    await expect(ann.getUser('nobody')).rejects.toThrow()
    const attributes = next(seen, 'updated', ({ updateReasons }) => updateReasons.includes('attributes'))
    await ann.user.updateAttributes({ mood: 'fine' })
    await attributes
  })
})
