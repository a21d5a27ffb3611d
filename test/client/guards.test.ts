import { describe, expect } from 'vitest'
import { RawClient } from '../support/client.ts'
import { role, type Scene, scene } from '../support/client-scene.ts'
import { test } from '../support/fixtures.ts'
import { gate } from '../support/hooked.ts'
import type { Tenant } from '../support/tenant.ts'
import type { WebhookCatcher } from '../support/webhook-catcher.ts'

/*
 * What a user may do is what they may do when it is committed, not when they asked: between the two a pre-action webhook may take
 * seconds, and the command waits for its turn.
 */

const v1 = ({ sdk }: Tenant) => sdk.conversations.v1

interface Command {
  readonly what: string
  readonly hook: string
  readonly permission: string
  readonly ask: (scene: Scene) => Parameters<RawClient['request']>
  readonly inService?: true
}

const text = { body: { body: 'x' } }
const name = { body: { friendly_name: 'x' } }
const attributes = { body: { attributes: '{"x":1}' } }

const commands: readonly Command[] = [
  { what: 'send', hook: 'onMessageAdd', permission: 'sendMessage', ask: (s) => ['POST', s.messages, text] },
  { what: 'edit a message', hook: 'onMessageUpdate', permission: 'editOwnMessage', ask: (s) => ['POST', s.mine, text] },
  { what: 'edit another', hook: 'onMessageUpdate', permission: 'editAnyMessage', ask: (s) => ['POST', s.theirs, text] },
  { what: 'delete a message', hook: 'onMessageRemove', permission: 'deleteOwnMessage', ask: (s) => ['DELETE', s.mine] },
  {
    what: 'rename',
    hook: 'onConversationUpdate',
    permission: 'editConversationName',
    ask: (s) => ['POST', s.conversation, name],
  },
  { what: 'delete', hook: 'onConversationRemove', permission: 'deleteConversation', ask: (s) => ['DELETE', s.conversation] },
  {
    what: 'add',
    hook: 'onParticipantAdd',
    permission: 'addParticipant',
    ask: (s) => ['POST', s.participants, { body: { identity: 'carol' } }],
  },
  { what: 'remove', hook: 'onParticipantRemove', permission: 'removeParticipant', ask: (s) => ['DELETE', s.bob] },
  { what: 'leave', hook: 'onParticipantRemove', permission: 'leaveConversation', ask: (s) => ['DELETE', s.ann] },
  {
    what: 'change another',
    hook: 'onParticipantUpdate',
    permission: 'editAnyParticipantAttributes',
    ask: (s) => ['POST', s.bob, attributes],
  },
  {
    what: 'create',
    hook: 'onConversationAdd',
    permission: 'createConversation',
    inService: true,
    ask: (s) => ['POST', s.conversations, name],
  },
  {
    what: 'change the own user',
    hook: 'onUserUpdate',
    permission: 'editOwnUserInfo',
    inService: true,
    ask: (s) => ['POST', s.me, name],
  },
]

/** Everything that the commands could change. */
async function everything(tenant: Tenant, { sid }: Scene) {
  const here = v1(tenant).conversations(sid)
  return {
    conversations: (await v1(tenant).conversations.list()).map(({ sid: one, friendlyName }) => [one, friendlyName]),
    messages: (await here.messages.list()).map(({ index, body }) => [index, body]),
    participants: (await here.participants.list()).map((one) => [one.identity, one.attributes, one.roleSid]),
    users: (await v1(tenant).users.list()).map(({ identity, friendlyName }) => [identity, friendlyName]),
  }
}

/** Asks for a command, and does something while its pre-action webhook is being called. */
async function during(tenant: Tenant, catcher: WebhookCatcher, place: Scene, command: Command, act: () => Promise<unknown>) {
  await v1(tenant)
    .configuration.webhooks()
    .update({ preWebhookUrl: catcher.url(), filters: [command.hook], method: 'POST' })
  using held = gate()
  catcher.reply(() => ({ delayUntil: held.opened }))
  const answer = place.raw.request(...command.ask(place))
  await catcher.next(({ params }) => params.EventType === command.hook)
  await act()
  const before = await everything(tenant, place)
  held.open()
  return { answer: await answer, before }
}

function sceneFor(tenant: Tenant, { inService, permission }: Command): Promise<Scene> {
  return inService ? scene(tenant, [], [permission]) : scene(tenant, [permission])
}

const unauthorized = { status: 403, body: { code: 50107, status: 403 } }

describe('while its webhook is being called', () => {
  test.for(commands)('a permission is taken away: $what is refused', async (command, { tenant, catcher }) => {
    const place = await sceneFor(tenant, command)
    const holder = command.inService
      ? await v1(tenant).users('ann').fetch()
      : await v1(tenant).conversations(place.sid).participants('ann').fetch()
    const { answer, before } = await during(tenant, catcher, place, command, () =>
      v1(tenant)
        .roles(holder.roleSid)
        .update({ permission: ['editConversationAttributes'] }),
    )
    expect(answer).toMatchObject(unauthorized)
    expect(await everything(tenant, place)).toEqual(before)
  })

  test.for(commands)('another role is given: $what is refused', async (command, { tenant, catcher }) => {
    const place = await sceneFor(tenant, command)
    const type = command.inService ? 'service' : 'conversation'
    const roleSid = await role(tenant, type, ['editConversationAttributes'])
    const { answer, before } = await during(tenant, catcher, place, command, () =>
      command.inService
        ? v1(tenant).users('ann').update({ roleSid })
        : v1(tenant).conversations(place.sid).participants('ann').update({ roleSid }),
    )
    expect(answer).toMatchObject(unauthorized)
    expect(await everything(tenant, place)).toEqual(before)
  })

  test.for(commands.filter(({ inService, what }) => !inService && what !== 'leave'))(
    'the participant is removed: $what is refused',
    async (command, { tenant, catcher }) => {
      const place = await sceneFor(tenant, command)
      const { answer, before } = await during(tenant, catcher, place, command, () =>
        v1(tenant).conversations(place.sid).participants('ann').remove(),
      )
      expect(answer).toMatchObject({ status: 403, body: { code: 50430, status: 403 } })
      expect(await everything(tenant, place)).toEqual(before)
    },
  )

  test('nothing changes: it is done', async ({ tenant, catcher }) => {
    for (const command of commands.filter(({ what }) => what === 'send' || what === 'create' || what === 'remove')) {
      const place = await sceneFor(tenant, command)
      const { answer } = await during(tenant, catcher, place, command, async () => {})
      expect([201, 204]).toContain(answer.status)
    }
  })

  test('the message becomes that of another: its own permission does not suffice', async ({ tenant, catcher }) => {
    const command = { what: '', hook: 'onMessageUpdate', permission: 'editOwnMessage', ask: (s: Scene) => ['POST', s.mine, text] }
    const place = await sceneFor(tenant, command as Command)
    const sid = place.mine.split('/').at(-1) ?? ''
    const { answer } = await during(tenant, catcher, place, command as Command, () =>
      v1(tenant).conversations(place.sid).messages(sid).update({ author: 'bob' }),
    )
    expect(answer).toMatchObject(unauthorized)
  })
})

interface Page {
  readonly items: readonly { readonly index: number; readonly last_event_id: number }[]
  readonly meta: { readonly next_token: string | null }
}

test('nothing that somebody sends comes between their removal and their return', async ({ tenant }) => {
  const place = await scene(tenant, ['sendMessage'])
  const { participants } = v1(tenant).conversations(place.sid)
  const { roleSid } = await participants('ann').fetch()
  const watching = await RawClient.admitted(tenant, 'bob')
  const requests = [`${place.sid}.messages`, `${place.sid}.roster`].map((object_sid) => ({ object_sid, last_event_id: 100 }))
  await watching.request('POST', '/v4/Subscriptions', { body: { action: 'establish', correlation_id: 1, requests } })
  for (const _ of requests) await watching.event('subscription_established')
  const sockets = await Promise.all(Array.from({ length: 8 }, () => RawClient.admitted(tenant, 'ann')))
  let rounds = 0
  const sending = sockets.map(async (raw) => {
    while (rounds < 10) expect([201, 403]).toContain((await raw.request('POST', place.messages, text)).status)
  })
  const away: { from: number; to: number }[] = []
  for (; rounds < 10; rounds++) {
    // Some are on their way.
    for (let i = 0; i < 8; i++) await watching.next(({ payload }) => payload.includes('"list_item_added"'))
    await participants('ann').remove()
    await participants.create({ identity: 'ann', roleSid })
    const from = (await watching.event('map_item_removed')).events[0].id
    const to = (await watching.event('map_item_added')).events[0].id
    away.push({ from, to })
  }
  await Promise.all(sending)
  const ids: number[] = []
  for (let from: number | null = 0; from !== null; ) {
    const params: object = { PageSize: 100, From: from }
    const { items, meta }: Page = (await watching.request('GET', `/v3/Lists/${place.sid}.messages/Items`, { params })).body
    ids.push(...items.map(({ last_event_id }) => last_event_id))
    from = meta.next_token === null ? null : (items.at(-1)?.index ?? 0) + 1
  }
  expect(ids.length).toBeGreaterThan(80)
  expect(away.flatMap(({ from, to }) => ids.filter((id) => id > from && id < to))).toEqual([])
})
