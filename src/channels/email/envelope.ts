import { headerOf, headersOf } from './headers.ts'
import { mailboxesIn, parseHead } from './parse.ts'
import type { RawMail } from './take.ts'

/** The headers in which servers write to whom a mail was delivered, the most certain first. */
const delivered = ['x-original-to', 'delivered-to', 'envelope-to', 'x-envelope-to', 'x-gm-original-to', 'resent-to']
const addressed = ['to', 'cc']
const maxRecipients = 100

/**
 * Returns the envelope of a mail that has lost it, as its headers show it: the sender of `Return-Path`, and the recipients that a server
 * has written into it and those of its sender.
 */
export async function envelopeOf(raw: Uint8Array): Promise<Pick<RawMail, 'from' | 'to'>> {
  const { headers } = await parseHead(raw)
  const path = headerOf(headers, 'return-path')
  const found = [...delivered, ...addressed].flatMap((name) => headersOf(headers, name).flatMap((value) => mailboxesIn(value)))
  const byAddress = new Map(found.map(({ address }) => [address.toLowerCase(), address]))
  return { from: path === undefined ? null : path.replace(/^<|>$/g, ''), to: [...byAddress.values()].slice(0, maxRecipients) }
}
