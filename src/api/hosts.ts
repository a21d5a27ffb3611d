import { isIP } from 'node:net'
import type { Config } from '../config.ts'

/** Whether a `Host` header names this server. */
export type HostCheck = (header: string) => boolean

/** Texts of headers that were allowed; a client sends the same one each time. */
const max_known = 100

/**
 * Returns the check of `Host`, or null where any will do: where nothing says by which names the server is called. A page can make a
 * browser call this machine by a name of its own (DNS rebinding) and then read what a server on loopback says; the name gives it
 * away. An address is no name, so it cannot be rebound.
 */
export function hostCheck({ host, public_url, allowed_hosts }: Pick<Config, 'host' | 'public_url' | 'allowed_hosts'>) {
  if (!isLoopback(host) && public_url === null && allowed_hosts.length === 0) return null
  const names = new Set(['localhost', host.toLowerCase(), ...allowed_hosts])
  if (public_url !== null) names.add(new URL(public_url).hostname)
  const known = new Set<string>()
  const check: HostCheck = (header) => {
    if (known.has(header)) return true
    const name = nameOf(header)
    if (isIP(name) === 0 && !names.has(name)) return false
    if (known.size < max_known) known.add(header)
    return true
  }
  return check
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.')
}

/** Returns the name of `name:port`, `[address]:port` or either alone. */
function nameOf(header: string): string {
  const name = /^\[(.*)\](?::\d+)?$/.exec(header)?.[1] ?? header.replace(/:\d*$/, '')
  return name.toLowerCase().replace(/\.$/, '')
}
