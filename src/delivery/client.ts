import { type LookupAddress, lookup } from 'node:dns'
import type { IncomingHttpHeaders } from 'node:http'
import { isIP, type LookupFunction, Socket } from 'node:net'
import type { Readable } from 'node:stream'
import ipaddr from 'ipaddr.js'
import type { Agent, buildConnector } from 'undici'
import {
  type ClientRequest,
  createExchanger,
  type ExchangeOptions,
  type Exchanger,
  errorText,
  failure,
  kindOf,
  type Outcome,
  type RawResult,
  RefusedAddressError,
  type SendResult,
  sendWithCredentials,
  splitUrl,
} from './exchange.ts'

export type { ClientRequest, RawResult, SendResult } from './exchange.ts'

export interface WebhookClient {
  /**
   * Sends once and follows no redirect. `timeoutMs` covers everything from waiting for a connection to the last byte. `signal`
   * gives the request up at once.
   */
  send(request: ClientRequest, timeoutMs: number, signal?: AbortSignal): Promise<SendResult>
  /** The same, with the headers and bytes of the response. */
  request(request: ClientRequest, timeoutMs: number, signal?: AbortSignal): Promise<RawResult>
  /**
   * Begins a GET and returns its response as a stream, of any size; follows no redirect. `timeoutMs` is the longest silence. Throws
   * DownloadError.
   */
  download(url: string, headers: Readonly<Record<string, string>>, timeoutMs: number): Promise<Download>
  /** Refuses new requests, waits for those in flight, then closes all connections. Gives up downloads, which may take any time. */
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
      inFlight--
      if (inFlight === 0) onIdle()
    }
  }

  async function download(url: string, headers: Readonly<Record<string, string>>, timeoutMs: number): Promise<Download> {
    if (closing) throw new DownloadError('the client is closed', true)
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
      body.on('error', () => {})
      return { status: statusCode, headers: received, body }
    } catch (error) {
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
      const { status, bytes, headers, error, kind, duration_ms } = await request(...given)
      return { status, headers, body: bytes.length === 0 ? '' : new TextDecoder().decode(bytes), error, kind, duration_ms }
    },
    close: () => {
      closing ??= shutDown()
      return closing
    },
  }
}

/** The time for a webhook's response; without one a pre-action webhook counts as consenting (documented). */
export const webhookTimeoutMs = 5000
