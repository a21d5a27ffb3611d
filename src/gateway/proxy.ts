import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { type Duplex, pipeline } from 'node:stream'
import { ConfigError } from '../config-error.ts'
import { codeOf } from '../errors.ts'
import { type Destination, decide, parseAbsolute, parseAuthority, refusal } from './destinations.ts'
import { dial, dialDirectly, dialProxy, earlierProxy, hostAndPort, proxyAuthorization, UpstreamError } from './upstream.ts'

export interface ProxyOptions {
  /** 0: any free port. */
  readonly port: number
  /** Parley's ports: with TLS for the names of Conversations, and without. */
  readonly parley: { readonly tls: Destination; readonly http: Destination }
  /** Hosts of Twilio that are let through. */
  readonly allowed: readonly string[]
  /** Called with each refused host, in words. */
  readonly onRefusal: (sentence: string) => void
}

export interface RunningProxy {
  /** `http://127.0.0.1:…` */
  readonly url: string
  close(): Promise<void>
}

/** Never any other address: it would be a proxy for everybody. */
const loopback = '127.0.0.1'

/** PHP recognises a tunnel by this text alone: neither its case nor its lack of headers may change. */
const established = 'HTTP/1.1 200 Connection established\r\n\r\n'

const maxConnections = 2000
/** How long one half of a tunnel may stay silent once the other half has ended. */
const halfOpenMs = 60_000
const headTimeoutMs = 20_000
const responseTimeoutMs = 120_000

/** Between two neighbours only. RFC 9110, 7.6.1. */
const hopByHop = [
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]

/**
 * Opens the HTTP proxy that programs are given, on loopback. Tunnels to Conversations end at Parley, other hosts of Twilio are
 * refused, and everything else goes where it wants to. Throws ConfigError when the port is not available.
 */
export async function openProxy(options: ProxyOptions): Promise<RunningProxy> {
  const sockets = new Set<Socket>()
  const server = createServer({
    headersTimeout: headTimeoutMs,
    requestTimeout: 0,
    connectionsCheckingInterval: headTimeoutMs / 4,
  })
  server.maxConnections = maxConnections
  server.on('connect', (message, _stream, head) => {
    const client = message.socket
    track(sockets, client)
    connectTo(message.url ?? '', client, head, options, (socket) => track(sockets, socket)).catch((error: unknown) =>
      refuseTunnel(client, 502, error instanceof UpstreamError ? error.message : 'the tunnel could not be opened'),
    )
  })
  server.on('request', (message, response) => {
    forward(message, response, options).catch((error: unknown) =>
      answer(response, 502, error instanceof UpstreamError ? error.message : 'the request cannot be forwarded'),
    )
  })
  server.on('clientError', (error: { code?: string }, socket) => refuseUnreadable(error, socket))
  server.listen(options.port, loopback)
  await once(server, 'listening').catch((error: unknown) => {
    throw codeOf(error) === 'EADDRINUSE' || codeOf(error) === 'EACCES'
      ? new ConfigError(`port ${options.port} on ${loopback} is not available: set PARLEY_GATEWAY_PORT (--gateway-port)`)
      : error
  })
  // A connection that cannot be accepted (no descriptor left) must not end the process.
  server.on('error', () => {})
  return { url: `http://${loopback}:${(server.address() as AddressInfo).port}`, close: () => close(server, sockets) }
}

async function close(server: Server, sockets: ReadonlySet<Socket>): Promise<void> {
  const closed = once(server, 'close')
  server.close()
  server.closeAllConnections()
  for (const socket of sockets) socket.destroy()
  await closed
}

function track(sockets: Set<Socket>, socket: Socket): void {
  sockets.add(socket)
  socket.once('close', () => sockets.delete(socket))
  // Whoever reads or writes it deals with the error; a socket that nobody uses yet may be reset, too.
  socket.on('error', () => socket.destroy())
}

/** Serves a CONNECT request. Throws UpstreamError. */
async function connectTo(
  target: string,
  client: Socket,
  head: Buffer,
  { parley, allowed, onRefusal }: ProxyOptions,
  opened: (socket: Socket) => void,
): Promise<void> {
  const to = parseAuthority(target)
  if (!to) return refuseTunnel(client, 400, 'the target of CONNECT must be host:port')
  const decision = decide(to, allowed)
  if (decision === 'refuse') {
    onRefusal(refusal(to.host))
    return refuseTunnel(client, 403, refusal(to.host))
  }
  const own = to.port === 443 ? parley.tls : to.port === 80 ? parley.http : null
  if (decision === 'parley' && own === null)
    return refuseTunnel(client, 403, `Parley serves ports 443 and 80 of ${to.host}, not ${to.port}`)
  const upstream = decision === 'parley' && own ? await dialDirectly(own) : await dial(to, portOf(client))
  opened(upstream)
  if (client.destroyed) return void upstream.destroy()
  client.write(established)
  if (head.length > 0) upstream.write(head)
  join(client, upstream)
}

/** Carries bytes both ways, until both ends have ended or one of them fails. */
function join(client: Socket, upstream: Socket): void {
  const carry = (from: Socket, to: Socket) => {
    from.pipe(to)
    from.once('end', () => upstream.setTimeout(halfOpenMs, () => upstream.destroy()))
    // What has ended properly has also ended the other one, which may still have something to write.
    from.once('close', () => from.readableEnded || to.destroy())
  }
  carry(client, upstream)
  carry(upstream, client)
}

/** Serves a request in absolute form, which is how plain HTTP goes through a proxy. Throws UpstreamError. */
async function forward(message: IncomingMessage, response: ServerResponse, options: ProxyOptions): Promise<void> {
  const { parley, allowed, onRefusal } = options
  const to = parseAbsolute(message.url ?? '')
  if (!to)
    return answer(response, 400, 'this is the proxy of parley exec: it serves CONNECT, and requests with a whole http:// URL')
  const decision = decide(to, allowed)
  if (decision === 'refuse') {
    onRefusal(refusal(to.host))
    return answer(response, 403, refusal(to.host))
  }
  const proxy = decision === 'parley' ? null : earlierProxy('http', to, portOf(message.socket))
  const socket = await (proxy ? dialProxy(proxy) : dialDirectly(decision === 'parley' ? parley.http : to))
  const outgoing = request({
    method: message.method,
    path: proxy ? `http://${hostAndPort(to)}${to.path}` : to.path,
    headers: { ...endToEnd(message), host: hostHeader(to), ...(proxy && proxyAuthorization(proxy)) },
    createConnection: () => socket,
    timeout: responseTimeoutMs,
  })
  outgoing.on('timeout', () => outgoing.destroy(new UpstreamError(`${hostAndPort(to)} did not respond in time`)))
  // The rest of the connection belongs to nobody else.
  response.once('close', () => socket.destroy())
  message.pipe(outgoing)
  const [incoming] = await once(outgoing, 'response').catch((error: unknown) => {
    throw error instanceof UpstreamError ? error : new UpstreamError(`${hostAndPort(to)} did not respond (${codeOf(error)})`)
  })
  response.writeHead(incoming.statusCode, incoming.statusMessage, endToEnd(incoming))
  pipeline(incoming, response, () => {})
}

/** The target alone says where a request goes: what the client has in `Host` is replaced. RFC 9112, 3.2.2. */
function hostHeader(to: Destination): string {
  return hostAndPort(to).replace(/:80$/, '')
}

/** The port at which a client has reached this proxy. */
function portOf({ localPort = 0 }: Socket): number {
  return localPort
}

/** Returns the headers without those that concern one connection only. */
function endToEnd({ headers, headersDistinct }: IncomingMessage): Record<string, string | string[]> {
  const listed = (headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase())
  const left = Object.entries(headersDistinct).filter(([name]) => !hopByHop.includes(name) && !listed.includes(name))
  return Object.fromEntries(
    left.map(([name, values = []]) => [name, values.length === 1 && values[0] !== undefined ? values[0] : values]),
  )
}

function answer(response: ServerResponse, status: number, sentence: string): void {
  if (response.headersSent) return void response.destroy()
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', connection: 'close' }).end(`${sentence}\n`)
}

/** Refuses a tunnel. The sentence is also the reason, which is all that some clients show. */
function refuseTunnel(socket: Duplex, status: number, sentence: string): void {
  if (!socket.writable) return void socket.destroy()
  const body = `${sentence}\n`
  const head = [
    `HTTP/1.1 ${status} ${sentence.replace(/[^\x20-\x7e]/g, '?')}`,
    'content-type: text/plain; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
  ]
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
  // What the client still sends is of no interest, but must be read, or its end would never be seen.
  socket.resume()
}

function refuseUnreadable(error: { code?: string }, socket: Duplex): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  if (error.code === 'HPE_HEADER_OVERFLOW') return void refuseTunnel(socket, 431, 'the head of the request is too large')
  if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') return void refuseTunnel(socket, 408, 'the request was not complete in time')
  refuseTunnel(socket, 400, 'this is not an HTTP request')
}
