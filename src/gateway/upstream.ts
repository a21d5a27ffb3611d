import { once } from 'node:events'
import { request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { getProxyForUrl } from 'proxy-from-env'
import type { Destination } from './destinations.ts'

const connectTimeoutMs = 20_000

/** A destination cannot be reached. The message is for the person who runs the program. */
export class UpstreamError extends Error {
  override readonly name = 'UpstreamError'
}

/** Returns `host:port`, with brackets around an IPv6 address. */
export function hostAndPort({ host, port }: Destination): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/**
 * Returns the proxy that the environment of this process names for a destination; null: none. Nor is it the one on `ownPort`, which
 * the environment names when it was made by `parley env`. Throws UpstreamError.
 */
export function earlierProxy(protocol: 'http' | 'https', to: Destination, ownPort: number): URL | null {
  const text = getProxyForUrl(`${protocol}://${hostAndPort(to)}`)
  if (text === '') return null
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new UpstreamError(
      `the proxy for ${to.host} is neither http:// nor https://: correct HTTP_PROXY, HTTPS_PROXY or ALL_PROXY`,
    )
  }
  const proxy = new URL(text)
  return proxy.port === String(ownPort) && /^(?:localhost|127\.|\[::1\])/.test(proxy.hostname) ? null : proxy
}

/** The header by which a proxy with a user name in its URL is given its credentials. */
export function proxyAuthorization({ username, password }: URL): Record<string, string> {
  if (username === '') return {}
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`
  return { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` }
}

/** Connects to a destination, through the proxy that was set before where there is one. Throws UpstreamError. */
export async function dial(to: Destination, ownPort: number): Promise<Socket> {
  const proxy = earlierProxy('https', to, ownPort)
  return proxy ? tunnel(proxy, to) : dialDirectly(to)
}

/** Connects to an address without any proxy. Throws UpstreamError. */
export function dialDirectly({ host, port }: Destination): Promise<Socket> {
  return opened(connect({ host, port, allowHalfOpen: true }), { host, port })
}

/** Connects to a proxy itself. Throws UpstreamError. */
export function dialProxy(proxy: URL): Promise<Socket> {
  const secure = proxy.protocol === 'https:'
  const host = proxy.hostname.replace(/^\[(.*)\]$/, '$1')
  const port = Number(proxy.port || (secure ? 443 : 80))
  return secure
    ? opened(connectTls({ host, port, servername: host, ALPNProtocols: ['http/1.1'] }), { host, port }, 'secureConnect')
    : dialDirectly({ host, port })
}

async function opened(socket: Socket, to: Destination, event = 'connect'): Promise<Socket> {
  const signal = AbortSignal.timeout(connectTimeoutMs)
  try {
    await once(socket, event, { signal })
    return socket
  } catch (error) {
    socket.destroy()
    const reason = signal.aborted ? 'no connection in time' : messageOf(error)
    throw new UpstreamError(`${hostAndPort(to)} cannot be reached (${reason})`)
  }
}

/** Asks the proxy that was set before for a tunnel. */
async function tunnel(proxy: URL, to: Destination): Promise<Socket> {
  const connection = await dialProxy(proxy)
  const target = hostAndPort(to)
  const asked = request({
    method: 'CONNECT',
    path: target,
    headers: { host: target, ...proxyAuthorization(proxy) },
    createConnection: () => connection,
    signal: AbortSignal.timeout(connectTimeoutMs),
  }).end()
  const [response, socket, head] = await once(asked, 'connect').catch((error: unknown) => {
    connection.destroy()
    throw new UpstreamError(`the proxy ${proxy.host} opened no tunnel to ${target} (${messageOf(error)})`)
  })
  if (response.statusCode !== 200) {
    socket.destroy()
    throw new UpstreamError(`the proxy ${proxy.host} refused a tunnel to ${target} (${response.statusCode})`)
  }
  if (head.length > 0) socket.unshift(head)
  return socket
}

function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown reason'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.message
}
