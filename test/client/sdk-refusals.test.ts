import type { Client, Conversation, Message, Participant } from '@twilio/conversations'
import { describe, expect } from 'vitest'
import { connected, conversationWith, opened } from '../support/client.ts'
import { test } from '../support/fixtures.ts'
import { settled } from '../support/hooked.ts'
import type { Tenant } from '../support/tenant.ts'

const v1 = ({ sdk }: Tenant) => sdk.conversations.v1

/** What ann can try: in a conversation with bob, with a message of each. */
interface Scene {
  readonly ann: Client
  readonly here: Conversation
  readonly mine: Message
  readonly theirs: Message
  readonly bob: Participant
  readonly me: Participant
}

/** ann, in a role of these permissions, or by default in one of all. */
async function scene(tenant: Tenant, permission: readonly string[]): Promise<Scene> {
  const sid = await conversationWith(tenant, 'ann', 'bob')
  const rest = v1(tenant).conversations(sid)
  const role = await v1(tenant).roles.create({ type: 'conversation', friendlyName: 'r', permission: [...permission] })
  await rest.participants('ann').update({ roleSid: role.sid })
  for (const author of ['ann', 'bob']) await rest.messages.create({ author, body: `by ${author}` })
  const ann = await connected(tenant, 'ann')
  const here = await opened(ann, sid)
  const [mine, theirs] = (await here.getMessages()).items as [Message, Message]
  const [me, bob] = await Promise.all(['ann', 'bob'].map((who) => here.getParticipantByIdentity(who)))
  return { ann, here, mine, theirs, bob: bob as Participant, me: me as Participant }
}

const media = { contentType: 'text/plain', media: Buffer.from('x') }

/** What can be refused. `event`: the pre-action webhook that is asked, if one is. */
const commands: readonly (readonly [what: string, event: string | null, act: (scene: Scene) => Promise<unknown>])[] = [
  ['send', 'onMessageAdd', ({ here }) => here.sendMessage('x')],
  ['send media', 'onMessageAdd', ({ here }) => here.prepareMessage().addMedia(media).build().send()],
  ['edit the own message', 'onMessageUpdate', ({ mine }) => mine.updateBody('x')],
  ['edit another message', 'onMessageUpdate', ({ theirs }) => theirs.updateBody('x')],
  ['change attributes of a message', 'onMessageUpdate', ({ mine }) => mine.updateAttributes({ x: 1 })],
  ['delete a message', 'onMessageRemove', ({ mine }) => mine.remove()],
  ['rename the conversation', 'onConversationUpdate', ({ here }) => here.updateFriendlyName('x')],
  ['give the conversation attributes', 'onConversationUpdate', ({ here }) => here.updateAttributes({ x: 1 })],
  ['delete the conversation', 'onConversationRemove', ({ here }) => here.delete()],
  ['add somebody', 'onParticipantAdd', ({ here }) => here.add('carol')],
  ['change a participant', 'onParticipantUpdate', ({ bob }) => bob.updateAttributes({ x: 1 })],
  ['remove a participant', 'onParticipantRemove', ({ bob }) => bob.remove()],
  ['leave', 'onParticipantRemove', ({ here }) => here.leave()],
  ['mute', null, ({ here }) => here.setUserNotificationLevel('muted')],
]

/** The same of the service. */
const inService: typeof commands = [
  ['create a conversation', 'onConversationAdd', ({ ann }) => ann.createConversation({ friendlyName: 'x' })],
  ['change the own user', 'onUserUpdate', ({ ann }) => ann.user.updateFriendlyName('x')],
]

const everything = [
  ...['sendMessage', 'sendMediaMessage', 'leaveConversation', 'addParticipant', 'removeParticipant', 'deleteConversation'],
  ...['editConversationName', 'editConversationAttributes', 'editAnyMessage', 'editAnyMessageAttributes', 'deleteAnyMessage'],
  ...['editAnyParticipantAttributes', 'editNotificationLevel'],
]

/** All that a refused command could have changed. */
async function state(tenant: Tenant, { here, ann }: Scene) {
  const rest = v1(tenant).conversations(here.sid)
  const [conversation, participants, messages, user, all] = await Promise.all([
    rest.fetch(),
    rest.participants.list(),
    rest.messages.list(),
    v1(tenant).users(ann.user.identity).fetch(),
    v1(tenant).conversations.list(),
  ])
  return JSON.stringify([conversation, participants, messages, user, all.length])
}

async function errorOf(act: Promise<unknown>) {
  const error: unknown = await act.then(
    () => 'not refused',
    (reason: unknown) => reason,
  )
  return error
}

describe('without the permission the app gets an error, and nothing changes', () => {
  test.for(commands)('%s', async ([, , act], { tenant }) => {
    // A role has at least one permission: this one is of no use here.
    const place = await scene(tenant, ['editOwnUserInfo'])
    const before = await state(tenant, place)
    expect(await errorOf(act(place))).toMatchObject({ status: 403, body: { code: 50107 } })
    expect(await state(tenant, place)).toBe(before)
  })

  test.for(inService)('%s', async ([, , act], { tenant }) => {
    const place = await scene(tenant, everything)
    const nothing = await v1(tenant).roles.create({ type: 'service', friendlyName: 'r', permission: ['joinConversation'] })
    await v1(tenant).users('ann').update({ roleSid: nothing.sid })
    const before = await state(tenant, place)
    expect(await errorOf(act(place))).toMatchObject({ status: 403, body: { code: 50107 } })
    expect(await state(tenant, place)).toBe(before)
  })

  test('nobody reaches a conversation that they are not in', async ({ tenant }) => {
    const sid = await conversationWith(tenant, 'bob')
    const ann = await connected(tenant, 'ann')
    await expect(ann.getConversationBySid(sid)).rejects.toThrow()
    await expect(ann.peekConversationBySid(sid)).rejects.toThrow()
    expect((await ann.getSubscribedConversations()).items).toEqual([])
  })
})

describe('a pre-action webhook that refuses is an error to the app, and nothing changes', () => {
  const asked = [...commands, ...inService].filter(([, event]) => event !== null)
  test.for(asked)('%s', async ([, event, act], { tenant, catcher }) => {
    const place = await scene(tenant, everything)
    const filters = [...new Set(asked.flatMap(([, name]) => name ?? []))]
    await v1(tenant).configuration.webhooks().update({ preWebhookUrl: catcher.url(), filters, method: 'POST' })
    catcher.reply(() => ({ status: 403 }))
    const before = await state(tenant, place)
    expect(await errorOf(act(place))).toMatchObject({ status: 403, body: { code: 50056 } })
    await settled(tenant)
    expect(await state(tenant, place)).toBe(before)
    const told = catcher.requests.map(({ params }) => [params.EventType, params.Source, params.ClientIdentity])
    expect(told).toEqual([[event, 'SDK', 'ann']])
    // Once it agrees, the same is done.
    catcher.reply(() => ({ status: 200 }))
    await act(place)
    expect(await state(tenant, place).catch(() => 'deleted')).not.toBe(before)
  })

  test('joining', async ({ tenant, catcher }) => {
    const ann = await connected(tenant, 'ann')
    const conversation = await ann.createConversation({ friendlyName: 'x' })
    await v1(tenant)
      .configuration.webhooks()
      .update({ preWebhookUrl: catcher.url(), filters: ['onParticipantAdd'], method: 'POST' })
    catcher.reply(() => ({ status: 403 }))
    expect(await errorOf(conversation.join())).toMatchObject({ status: 403, body: { code: 50056 } })
    expect(conversation.status).toBe('notParticipating')
  })

  test('what it replaces is what everybody sees', async ({ tenant, catcher }) => {
    const { here } = await scene(tenant, everything)
    await v1(tenant)
      .configuration.webhooks()
      .update({ preWebhookUrl: catcher.url(), filters: ['onMessageAdd'], method: 'POST' })
    catcher.reply(() => ({ body: JSON.stringify({ body: 'amended', attributes: '{"by":"hook"}' }) }))
    const index = await here.sendMessage('raw')
    await expect
      .poll(async () => (await here.getMessages()).items.map((one) => [one.index, one.body]))
      .toContainEqual([index, 'amended'])
  })
})
