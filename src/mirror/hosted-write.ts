import type { IncomingMessage } from 'node:http'
import type { Readable } from 'node:stream'
import { Agent, type Dispatcher } from 'undici'
import { codeOf } from '../errors.ts'
import { readAll } from '../transfer/hosted/client.ts'

/** Whether a request that failed has reached the hosted side is not known, or it has not. */
export class HostedLostError extends Error {
  override readonly name = 'HostedLostError'
  readonly isSent: boolean

  constructor(reason: string, isSent: boolean, options?: ErrorOptions) {
    super(reason, options)
    this.isSent = isSent
  }
}

/** A complete response. */
export interface HostedResponse {
  readonly status: number
  /** Names and values alternate. */
  readonly headers: readonly string[]
  readonly body: Buffer
  readonly isJson: boolean
}

/** Those of one connection, and those that say who asks: each side has its own. */
const ownHeaders = new Set([
  'accept-encoding',
  'authorization',
  'connection',
  'content-length',
  'cookie',
  'expect',
  'forwarded',
  'host',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'via',
  'x-twilio-token',
])
const ownResponseHeaders = new Set([
  'connection',
  'content-encoding',
  'content-length',
  'keep-alive',
  'proxy-authenticate',
  'set-cookie',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'www-authenticate',
])

/** Returns the headers of a request as they came, without those that are not for the hosted side. */
export function forwardedHeaders({ rawHeaders }: Pick<IncomingMessage, 'rawHeaders'>): string[] {
  return pairs(rawHeaders).flatMap(([name, value]) =>
    ownHeaders.has(name.toLowerCase()) || /^x-forwarded-/i.test(name) ? [] : [name, value],
  )
}

function pairs(flat: readonly string[]): [string, string][] {
  return Array.from({ length: flat.length / 2 }, (_, i) => [flat[2 * i] ?? '', flat[2 * i + 1] ?? ''])
}

/** The other side had no connection yet: nothing of the request has left. */
const unsentCodes = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'UND_ERR_CONNECT_TIMEOUT',
  'CERT_HAS_EXPIRED',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'ERR_TLS_CERT_ALTNAME_INVALID',
])

export interface HostedRequest {
  readonly url: URL
  readonly method: string
  readonly headers: readonly string[]
  /** Null for none. */
  readonly body: Buffer | Readable | null
}

/** Sends requests of programs to the hosted side, each once and with its credentials. Redirects are not followed. */
export class HostedSender {
  readonly #agent: Agent
  readonly #authorization: string

  constructor({
    username,
    password,
    timeoutMs,
  }: { readonly username: string; readonly password: string; readonly timeoutMs: number }) {
    this.#authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
    this.#agent = new Agent({
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      // Below what servers usually have: none closes the connection that is about to be used.
      keepAliveTimeout: 4000,
      keepAliveMaxTimeout: 4000,
    })
  }

  /** Returns the response with its body unread. Throws HostedLostError. */
  async open({ url, method, headers, body }: HostedRequest): Promise<Dispatcher.ResponseData> {
    try {
      return await this.#agent.request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: method as Dispatcher.HttpMethod,
        headers: [...headers, 'authorization', this.#authorization, 'accept-encoding', 'identity'],
        body,
      })
    } catch (error) {
      throw lost(error)
    }
  }

  /** Returns the whole response. Throws HostedLostError. */
  async send(request: HostedRequest): Promise<HostedResponse> {
    const response = await this.open(request)
    try {
      return {
        status: response.statusCode,
        headers: responseHeaders(response),
        body: await readAll(response),
        isJson: /^application\/json\b/i.test(String(response.headers['content-type'] ?? '')),
      }
    } catch (error) {
      throw lost(error)
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy()
  }
}

function lost(error: unknown): HostedLostError {
  const code = codeOf(error)
  return new HostedLostError(code ?? 'no complete answer', !unsentCodes.has(code ?? ''), { cause: error })
}

/** Returns the headers of a response that are for the program, names and values alternating. */
export function responseHeaders({ headers }: Dispatcher.ResponseData): string[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    ownResponseHeaders.has(name) || value === undefined ? [] : [value].flat().flatMap((one) => [name, one]),
  )
}
