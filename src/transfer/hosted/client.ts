import { gunzipSync } from 'node:zlib'
import { Agent, type Dispatcher } from 'undici'
import type { Clock } from '../../clock.ts'
import { ConfigError } from '../../config-error.ts'
import { codeOf } from '../../errors.ts'
import { isJsonObject, parseJsonObject } from '../../json.ts'
import { delayBefore, isPassing, maxTries } from './backoff.ts'
import { Pace } from './pace.ts'

/** A JSON object as the hosted side sent it. */
export type Json = Readonly<Record<string, unknown>>

export interface ClientOptions {
  /** Where the API is, without `/v1`. */
  readonly url: string
  /** An account's SID with its auth token, or the SID of a key with its secret. */
  readonly username: string
  readonly password: string
  readonly perSecond: number
  readonly concurrency: number
  readonly clock: Clock
  readonly wait: (ms: number) => Promise<void>
  readonly random: () => number
}

/** The hosted side refuses a request for good, or has refused it too often. The message says what and why, without credentials. */
export class HostedError extends Error {
  override readonly name = 'HostedError'
  /** HTTP status; 0 where there was no complete answer. */
  readonly status: number
  /** The code of the error in its body; 0 without one. */
  readonly code: number

  constructor(message: string, status: number, code = 0) {
    super(message)
    this.status = status
    this.code = code
  }
}

/** The client was closed while a request was under way. */
export class HostedClosedError extends Error {
  override readonly name = 'HostedClosedError'

  constructor() {
    super('the server is stopping')
  }
}

/** A page of a list. `next`: path and query of the page after it. */
export interface Page {
  readonly rows: readonly Json[]
  readonly next: string | null
}

/** What was asked so far. */
export interface Traffic {
  requests: number
  repeated: number
  refused: number
}

/** No page of a list has more. */
const maxPageBytes = 64 * 1024 * 1024
const answerTimeoutMs = 60_000

/** Reads from a hosted account: within the pace, again where that may help, never with credentials at another host. */
export class HostedClient {
  readonly traffic: Traffic = { requests: 0, repeated: 0, refused: 0 }
  readonly options: ClientOptions
  readonly #agent: Agent
  readonly #pace: Pace
  readonly #authorization: string
  /** Of those that wait: each ends one. */
  readonly #cancels = new Set<() => void>()
  #isClosed = false

  constructor(options: ClientOptions) {
    this.options = options
    this.#authorization = `Basic ${Buffer.from(`${options.username}:${options.password}`).toString('base64')}`
    this.#pace = new Pace(options)
    this.#agent = new Agent({
      connections: options.concurrency,
      headersTimeout: answerTimeoutMs,
      bodyTimeout: answerTimeoutMs,
      keepAliveTimeout: 30_000,
    })
  }

  /** Returns one resource. `path`: below the base, with its query. Throws HostedError, and ConfigError for wrong credentials. */
  get(path: string, base = this.options.url): Promise<Json> {
    // Appended, not resolved: a path that begins with // would name another host.
    return this.withRetries(path, () => this.#getOnce(new URL(base + path)))
  }

  /**
   * Returns one page of a list after the other. `path`: of the first page. A next page is read from the configured host, whatever
   * host its URL names. Throws as `get` does, and HostedError 200 for a page without its list.
   */
  async *pages(path: string, key: string): AsyncGenerator<Page> {
    const followed = new Set<string>()
    for (let at: string | null = path; at !== null; ) {
      if (followed.has(at)) throw new HostedError(`${pathOf(at)}: the list leads back to a page that was read`, 200)
      followed.add(at)
      const page: Page = await this.page(at, key)
      at = page.next
      yield page
    }
  }

  /** Returns one page. Throws as `pages` does. */
  async page(path: string, key: string): Promise<Page> {
    const { meta, [key]: rows } = await this.get(path)
    if (!isJsonObject(meta) || !Array.isArray(rows)) throw new HostedError(`${pathOf(path)}: no list ${key} in the answer`, 200)
    const url = meta.next_page_url
    const next = typeof url === 'string' && URL.canParse(url) ? new URL(url) : null
    return { rows: rows.filter(isJsonObject), next: next && next.pathname + next.search }
  }

  /** Sends a GET once, in its turn. With `isSigned` the credentials go along. The caller reads the body, or destroys it. */
  send(url: URL, headers: Readonly<Record<string, string>>, isSigned: boolean): Promise<Dispatcher.ResponseData> {
    this.traffic.requests++
    // Redirects are not followed by this client: the caller decides.
    return this.#agent.request({
      origin: url.origin,
      path: url.pathname + url.search,
      method: 'GET',
      headers: { ...headers, ...(isSigned && { authorization: this.#authorization }) },
    })
  }

  /**
   * Runs `once` until it succeeds, at most eight times and each time in its turn. `what` is named in the message. Throws what it
   * throws for good, HostedError after the last try, and HostedClosedError.
   */
  async withRetries<T>(what: string, once: () => Promise<T>): Promise<T> {
    const { clock, wait, random } = this.options
    for (let tried = 1; ; tried++) {
      try {
        const result = await this.#unlessClosed(this.#pace.run(once))
        this.#pace.succeeded()
        return result
      } catch (error) {
        if (this.#isClosed) throw new HostedClosedError()
        const again = againAfter(error)
        if (again === null) throw error
        if (tried === maxTries) throw new HostedError(`${pathOf(what)}: ${again.reason}, ${maxTries} times`, again.status)
        this.traffic.repeated++
        const delayMs = delayBefore(tried, again.retryAfter, clock.now(), random)
        if (again.status === 429) {
          this.traffic.refused++
          this.#pace.refused(delayMs)
        }
        await this.#unlessClosed(wait(delayMs))
      }
    }
  }

  /** Ends requests in flight, and those that wait to be sent again. */
  async close(): Promise<void> {
    this.#isClosed = true
    for (const cancel of this.#cancels) cancel()
    await this.#agent.destroy()
  }

  async #unlessClosed<T>(work: Promise<T>): Promise<T> {
    const { promise: closed, reject } = Promise.withResolvers<never>()
    const cancel = () => reject(new HostedClosedError())
    this.#cancels.add(cancel)
    try {
      return await Promise.race([work, closed])
    } finally {
      this.#cancels.delete(cancel)
    }
  }

  async #getOnce(url: URL): Promise<Json> {
    const response = await this.send(url, { accept: 'application/json', 'accept-encoding': 'gzip' }, true)
    const bytes = await readAll(response)
    if (response.statusCode !== 200) throw refusalOf(url, response, bytes)
    const parsed = parseJsonObject(bytes.toString())
    // A proxy's page, or half of a body: another try may bring the answer.
    if (!parsed) throw new PassingError('an answer that is not JSON', response.statusCode)
    return parsed
  }
}

/** Something went wrong that may go well at the next try. */
export class PassingError extends Error {
  override readonly name = 'PassingError'
  readonly status: number
  readonly retryAfter: string | undefined

  constructor(message: string, status: number, retryAfter?: string) {
    super(message)
    this.status = status
    this.retryAfter = retryAfter
  }
}

/** Returns the error for an answer that is no success. */
export function refusalOf(url: URL, response: Dispatcher.ResponseData, body: Buffer): Error {
  const { statusCode: status, headers } = response
  const retryAfter = headers['retry-after']
  if (isPassing(status))
    return new PassingError(`status ${status}`, status, typeof retryAfter === 'string' ? retryAfter : undefined)
  const { code, message } = parseJsonObject(body.toString()) ?? {}
  const number = typeof code === 'number' ? code : 0
  if (status >= 300 && status < 400) {
    const reason = 'a redirect, which is not followed: the credentials belong to the configured host'
    return new HostedError(`${url.pathname}: ${reason}`, status)
  }
  const reason = typeof message === 'string' ? message.slice(0, 300) : 'no reason given'
  if (status === 401 && number !== missingPermission) {
    return new ConfigError(`${url.host} refuses the credentials (${reason}): check TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN`)
  }
  return new HostedError(`${url.pathname}: ${status} ${number || ''} ${reason}`.replace('  ', ' '), status, number)
}

/** A restricted key may not read this. */
export const missingPermission = 70051

/** Returns the whole body. Throws when the connection ends before it, or when it is too large. */
export async function readAll(response: Dispatcher.ResponseData): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response.body) {
    size += chunk.length
    if (size > maxPageBytes) throw new HostedError(`an answer of more than ${maxPageBytes} bytes`, response.statusCode)
    chunks.push(chunk)
  }
  const bytes = Buffer.concat(chunks)
  if (response.headers['content-encoding'] !== 'gzip') return bytes
  try {
    return gunzipSync(bytes, { maxOutputLength: maxPageBytes })
  } catch (error) {
    throw new PassingError(`an answer that cannot be unpacked (${codeOf(error) ?? 'no code'})`, response.statusCode)
  }
}

interface Again {
  readonly reason: string
  readonly status: number
  readonly retryAfter: string | undefined
}

/** Returns why a request failed; null where the next would fail, too. */
function againAfter(error: unknown): Again | null {
  if (error instanceof PassingError) return { reason: error.message, status: error.status, retryAfter: error.retryAfter }
  if (error instanceof HostedError || error instanceof ConfigError) return null
  const code = codeOf(error)
  // Connections that were cut, refused, or mute. Anything without a code is a defect of this program.
  return code === undefined || !isOfNetwork(code)
    ? null
    : { reason: `no complete answer (${code})`, status: 0, retryAfter: undefined }
}

function isOfNetwork(code: string): boolean {
  return code.startsWith('UND_ERR_') || code.startsWith('HPE_') || networkCodes.has(code)
}

const networkCodes = new Set([
  'ECONNRESET',
  'ECONNREFUSED',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EAI_AGAIN',
  'ENETUNREACH',
  'ENETDOWN',
  'EHOSTUNREACH',
])

/** Queries have tokens of pages in them, and dates: the path is enough to find a request. */
function pathOf(path: string): string {
  return path.split('?', 1)[0] ?? path
}
