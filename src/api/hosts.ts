import { isIP } from 'node:net'
import type { Config } from '../config.ts'
import { isLoopback } from '../setting-values.ts'
import { hostNameOf, isConversationsHost } from '../urls.ts'

/** Whether a `Host` header names this server. */
export type HostCheck = (header: string) => boolean

/** Texts of headers that were allowed; a client sends the same one each time. */
const maxKnown = 100

/**
 * Returns the check of `Host`, or null where any will do: where nothing says by which names the server is called. A page can make a
 * browser call this machine by a name of its own (DNS rebinding) and then read what a server on loopback says; the name gives it
 * away. An address is no name, so it cannot be rebound. Nor can the names of Twilio Conversations be by anybody else, which clients
 * send that are led here.
 */
export function hostCheck({ host, publicUrl, allowedHosts }: Pick<Config, 'host' | 'publicUrl' | 'allowedHosts'>) {
  if (!isLoopback(host) && publicUrl === null && allowedHosts.length === 0) return null
  const names = new Set(['localhost', host.toLowerCase(), ...allowedHosts])
  if (publicUrl !== null) names.add(new URL(publicUrl).hostname)
  const known = new Set<string>()
  const check: HostCheck = (header) => {
    if (known.has(header)) return true
    const name = hostNameOf(header)
    if (isIP(name) === 0 && !names.has(name) && !isConversationsHost(name)) return false
    if (known.size < maxKnown) known.add(header)
    return true
  }
  return check
}
