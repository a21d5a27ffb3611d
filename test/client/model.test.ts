import type { Client, Conversation, Message, Participant } from '@twilio/conversations'
import fc from 'fast-check'
import { expect, onTestFinished } from 'vitest'
import { connected, next } from '../support/client.ts'
import { test } from '../support/fixtures.ts'
import { startProxy } from '../support/tcp-proxy.ts'
import type { Tenant } from '../support/tenant.ts'

/*
 * Random changes by REST and by three clients of the official SDK, whose connections are cut at random. In the end each client has
 * heard of everything: what it put together from events alone is what REST shows.
 */

const identities = ['ann', 'bob', 'carol'] as const
const v1 = ({ sdk }: Tenant) => sdk.conversations.v1

/** A client, and what it knows of a conversation by the events that it was told. */
interface Watcher {
  readonly client: Client
  readonly cut: () => void
  readonly heal: () => void
  readonly here: Conversation
  readonly messages: Map<number, string | null>
  readonly members: Set<string | null>
  /** What was announced twice. */
  readonly twice: string[]
}

async function watch(tenant: Tenant, identity: string, sid: string): Promise<Watcher> {
  const proxy = await startProxy(tenant.url)
  onTestFinished(() => proxy[Symbol.asyncDispose]())
  const client = await connected({ ...tenant, url: proxy.url.replace(/\/+$/, '') }, identity)
  const here = await client.getConversationBySid(sid)
  const { items } = await here.getMessages(100)
  const messages = new Map(items.map(({ index, body }) => [index, body]))
  const members = new Set((await here.getParticipants()).map((one) => one.identity))
  const twice: string[] = []
  here.on('messageAdded', ({ index, body }: Message) => {
    if (messages.has(index)) twice.push(`message ${index}`)
    messages.set(index, body)
  })
  here.on('messageUpdated', ({ message }) => void messages.set(message.index, message.body))
  here.on('messageRemoved', ({ index }: Message) => void messages.delete(index))
  here.on('participantJoined', (one: Participant) => void members.add(one.identity))
  here.on('participantLeft', (one: Participant) => void members.delete(one.identity))
  return { client, cut: proxy.cut, heal: proxy.heal, here, messages, members, twice }
}

type Step =
  | { readonly act: 'send' | 'edit' | 'remove'; readonly by: number; readonly which: number }
  | { readonly act: 'add' | 'expel' | 'rename'; readonly by: number; readonly which: number }
  | { readonly act: 'cut' | 'heal'; readonly by: number; readonly which: number }

const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.record({
    act: fc.constantFrom('send', 'send', 'send', 'edit', 'edit', 'remove', 'add', 'expel', 'rename', 'cut', 'heal', 'heal'),
    by: fc.integer({ min: 0, max: 3 }),
    which: fc.nat(1000),
  }),
  { minLength: 40, maxLength: 40 },
)

test('clients that lose their connections see in the end what REST shows', { timeout: 120_000 }, async ({ tenant }) => {
  const [script = []] = fc.sample(steps, {
    numRuns: 1,
    ...(process.env.PARLEY_FAULT_SEED && { seed: Number(process.env.PARLEY_FAULT_SEED) }),
  })
  const { sid } = await v1(tenant).conversations.create({ friendlyName: 'Order' })
  const rest = v1(tenant).conversations(sid)
  for (const identity of identities) await rest.participants.create({ identity })
  await rest.messages.create({ body: 'first' })
  const watchers = await Promise.all(identities.map((identity) => watch(tenant, identity, sid)))
  const away = new Set<number>()
  const restMessages = async () => rest.messages.list({ limit: 1000 })
  for (const [i, { act, by, which }] of script.entries()) {
    const watcher = watchers[by]
    const present = watcher && !away.has(by) ? watcher : undefined
    const all = await restMessages()
    const one = all[which % Math.max(1, all.length)]
    if (act === 'cut' && watcher) {
      watcher.cut()
      away.add(by)
    }
    if (act === 'heal' && watcher) {
      watcher.heal()
      away.delete(by)
    }
    // A client that is about to lose its connection may fail: what REST shows is what counts.
    if (act === 'send' && present?.client.connectionState === 'connected')
      await present.here.sendMessage(`by a client ${i}`).catch(() => {})
    else if (act === 'send') await rest.messages.create({ body: `by REST ${i}`, author: identities[which % 3] ?? 'ann' })
    if (act === 'edit' && one) await rest.messages(one.sid).update({ body: `edited ${i}` })
    if (act === 'remove' && one) await rest.messages(one.sid).remove()
    if (act === 'add') await rest.participants.create({ identity: `guest ${which % 4}` }).catch(() => {})
    if (act === 'expel')
      await rest
        .participants(`guest ${which % 4}`)
        .remove()
        .catch(() => {})
    if (act === 'rename') await rest.update({ friendlyName: `name ${i}` })
  }
  for (const { heal } of watchers) heal()
  await Promise.all(
    watchers.map(
      ({ client }) =>
        client.connectionState === 'connected' || next(client, 'connectionStateChanged', (state) => state === 'connected'),
    ),
  )
  const messages = (await restMessages()).map(({ index, body }) => [index, body])
  const members = (await rest.participants.list()).map(({ identity }) => identity).sort()
  const { friendlyName } = await rest.fetch()
  for (const watcher of watchers) {
    const seen = () => ({
      messages: [...watcher.messages].sort(([a], [b]) => a - b),
      members: [...watcher.members].sort(),
      friendlyName: watcher.here.friendlyName,
    })
    await expect.poll(seen, { message: JSON.stringify(script) }).toEqual({ messages, members, friendlyName })
    expect(watcher.twice).toEqual([])
  }
})
