import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import WebSocket from 'ws'
import { formatFrame, type HeaderFields, parseFrame, payloadText } from '../../src/client/frames.ts'
import { isJsonObject } from '../../src/json.ts'

/** Why a client connects again: its connection was lost, or the server has no time. */
class LostError extends Error {
  override readonly name = 'LostError'
}

export interface FollowingOptions {
  /** Where it connects to, asked anew for each connection. */
  readonly url: () => string
  readonly token: string
  /** Base of the commands, as the configuration has it: `/Client/v2/Services/IS…/Conversations`. */
  readonly commands: string
  readonly conversation_sid: string
}

/** What a client SDK has of a message. */
interface Held {
  readonly event_id: number
  readonly sid: string
  readonly text: string
}

interface Page {
  readonly items: readonly {
    readonly index: number
    readonly last_event_id: number
    readonly data: { sid: string; text: string }
  }[]
  readonly meta: { readonly next_token: string | null }
}

interface Answer {
  readonly status: number
  // biome-ignore lint/suspicious/noExplicitAny: bodies of every kind
  readonly body: any
}

/**
 * Follows one conversation as the official client SDK does, by the frames of the protocol: reads the list of messages, subscribes,
 * applies events that are newer than what it has, and comes back with its position whenever its connection is lost. Several hundred of
 * it cost what one of the SDK costs.
 */
export class FollowingClient {
  /** By index. */
  readonly messages = new Map<number, Held>()
  /** Messages that were announced to be new although it had them, and events that came out of order. */
  readonly wrong: string[] = []
  connects = 0
  /** How long it was asked to stay away, in ms, each time that it was sent elsewhere. */
  readonly backoffs: number[] = []
  readonly #options: FollowingOptions
  #socket: WebSocket | undefined
  #position: number | null = null
  #stopped = false
  #ids = 0
  readonly #replies = new Map<string, { resolve: (answer: Answer) => void; reject: (error: Error) => void }>()
  #subscribed = Promise.withResolvers<void>()
  #isSubscribed = false
  readonly #running: Promise<void>

  constructor(options: FollowingOptions) {
    this.#options = options
    this.#running = this.#run()
  }

  /** Resolves when it is subscribed; after a loss, when it is again. */
  get ready(): Promise<void> {
    return this.#subscribed.promise
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#socket?.terminate()
    await this.#running
  }

  /** Sends a message until it is answered, under one name, so that it is made once. Returns the SID; null once it is stopped. */
  async send(body: string): Promise<string | null> {
    const path = `${this.#options.commands}/${this.#options.conversation_sid}/Messages`
    const headers = { 'X-Twilio-Mutation-Id': randomUUID() }
    while (!this.#stopped) {
      await this.ready
      try {
        const { status, body: answer } = await this.#request('POST', path, { headers, body: { body } })
        if (status === 201) return answer.sid
        if (status !== 503) throw new Error(`a message was answered with ${status}: ${JSON.stringify(answer)}`)
      } catch (error) {
        if (!(error instanceof LostError)) throw error
        // Its end may still be on the way.
        await new Promise((resolve) => setImmediate(resolve))
      }
    }
    return null
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      await this.#connection().catch((error: unknown) => {
        // A server that is down, or goes down just now.
        if (!(error instanceof LostError) && !isNetworkError(error)) throw error
      })
      // As the SDK does, but sooner.
      if (!this.#stopped) await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 100))
    }
  }

  /** One connection, to its end. */
  async #connection(): Promise<void> {
    const socket = new WebSocket(`${this.#options.url().replace(/^http/, 'ws')}/v3/wsconnect`)
    const closed = once(socket, 'close')
    // Also a refused connection ends with `close`.
    socket.on('error', () => {})
    this.#socket = socket
    socket.on('message', (data: Buffer) => this.#receive(data))
    socket.on('close', () => {
      for (const { reject } of this.#replies.values()) reject(new LostError())
      this.#replies.clear()
    })
    socket.on('open', () => {
      this.#open().catch((error: unknown) => {
        if (!(error instanceof LostError)) this.wrong.push(String(error))
        socket.terminate()
      })
    })
    await closed
    // Whoever has waited since the connection before waits on: only a promise that is kept is replaced.
    if (this.#isSubscribed) this.#subscribed = Promise.withResolvers()
    this.#isSubscribed = false
  }

  async #open(): Promise<void> {
    served(await this.#ask('init', { token: this.#options.token }))
    this.connects++
    if (this.#position === null) await this.#read()
    await this.#subscribe()
  }

  async #read(): Promise<void> {
    const path = `/v3/Lists/${this.#list}`
    const { last_event_id } = served(await this.#request('GET', path)).body
    for (let from: number | null = 0; from !== null; ) {
      const answer = served(await this.#request('GET', `${path}/Items`, { params: { From: from, PageSize: 100 } }))
      const { items, meta }: Page = answer.body
      for (const item of items) this.#hold(item.index, item.last_event_id, item.data)
      from = meta.next_token === null ? null : (items.at(-1)?.index ?? 0) + 1
    }
    this.#position = last_event_id
  }

  async #subscribe(): Promise<void> {
    const requests = [{ object_sid: this.#list, object_type: 'list', last_event_id: this.#position }]
    served(await this.#request('POST', '/v4/Subscriptions', { body: { action: 'establish', correlation_id: 1, requests } }))
  }

  get #list(): string {
    return `${this.#options.conversation_sid}.messages`
  }

  #hold(index: number, event_id: number, { sid, text }: { sid: string; text: string }): void {
    this.messages.set(index, { event_id, sid, text })
  }

  #receive(data: Buffer): void {
    const frame = parseFrame(data)
    const { method, id } = frame
    if (method !== 'reply') this.#socket?.send(formatFrame('reply', id, { status: { code: 200, status: 'OK' } }))
    const text = payloadText(frame)
    const body = text === '' ? null : JSON.parse(text)
    if (method === 'close') {
      this.backoffs.push(body.backoff_policy.reconnect_min_ms)
      this.#socket?.close()
    }
    if (method === 'notification') this.#apply(body)
    const waiting = this.#replies.get(id)
    this.#replies.delete(id)
    const { http_status, status } = frame.header
    const answered = isJsonObject(http_status) ? http_status : status
    if (isJsonObject(answered)) waiting?.resolve({ status: Number(answered.code), body })
  }

  // biome-ignore lint/suspicious/noExplicitAny: events of every kind
  #apply({ event_type, events, event }: any): void {
    if (event_type === 'subscription_failed') this.wrong.push(JSON.stringify(event))
    if (event_type === 'list_item_added') for (const one of events) this.#added(one)
    if (event_type !== 'subscription_established') return
    this.#position = Math.max(this.#position ?? 0, event.last_event_id)
    if (event.replay_status === 'interrupted') this.#subscribe().catch(() => this.#socket?.terminate())
    else {
      this.#isSubscribed = true
      this.#subscribed.resolve()
    }
  }

  // biome-ignore lint/suspicious/noExplicitAny: see above
  #added({ id, item_index, item_data }: any): void {
    const held = this.messages.get(item_index)
    // What the list was read with is sent once more: the SDK drops it, too.
    if (held && held.event_id >= id) return
    if (held) this.wrong.push(`message ${item_index} was added twice`)
    if (id <= (this.#position ?? 0)) this.wrong.push(`event ${id} came after ${this.#position}`)
    this.#hold(item_index, id, item_data)
    this.#position = id
  }

  #request(method: string, path: string, given: { params?: object; body?: object; headers?: object } = {}): Promise<Answer> {
    const { params = {}, headers = {}, body } = given
    const http_request = { host: 'https://aim.us1.twilio.com', path, method, params, headers }
    return this.#ask('message', { active_grant: 'ip_messaging', http_request }, body ? JSON.stringify(body) : '')
  }

  #ask(method: string, fields: HeaderFields, payload = ''): Promise<Answer> {
    const socket = this.#socket
    if (socket?.readyState !== WebSocket.OPEN) return Promise.reject(new LostError())
    const id = `TM-${++this.#ids}`
    return new Promise((resolve, reject) => {
      this.#replies.set(id, { resolve, reject })
      socket.send(formatFrame(method, id, fields, payload))
    })
  }
}

/** Returns an answer of a server that had the time for it. Throws LostError. */
function served(answer: Answer): Answer {
  if (answer.status === 503 || answer.status === 429) throw new LostError()
  return answer
}

function isNetworkError(error: unknown): boolean {
  return error instanceof Error && 'code' in error
}
