import { type IncomingMessage, type Server, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Logger } from 'pino'
import type { WebSocketServer } from 'ws'
import type { HostCheck } from '../api/hosts.ts'
import type { Logins } from '../api/operator.ts'
import { addressOf, baseOf, type ProxyCheck } from '../api/origin.ts'
import type { Pipeline } from '../api/requests.ts'
import { ApiError, isFailure, refuse } from '../errors.ts'
import type { Worker } from '../loop.ts'
import { madeBefore } from '../model/change.ts'
import { isSid } from '../sids.ts'
import type { Database, Notice } from '../storage/database.ts'
import { serviceOfAccount, userBySid } from '../storage/lookups.ts'
import { verifyBearer } from './bearers.ts'
import type { ClientCall } from './call.ts'
import { onceKey } from './commands/actor.ts'
import { typingPayload } from './commands/typing.ts'
import {
  Connection,
  type ConnectionHandler,
  type ConnectionLimits,
  defaultConnectionLimits,
  notification,
  type Session,
} from './connection.ts'
import { Outlet } from './outlet.ts'
import type { Presence } from './presence.ts'
import type { registrationCommands } from './registrations.ts'
import { routes } from './routes.ts'
import type { View } from './sync/changes.ts'
import { SyncHub } from './sync/hub.ts'
import { Turns } from './sync/turns.ts'
import { type Verified, verifyToken } from './tokens.ts'
import { type Route, Router, type TunnelRequest, type TunnelResponse } from './tunnel.ts'
import { userOf } from './users.ts'

export interface ClientServerOptions {
  readonly pipeline: Pipeline
  readonly database: Database<typeof registrationCommands>
  /** Slows down guessing of tokens, as of any credentials. */
  readonly logins: Logins
  /** Null: derived from the request's Host header. */
  readonly publicUrl: string | null
  readonly isOwnHost: HostCheck | null
  readonly isTrustedProxy: ProxyCheck | null
  readonly mediaMaxBytes: number
  readonly presence: Pick<Presence, 'connected' | 'lost' | 'disconnected'>
  /** Awaited before a connection is admitted: a shared test clock may have been moved. */
  readonly beforeInit?: (() => Promise<void>) | undefined
  readonly log: Logger
  /** Called with the number of frames of events that were sent, and of the events of each replay. */
  readonly sent: (frames: number) => void
  readonly replayed: (events: number) => void
  /** Called when the frames of a change have been handed to all sockets, with the time since its commit. */
  readonly lagged: (seconds: number) => void
  /** Called after each request, with the path of its route. */
  readonly responded: (request: { method: string; path: string; status: number; seconds: number; session: Session }) => void
  readonly limits?: Partial<ConnectionLimits> | undefined
}

/** The path of the client SDKs; behind a region with a slash at its end it has a prefix. */
const path = /^(?:\/\.twilio\.com)?\/v3\/wsconnect$/
/** Between two checks of the connections' times. */
const checkMs = 1000
/** What a client is asked to wait for, at most, when the server stops: its clients come back spread over so long. */
const maxSpreadMs = 10_000
/** Clients that come back in a second without hurting a node. */
const returnsPerSecond = 500
/** Upgrades to websockets in a turn of the event loop: each takes a tenth of a millisecond, and thousands may come in one. */
const maxUpgrading = 8
/** Tokens that are verified at a time: of a crowd the first are let in soon, instead of all of them late. */
const maxVerifying = 16
/** How long a stop waits for requests in progress: as long as a pre-action webhook may take. */
const stopTimeoutMs = 5000
const pollMs = 10
/** The vendor's code. */
const tokenOfAnotherService = 51232

/** The connections of client SDKs: `GET /v3/wsconnect` on the port of the API. */
export class ClientServer implements Worker {
  readonly #options: ClientServerOptions
  readonly #handler: ConnectionHandler
  /** Loaded by the first connection: it would be a part of every start. */
  #sockets: Promise<WebSocketServer> | undefined
  readonly #connections = new Set<Connection>()
  readonly #byUser = new Map<string, Set<Connection>>()
  /** Of those that were admitted. */
  readonly #admitted = new WeakMap<Connection, { readonly user_sid: string; readonly token: string }>()
  readonly #upgrades = new Turns(maxUpgrading, maxUpgrading)
  readonly #admissions = new Turns(maxVerifying)
  readonly #router = new Router<ClientCall>(routes)
  readonly #hub: SyncHub
  #timer: NodeJS.Timeout | undefined
  #stopping = false

  constructor(options: ClientServerOptions) {
    this.#options = options
    const limits = { ...defaultConnectionLimits, ...options.limits }
    this.#handler = {
      limits,
      admit: (connection, token) => this.#admit(connection, token),
      respond: (connection, session, request, deadline) => this.#respond(connection, session, request, deadline),
      closed: (connection) => this.#closed(connection),
      outlet: new Outlet(),
      failed: (error) => {
        if (!isFailure(error)) options.log.error({ err: error }, 'a request of a client failed')
      },
    }
    this.#hub = new SyncHub({
      view: (of) => this.#view(of),
      failed: this.#handler.failed,
      sent: options.sent,
      replayed: options.replayed,
      lagged: options.lagged,
    })
    options.database.subscribe((notices, at) => this.#notified(notices, at))
  }

  /** Whether a request to upgrade is a websocket of a client SDK. */
  static isUpgrade({ method, url = '', headers }: IncomingMessage): boolean {
    const [wanted = ''] = url.split('?', 1)
    return method === 'GET' && path.test(wanted) && headers.upgrade?.toLowerCase() === 'websocket'
  }

  /** Accepts the websockets of a server whose upgrades `isUpgrade` chooses. */
  attach(server: Server): void {
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => this.#upgrade(request, socket, head))
  }

  start(): void {
    this.#timer = setInterval(() => this.#check(), checkMs)
  }

  /** Sends every client elsewhere once its requests in progress are answered. */
  async stop(): Promise<void> {
    this.#stopping = true
    clearInterval(this.#timer)
    const deadline = performance.now() + stopTimeoutMs
    const busy = () => [...this.#connections].some(({ inFlight }) => inFlight > 0)
    while (busy() && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, pollMs))
    const spreadMs = Math.min(maxSpreadMs, (this.#connections.size / returnsPerSecond) * 1000)
    for (const connection of this.#connections) connection.offload(500 + Math.round(Math.random() * spreadMs), 'the server stops')
    // What was sent is with the operating system once the client has closed; who does not is cut off.
    const closed = performance.now() + 1000
    while (this.#connections.size > 0 && performance.now() < closed) await new Promise((resolve) => setTimeout(resolve, pollMs))
    for (const connection of this.#connections) connection.drop()
  }

  get subscriptions(): number {
    return this.#hub.subscriptions
  }

  /** The number of connections that are open. */
  get open(): number {
    return this.#connections.size
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { isOwnHost, isTrustedProxy, publicUrl } = this.#options
    const { host } = request.headers
    if (isOwnHost && host !== undefined && !isOwnHost(host)) return void refuseUpgrade(socket, 421)
    if (this.#stopping) return void refuseUpgrade(socket, 503)
    const caller = { headers: request.headers, raw: request, server: { isTrustedProxy } }
    const from = { base: baseOf(caller, publicUrl), address: addressOf(caller), transport: socket }
    // Nobody else listens until it is a websocket.
    socket.on('error', nothing)
    this.#upgrades
      .run(async () => {
        this.#sockets ??= openSockets(this.#handler.limits)
        const sockets = await this.#sockets
        // While it waited for its turn the server may have said goodbye to everybody else.
        if (this.#stopping) return void refuseUpgrade(socket, 503)
        socket.off('error', nothing)
        sockets.handleUpgrade(request, socket, head, (websocket) => {
          this.#connections.add(new Connection(websocket, from, this.#handler))
        })
      })
      .catch((error: unknown) => {
        this.#handler.failed(error)
        socket.destroy()
      })
  }

  async #admit(connection: Connection, token: string): Promise<Session> {
    const { pipeline, logins, beforeInit } = this.#options
    await beforeInit?.()
    const verified = await this.#admissions.run(() => {
      // It may have given up while it waited for its turn.
      if (!this.#connections.has(connection)) throw refuse('unavailable')
      return verifyBearer(pipeline, logins, token, connection.address)
    })
    const before = connection.session
    if (before) return this.#renew(connection, before, verified, token)
    const user = await userOf(pipeline, verified)
    const others = this.#byUser.get(user.sid)
    if (others && others.size >= this.#handler.limits.maxPerUser) throw refuse('tooManyRequests', { seconds: '30' })
    if (this.#connections.has(connection)) {
      this.#byUser.set(user.sid, (others ?? new Set()).add(connection))
      this.#admitted.set(connection, { user_sid: user.sid, token })
      this.#present(verified, user.sid)
    }
    return sessionOf(verified, user.sid)
  }

  #present({ account_sid, service }: Verified, user_sid: string): void {
    if (service.reachability_enabled === 0) return
    this.#options.presence.connected({ account_sid, service_sid: service.sid, user_sid }, service.reachability_epoch)
  }

  #renew(connection: Connection, before: Session, verified: Verified, token: string): Session {
    const { account_sid, service_sid, identity, user_sid } = before
    if (verified.account_sid !== account_sid || verified.service_sid !== service_sid) {
      connection.offload(500, 'the token is of another service', tokenOfAnotherService)
      throw refuse('forbidden')
    }
    if (verified.identity !== identity) throw refuse('forbidden')
    this.#admitted.set(connection, { user_sid, token })
    return sessionOf(verified, user_sid)
  }

  async #respond(connection: Connection, session: Session, request: TunnelRequest, deadline: number): Promise<TunnelResponse> {
    const started = performance.now()
    const { route, args } = this.#router.find(request)
    const { method, path } = route
    const respond = (status: number) => {
      this.#options.responded({ method, path, status, seconds: (performance.now() - started) / 1000, session })
    }
    try {
      const response = await this.#run(route, args, {
        connection,
        session,
        request,
        preActionBy: deadline - this.#handler.limits.writeMs,
      })
      respond(response.status)
      return response
    } catch (error) {
      respond(error instanceof ApiError ? error.entry.status : 500)
      throw error
    }
  }

  async #run(
    route: Route<ClientCall>,
    args: Readonly<Record<string, string>>,
    asked: Pick<ClientCall, 'connection' | 'session' | 'request' | 'preActionBy'>,
  ): Promise<TunnelResponse> {
    const { pipeline, mediaMaxBytes, database: devices, log } = this.#options
    const { session, request } = asked
    if (args.service !== undefined && args.service !== session.service_sid)
      throw refuse('notFound', { path: `/${request.segments.join('/')}` })
    if (request.method === 'DELETE' && (await this.#isRepeated(session, request))) return { status: 204, body: null }
    const publish = (notice: Notice) => this.#options.database.publish([notice])
    return route.run({ ...asked, pipeline, hub: this.#hub, publish, devices, log, mediaMaxBytes }, args)
  }

  #closed(connection: Connection): void {
    this.#connections.delete(connection)
    this.#hub.closed(connection)
    const { user_sid = '' } = this.#admitted.get(connection) ?? {}
    const connections = this.#byUser.get(user_sid)
    connections?.delete(connection)
    if (!connections) return
    const { presence } = this.#options
    if (connections.size > 0) {
      if (!connection.left) presence.lost(user_sid)
      return
    }
    this.#byUser.delete(user_sid)
    presence.disconnected(user_sid, connection.left)
  }

  #check(): void {
    const { clock } = this.#options.pipeline
    for (const connection of this.#connections) connection.check(clock)
  }

  /** A suspended account, a key that is gone and a deleted user or service end their connections at once. */
  #notified(notices: readonly Notice[], at: number): void {
    for (const notice of notices) {
      if (notice.topic === 'clock') this.#check()
      if (notice.topic === 'missed') this.#missed()
      // What clients keep a copy of is not there any more: they have to begin anew.
      if (notice.topic === 'emptied') {
        this.#hub.emptied()
        for (const connection of this.#connections) connection.drop()
      }
      if (notice.topic === 'access') this.#accessChanged(notice.sid, notice.within)
    }
    for (const notice of notices) {
      if (notice.topic === 'sync') this.#hub.changed(notice.object, at)
      if (notice.topic === 'elapsed') for (const object of notice.objects) this.#hub.changed(object, at)
      if (notice.topic === 'typing') this.#typing(notice)
    }
  }

  #typing({ object, user_sid, ...typing }: Extract<Notice, { topic: 'typing' }>): void {
    const bytes = notification('twilio.ipmsg.typing_indicator', typingPayload(typing))
    for (const connection of this.#hub.followers(object)) {
      if (connection.session?.user_sid !== user_sid) connection.sendBytes(bytes)
    }
  }

  /** What has been removed cannot be found once more. */
  async #isRepeated({ service_sid, user_sid, account_sid }: Session, { headers }: TunnelRequest): Promise<boolean> {
    const mutation = headers['x-twilio-mutation-id']
    if (mutation === undefined) return false
    const path = { service_sid, account_sid, parents: [], key: null, text: '' }
    return (await madeBefore(this.#options.pipeline.read, { once: onceKey(user_sid, mutation), path })) !== undefined
  }

  #missed(): void {
    this.#accessChanged('', undefined)
    this.#hub.missed().catch(this.#handler.failed)
  }

  /** `sid`: of a user, or of an account, a service, a key or a role; empty for all. */
  #accessChanged(sid: string, within: string | undefined): void {
    const concerned = this.#concernedBy(sid)
    this.#hub.check(concerned, within).catch(this.#handler.failed)
    // A role says what somebody may do, not whether they may connect.
    if (within !== undefined || isSid('role', sid)) return
    for (const connection of concerned) this.#verifyAgain(connection)
  }

  #concernedBy(sid: string): Iterable<Connection> {
    if (isSid('user', sid)) return this.#byUser.get(sid) ?? []
    if (!isSid('account', sid) && !isSid('service', sid)) return this.#connections
    return [...this.#connections].filter(({ session }) => session?.account_sid === sid || session?.service_sid === sid)
  }

  async #view({ account_sid, service_sid }: Pick<Session, 'account_sid' | 'service_sid'>): Promise<View | undefined> {
    const { read, clock } = this.#options.pipeline
    const service = await read.one(serviceOfAccount, { sid: service_sid, account_sid })
    return service && { read, service, now: clock.now(account_sid) }
  }

  #verifyAgain(connection: Connection): void {
    const { session } = connection
    const { token } = this.#admitted.get(connection) ?? {}
    if (!session || token === undefined) return
    this.#isStillGood(session, token).then(
      (good) => {
        // The refusal of its next `init` says why.
        if (!good) connection.drop()
      },
      (error: unknown) => this.#handler.failed(error),
    )
  }

  async #isStillGood({ service_sid, user_sid, expires_ms }: Session, token: string): Promise<boolean> {
    const { read, clock, preAction } = this.#options.pipeline
    try {
      // As of an instant at which it is valid: its time is checked elsewhere.
      const now = (sid: string) => Math.min(clock.now(sid), expires_ms - 1)
      await verifyToken({ read, vault: preAction.vault, now }, token)
    } catch (error) {
      if (error instanceof ApiError && !isFailure(error)) return false
      throw error
    }
    return (await read.one(userBySid, { service_sid, sid: user_sid })) !== undefined
  }
}

async function openSockets({ maxFrameBytes }: ConnectionLimits): Promise<WebSocketServer> {
  const { WebSocketServer } = await import('ws')
  return new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: maxFrameBytes,
    // Its memory would be many times that of a connection.
    perMessageDeflate: false,
  })
}

function nothing(): void {}

function sessionOf({ account: _account, service: _service, ...token }: Verified, user_sid: string): Session {
  return { ...token, user_sid }
}

function refuseUpgrade(socket: Duplex, status: number): void {
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`)
}
