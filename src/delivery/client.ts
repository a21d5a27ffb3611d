import { type LookupAddress, lookup } from 'node:dns'
import type { IncomingHttpHeaders } from 'node:http'
import { isIP, type LookupFunction, Socket } from 'node:net'
import ipaddr from 'ipaddr.js'
import { Agent, buildConnector, type Dispatcher } from 'undici'
import { authorize, parseChallenges } from './challenge.ts'
import type { Prepared } from './signature.ts'

export interface SendResult {
  /** The status line's number. Set when `kind` is 'answered', and when an answer began but did not end; null otherwise. */
  readonly status: number | null
  /** At most the first 64 KiB; empty unless `kind` is 'answered'. */
  readonly body: string
  /** Why there is no answer. Names host and port at most: never credentials, path or query. */
  readonly error: string | null
  /** `unsent`: nobody was called, and nobody will be. */
  readonly kind: 'answered' | 'timeout' | 'refused_address' | 'failed' | 'unsent'
  readonly duration_ms: number
}

export interface WebhookClient {
  /** Sends once and follows no redirect; `timeout_ms` covers everything, from waiting for a connection to the last byte. */
  send(request: Prepared, timeout_ms: number): Promise<SendResult>
  /** Takes no new request, lets those under way end, then closes all connections. */
  close(): Promise<void>
}

export interface WebhookClientOptions {
  /** Whether anything but public unicast addresses may be connected to. */
  readonly allow_private: boolean
  readonly verify_tls: boolean
  readonly connections_per_origin?: number
}

const BODY_LIMIT_BYTES = 64 * 1024

/** A connection attempt outlives a caller with less patience: it occupies one of its origin's connections until then. */
const CONNECT_TIMEOUT_MS = 10_000

const CONNECTIONS_PER_ORIGIN = 64

const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3')

/**
 * The range that keeps `address` from being a public unicast one, or null if it is public. IPv4-mapped IPv6 is judged as IPv4.
 * The parser calls everything unlisted unicast, hence the second look at IPv6: `::7f00:1` is unlisted too.
 */
export function barredRange(address: string): string | null {
  if (!ipaddr.isValid(address)) return 'invalid'
  const parsed = ipaddr.process(address)
  const range: string = parsed.range()
  if (range !== 'unicast') return range
  return parsed instanceof ipaddr.IPv6 && !parsed.match(GLOBAL_UNICAST) ? 'unassigned' : null
}

class RefusedAddressError extends Error {
  override readonly name = 'RefusedAddressError'
  readonly code = 'PARLEY_REFUSED_ADDRESS'

  constructor(address: string, range: string, host: string) {
    const what = host === address ? address : `${host} at ${address}`
    super(
      `refused to connect to ${what} (${range}): webhooks go to public addresses only, unless PARLEY_WEBHOOK_ALLOW_PRIVATE is set`,
    )
  }
}

/**
 * A resolver that hands out public addresses only. Sitting between resolution and connect, it leaves no moment at which a name
 * can be judged by one address and connected to by another.
 */
export function publicLookup(resolve: typeof lookup = lookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
      if (error) return callback(error, [])
      const allowed = found.filter(({ address }) => barredRange(address) === null)
      const [first] = allowed
      if (!first) {
        const address = found[0]?.address ?? ''
        callback(new RefusedAddressError(address, barredRange(address) ?? '', hostname), [])
      } else if (options.all) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}

/**
 * Every connection of a client is opened here, so the address rule is applied here: to literals directly (they are not looked
 * up) and to names by the resolver. A kept-alive socket has passed it, and stays with the address it was judged by.
 * `connecting` holds the sockets that are not up yet: undici forgets them when it is destroyed, and they hold up the process.
 */
function connector({ allow_private, verify_tls }: WebhookClientOptions, connecting: Set<Socket>): buildConnector.connector {
  const base = { allowH2: false, timeout: CONNECT_TIMEOUT_MS, rejectUnauthorized: verify_tls }
  const connect = buildConnector(allow_private ? base : { ...base, lookup: publicLookup() })
  return (target, callback) => {
    const range = allow_private || isIP(target.hostname) === 0 ? null : barredRange(target.hostname)
    if (range !== null) {
      process.nextTick(callback, new RefusedAddressError(target.hostname, range, target.hostname), null)
      return
    }
    // Declared to return nothing, but returns the socket.
    const socket: unknown = connect(target, (...result) => {
      if (socket instanceof Socket) connecting.delete(socket)
      callback(...result)
    })
    if (socket instanceof Socket) connecting.add(socket)
  }
}

/** The parts of a serialised URL that undici asks for; cheaper than to parse again what `prepare` has parsed. */
function splitUrl(url: string): { origin: string; path: string } {
  const slash = url.indexOf('/', url.indexOf('//') + 2)
  return slash < 0 ? { origin: url, path: '/' } : { origin: url.slice(0, slash), path: url.slice(slash) }
}

/** Node and undici name a host, a port and a certificate in their messages, never the path or a header's value. */
function describe(error: unknown): string {
  const errors: unknown[] = error instanceof AggregateError ? error.errors : [error]
  return errors
    .map((each) => (each instanceof Error ? each.message || each.name : 'unknown error'))
    .join('; ')
    .slice(0, 300)
}

function kindOf(error: unknown): SendResult['kind'] {
  if (error instanceof RefusedAddressError) return 'refused_address'
  const code = error instanceof Error && 'code' in error ? error.code : null
  return code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT' ? 'timeout' : 'failed'
}

/** How one exchange ended, with what a second one may need. */
interface Outcome extends Omit<SendResult, 'duration_ms'> {
  readonly challenge: string | string[] | undefined
}

function failure(kind: SendResult['kind'], error: string, status: number | null = null): Outcome {
  return { kind, status, body: '', error, challenge: undefined }
}

/**
 * One request and its answer, as undici reports them: the handler interface, because it is the cheapest one and the only one
 * that tells when a connection is free again. Settles once; by timeout it may settle before undici lets go of it.
 */
class Exchange implements Dispatcher.DispatchHandler {
  readonly options: Agent.DispatchOptions
  readonly #onSettled: (outcome: Outcome) => void
  readonly #onReleased: () => void
  readonly #timer: NodeJS.Timeout
  #settled = false
  #released = false
  #controller: Dispatcher.DispatchController | null = null
  #status: number | null = null
  #challenge: string | string[] | undefined
  #chunks: Buffer[] = []
  #size_bytes = 0

  constructor(options: Agent.DispatchOptions, timeout_ms: number, onSettled: (outcome: Outcome) => void, onReleased: () => void) {
    this.options = options
    this.#onSettled = onSettled
    this.#onReleased = onReleased
    this.#timer = setTimeout(() => this.#expire(), timeout_ms)
  }

  #settle(outcome: Outcome): void {
    if (this.#settled) return
    this.#settled = true
    clearTimeout(this.#timer)
    this.#onSettled(outcome)
  }

  /** Once, even if undici reports an end twice (it does when it trips over itself): the lane counts on it. */
  #release(): void {
    if (this.#released) return
    this.#released = true
    this.#onReleased()
  }

  #expire(): void {
    const what = this.#status === null ? 'no answer in time' : 'no complete answer in time'
    this.#settle(failure('timeout', what, this.#status))
    this.#controller?.abort(new Error('out of time'))
  }

  #answer(): void {
    const body = this.#chunks.length === 0 ? '' : new TextDecoder().decode(Buffer.concat(this.#chunks))
    this.#settle({ kind: 'answered', status: this.#status, body, error: null, challenge: this.#challenge })
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // Thrown and not aborted: nothing is written yet, so the connection stays fit for the next request.
    if (this.#settled) throw new Error('out of time')
    this.#controller = controller
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return
    this.#status = status
    this.#challenge = headers['www-authenticate']
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const room_bytes = BODY_LIMIT_BYTES - this.#size_bytes
    this.#size_bytes += chunk.length
    this.#chunks.push(chunk.subarray(0, room_bytes))
    if (chunk.length <= room_bytes) return
    this.#answer()
    controller.abort(new Error('enough was read'))
  }

  onResponseEnd(): void {
    this.#answer()
    this.#release()
  }

  onResponseError(_: Dispatcher.DispatchController | null, error: Error): void {
    this.#settle(failure(kindOf(error), describe(error), this.#status))
    this.#release()
  }
}

/** The exchanges of one origin: those undici has, and those for which it has no connection left. */
interface Lane {
  running: number
  readonly waiting: Set<Exchange>
}

type Exchanger = (request: Prepared, headers: Prepared['headers'], timeout_ms: number) => Promise<Outcome>

/**
 * Keeps at most `limit` exchanges per origin with the agent. The others wait here and not in undici's queue, which nothing can
 * leave before a connection is up: for an origin that is down it would grow without end.
 */
function createExchanger(agent: Agent, limit: number): Exchanger {
  const lanes = new Map<string, Lane>()

  function leave(origin: string, lane: Lane): void {
    lane.running--
    const [next] = lane.waiting
    if (next) {
      lane.waiting.delete(next)
      lane.running++
      // Later, because undici is still busy with the exchange that has just ended.
      queueMicrotask(() => agent.dispatch(next.options, next))
    } else if (lane.running === 0) lanes.delete(origin)
  }

  return (request, headers, timeout_ms) =>
    new Promise((resolve) => {
      const { origin, path } = splitUrl(request.url)
      const lane = lanes.get(origin) ?? { running: 0, waiting: new Set() }
      const exchange = new Exchange(
        { origin, path, method: request.method, headers, body: request.body },
        timeout_ms,
        (outcome) => {
          lane.waiting.delete(exchange)
          resolve(outcome)
        },
        () => leave(origin, lane),
      )
      if (lane.running >= limit) {
        lane.waiting.add(exchange)
        return
      }
      lanes.set(origin, lane)
      lane.running++
      agent.dispatch(exchange.options, exchange)
    })
}

/**
 * Sends a request and, if its URL has credentials and the answer is a challenge, sends it once more with them: never at first,
 * as the vendor documents it.
 */
async function converse(exchange: Exchanger, request: Prepared, timeout_ms: number): Promise<Outcome> {
  const start_ms = performance.now()
  const first = await exchange(request, request.headers, timeout_ms)
  const { method, username, password } = request
  if (first.kind !== 'answered' || first.status !== 401 || (username === '' && password === '')) return first
  const uri = splitUrl(request.url).path
  const authorization = authorize(parseChallenges(first.challenge), { username, password, method, uri })
  if (authorization === null) return first
  const left_ms = Math.max(1, timeout_ms - (performance.now() - start_ms))
  return exchange(request, { ...request.headers, Authorization: authorization }, left_ms)
}

/** The sender of webhooks: one pool of kept-alive connections per origin, HTTP/1.1 as the vendor speaks it. */
export function createWebhookClient(options: WebhookClientOptions): WebhookClient {
  const connections = options.connections_per_origin ?? CONNECTIONS_PER_ORIGIN
  // Undici's own timeouts are off: each exchange has one timer for everything.
  const connecting = new Set<Socket>()
  const connect = connector(options, connecting)
  const agent = new Agent({ connect, connections, allowH2: false, headersTimeout: 0, bodyTimeout: 0 })
  const exchange = createExchanger(agent, connections)
  let under_way = 0
  let closing: Promise<void> | null = null
  let onIdle = () => {}

  async function outcomeOf(request: Prepared, timeout_ms: number): Promise<Outcome> {
    if (closing) return failure('failed', 'the webhook client is closed')
    under_way++
    try {
      return await converse(exchange, request, timeout_ms)
    } catch (error) {
      return failure('failed', describe(error))
    } finally {
      under_way--
      if (under_way === 0) onIdle()
    }
  }

  async function shutDown(): Promise<void> {
    if (under_way > 0) await new Promise<void>((resolve) => (onIdle = resolve))
    await agent.destroy()
    for (const socket of connecting) socket.destroy()
  }

  return {
    send: async (request, timeout_ms) => {
      const start_ms = performance.now()
      const { status, body, error, kind } = await outcomeOf(request, timeout_ms)
      return { status, body, error, kind, duration_ms: performance.now() - start_ms }
    },
    close: () => {
      closing ??= shutDown()
      return closing
    },
  }
}

/** What a pre-action webhook has to answer within; then the change goes on as if it had not been asked. */
export const webhook_timeout_ms = 5000
