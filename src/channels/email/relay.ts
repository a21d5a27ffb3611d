import type { Readable } from 'node:stream'
import { createTransport } from 'nodemailer'
import { RefusedError, RetryError } from '../adapter.ts'
import { unknownError } from '../statuses.ts'

/** Who a copy of a mail is from and for, as servers are told: not what its headers say. */
export interface Envelope {
  readonly from: string
  readonly to: string
}

/** Hands mails to the operator's own mail server, which delivers them. */
export interface Relay {
  /** Returns the server's reply. Throws RetryError or RefusedError. */
  send(envelope: Envelope, mail: Readable): Promise<{ readonly response: string }>
  close(): void
}

/** Connections at a time; mails wait for one. */
const maxConnections = 5
const connectTimeoutMs = 15_000
/** Below the time that a delivery may take. */
const silenceTimeoutMs = 45_000

/** `url`: `smtp://` (with STARTTLS where it is offered) or `smtps://`. */
export function smtpRelay(url: string): Relay {
  const transport = createTransport({
    url,
    pool: true,
    maxConnections,
    connectionTimeout: connectTimeoutMs,
    greetingTimeout: connectTimeoutMs,
    socketTimeout: silenceTimeoutMs,
    disableFileAccess: true,
    disableUrlAccess: true,
  })
  return {
    async send({ from, to }, mail) {
      try {
        const { response } = await transport.sendMail({ envelope: { from, to: [to] }, raw: mail })
        return { response }
      } catch (error) {
        throw errorFor(error)
      }
    },
    close: () => transport.close(),
  }
}

interface SmtpError extends Error {
  readonly code?: string
  /** The server's reply. */
  readonly response?: string
  readonly responseCode?: number
}

/** Replies that are about the server's settings, not about the mail: it waits until they are put right. */
const settingsReplies: readonly number[] = [421, 454, 530, 534, 535, 538]

function errorFor(thrown: unknown): Error {
  if (!(thrown instanceof Error)) return new RetryError('the connection to the mail server failed')
  const { code, response, responseCode } = thrown as SmtpError
  if (responseCode === undefined) return new RetryError(`no reply of the mail server (${code ?? thrown.name})`)
  const answer = { response_status: responseCode, ...(response !== undefined && { response }) }
  if (settingsReplies.includes(responseCode)) return new RetryError(`the mail server replied ${responseCode}`, answer)
  const status = enhancedStatus(response)
  if (responseCode < 500) {
    return new RetryError(`the mail server replied ${responseCode}`, { ...answer, error_code: errorCodeFor(status) })
  }
  // Without a code of its own: what servers reply when they know no such recipient.
  const unknown = code === 'EENVELOPE' && (responseCode === 550 || responseCode === 553) ? '5.1.1' : null
  return new RefusedError(errorCodeFor(status ?? unknown), `the mail server replied ${responseCode}`, answer)
}

/** Returns the enhanced status code (RFC 3463) in a reply or a report. */
export function enhancedStatus(text: string | null | undefined): string | null {
  return /(?:^|[^\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])/.exec(text ?? '')?.[1] ?? null
}

/**
 * Returns the error code of a receipt. The vendor has none for mail: those of text messages that mean the same. 30005: no such
 * address; 30003: it takes no mail now; 30007: refused by a filter or a policy.
 */
export function errorCodeFor(status: string | null): number {
  const [, subject] = status?.split('.') ?? []
  if (subject === '1') return 30005
  if (subject === '2') return 30003
  if (subject === '7') return 30007
  return unknownError
}

/** Whether a status says that there is no such address, now and for ever: it gets no more mail. */
export function isDead(status: string | null): boolean {
  return status !== null && /^5\.1\.(?:0|1|2|3|6|10)$/.test(status)
}
