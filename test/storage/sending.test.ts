import { expect, test } from 'vitest'
import { engine, newDatabase } from '../support/databases.ts'
import type { Delivery } from '../support/hooked.ts'
import { type Serving, serve } from '../support/process.ts'
import { sdkFor } from '../support/sdk.ts'
import { startCarrier } from '../support/twilio-carrier.ts'
import { said, startWhatsAppCloud } from '../support/whatsapp-cloud.ts'

const account_sid = `AC${'d'.repeat(32)}`
const auth_token = 'aTokenOfTheCrashTests'
const adminToken = 'operator-token-of-the-crash-tests'
const people = 4
/** Against hangs. */
const boundMs = 240_000

/** What a provider has accepted: the text, and the key of the request that it came with. */
interface Accepted {
  readonly text: string
  readonly key: string
}

/** A provider's stand-in, as this test uses it. */
interface Provider extends AsyncDisposable {
  readonly channel: { readonly kind: string; readonly settings: object }
  readonly ours: string
  person(i: number): string
  accepted(): Accepted[]
  /** Called when a message is accepted, before the response. */
  onAccepted(fn: (() => void) | undefined): void
  /** An inbound message that can be handed over more than once; resolves with the status. */
  inbound(i: number, text: string): (hook: string) => Promise<number>
}

async function twilio(): Promise<Provider> {
  const secrets = { account_sid: `AC${'5'.repeat(32)}`, auth_token: 'token-at-the-carrier' }
  const carrier = await startCarrier(secrets)
  const [ours, person] = ['+15557654321', (i: number) => `+1555123000${i}`]
  return {
    channel: { kind: 'twilio', settings: { ...secrets, base_url: carrier.url } },
    ours,
    person,
    accepted: () => carrier.messages.map(({ key = '', params }) => ({ key, text: Object.fromEntries(params).Body ?? '' })),
    onAccepted: (fn) => carrier.delay(fn && (async () => fn())),
    inbound: (i, Body) => {
      const params = carrier.inbound(person(i), ours, { Body })
      return async (hook) => (await carrier.call(hook, params)).status
    },
    [Symbol.asyncDispose]: carrier[Symbol.asyncDispose],
  }
}

async function whatsapp(): Promise<Provider> {
  const secrets = { access_token: 'EAAJB', app_secret: 'app-secret', verify_token: 'verify-me' }
  const phone_number_id = '106540352242922'
  const cloud = await startWhatsAppCloud({ ...secrets, numbers: { [phone_number_id]: '15557654321' } })
  return {
    channel: { kind: 'whatsapp', settings: { ...secrets, phone_number_id, base_url: cloud.url } },
    ours: 'whatsapp:+15557654321',
    person: (i) => `whatsapp:+1555123000${i}`,
    accepted: () => cloud.messages.map(({ text, biz_opaque_callback_data: key }) => ({ key, text: text.body })),
    onAccepted: (fn) => cloud.script(fn && (() => void fn())),
    inbound: (i, body) => {
      const message = said(`1555123000${i}`, 'text', { body })
      return async (hook) => (await cloud.notify(hook, phone_number_id, { messages: [message] })).status
    },
    [Symbol.asyncDispose]: cloud[Symbol.asyncDispose],
  }
}

// biome-ignore lint/suspicious/noExplicitAny: tests look into bodies of every kind
async function admin(server: Serving, method: string, path: string, body?: object): Promise<any> {
  const headers = { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' }
  const response = await fetch(`${server.url}/admin/v1${path}`, { method, headers, ...(body && { body: JSON.stringify(body) }) })
  expect(response.status).toBe(200)
  return response.json()
}

const api = (server: Serving) => sdkFor(server, account_sid, auth_token).conversations.v1.conversations

async function pending(server: Serving): Promise<Delivery[]> {
  return (await admin(server, 'GET', '/deliveries?status=pending&limit=1000')).deliveries
}

test.each([
  ['twilio', twilio],
  ['whatsapp', whatsapp],
])(
  'kill -9 in the midst of sending and receiving by %s: nothing is lost, and what is sent again has the same key',
  async (_, start) => {
    await using database = await newDatabase()
    await using provider = await start()
    const account = { PARLEY_ACCOUNT_SID: account_sid, PARLEY_AUTH_TOKEN: auth_token, PARLEY_ADMIN_TOKEN: adminToken }
    const settings = { env: { ...database.env, ...account, PARLEY_LOG_LEVEL: 'silent' } }
    const path = `/accounts/${account_sid}/channels/${encodeURIComponent(provider.ours)}`
    const conversations: string[] = []
    const answered: string[][] = Array.from({ length: people }, () => [])
    const received: string[] = []
    let waiting: { text: string; hand: (hook: string) => Promise<number> }[] = []
    let hook = ''

    /** Says one thing after another, until the server does not answer any more. */
    async function say(server: Serving, round: number, i: number): Promise<void> {
      for (let n = 0; n < 30; n++) {
        const body = `out ${round}.${i}.${n}`
        const made = await api(server)(conversations[i] ?? '')
          .messages.create({ author: 'agent', body })
          .catch(() => undefined)
        if (!made) return
        answered[i]?.push(body)
      }
    }

    /** Hands in what was not taken yet, and more, as a provider does: until each was answered with 200. */
    async function write(url: string, round: number): Promise<void> {
      for (let n = 0; n < 20; n++)
        waiting.push({ text: `in ${round}.${n}`, hand: provider.inbound(n % people, `in ${round}.${n}`) })
      const left: typeof waiting = []
      for (const message of waiting) {
        const status = await message.hand(url).catch(() => 0)
        if (status === 200) received.push(message.text)
        else left.push(message)
      }
      waiting = left
    }

    // On PostgreSQL each takes as long as the lease of the one that was killed.
    for (let round = 0; round < (engine === 'postgres' ? 1 : 3); round++) {
      await using server = await serve(settings)
      const { sid } = await admin(server, 'PUT', path, provider.channel)
      hook = `${server.url}/channels/${sid}`
      for (let i = conversations.length; i < people; i++) {
        const made = await api(server).create({})
        const binding = { 'messagingBinding.address': provider.person(i), 'messagingBinding.proxyAddress': provider.ours }
        await api(server)(made.sid).participants.create(binding)
        await api(server)(made.sid).participants.create({ identity: 'agent' })
        conversations.push(made.sid)
      }
      const deadly = provider.accepted().length + 10 + round * 7
      // The message is accepted, but its response never arrives.
      provider.onAccepted(() => {
        if (provider.accepted().length >= deadly) server.signal('SIGKILL')
      })
      await Promise.all([...Array.from({ length: people }, (_, i) => say(server, round, i)), write(hook, round)])
      expect((await server.ended).signal).toBe('SIGKILL')
    }

    provider.onAccepted(undefined)
    await using server = await serve(settings)
    hook = hook.replace(/^http:\/\/[^/]+/, server.url)
    await write(hook, 3)
    expect(waiting).toEqual([])
    // On a shared database the leases of the killed ones have to end first.
    await expect.poll(() => pending(server), { timeout: boundMs }).toEqual([])

    const keys = new Map<string, Set<string>>()
    for (const { text, key } of provider.accepted()) keys.set(text, (keys.get(text) ?? new Set()).add(key))
    expect([...keys.values()].filter(({ size }) => size !== 1)).toEqual([])
    expect(provider.accepted().length).toBeGreaterThan(keys.size)
    for (const [i, texts] of answered.entries()) {
      const arrived = [...keys.keys()].filter((text) => text.split('.')[1] === String(i))
      expect(arrived.filter((text) => texts.includes(text))).toEqual(texts)
    }
    const stored: string[] = []
    for (const sid of conversations) {
      for (const { sid: message, body, author } of await api(server)(sid).messages.list({ pageSize: 1000 })) {
        if (author !== 'agent') stored.push(body)
        else {
          const receipts = await api(server)(sid).messages(message).deliveryReceipts.list()
          expect(receipts.map(({ status }) => status)).toEqual(['sent'])
        }
      }
    }
    expect(stored.toSorted()).toEqual(received.toSorted())
  },
  boundMs,
)
