import type { IncomingMessage } from 'node:http'
import { isIP } from 'node:net'
import ipaddr from 'ipaddr.js'
import { hostNameOf, isConversationsHost } from '../urls.ts'
import { parsedAddress } from './peers.ts'

/** Whether an address is that of a proxy whose headers count. */
export type ProxyCheck = (address: string) => boolean

/** Whoever sends a request: one of Fastify's, or one to upgrade a connection. */
export interface Caller {
  readonly headers: IncomingMessage['headers']
  readonly raw: Pick<IncomingMessage, 'socket'>
  readonly server: { readonly isTrustedProxy?: ProxyCheck | null | undefined }
}

/** Proxies and hosts are few: they need not be parsed again. */
const maxKnown = 100

/** Returns the check for a list of addresses and networks; null where nobody is trusted. */
export function proxyCheck(networks: readonly string[]): ProxyCheck | null {
  if (networks.length === 0) return null
  const ranges = networks.map((network) => {
    if (network.includes('/')) return ipaddr.parseCIDR(network)
    const address = ipaddr.process(network)
    return [address, address.kind() === 'ipv4' ? 32 : 128] as const
  })
  const known = new Map<string, boolean>()
  return (address) => {
    const found = known.get(address)
    if (found !== undefined) return found
    const parsed = parsedAddress(address)
    const trusted = parsed !== null && ranges.some(([range, bits]) => range.kind() === parsed.kind() && parsed.match(range, bits))
    if (known.size < maxKnown) known.set(address, trusted)
    return trusted
  }
}

/**
 * Returns the base of the urls in a response, without `/v1`. A caller that knows Parley by a name of Twilio's gets that name back,
 * and always with https: it must never send its credentials to the real host in clear text. Others get the public URL, or else the
 * host and the protocol that they have used themselves.
 */
export function baseOf(request: Caller, publicUrl: string | null): string {
  const host = hostOf(request) ?? 'localhost'
  const secure = isSecure(request)
  const isVendors = isOfConversations(host)
  if (publicUrl !== null && !(secure && isVendors)) return publicUrl
  return `${secure || isVendors ? 'https' : 'http'}://${host}`
}

/** Hosts that callers have used: a client sends the same one each time. */
const knownHosts = new Map<string, boolean>()

function isOfConversations(host: string): boolean {
  const known = knownHosts.get(host)
  if (known !== undefined) return known
  const found = isConversationsHost(hostNameOf(host))
  if (knownHosts.size < maxKnown) knownHosts.set(host, found)
  return found
}

/** Returns the host that the caller used, with its port if it has one. */
export function hostOf(request: Caller): string | undefined {
  const forwarded = forwardedBy(request, 'x-forwarded-host')
  return forwarded !== undefined && isHost(forwarded) ? forwarded : request.headers.host
}

function isHost(text: string): boolean {
  const [, port = '1'] = /^(?:[\w.-]+|\[[\da-fA-F:.]+\])(?::(\d{1,5}))?$/.exec(text) ?? ['', '0']
  return Number(port) >= 1 && Number(port) <= 65_535
}

/** Returns the address of the caller: the other end of the connection, or, behind trusted proxies, the last that none of them has. */
export function addressOf(request: Caller): string {
  let address = connectedAddress(request)
  const isTrusted = request.server.isTrustedProxy
  const forwarded = request.headers['x-forwarded-for']
  if (!isTrusted || typeof forwarded !== 'string' || !isTrusted(address)) return address
  for (const entry of forwarded.split(',').reverse()) {
    const next = entry.trim().replace(/^\[(.+)\](?::\d+)?$|^([\d.]+):\d+$/, '$1$2')
    if (isIP(next) === 0) return address
    address = next
    if (!isTrusted(address)) return address
  }
  return address
}

export function isSecure(request: Caller): boolean {
  const forwarded = forwardedBy(request, 'x-forwarded-proto')?.toLowerCase()
  return forwarded === 'https' || (forwarded !== 'http' && 'encrypted' in request.raw.socket)
}

/** Returns what the nearest proxy, if it is trusted, says in a header: the last entry, because callers can send entries of their own. */
function forwardedBy(request: Caller, name: 'x-forwarded-host' | 'x-forwarded-proto'): string | undefined {
  const header = request.headers[name]
  if (typeof header !== 'string' || !request.server.isTrustedProxy?.(connectedAddress(request))) return undefined
  return header.slice(header.lastIndexOf(',') + 1).trim()
}

function connectedAddress({ raw }: Caller): string {
  return raw.socket.remoteAddress ?? ''
}
