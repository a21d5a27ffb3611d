import { headersOf } from './headers.ts'
import { mailboxesIn, parseHead } from './parse.ts'

/** The headers in which servers write to whom a mail was delivered, the most certain first. */
const delivered = ['x-original-to', 'delivered-to', 'envelope-to', 'x-envelope-to', 'x-gm-original-to', 'resent-to']
const addressed = ['to', 'cc']
const maxRecipients = 100

/** Returns the recipients of a mail that has lost its envelope: those that a server has written into it, and those of its sender. */
export async function recipientsOf(raw: Uint8Array): Promise<readonly string[]> {
  const { headers } = await parseHead(raw)
  const found = [...delivered, ...addressed].flatMap((name) => headersOf(headers, name).flatMap((value) => mailboxesIn(value)))
  const byAddress = new Map(found.map(({ address }) => [address.toLowerCase(), address]))
  return [...byAddress.values()].slice(0, maxRecipients)
}
