/** Loaded before the server that is tested: whatever addresses it is talked into, nothing leaves this machine. */
import dns from 'node:dns'
import { isIP, type NetConnectOpts, Socket } from 'node:net'

const here = /^(?:127\.|::1$|localhost$|\[::1\]$|$)/

const connect = Socket.prototype.connect as (this: Socket, ...given: unknown[]) => Socket

Socket.prototype.connect = function guarded(this: Socket, ...given: unknown[]): Socket {
  const [first] = given.flat() as [NetConnectOpts | undefined]
  const host = first && typeof first === 'object' && 'host' in first ? (first.host ?? '') : ''
  if (here.test(host)) return connect.apply(this, given)
  process.nextTick(() => this.destroy(new Error('connect EHOSTUNREACH: only this machine is reached')))
  return this
} as Socket['connect']

const { lookup } = dns
dns.lookup = ((hostname: string, options: dns.LookupOptions, callback: (error: Error | null, ...found: unknown[]) => void) => {
  if (here.test(hostname) || isIP(hostname)) return lookup(hostname, options, callback as never)
  process.nextTick(callback, new Error('getaddrinfo ENOTFOUND: only this machine is reached'))
}) as typeof lookup
