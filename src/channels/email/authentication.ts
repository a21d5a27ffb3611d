import type { DNSResolver } from 'mailauth'
import { type Headers, headersOf } from './headers.ts'

/** Whether a mail comes from where it says: the results of SPF, DKIM and DMARC, such as `pass`; null where there is none. */
export interface Authentication {
  readonly spf: string | null
  readonly dkim: string | null
  readonly dmarc: string | null
  /** What the domain of its `From` wants done with a mail that fails DMARC. */
  readonly policy: string | null
}

/** From where a mail was received by SMTP. */
export interface Connection {
  readonly ip: string
  readonly helo: string
}

/**
 * Returns what a server of the operator's has found out: the first `Authentication-Results` (RFC 8601) with its name. Null without one.
 * That server removes those that others have written under its name.
 */
export function trustedResults(headers: Headers, server: string): Authentication | null {
  const found = headersOf(headers, 'authentication-results')
    .slice(0, 20)
    .find((value) => value.split(/[;\s]/, 1)[0]?.toLowerCase() === server.toLowerCase())
  if (found === undefined) return null
  const text = found.slice(0, 8192)
  const resultOf = (method: string) =>
    new RegExp(`(?:^|;)\\s*${method}\\s*=\\s*([a-z]{1,20})`, 'i').exec(text)?.[1]?.toLowerCase() ?? null
  const policy =
    /\bpolicy\.dmarc\s*=\s*"?([a-z]+)/i.exec(text)?.[1] ?? /;\s*dmarc\s*=[^;(]*\([^;)]{0,200}\bp\s*=\s*([a-z]+)/i.exec(text)?.[1]
  return { spf: resultOf('spf'), dkim: resultOf('dkim'), dmarc: resultOf('dmarc'), policy: policy?.toLowerCase() ?? null }
}

/** Why a mail could not be checked, as a result (RFC 8601): for now, or for good. */
export interface Unchecked {
  readonly unchecked: 'temperror' | 'permerror'
}

/** What a check asks for besides the mail. `connection`: null where the way in has lost it; then there is no SPF. */
export interface CheckRequest {
  readonly sender: string
  readonly connection: Connection | null
}

/** Asks the DNS. Its time is bounded for mails that are `checkable`. `connection`: as in CheckRequest. */
export async function authenticated(
  raw: Uint8Array,
  sender: string,
  connection: Connection | null,
  resolver?: DNSResolver,
): Promise<Authentication> {
  const { authenticate } = await import('mailauth')
  const { spf, dkim, dmarc } = await authenticate(Buffer.from(raw), {
    sender,
    ...(connection ?? {}),
    mta: 'parley',
    disableArc: true,
    disableBimi: true,
    ...(resolver && { resolver }),
  })
  const results = dkim.results.map(({ status }) => status.result)
  return {
    spf: connection && spf ? spf.status.result : null,
    dkim: results.find((result) => result === 'pass') ?? results[0] ?? null,
    dmarc: dmarc ? dmarc.status.result : null,
    policy: dmarc ? dmarc.policy : null,
  }
}

/**
 * Whether a mail is not what its domain sends: DMARC has failed, and the domain wants such mails refused. SPF alone proves nothing:
 * who forwards a mail is another server.
 */
export function isForged({ dmarc, policy }: Authentication): boolean {
  return dmarc === 'fail' && policy === 'reject'
}
