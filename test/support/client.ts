import { once } from 'node:events'
import type { Client, ClientOptions, Conversation } from '@twilio/conversations'
import { onTestFinished } from 'vitest'
import WebSocket from 'ws'
import { type Frame, formatFrame, parseFrame, payloadText } from '../../src/client/frames.ts'
import { ClientSdk } from './client-sdk.ts'
import type { Answer, Tenant } from './tenant.ts'

/** Where the clients of a server connect to. */
export function socketUrl({ url }: Pick<Tenant, 'url'>): string {
  return `${url.replace(/^http/, 'ws')}/v3/wsconnect`
}

interface TokenOptions {
  readonly service_sid?: string
  readonly lifetime?: number
  readonly push_credential_sid?: string
}

/** An access token of this tenant. */
export async function tokenFor({ admin, account_sid }: Tenant, identity: string, options: TokenOptions = {}): Promise<string> {
  const { token } = await admin('POST', '/tokens', { account_sid, identity, ...options })
  return token
}

/** The official client SDK, led to the server; it is shut down with the test. */
export function sdkClient(tenant: Tenant, token: string, options: Omit<ClientOptions, 'Twilsock'> = {}): Client {
  const client = new ClientSdk(token, { logLevel: 'silent', ...options, Twilsock: { uri: socketUrl(tenant) } })
  onTestFinished(() => client.shutdown().catch(() => {}))
  return client
}

/** An initialized client of an identity. */
export async function connected(tenant: Tenant, identity: string, options: TokenOptions = {}): Promise<Client> {
  const client = sdkClient(tenant, await tokenFor(tenant, identity, options))
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  client.on('initialized', resolve)
  client.on('initFailed', ({ error }) => reject(new Error(`initFailed: ${JSON.stringify(error)}`)))
  await promise
  return client
}

/** A websocket whose frames a test writes itself. */
export class RawClient {
  readonly socket: WebSocket
  readonly frames: Frame[] = []
  readonly closed: Promise<number>
  #waiting: (() => void)[] = []
  #ids = 0

  private constructor(socket: WebSocket) {
    this.socket = socket
    this.closed = once(socket, 'close').then(([code]) => code)
    socket.on('error', () => {})
    socket.on('message', (data: Buffer) => {
      this.frames.push(parseFrame(data))
      for (const wake of this.#waiting.splice(0)) wake()
    })
    socket.on('close', () => {
      for (const wake of this.#waiting.splice(0)) wake()
    })
  }

  static async open(tenant: Pick<Tenant, 'url'>, options: WebSocket.ClientOptions = {}): Promise<RawClient> {
    const raw = new RawClient(new WebSocket(socketUrl(tenant), { maxPayload: 2 ** 28, ...options }))
    onTestFinished(() => raw.socket.terminate())
    await once(raw.socket, 'open')
    return raw
  }

  /** One that has been admitted. */
  static async admitted(tenant: Tenant, identity: string, options: TokenOptions = {}): Promise<RawClient> {
    const raw = await RawClient.open(tenant)
    const reply = await raw.ask('init', { token: await tokenFor(tenant, identity, options) })
    if (statusOf(reply).code !== 200) throw new Error(`init: ${JSON.stringify(reply.header)}`)
    return raw
  }

  send(method: string, fields: object = {}, payload = ''): string {
    const id = `TM-${++this.#ids}`
    this.socket.send(formatFrame(method, id, fields as Record<string, unknown>, payload))
    return id
  }

  /** Sends a frame and returns the reply to it. */
  async ask(method: string, fields: object = {}, payload = ''): Promise<Frame> {
    const id = this.send(method, fields, payload)
    return this.next((frame) => frame.method === 'reply' && frame.id === id)
  }

  /** Sends a request through the tunnel and returns what answers it. */
  async request(
    method: string,
    path: string,
    given: { params?: object; body?: object; headers?: object } = {},
  ): Promise<Pick<Answer, 'status' | 'body'>> {
    const { params, body, headers = {} } = given
    const http_request = { host: 'https://aim.us1.twilio.com', path, method, ...(params && { params }), headers }
    const reply = await this.ask('message', { active_grant: 'ip_messaging', http_request }, body ? JSON.stringify(body) : '')
    const { code } = reply.header.http_status as { code: number }
    const text = payloadText(reply)
    return { status: code, body: text === '' ? null : JSON.parse(text) }
  }

  /** Returns the next event of Sync of this type. */
  // biome-ignore lint/suspicious/noExplicitAny: events of every kind
  async event(type: string): Promise<any> {
    return eventIn(await this.next((frame) => eventIn(frame)?.event_type === type))
  }

  /** Takes the events of this type that have been received. */
  // biome-ignore lint/suspicious/noExplicitAny: see above
  takeEvents(type: string): any[] {
    const found = this.frames.filter((frame) => eventIn(frame)?.event_type === type)
    for (const frame of found) this.frames.splice(this.frames.indexOf(frame), 1)
    return found.map(eventIn)
  }

  /** Returns the first frame, received or to come, for which this is true, and takes it away. */
  async next(wanted: (frame: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const at = this.frames.findIndex(wanted)
      const [found] = at === -1 ? [] : this.frames.splice(at, 1)
      if (found) return found
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error('the connection was closed')
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
  }
}

/** Resolves with the next event for which this is true. */
// biome-ignore lint/suspicious/noExplicitAny: events of every kind
export function next<T = any>(
  // biome-ignore lint/suspicious/noExplicitAny: see above
  emitter: { on(name: any, listener: (payload: any) => void): unknown },
  name: string,
  wanted: (payload: T) => boolean = () => true,
): Promise<T> {
  return new Promise((resolve) => emitter.on(name, (payload: T) => wanted(payload) && resolve(payload)))
}

/** A conversation made by REST with these members; returns its SID. */
export async function conversationWith({ sdk }: Tenant, ...identities: string[]): Promise<string> {
  const { conversations } = sdk.conversations.v1
  const { sid } = await conversations.create({ friendlyName: 'Order', uniqueName: `order-${Math.random()}` })
  for (const identity of identities) await conversations(sid).participants.create({ identity })
  return sid
}

/** A conversation whose messages the client follows: what was there when it began is not announced. */
export async function opened(client: Client, sid: string): Promise<Conversation> {
  const conversation = await client.getConversationBySid(sid)
  await conversation.getMessages()
  return conversation
}

export function statusOf({ header }: Frame): { code: number; status: string; description?: string; errorCode?: number } {
  return header.status as ReturnType<typeof statusOf>
}

// biome-ignore lint/suspicious/noExplicitAny: events of every kind
function eventIn(frame: Frame): any {
  return frame.method === 'notification' ? JSON.parse(payloadText(frame)) : undefined
}
