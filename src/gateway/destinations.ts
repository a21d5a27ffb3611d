import { isIP } from 'node:net'
import { hostNameOf, isConversationsHost, isVendorHost } from '../urls.ts'

/** Where a program wants to go. */
export interface Destination {
  /** A name in lower case without a dot at its end, or an address without brackets. */
  readonly host: string
  readonly port: number
}

/** What the proxy does with a destination. */
export type Decision = 'parley' | 'refuse' | 'pass'

/** Reads the target of a CONNECT request, `host:port`; null when it is none. */
export function parseAuthority(text: string): Destination | null {
  const [, bracketed, plain, port = ''] = /^(?:\[([\da-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(text) ?? []
  if (bracketed !== undefined && isIP(bracketed) !== 6) return null
  return destination(bracketed ?? plain, Number(port))
}

/** Reads the target of a request in absolute form, `http://…`; null when it is none. */
export function parseAbsolute(text: string): (Destination & { readonly path: string }) | null {
  if (!/^http:\/\//i.test(text) || !URL.canParse(text)) return null
  const url = new URL(text)
  const found = destination(url.hostname.replace(/^\[(.*)\]$/, '$1'), Number(url.port || 80))
  return found && { ...found, path: url.pathname + url.search }
}

function destination(host: string | undefined, port: number): Destination | null {
  if (host === undefined || port < 1 || port > 65_535) return null
  const name = isIP(host) ? host : hostNameOf(host)
  return name === '' || name.startsWith('.') || name.endsWith('.') || name.includes('..') ? null : { host: name, port }
}

/**
 * Twilio Conversations is Parley. Other hosts of Twilio are refused unless `allowed` has them: what a program sends there would
 * reach the real service unnoticed. Everything else is none of Parley's business.
 */
export function decide({ host }: Pick<Destination, 'host'>, allowed: readonly string[]): Decision {
  if (isConversationsHost(host)) return 'parley'
  return isVendorHost(host) && !allowed.includes(host) ? 'refuse' : 'pass'
}

/** Says why a host was refused, and what to do. */
export function refusal(host: string): string {
  return `Parley stands in for conversations.twilio.com and tsock.us1.twilio.com only and lets nothing through to ${host}: set PARLEY_GATEWAY_ALLOW=${host} if it should`
}
