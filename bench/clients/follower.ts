import { connect, type Socket } from 'node:net'
import WebSocket from 'ws'
import { formatFrame, type HeaderFields } from '../../src/client/frames.ts'

/** Called with each message of a server. */
export type Received = (bytes: Buffer) => void

/**
 * A client by the protocol that does no more than it must: it is admitted, subscribes, acknowledges what it is sent, and counts it. The
 * official SDK needs a hundred times its CPU time.
 */
export class Follower {
  /** What it follows, with the last event that it has of each; null before it has any. */
  readonly #positions: Map<string, number | null>
  readonly #received: Received
  #socket: WebSocket | undefined
  #waiting: { left: number; readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined

  /** `objects`: by name; none of a bare server. */
  constructor(objects: readonly string[], received: Received) {
    this.#positions = new Map(objects.map((name) => [name, null]))
    this.#received = received
  }

  /** Connects; with a token it is admitted as the SDK is. */
  async open(port: number, token: string | null): Promise<void> {
    // What is read in one go costs less than a stream for each connection, which here is the bench's own cost.
    const socket = new WebSocket(`ws://127.0.0.1:${port}/v3/wsconnect`, {
      perMessageDeflate: false,
      createConnection: () => connectTo(port),
    })
    this.#socket = socket
    socket.on('message', (bytes: Buffer) => this.#receive(bytes))
    socket.on('error', (error) => this.#waiting?.reject(error))
    socket.on('close', (code) => this.#waiting?.reject(new Error(`the server closed a connection with ${code}`)))
    await this.#until(1, () => socket.once('open', () => this.#one()))
    if (token !== null) await this.#until(1, () => this.#send('init', 'init', { token }))
  }

  /** Subscribes to everything; resolves when each subscription is confirmed, which it is behind all that was missed. */
  async follow(): Promise<void> {
    const requests = [...this.#positions].map(([object_sid, last_event_id]) => ({ object_sid, last_event_id }))
    const body = JSON.stringify({ action: 'establish', correlation_id: 1, requests })
    const http_request = { host: 'https://cds.us1.twilio.com', path: '/v4/Subscriptions', method: 'POST', headers: {} }
    await this.#until(requests.length, () => this.#send('message', 'follow', { http_request }, body))
  }

  /** Loses the connection, without a word to the server. */
  drop(): void {
    this.#socket?.terminate()
    this.#socket = undefined
  }

  #send(method: string, id: string, fields: HeaderFields, payload = ''): void {
    this.#socket?.send(formatFrame(method, id, fields, payload))
  }

  #until(left: number, begin: () => void): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiting = { left, resolve, reject }
      begin()
    })
  }

  #one(): void {
    const waiting = this.#waiting
    if (!waiting || --waiting.left > 0) return
    this.#waiting = undefined
    waiting.resolve()
  }

  #receive(bytes: Buffer): void {
    const start = bytes.indexOf(10) + 1
    const text = bytes.toString('latin1', start, start + 96)
    if (!text.startsWith('{"method":"notification"')) this.#replied(bytes, text)
    else {
      // Each is acknowledged, as by the SDK.
      this.#send('reply', /"id":"([^"]+)"/.exec(text)?.[1] ?? '', acknowledged)
      if (bytes.includes('subscription_')) this.#subscribed(bytes)
      else this.#received(bytes)
    }
  }

  #subscribed(bytes: Buffer): void {
    const { event_type, event } = JSON.parse(bytes.toString('utf8', bytes.lastIndexOf('\r\n') + 2))
    const done = event_type === 'subscription_established' && event.replay_status === 'completed'
    if (!done) this.#waiting?.reject(new Error(`${event_type}: ${JSON.stringify(event)}`))
    this.#positions.set(event.object_sid, event.last_event_id)
    this.#one()
  }

  #replied(bytes: Buffer, text: string): void {
    if (!text.startsWith('{"method":"reply","id":"init"')) return
    if (bytes.includes('"code":200')) this.#one()
    else this.#waiting?.reject(new Error(`a client was not admitted: ${bytes.toString()}`))
  }
}

const acknowledged = { status: { code: 200, status: 'OK' } }

function connectTo(port: number): Socket {
  return connect({ port, host: '127.0.0.1', noDelay: true })
}
