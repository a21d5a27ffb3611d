import type { Participant } from '@twilio/conversations'
import { describe, expect } from 'vitest'
import { connected, conversationWith, next, opened } from '../support/client.ts'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

const v1 = ({ sdk }: Tenant) => sdk.conversations.v1

async function roleOf(tenant: Tenant, friendlyName: string): Promise<string> {
  const role = (await v1(tenant).roles.list()).find((one) => one.friendlyName === friendlyName)
  return (role as { sid: string }).sid
}

/** Two people in a conversation, the first with every permission in it. */
async function scene(tenant: Tenant) {
  const sid = await conversationWith(tenant, 'ann', 'bob')
  const permission = ['addParticipant', 'removeParticipant', 'editAnyParticipantAttributes', 'leaveConversation', 'sendMessage']
  const admin = await v1(tenant).roles.create({ type: 'conversation', friendlyName: 'admin', permission })
  await v1(tenant).conversations(sid).participants('ann').update({ roleSid: admin.sid })
  const [ann, bob] = await Promise.all([connected(tenant, 'ann'), connected(tenant, 'bob')])
  const [here, there] = await Promise.all([opened(ann, sid), opened(bob, sid)])
  return { sid, ann, bob, here, there, rest: v1(tenant).conversations(sid).participants, admin: admin.sid }
}

describe('participants', () => {
  test('are found by SID and by identity', async ({ tenant }) => {
    const { here, rest } = await scene(tenant)
    const bob = await rest('bob').fetch()
    const byIdentity = (await here.getParticipantByIdentity('bob')) as Participant
    expect(byIdentity).toMatchObject({ sid: bob.sid, identity: 'bob', type: 'chat', roleSid: bob.roleSid })
    // REST shows whole seconds.
    expect(Math.floor(Number(byIdentity.dateCreated) / 1000)).toBe(Number(bob.dateCreated) / 1000)
    expect(await here.getParticipantBySid(bob.sid)).toBe(byIdentity)
    expect(await here.getParticipantByIdentity('nobody').catch(() => null)).toBeNull()
    expect((await byIdentity.getUser()).identity).toBe('bob')
  })

  test('are added and removed, by identity and by the participant', async ({ tenant }) => {
    const { here, there, rest } = await scene(tenant)
    const carol = next<Participant>(there, 'participantJoined', ({ identity }) => identity === 'carol')
    const dave = next<Participant>(here, 'participantJoined', ({ identity }) => identity === 'dave')
    await here.add('carol', { seat: 3 })
    await here.add('dave')
    expect((await carol).attributes).toEqual({ seat: 3 })
    expect((await rest.list()).map(({ identity }) => identity).sort()).toEqual(['ann', 'bob', 'carol', 'dave'])
    const left = Promise.all(
      ['carol', 'dave'].map((who) => next<Participant>(there, 'participantLeft', ({ identity }) => identity === who)),
    )
    await here.removeParticipant('carol')
    await here.removeParticipant(await dave)
    await left
    await expect.poll(async () => (await here.getParticipants()).length).toBe(2)
    expect((await rest.list()).map(({ identity }) => identity).sort()).toEqual(['ann', 'bob'])
  })

  test('with an address are added, and shown with their type', async ({ tenant }) => {
    const { here, there, rest } = await scene(tenant)
    const joined = next<Participant>(there, 'participantJoined')
    await here.addNonChatParticipant('+15550002222', '+15550001111', { via: 'sms' })
    expect(await joined).toMatchObject({ identity: null, type: 'sms', attributes: { via: 'sms' } })
    const stored = (await rest.list()).find(({ messagingBinding }) => messagingBinding !== null)
    expect(stored?.messagingBinding).toMatchObject({ address: '+15550001111', proxy_address: '+15550002222' })
  })

  test('have attributes, and everybody sees them change', async ({ tenant }) => {
    const { here, there } = await scene(tenant)
    const seen = next(there, 'participantUpdated', ({ updateReasons }) => updateReasons.includes('attributes'))
    const bob = (await here.getParticipantByIdentity('bob')) as Participant
    await bob.updateAttributes({ mood: ['fine', { since: 1 }] })
    expect((await seen).participant).toMatchObject({ identity: 'bob', attributes: { mood: ['fine', { since: 1 }] } })
  })

  test('who leave have no conversation any more, and those who are put back have it again', async ({ tenant }) => {
    const { sid, bob, there, rest } = await scene(tenant)
    const gone = next(bob, 'conversationLeft')
    await there.leave()
    expect((await gone).sid).toBe(sid)
    expect((await bob.getSubscribedConversations()).items).toEqual([])
    await expect(bob.getConversationBySid(sid)).rejects.toThrow()
    const back = next(bob, 'conversationJoined')
    await rest.create({ identity: 'bob' })
    expect(await back).toMatchObject({ sid, status: 'joined' })
  })
})

describe('roles', () => {
  test('are those of the creator and of the others', async ({ tenant }) => {
    const creator = await connected(tenant, 'ann')
    const conversation = await creator.createConversation({ friendlyName: 'Trip' })
    await conversation.join()
    await conversation.add('bob')
    const roles = async () => {
      const members = await conversation.getParticipants()
      return Object.fromEntries(members.map(({ identity, roleSid }) => [identity, roleSid]))
    }
    const [ann, bob] = [await roleOf(tenant, 'channel admin'), await roleOf(tenant, 'channel user')]
    // The client hears of bob in its own time.
    await expect.poll(roles).toEqual({ ann, bob })
  })

  test('are announced when they change, and count from then on', async ({ tenant }) => {
    const { there, rest, admin } = await scene(tenant)
    await expect(there.add('carol')).rejects.toMatchObject({ status: 403, body: { code: 50107 } })
    const changed = next(there, 'participantUpdated', ({ updateReasons }) => updateReasons.includes('roleSid'))
    await rest('bob').update({ roleSid: admin })
    expect((await changed).participant).toMatchObject({ identity: 'bob', roleSid: admin })
    await there.add('carol')
  })
})

describe('typing', () => {
  test('is seen by the others until a message ends it, not by who types', async ({ tenant }) => {
    const { here, there, rest } = await scene(tenant)
    // It is told to those who follow the participants by now, and to nobody later.
    const following = next(there, 'participantUpdated')
    await rest('ann').update({ attributes: '{"typist":true}' })
    await following
    const own: unknown[] = []
    here.on('typingStarted', (one) => own.push(one))
    const started = next<Participant>(there, 'typingStarted')
    await here.typing()
    expect(await started).toMatchObject({ identity: 'ann', isTyping: true })
    const ended = next<Participant>(there, 'typingEnded')
    await here.sendMessage('hello')
    expect(await ended).toMatchObject({ identity: 'ann', isTyping: false })
    expect(own).toEqual([])
  })
})
