import { expect } from 'vitest'
import { FollowingClient } from './following-client.ts'

/** The servers of a test of faults, and how they are spoken to. */
export interface Ground {
  /** A server that is up, or that a client takes to be. */
  readonly url: () => string
  readonly call: (method: string, path: string, form?: Record<string, string>) => Promise<{ status: number; body: unknown }>
  readonly admin: (method: string, path: string, body: object) => Promise<{ status: number; body: unknown }>
  readonly account_sid: string
}

export interface ClientLoad {
  readonly clients: readonly FollowingClient[]
  /** Resolves when so many more messages have been answered. */
  answered(count: number): Promise<void>
  /** Ends the load, and checks what every client has against what was answered and what REST says. */
  finish(): Promise<void>
}

const conversations = 20
const members = 10
/** Of each conversation. */
const senders = 2

/** 200 clients, each in one of 20 conversations, in which two of the ten send one message after the other. */
export async function clientsUnderLoad(ground: Ground): Promise<ClientLoad> {
  const rooms = await Promise.all(Array.from({ length: conversations }, (_, i) => roomOf(ground, i)))
  const clients = rooms.flatMap((room) => room.clients)
  await Promise.all(clients.map(({ ready }) => ready))
  /** By conversation: the texts that were answered, with their SIDs. */
  const certain = new Map(rooms.map(({ sid }) => [sid, new Map<string, string>()]))
  let ending = false
  let count = 0
  let waiting: { readonly until: number; readonly resolve: () => void } | undefined
  const sending = rooms.flatMap((room) =>
    room.clients.slice(0, senders).map(async (client, sender) => {
      for (let n = 0; !ending; n++) {
        const text = `${sender} ${n}`
        const sid = await client.send(text)
        if (sid === null) return
        certain.get(room.sid)?.set(text, sid)
        count++
        if (waiting && count >= waiting.until) waiting.resolve()
      }
    }),
  )
  // A failure is thrown to whoever waits for more answers.
  const failed = Promise.all(sending).then(() => new Promise<never>(() => {}))
  return {
    clients,
    answered: (more) => Promise.race([failed, new Promise<void>((resolve) => (waiting = { until: count + more, resolve }))]),
    async finish() {
      ending = true
      await Promise.all(sending)
      for (const room of rooms) await check(ground, room, certain.get(room.sid) ?? new Map())
      await Promise.all(clients.map((client) => client.stop()))
      expect(clients.flatMap(({ wrong }) => wrong)).toEqual([])
    },
  }
}

interface Room {
  readonly sid: string
  readonly clients: readonly FollowingClient[]
}

async function roomOf({ url, call, admin, account_sid }: Ground, room: number): Promise<Room> {
  const made = (await call('POST', '/v1/Conversations', { FriendlyName: `${room}` })).body as {
    sid: string
    chat_service_sid: string
  }
  const { sid, chat_service_sid } = made
  const commands = `/Client/v2/Services/${chat_service_sid}/Conversations`
  const clients: FollowingClient[] = []
  for (let i = 0; i < members; i++) {
    const identity = `${room}-${i}`
    expect((await call('POST', `/v1/Conversations/${sid}/Participants`, { Identity: identity })).status).toBe(201)
    const { token } = (await admin('POST', '/tokens', { account_sid, identity })).body as { token: string }
    clients.push(new FollowingClient({ url, token, commands, conversation_sid: sid }))
  }
  return { sid, clients }
}

/** Every client has what REST says, and that has everything that was answered, once. */
async function check({ call }: Ground, { sid, clients }: Room, certain: ReadonlyMap<string, string>): Promise<void> {
  const last = (await call('POST', `/v1/Conversations/${sid}/Messages`, { Body: 'last' })).body as { index: number }
  const stored: { index: number; sid: string; body: string }[] = []
  for (let path: string | null = `/v1/Conversations/${sid}/Messages?PageSize=1000`; path !== null; ) {
    const page = (await call('GET', path)).body as { messages: typeof stored; meta: { next_page_url: string | null } }
    stored.push(...page.messages)
    const { next_page_url: next } = page.meta
    path = next === null ? null : new URL(next).pathname + new URL(next).search
  }
  expect(stored.map(({ index }) => index)).toEqual(stored.map((_, i) => i))
  expect(new Set(stored.map(({ body }) => body)).size).toBe(stored.length)
  const bySid = new Map(stored.map((message) => [message.body, message.sid]))
  expect([...certain].filter(([text, message]) => bySid.get(text) !== message)).toEqual([])
  for (const client of clients) {
    await expect.poll(() => client.messages.has(last.index)).toBe(true)
    const held = [...client.messages].sort(([a], [b]) => a - b).map(([index, message]) => [index, message.sid, message.text])
    expect(held).toEqual(stored.map((message) => [message.index, message.sid, message.body]))
  }
}
