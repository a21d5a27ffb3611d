import { isIP, type Server } from 'node:net'
import ipaddr from 'ipaddr.js'

export interface PeerLimits {
  /** Connections of one address that are open at one time; 0: any number. */
  readonly maxConnectionsPerAddress: number
  /** Whether an address may have any number: this machine's, and those of proxies, behind which there are many callers. */
  readonly isExempt: (address: string) => boolean
}

/** Closes the connections of an address that has too many. `onRefused`: called for each. */
export function limitPeers(server: Server, limits: PeerLimits, onRefused: (address: string) => void): void {
  const { maxConnectionsPerAddress: max, isExempt } = limits
  if (max === 0) return
  const counts = new Map<string, number>()
  server.on('connection', (socket) => {
    const { remoteAddress } = socket
    // It has been closed already.
    if (remoteAddress === undefined || isExempt(remoteAddress)) return
    const peer = peerOf(remoteAddress)
    const count = (counts.get(peer) ?? 0) + 1
    if (count > max) {
      onRefused(remoteAddress)
      socket.destroy()
      return
    }
    counts.set(peer, count)
    socket.once('close', () => {
      const left = (counts.get(peer) ?? 0) - 1
      if (left > 0) counts.set(peer, left)
      else counts.delete(peer)
    })
  })
}

/** Whether an address is this machine's own: only programs on it have such. */
export function isLoopbackAddress(address: string): boolean {
  return parsedAddress(address)?.range() === 'loopback'
}

/**
 * Parses an address of the other end of a connection; null for what is none. Node appends the interface to one of the local link, whose
 * name may have characters that the parser refuses: `fe80::1%br-lan`, `fe80::1%eth0.100`.
 */
export function parsedAddress(address: string) {
  const [bare = ''] = address.split('%', 1)
  return isIP(bare) === 0 ? null : ipaddr.process(bare)
}

/** Returns what connections and failed logins are counted by. Whoever has an IPv6 address has all of its network of 64 bits. */
export function peerOf(address: string): string {
  const parsed = parsedAddress(address)
  if (parsed === null) return address
  return parsed.kind() === 'ipv4' ? parsed.toString() : parsed.toByteArray().slice(0, 8).join('.')
}
