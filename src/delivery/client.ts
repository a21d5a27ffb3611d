import { type LookupAddress, lookup } from 'node:dns'
import type { IncomingHttpHeaders } from 'node:http'
import { isIP, type LookupFunction, Socket } from 'node:net'
import type { Readable } from 'node:stream'
import ipaddr from 'ipaddr.js'
import type { Agent, buildConnector, Dispatcher } from 'undici'
import { authorize, parseChallenges } from './challenge.ts'

export interface SendResult {
  /** HTTP status. Set when `kind` is 'answered', and when a response began but did not end; null otherwise. */
  readonly status: number | null
  /** At most the first 64 KiB; empty unless `kind` is 'answered'. */
  readonly body: string
  /** Why there is no response. Contains at most host and port: never credentials, path or query. */
  readonly error: string | null
  /** `unsent`: no request was made, and none will be. `accepted`, `refused`: by a channel, whatever it speaks. */
  readonly kind: 'answered' | 'timeout' | 'refused_address' | 'failed' | 'unsent' | 'accepted' | 'refused'
  readonly duration_ms: number
  /** What the delivery log keeps of the response. */
  readonly response?: string
}

/** A request, ready to be sent. */
export interface ClientRequest {
  readonly method: string
  /** Serialised by WHATWG rules, without credentials and fragment. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: string | Uint8Array | null
  /** Sent when the receiver asks for them; both empty if there are none. */
  readonly username: string
  readonly password: string
}

/** With what a program reads: `bytes` in place of `body`. */
export interface RawResult extends Omit<SendResult, 'body'> {
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
}

export interface WebhookClient {
  /**
   * Sends once and follows no redirect. `timeoutMs` covers everything from waiting for a connection to the last byte. `signal`
   * gives the request up at once.
   */
  send(request: ClientRequest, timeoutMs: number, signal?: AbortSignal): Promise<SendResult>
  /** The same, with the headers and bytes of the response. */
  request(request: ClientRequest, timeoutMs: number, signal?: AbortSignal): Promise<RawResult>
  /** Begins a GET and returns its response as a stream, of any size; follows no redirect. Throws DownloadError. */
  download(url: string, headers: Readonly<Record<string, string>>, timeoutMs: number): Promise<Download>
  /** Refuses new requests, waits for those in flight, then closes all connections. */
  close(): Promise<void>
}

export interface Download {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  /** To be read or destroyed. */
  readonly body: Readable
}

/** There is no response, or the address may not be called. */
export class DownloadError extends Error {
  override readonly name = 'DownloadError'
  readonly code = 'PARLEY_DOWNLOAD'
  /** Whether it may succeed later. */
  readonly temporary: boolean

  constructor(message: string, temporary: boolean) {
    super(message)
    this.temporary = temporary
  }
}

export interface WebhookClientOptions {
  /** Whether connections to other than public unicast addresses are allowed. */
  readonly allowPrivate: boolean
  readonly verifyTls: boolean
  readonly connectionsPerOrigin?: number
}

const BODY_LIMIT_BYTES = 64 * 1024

/** A connection attempt may outlive the request's own time-out, occupying one of its origin's connections. */
const CONNECT_TIMEOUT_MS = 10_000

const CONNECTIONS_PER_ORIGIN = 64

/** Azure's own services (metadata, name resolution) have this public address inside each of its networks. */
const AZURE_PLATFORM = '168.63.129.16'

const GLOBAL_UNICAST = ipaddr.IPv6.parseCIDR('2000::/3')

/**
 * Returns the special-purpose range of an IP address, or null if it is public unicast. IPv4-mapped IPv6 is treated as IPv4.
 * The parser reports unlisted IPv6, such as `::7f00:1`, as unicast, hence the check against 2000::/3.
 */
export function specialRange(address: string): string | null {
  if (!ipaddr.isValid(address)) return 'invalid'
  const parsed = ipaddr.process(address)
  const range: string = parsed.range()
  if (range !== 'unicast') return range
  if (parsed.toString() === AZURE_PLATFORM) return 'cloud platform'
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
 * Returns a resolver that yields public addresses only. The socket connects to the very addresses it has checked, so a name
 * cannot resolve to another address in between.
 */
export function publicLookup(resolve: typeof lookup = lookup): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
      if (error) return callback(error, [])
      const allowed = found.filter(({ address }) => specialRange(address) === null)
      const [first] = allowed
      if (!first) {
        const address = found[0]?.address ?? ''
        callback(new RefusedAddressError(address, specialRange(address) ?? '', hostname), [])
      } else if (options.all) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}

/**
 * Opens every connection of a client, so the address rule is applied here: to literal addresses directly, which are not resolved,
 * and to names by the resolver. A kept-alive socket has been checked when it was opened. `connecting` collects the sockets not yet
 * connected: undici does not close them when it is destroyed, and they keep the process alive.
 */
function connector(
  build: typeof buildConnector,
  { allowPrivate, verifyTls }: WebhookClientOptions,
  connecting: Set<Socket>,
): buildConnector.connector {
  const base = { allowH2: false, timeout: CONNECT_TIMEOUT_MS, rejectUnauthorized: verifyTls }
  const connect = build(allowPrivate ? base : { ...base, lookup: publicLookup() })
  return (target, callback) => {
    const range = allowPrivate || isIP(target.hostname) === 0 ? null : specialRange(target.hostname)
    if (range !== null) {
      process.nextTick(callback, new RefusedAddressError(target.hostname, range, target.hostname), null)
      return
    }
    // Its type declares no result, but undici returns the socket.
    const socket: unknown = connect(target, (...result) => {
      if (socket instanceof Socket) connecting.delete(socket)
      callback(...result)
    })
    if (socket instanceof Socket) connecting.add(socket)
  }
}

/** Splits a serialised URL as undici requires; cheaper than parsing again what `prepare` has parsed. */
function splitUrl(url: string): { origin: string; path: string } {
  const slash = url.indexOf('/', url.indexOf('//') + 2)
  return slash < 0 ? { origin: url, path: '/' } : { origin: url.slice(0, slash), path: url.slice(slash) }
}

/** Node and undici name host, port and certificate in their messages, never the path or a header's value. */
function errorText(error: unknown): string {
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

/** The result of one exchange. */
type Outcome = Omit<RawResult, 'duration_ms'>

const nothing = Buffer.alloc(0)

function failure(kind: SendResult['kind'], error: string, status: number | null = null): Outcome {
  return { kind, status, bytes: nothing, error, headers: {} }
}

/**
 * One request and its response. Implements undici's handler interface, which is the cheapest and the only one that reports when a
 * connection is free again. Settles once; on a time-out it may settle before undici releases the connection.
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
  #headers: IncomingHttpHeaders = {}
  #chunks: Buffer[] = []
  #sizeBytes = 0

  constructor(options: Agent.DispatchOptions, timeoutMs: number, onSettled: (outcome: Outcome) => void, onReleased: () => void) {
    this.options = options
    this.#onSettled = onSettled
    this.#onReleased = onReleased
    this.#timer = setTimeout(() => this.#expire(), timeoutMs)
  }

  #settle(outcome: Outcome): void {
    if (this.#settled) return
    this.#settled = true
    clearTimeout(this.#timer)
    this.#onSettled(outcome)
  }

  /** Reports the release once, even if undici reports the end twice: the lane counts its connections by it. */
  #release(): void {
    if (this.#released) return
    this.#released = true
    this.#onReleased()
  }

  #expire(): void {
    const what = this.#status === null ? 'no response in time' : 'no complete response in time'
    this.#settle(failure('timeout', what, this.#status))
    this.#controller?.abort(new Error('timed out'))
  }

  /** Gives it up. */
  cancel(): void {
    this.#settle(failure('failed', 'given up', this.#status))
    this.#controller?.abort(new Error('given up'))
  }

  #complete(): void {
    const bytes = this.#chunks.length === 0 ? nothing : Buffer.concat(this.#chunks)
    this.#settle({ kind: 'answered', status: this.#status, bytes, error: null, headers: this.#headers })
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    // An error before anything is written leaves the connection usable; an abort would close it.
    if (this.#settled) throw new Error('timed out')
    this.#controller = controller
  }

  onResponseStart(_: Dispatcher.DispatchController, status: number, headers: IncomingHttpHeaders): void {
    if (status < 200) return
    this.#status = status
    this.#headers = headers
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    const roomBytes = BODY_LIMIT_BYTES - this.#sizeBytes
    this.#sizeBytes += chunk.length
    this.#chunks.push(chunk.subarray(0, roomBytes))
    if (chunk.length <= roomBytes) return
    this.#complete()
    controller.abort(new Error('the body limit is reached'))
  }

  onResponseEnd(): void {
    this.#complete()
    this.#release()
  }

  onResponseError(_: Dispatcher.DispatchController | null, error: Error): void {
    this.#settle(failure(kindOf(error), errorText(error), this.#status))
    this.#release()
  }
}

/** The exchanges of one origin: the number that undici runs, and those that wait for a connection. */
interface Lane {
  running: number
  readonly waiting: Set<Exchange>
}

interface ExchangeOptions {
  readonly headers: ClientRequest['headers']
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

type Exchanger = (request: ClientRequest, options: ExchangeOptions) => Promise<Outcome>

/**
 * Runs at most `limit` exchanges per origin. The others wait here rather than in undici's queue, which no request can leave
 * before a connection is open: for an origin that is down it would grow without bound.
 */
function createExchanger(agent: Agent, limit: number): Exchanger {
  const lanes = new Map<string, Lane>()

  function release(origin: string, lane: Lane): void {
    lane.running--
    const [next] = lane.waiting
    if (next) {
      lane.waiting.delete(next)
      lane.running++
      // Deferred: undici is still processing the end of the previous exchange.
      queueMicrotask(() => agent.dispatch(next.options, next))
    } else if (lane.running === 0) lanes.delete(origin)
  }

  return (request, { headers, timeoutMs, signal }) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve(failure('failed', 'given up'))
      const giveUp = () => exchange.cancel()
      const { origin, path } = splitUrl(request.url)
      const lane = lanes.get(origin) ?? { running: 0, waiting: new Set() }
      const exchange = new Exchange(
        { origin, path, method: request.method, headers, body: request.body },
        timeoutMs,
        (outcome) => {
          signal?.removeEventListener('abort', giveUp)
          lane.waiting.delete(exchange)
          resolve(outcome)
        },
        () => release(origin, lane),
      )
      signal?.addEventListener('abort', giveUp)
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
 * Sends a request without the credentials of its URL and, if the response is a challenge, once more with them (documented).
 */
async function sendWithCredentials(
  exchange: Exchanger,
  request: ClientRequest,
  { timeoutMs, signal }: Omit<ExchangeOptions, 'headers'>,
): Promise<Outcome> {
  const startMs = performance.now()
  const first = await exchange(request, { headers: request.headers, timeoutMs, signal })
  const { method, username, password } = request
  if (first.kind !== 'answered' || first.status !== 401 || (username === '' && password === '')) return first
  const uri = splitUrl(request.url).path
  const authorization = authorize(parseChallenges(first.headers['www-authenticate']), { username, password, method, uri })
  if (authorization === null) return first
  const remainingMs = Math.max(1, timeoutMs - (performance.now() - startMs))
  return exchange(request, { headers: { ...request.headers, Authorization: authorization }, timeoutMs: remainingMs, signal })
}

interface OpenAgent {
  readonly agent: Agent
  readonly exchange: Exchanger
}

/** Loads undici, which no start needs: it is the largest of all libraries. */
async function openAgent(options: WebhookClientOptions, connecting: Set<Socket>): Promise<OpenAgent> {
  const { Agent, buildConnector } = await import('undici')
  const connections = options.connectionsPerOrigin ?? CONNECTIONS_PER_ORIGIN
  const connect = connector(buildConnector, options, connecting)
  // Undici's own time-outs are off: each exchange has a single timer.
  const agent = new Agent({ connect, connections, allowH2: false, headersTimeout: 0, bodyTimeout: 0 })
  return { agent, exchange: createExchanger(agent, connections) }
}

/** Creates the client that sends webhooks: a pool of kept-alive connections per origin, HTTP/1.1 like the vendor's. */
export function createWebhookClient(options: WebhookClientOptions): WebhookClient {
  const connecting = new Set<Socket>()
  let opened: Promise<OpenAgent> | undefined
  let inFlight = 0
  let closing: Promise<void> | null = null
  let onIdle = () => {}

  async function outcomeOf(request: ClientRequest, how: Omit<ExchangeOptions, 'headers'>): Promise<Outcome> {
    if (closing) return failure('failed', 'the webhook client is closed')
    inFlight++
    try {
      opened ??= openAgent(options, connecting)
      return await sendWithCredentials((await opened).exchange, request, how)
    } catch (error) {
      return failure('failed', errorText(error))
    } finally {
      released()
    }
  }

  function released(): void {
    inFlight--
    if (inFlight === 0) onIdle()
  }

  async function download(url: string, headers: Readonly<Record<string, string>>, timeoutMs: number): Promise<Download> {
    if (closing) throw new DownloadError('the client is closed', true)
    inFlight++
    try {
      opened ??= openAgent(options, connecting)
      const { agent } = await opened
      const timeouts = { headersTimeout: timeoutMs, bodyTimeout: timeoutMs }
      const {
        statusCode,
        headers: received,
        body,
      } = await agent.request({ ...splitUrl(url), method: 'GET', headers, ...timeouts })
      // Whoever reads it is told of an error; whoever destroys it knows.
      body.on('error', () => {}).once('close', released)
      return { status: statusCode, headers: received, body }
    } catch (error) {
      released()
      throw new DownloadError(errorText(error), kindOf(error) !== 'refused_address')
    }
  }

  async function shutDown(): Promise<void> {
    if (inFlight > 0) await new Promise<void>((resolve) => (onIdle = resolve))
    const agent = (await opened)?.agent
    await agent?.destroy()
    for (const socket of connecting) socket.destroy()
  }

  async function request(request: ClientRequest, timeoutMs: number, signal?: AbortSignal): Promise<RawResult> {
    const startMs = performance.now()
    const outcome = await outcomeOf(request, { timeoutMs, signal })
    return { ...outcome, duration_ms: performance.now() - startMs }
  }

  return {
    request,
    download,
    send: async (...given) => {
      const { status, bytes, error, kind, duration_ms } = await request(...given)
      return { status, body: bytes.length === 0 ? '' : new TextDecoder().decode(bytes), error, kind, duration_ms }
    },
    close: () => {
      closing ??= shutDown()
      return closing
    },
  }
}

/** The time for a webhook's response; without one a pre-action webhook counts as consenting (documented). */
export const webhookTimeoutMs = 5000
