import type { IncomingHttpHeaders } from 'node:http'
import type { Agent, Dispatcher } from 'undici'
import { authorize, parseChallenges } from './challenge.ts'

export interface SendResult {
  /** HTTP status. Set when `kind` is 'answered', and when a response began but did not end; null otherwise. */
  readonly status: number | null
  /** At most the first 64 KiB; empty unless `kind` is 'answered'. */
  readonly body: string
  /** Of the response, where its kind has them. */
  readonly headers?: IncomingHttpHeaders
  /** Why there is no response. Contains at most host and port: never credentials, path or query. */
  readonly error: string | null
  /** `unsent`: no request was made, and none will be. `accepted`, `refused`: by a channel, whatever it speaks. */
  readonly kind: 'answered' | 'timeout' | 'refused_address' | 'failed' | 'unsent' | 'accepted' | 'refused'
  readonly duration_ms: number
  /** What the delivery log keeps of the response. */
  readonly response?: string
  /** For how long the receiver asks to be left alone; only where its service is known to mean it. */
  readonly retry_after_ms?: number
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
export interface RawResult extends Omit<SendResult, 'body' | 'headers'> {
  readonly headers: IncomingHttpHeaders
  readonly bytes: Buffer
}

const BODY_LIMIT_BYTES = 64 * 1024

export class RefusedAddressError extends Error {
  override readonly name = 'RefusedAddressError'
  readonly code = 'PARLEY_REFUSED_ADDRESS'

  constructor(address: string, range: string, host: string) {
    const what = host === address ? address : `${host} at ${address}`
    super(
      `refused to connect to ${what} (${range}): webhooks go to public addresses only, unless PARLEY_WEBHOOK_ALLOW_PRIVATE is set`,
    )
  }
}

/** Splits a serialised URL as undici requires; cheaper than parsing again what `prepare` has parsed. */
export function splitUrl(url: string): { origin: string; path: string } {
  const slash = url.indexOf('/', url.indexOf('//') + 2)
  return slash < 0 ? { origin: url, path: '/' } : { origin: url.slice(0, slash), path: url.slice(slash) }
}

/** Node and undici name host, port and certificate in their messages, never the path or a header's value. */
export function errorText(error: unknown): string {
  const errors: unknown[] = error instanceof AggregateError ? error.errors : [error]
  return errors
    .map((each) => (each instanceof Error ? each.message || each.name : 'unknown error'))
    .join('; ')
    .slice(0, 300)
}

export function kindOf(error: unknown): SendResult['kind'] {
  if (error instanceof RefusedAddressError) return 'refused_address'
  const code = error instanceof Error && 'code' in error ? error.code : null
  return code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'ETIMEDOUT' ? 'timeout' : 'failed'
}

/** The result of one exchange. */
export type Outcome = Omit<RawResult, 'duration_ms'>

const nothing = Buffer.alloc(0)

export function failure(kind: SendResult['kind'], error: string, status: number | null = null): Outcome {
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

export interface ExchangeOptions {
  readonly headers: ClientRequest['headers']
  readonly timeoutMs: number
  readonly signal: AbortSignal | undefined
}

export type Exchanger = (request: ClientRequest, options: ExchangeOptions) => Promise<Outcome>

/**
 * Runs at most `limit` exchanges per origin. The others wait here rather than in undici's queue, which no request can leave
 * before a connection is open: for an origin that is down it would grow without bound.
 */
export function createExchanger(agent: Agent, limit: number): Exchanger {
  const lanes = new Map<string, Lane>()
  const signals = new WeakMap<AbortSignal, Set<Exchange>>()

  /** The exchanges that a signal gives up. A listener for each of them would be looked for among all others: 0.4 µs beside 64. */
  function exchangesUnder(signal: AbortSignal): Set<Exchange> {
    let under = signals.get(signal)
    if (!under) {
      const all = new Set<Exchange>()
      signal.addEventListener('abort', () => {
        for (const exchange of [...all]) exchange.cancel()
      })
      signals.set(signal, all)
      under = all
    }
    return under
  }

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
      const under = signal && exchangesUnder(signal)
      const { origin, path } = splitUrl(request.url)
      const lane = lanes.get(origin) ?? { running: 0, waiting: new Set() }
      const exchange = new Exchange(
        { origin, path, method: request.method, headers, body: request.body },
        timeoutMs,
        (outcome) => {
          under?.delete(exchange)
          lane.waiting.delete(exchange)
          resolve(outcome)
        },
        () => release(origin, lane),
      )
      under?.add(exchange)
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
export async function sendWithCredentials(
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
