import { readFileSync } from 'node:fs'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { refuse } from '../errors.ts'
import { limitPeers, type PeerLimits } from './peers.ts'

/** What a caller may take of time, connections and bytes before it is cut off. */
export interface HttpLimits extends PeerLimits {
  /** Connections that are open at one time; more are closed unanswered. */
  readonly maxConnections: number
  /** Until the head of a request is complete. */
  readonly headTimeoutMs: number
  /** Until the body of a form or of JSON is complete. Uploads have a limit of silence instead: `idleTimeoutMs`. */
  readonly bodyTimeoutMs: number
  /** How long a sender or a reader of a file may do nothing. */
  readonly idleTimeoutMs: number
  /** How long a response may wait for a caller that reads nothing of it. */
  readonly writeTimeoutMs: number
  /** What is read of a body after the response, so that the sender gets to read the response. */
  readonly drainBytes: number
  readonly drainTimeoutMs: number
}

export const defaultLimits: Omit<HttpLimits, 'maxConnections' | keyof PeerLimits> = {
  headTimeoutMs: 20_000,
  bodyTimeoutMs: 30_000,
  idleTimeoutMs: 60_000,
  writeTimeoutMs: 60_000,
  drainBytes: 32 * 1024 * 1024,
  drainTimeoutMs: 10_000,
}

/** Beyond that, connections cost more memory than a process of this kind should take: about 30 KiB each. */
const mostConnections = 10_000

/** Files, the database and webhooks need descriptors as well. */
const keptDescriptors = 256

/** As many as the operating system lets this process open, less what else needs descriptors. */
export function defaultConnections(limit = descriptorLimit()): number {
  return Math.min(mostConnections, Math.max(limit - keptDescriptors, Math.ceil(limit / 2)))
}

function descriptorLimit(): number {
  try {
    const soft = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft)
  } catch {
    // No Linux.
    return Number.POSITIVE_INFINITY
  }
}

/** The limits on connections, as the metrics name them. */
export type ConnectionLimit = 'connections' | 'connections_per_address'

interface ConnectionEvents {
  /** Called when a connection could not be accepted. */
  readonly failed: (error: Error) => void
  /** Called for each connection that was closed because of a limit. `address`: of whom, where it is about one. */
  readonly refused: (limit: ConnectionLimit, address?: string) => void
}

/** Applies the limits that concern connections, whatever they ask for. */
export function limitConnections(server: Server, limits: HttpLimits, { failed, refused }: ConnectionEvents): void {
  server.maxConnections = limits.maxConnections
  server.on('drop', () => refused('connections'))
  limitPeers(server, limits, (address) => refused('connections_per_address', address))
  // Without a listener, a connection that cannot be accepted (no descriptor left) would end the process.
  server.on('listening', () => server.on('error', failed))
  server.on('request', (request, response) => {
    if (hasBody(request)) limitDrain(request, response, limits)
  })
}

/** Whether a body follows the head. */
export function hasBody({ headers }: IncomingMessage): boolean {
  const length = headers['content-length']
  return (length !== undefined && length !== '0') || headers['transfer-encoding'] !== undefined
}

/** Whether a body is compressed, or encoded in another way: nothing reads such a body. */
export function isEncoded(request: IncomingMessage): boolean {
  const encoding = request.headers['content-encoding']
  return encoding !== undefined && hasBody(request) && !/^\s*(?:identity\s*)?$/i.test(encoding)
}

/** Refuses a body that is not complete in time. Costs nothing where there is none. */
export function limitBodyTime(request: IncomingMessage, limits: HttpLimits): void {
  if (!hasBody(request)) return
  const refuseLate = () => request.emit('error', refuse('requestTimeout'))
  const isRead = () => request.listenerCount('error') > 0
  const expire = () => {
    // Whoever reads the body refuses the request. While the credentials are still being checked nobody does: once more as long.
    if (isRead()) refuseLate()
    else timer = setTimeout(() => (isRead() ? refuseLate() : request.destroy()), limits.bodyTimeoutMs).unref()
  }
  let timer = setTimeout(expire, limits.bodyTimeoutMs).unref()
  request.once('close', () => clearTimeout(timer))
}

/** Cuts off a caller that reads nothing of its response. Costs nothing where the system has taken all of it. */
export function limitWriteTime(response: ServerResponse, limits: HttpLimits): void {
  // A timer of inactivity: the next request of the connection resets it.
  if (response.writableLength > 0) response.setTimeout(limits.writeTimeoutMs)
}

/** The last request with a body of each connection. */
const withBody = new WeakMap<Socket, { readonly request: IncomingMessage; readonly response: ServerResponse }>()

/** Returns the response, if any, to the request whose body a connection is sending now. */
export function responseBeforeBody(socket: Socket): ServerResponse | undefined {
  const last = withBody.get(socket)
  return last?.response.headersSent && !last.request.complete ? last.response : undefined
}

/** Reads what is left of a body behind its response, within bounds; then cuts the connection. */
function limitDrain(request: IncomingMessage, response: ServerResponse, limits: HttpLimits): void {
  withBody.set(request.socket, { request, response })
  response.once('finish', () => {
    if (request.complete || request.destroyed) return
    const { socket } = request
    const maxBytes = socket.bytesRead + limits.drainBytes
    const deadline = performance.now() + limits.drainTimeoutMs
    // The parser reads from the socket itself, without an event for each chunk.
    const check = setInterval(
      () => {
        if (socket.bytesRead > maxBytes || performance.now() >= deadline) socket.destroy()
      },
      Math.min(100, limits.drainTimeoutMs),
    )
    const stop = () => {
      clearInterval(check)
      socket.off('close', stop)
    }
    request.once('end', stop)
    socket.once('close', stop)
    request.resume()
  })
}
