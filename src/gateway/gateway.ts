import { once } from 'node:events'
import type { Server } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:tls'
import type { Logger } from 'pino'
import type { Config } from '../config.ts'
import { ConfigError } from '../config-error.ts'
import { gatewayFolder } from '../data-folders.ts'
import { codeOf } from '../errors.ts'
import { isConversationsHost } from '../urls.ts'
import type { Authority } from './authority.ts'
import type { Destination } from './destinations.ts'
import { openProxy, type RunningProxy } from './proxy.ts'

/** Where unchanged programs find Parley. */
export interface OpenGateway {
  /** The URL of the proxy. */
  readonly proxyUrl: string
  /** The port, on loopback, that serves the names of Conversations with TLS. */
  readonly tlsPort: number
  /** The certificate of the authority that the certificates of this port are issued by, PEM. */
  readonly authority: string
}

export interface GatewayOptions {
  readonly config: Config
  /** Serves all requests, and listens without TLS. */
  readonly http: Server
  readonly maxConnections: number
  readonly log: Logger
}

const loopback = '127.0.0.1'
const standardName = 'conversations.twilio.com'
const handshakeTimeoutMs = 20_000

/**
 * The way to Parley for programs that are not changed: a proxy and a TLS port, both on loopback. It opens when it is first asked
 * for, so that a server without such programs neither has a certificate authority nor loads what makes one.
 */
export class Gateway {
  readonly #options: GatewayOptions
  #opened: Promise<OpenGateway> | undefined
  #tls: TlsServer | undefined
  readonly #sockets = new Set<Socket>()
  #proxy: RunningProxy | undefined

  constructor(options: GatewayOptions) {
    this.#options = options
  }

  /** Opens it, or returns what is open. Throws ConfigError when a port or the kept authority is not available. */
  open(): Promise<OpenGateway> {
    this.#opened ??= this.#open().catch(async (error) => {
      await this.close()
      throw error
    })
    return this.#opened
  }

  /** Closes both ports and cuts what is connected: the server has finished its requests before. */
  async close(): Promise<void> {
    const [proxy, tls] = [this.#proxy, this.#tls]
    this.#opened = this.#proxy = this.#tls = undefined
    await proxy?.close()
    if (!tls?.listening) return
    const closed = once(tls.close(), 'close')
    for (const socket of this.#sockets) socket.destroy()
    await closed
  }

  async #open(): Promise<OpenGateway> {
    const { config, http, log } = this.#options
    const { Authority } = await import('./authority.ts')
    const authority = await Authority.open(gatewayFolder(config))
    const tlsPort = await this.#listen(authority, config.gatewayTlsPort ?? 0)
    this.#proxy = await openProxy({
      port: config.gatewayPort ?? 0,
      parley: { tls: { host: loopback, port: tlsPort }, http: listening(http) },
      allowed: config.gatewayAllow,
      onRefusal: (sentence) => log.warn(sentence),
    })
    return { proxyUrl: this.#proxy.url, tlsPort, authority: authority.certificate }
  }

  async #listen(authority: Authority, port: number): Promise<number> {
    const { http, maxConnections, log } = this.#options
    const tls = createTlsServer({
      // For clients that name no host.
      ...authority.credentialsFor(standardName),
      ALPNProtocols: ['http/1.1'],
      handshakeTimeout: handshakeTimeoutMs,
      SNICallback: (name, done) => {
        if (isConversationsHost(name)) done(null, authority.contextFor(name.toLowerCase()))
        else done(new Error('not a name of Conversations'))
      },
    })
    this.#tls = tls
    tls.maxConnections = maxConnections
    tls.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    tls.on('secureConnection', (socket) => {
      if (http.listening) http.emit('connection', socket)
      else socket.destroy()
    })
    tls.on('tlsClientError', (err, socket) => {
      log.debug({ err }, 'a TLS connection was not established')
      socket.destroy()
    })
    tls.listen(port, loopback)
    await once(tls, 'listening').catch((error: unknown) => {
      throw codeOf(error) === 'EADDRINUSE' || codeOf(error) === 'EACCES'
        ? new ConfigError(`port ${port} on ${loopback} is not available: set PARLEY_GATEWAY_TLS_PORT (--gateway-tls-port)`)
        : error
    })
    tls.on('error', (err) => log.error({ err }, 'a connection was not accepted'))
    return (tls.address() as AddressInfo).port
  }
}

/** Where a server can be reached from this machine. */
function listening(server: Server): Destination {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the server does not listen on a TCP port')
  const host = address.address === '0.0.0.0' ? loopback : address.address === '::' ? '::1' : address.address
  return { host, port: address.port }
}
