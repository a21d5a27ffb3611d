import { STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import type { Clock } from '../clock.ts'
import { ApiError, refuse } from '../errors.ts'
import { type Frame, FrameError, formatFrame, type HeaderFields, isAcknowledgement, parseFrame } from './frames.ts'
import { messageOf } from './message-bytes.ts'
import type { Outlet } from './outlet.ts'
import type { AccessToken } from './tokens.ts'
import { orderOf, parseRequest, type TunnelRequest, type TunnelResponse } from './tunnel.ts'

/** Whose connection it is. The identity and the service are those of its first token for good. */
export interface Session extends AccessToken {
  readonly user_sid: string
}

/** What a client may take of memory and time before it is cut off. */
export interface ConnectionLimits {
  /** Until a connection has sent its `init`. */
  readonly initTimeoutMs: number
  /** Of one frame from the client. */
  readonly maxFrameBytes: number
  /** Until a request is answered, whatever it waits for: mobile clients give up after 10 s. */
  readonly requestTimeoutMs: number
  /** Of it, what is kept for the write behind a pre-action webhook. */
  readonly writeMs: number
  /** Requests of one connection in progress; what comes beyond is not read yet. */
  readonly maxInFlight: number
  /** What may wait to be read by the client before it is sent elsewhere. */
  readonly maxUnsentBytes: number
  /** Connections of one user. */
  readonly maxPerUser: number
  /** After so long without a frame to the client it is sent a ping: mobile clients give up after 45 s of silence. */
  readonly pingAfterMs: number
  /** After so long without a frame from the client it is taken for dead: it acknowledges each ping. */
  readonly deadAfterMs: number
  /** A user whose connection was lost counts as online for so long: most clients are back within a second or two. */
  readonly offlineAfterMs: number
}

export const defaultConnectionLimits: ConnectionLimits = {
  initTimeoutMs: 10_000,
  maxFrameBytes: 512 * 1024,
  requestTimeoutMs: 9000,
  writeMs: 1000,
  maxInFlight: 64,
  maxUnsentBytes: 8 * 1024 * 1024,
  maxPerUser: 100,
  pingAfterMs: 25_000,
  deadAfterMs: 80_000,
  offlineAfterMs: 15_000,
}

/** What a connection needs of the server. */
export interface ConnectionHandler {
  readonly limits: ConnectionLimits
  /** Admits a connection by its token, or renews the token of one. Throws ApiError. */
  readonly admit: (connection: Connection, token: string) => Promise<Session>
  /** `deadline`: when it has to be answered, by `performance.now()`. */
  readonly respond: (
    connection: Connection,
    session: Session,
    request: TunnelRequest,
    deadline: number,
  ) => Promise<TunnelResponse>
  readonly closed: (connection: Connection) => void
  readonly outlet: Outlet
  readonly failed: (error: unknown) => void
}

/** Status of a Twilsock reply, or of the end of a connection. */
interface Status {
  readonly code: number
  readonly status: string
  readonly description?: string
  readonly errorCode?: number
}

const ok: Status = { code: 200, status: 'OK' }

/** Websocket close codes. */
const goingAway = 1001
const protocolError = 1002
const unsupportedData = 1003

let frames = 0

/** Returns an id for a frame of the server. */
function nextId(): string {
  frames = (frames + 1) % Number.MAX_SAFE_INTEGER
  return `TM${frames.toString(36)}`
}

/** Returns the message of a notification, which several connections may be sent. */
export function notification(message_type: string, payload: object): Buffer {
  return messageOf(formatFrame('notification', nextId(), { message_type }, JSON.stringify(payload)))
}

/** The backoff that a client is asked for, in ms. Mobile clients insist on a minimum below the maximum. */
export function backoff(reconnect_min_ms: number): object {
  return { backoff_policy: { reconnect_min_ms, reconnect_max_ms: 2 * reconnect_min_ms + 1000 } }
}

/** Where a connection comes from. */
interface Origin {
  readonly base: string
  readonly address: string
  /** What the websocket is made of. */
  readonly transport: Duplex
}

/** One websocket of a client SDK: reads its frames, answers them, and sends it notifications. */
export class Connection {
  /** Base of urls in responses, without `/v1`. */
  readonly base: string
  readonly address: string
  readonly opened = performance.now()
  readonly #socket: WebSocket
  readonly #transport: Duplex
  readonly #handler: ConnectionHandler
  /** The last write of each part of the client's data: they are made in the order in which they came. */
  #writes: Map<string, Promise<unknown>> | undefined
  #session: Session | null = null
  #initializing = false
  #closing = false
  #inFlight = 0
  #left = false
  #lastSent = this.opened
  #lastReceived = this.opened
  #warned = false

  constructor(socket: WebSocket, from: Origin, handler: ConnectionHandler) {
    this.#socket = socket
    this.#transport = from.transport
    this.#handler = handler
    this.base = from.base
    this.address = from.address
    socket.on('message', (data: Buffer, isBinary: boolean) => this.#receive(data, isBinary))
    socket.on('close', () => {
      this.#closing = true
      handler.closed(this)
    })
    // A broken socket, or a frame that breaks the rules of websockets: `close` follows.
    socket.on('error', () => {})
  }

  /** Null until the client is admitted. */
  get session(): Session | null {
    return this.#session
  }

  /** Whether the client has said that it will not come back by itself. */
  get left(): boolean {
    return this.#left
  }

  get inFlight(): number {
    return this.#inFlight
  }

  /** Sends a message that was made by `notification`. */
  sendBytes(bytes: Buffer): void {
    if (this.#closing || this.#socket.readyState !== this.#socket.OPEN) return
    this.#lastSent = performance.now()
    this.#handler.outlet.hold(this.#transport)
    const { maxUnsentBytes } = this.#handler.limits
    const unsent = this.#socket.bufferedAmount + bytes.length
    // Only where much waits is somebody to know when it has left.
    if (unsent > maxUnsentBytes / 4) this.#transport.write(bytes, () => this.#flow())
    else this.#transport.write(bytes)
    if (unsent > maxUnsentBytes) this.offload(1000, 'the client reads too slowly')
    else if (unsent > maxUnsentBytes / 4) this.#flow()
  }

  /** Sends the client elsewhere: it connects again after about so long. */
  offload(reconnect_min_ms: number, description: string, errorCode?: number): void {
    if (this.#closing) return
    const status = { code: 308, status: 'OFFLOAD', description, ...(errorCode && { errorCode }) }
    const frame = formatFrame('close', nextId(), { status }, JSON.stringify(backoff(reconnect_min_ms)))
    this.#closing = true
    this.#socket.send(frame, { binary: true, compress: false })
    this.#socket.close(goingAway)
  }

  /** Ends the connection without a frame. */
  drop(): void {
    this.#closing = true
    this.#socket.terminate()
  }

  /** Does what time asks for. */
  check(clock: Clock): void {
    if (this.#closing) return
    const { limits } = this.#handler
    const at = performance.now()
    const session = this.#session
    if (!session) {
      // One whose `init` waits for its turn in a crowd has done its part.
      if (!this.#initializing && at - this.opened > limits.initTimeoutMs) this.drop()
      return
    }
    const now = clock.now(session.account_sid)
    // Dropped, not told: the client connects again and learns it from the refusal of its token, in a state in which it can renew it.
    if (now >= session.expires_ms) return void this.drop()
    if (at - this.#lastReceived > limits.deadAfterMs) return void this.drop()
    if (now >= session.expires_ms - aboutToExpireMs && !this.#warned) {
      this.#warned = true
      this.#send('client_update', nextId(), { client_update_type: 'token_about_to_expire' })
    }
    if (at - this.#lastSent > limits.pingAfterMs) this.#send('ping', nextId(), {})
  }

  #send(method: string, id: string, fields: HeaderFields, payload = ''): void {
    this.sendBytes(messageOf(formatFrame(method, id, fields, payload)))
  }

  #receive(data: Buffer, isBinary: boolean): void {
    if (this.#closing) return
    this.#lastReceived = performance.now()
    if (!isBinary) return void this.#refuse(unsupportedData)
    if (isAcknowledgement(data)) return
    try {
      this.#handle(parseFrame(data))
    } catch (error) {
      if (!(error instanceof FrameError)) throw error
      this.#refuse(protocolError, error.message)
    }
  }

  #refuse(code: number, reason?: string): void {
    this.#closing = true
    this.#socket.close(code, reason)
  }

  #handle(frame: Frame): void {
    if (frame.method === 'reply' || frame.method === 'telemetry.v1') return
    if (frame.method === 'close') {
      this.#left = true
      return void this.#refuse(1000)
    }
    if (frame.method === 'init') return void this.#init(frame)
    if (!this.#session) return void this.#refuse(protocolError, 'the first frame is no init')
    if (frame.method === 'update') return void this.#during(this.#update(frame))
    if (frame.method === 'message') return void this.#during(this.#message(frame, this.#session))
    // What only older clients send, or a later one will: there is nothing to do.
    this.#reply(frame, ok)
  }

  #init(frame: Frame): void {
    if (this.#initializing) return void this.#refuse(protocolError, 'a second init')
    this.#initializing = true
    this.#during(
      this.#admit(frame, (session) => {
        this.#reply(frame, ok, {
          continuation_token: session.user_sid,
          continuation_token_status: { reissued: false, reissue_message: '' },
          capabilities: ['client_update'],
          init_registrations: [],
          debug_info: '',
          // The cache of mobile clients is kept under it.
          account_descriptor: {
            account_sid: session.account_sid,
            instance_sids: { ip_messaging: session.service_sid },
            identity: session.identity,
          },
        })
      }).then((admitted) => {
        if (!admitted) this.#refuse(1000)
      }),
    )
  }

  async #update(frame: Frame): Promise<void> {
    await this.#admit(frame, () => this.#reply(frame, ok))
  }

  /** Verifies the token of a frame. Replies; returns whether it was accepted. */
  async #admit(frame: Frame, accepted: (session: Session) => void): Promise<boolean> {
    const { token } = frame.header
    try {
      const session = await this.#handler.admit(this, typeof token === 'string' ? token : '')
      if (this.#closing) return true
      this.#session = session
      this.#warned = false
      accepted(session)
      return true
    } catch (error) {
      const { status, payload } = this.#refusalOf(error)
      this.#reply(frame, status, {}, payload)
      return false
    }
  }

  #refusalOf(error: unknown): { status: Status; payload: string } {
    if (!(error instanceof ApiError)) this.#handler.failed(error)
    const refusal = error instanceof ApiError ? error : undefined
    const code = statusOfRefusal(refusal?.entry.status ?? 500)
    const name = code === 401 ? 'UNAUTHORIZED' : statusText(code).toUpperCase().replaceAll(' ', '_')
    const status = { code, status: name, description: refusal?.message ?? '', errorCode: refusal?.entry.code ?? 20500 }
    const waitMs = Number(refusal?.details.seconds ?? 0) * 1000
    return { status, payload: code === 429 ? JSON.stringify(backoff(Math.max(1000, waitMs))) : '' }
  }

  /** Replies in time. What takes longer is not given up: it may be done already, and what is repeated under its name is made once. */
  async #message(frame: Frame, session: Session): Promise<void> {
    const { requestTimeoutMs } = this.#handler.limits
    const response = this.#responseTo(frame, session, performance.now() + requestTimeoutMs)
    const late = Promise.withResolvers<TunnelResponse>()
    const timer = setTimeout(() => late.resolve(asResponse(refuse('unavailable'))), requestTimeoutMs)
    this.#respond(frame, await Promise.race([response, late.promise]))
    clearTimeout(timer)
    await response
  }

  #respond(frame: Frame, { status: code, body }: TunnelResponse): void {
    const payload = body === null ? '' : typeof body === 'string' ? body : JSON.stringify(body)
    this.#reply(frame, ok, { http_status: { code, status: statusText(code) }, http_headers: jsonHeaders }, payload)
  }

  async #responseTo(frame: Frame, session: Session, deadline: number): Promise<TunnelResponse> {
    try {
      const request = parseRequest(frame)
      const order = orderOf(request)
      const run = async () => {
        // It has waited for those before it, and has been answered.
        if (performance.now() >= deadline) throw refuse('unavailable')
        return this.#handler.respond(this, session, request, deadline)
      }
      return await (order === null ? run() : this.#inOrder(order, run))
    } catch (error) {
      const refusal = error instanceof FrameError ? refuse('invalidValue') : error
      if (!(refusal instanceof ApiError)) this.#handler.failed(error)
      return asResponse(refusal)
    }
  }

  async #inOrder<T>(key: string, run: () => Promise<T>): Promise<T> {
    // Most connections that wait write nothing: without a map they are smaller.
    this.#writes ??= new Map()
    const writes = this.#writes
    const result = (writes.get(key) ?? Promise.resolve()).then(run)
    const done = result.then(nothing, nothing)
    writes.set(key, done)
    try {
      return await result
    } finally {
      if (writes.get(key) === done) writes.delete(key)
    }
  }

  #reply({ id }: Frame, status: Status, fields: HeaderFields = {}, payload = ''): void {
    this.#send('reply', id, { status, ...fields }, payload)
  }

  #during(work: Promise<void>): void {
    this.#inFlight++
    this.#flow()
    work
      .catch((error: unknown) => {
        this.#handler.failed(error)
        this.drop()
      })
      .finally(() => {
        this.#inFlight--
        this.#flow()
      })
  }

  /** Reads no more while the client has enough in progress, or does not read what it was sent. */
  #flow(): void {
    const { maxInFlight, maxUnsentBytes } = this.#handler.limits
    const busy = this.#inFlight >= maxInFlight || this.#socket.bufferedAmount > maxUnsentBytes / 4
    if (busy && !this.#socket.isPaused) this.#socket.pause()
    if (!busy && this.#socket.isPaused) this.#socket.resume()
  }
}

/** As long before the end of a token as the vendor's. */
const aboutToExpireMs = 180_000

const jsonHeaders = { 'Content-Type': 'application/json' }

/** The SDKs give up at 401 and 403 alone, and tell the app. At any other 4xx they would repeat for ever what is never accepted. */
function statusOfRefusal(status: number): number {
  return status >= 400 && status < 500 && status !== 401 && status !== 429 ? 403 : status
}

/** A defect is reported as such, without its cause. */
function asResponse(refusal: unknown): TunnelResponse {
  const error = refusal instanceof ApiError ? refusal : refuse('serverError')
  return { status: error.entry.status, body: error.body() }
}

function nothing(): void {}

function statusText(code: number): string {
  return STATUS_CODES[code] ?? 'Unknown'
}
