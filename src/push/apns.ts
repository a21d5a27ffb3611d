import { createPrivateKey, type KeyObject, X509Certificate } from 'node:crypto'
import { type ClientHttp2Session, connect, constants } from 'node:http2'
import { LRUCache } from 'lru-cache'
import { type SendResult, webhookTimeoutMs } from '../delivery/client.ts'
import { unsent } from '../delivery/handler.ts'
import { parseJsonObject } from '../json.ts'
import { retryAfterMs } from '../retry-after.ts'

export const appleApns = { production: 'https://api.push.apple.com', sandbox: 'https://api.sandbox.push.apple.com' } as const

/** Sends pushes by APNs, over HTTP/2. */
export interface ApnsSender {
  send(push: ApnsPush, signal: AbortSignal): Promise<SendResult>
  close(): void
}

/** The secrets of a credential, as they were given; empty when not. */
export interface ApnsSecrets {
  /** PEM. With a token in its place: empty. */
  readonly certificate: string
  /** PEM: of the certificate, or the key (`.p8`) that signs tokens. */
  readonly private_key: string
  /** JSON text: `key_id`, `team_id` and `topic` of tokens; of a certificate at most the topic. */
  readonly secret: string
}

export interface ApnsPush extends ApnsSecrets {
  /** Of the credential in this state: its connection is kept under it. */
  readonly name: string
  readonly sandbox: boolean
  /** The token of the device. */
  readonly token: string
  /** A UUID. */
  readonly id: string
  readonly payload: object
  /** Whether there is something to show. */
  readonly alert: boolean
}

export interface ApnsOptions {
  /** In place of Apple's; null: Apple's. */
  readonly baseUrl: string | null
  /** Returns the time that Apple's clocks show, epoch ms: never that of a test clock. */
  readonly now: () => number
  /** Of one push; by default that of webhooks. */
  readonly timeoutMs?: number
  /** Certificate authorities in place of those that are known. */
  readonly ca?: string
}

/** How a credential authenticates itself. */
interface Identity {
  readonly topic: string
  readonly certificate: { readonly cert: string; readonly key: string } | null
  readonly token: { readonly key: KeyObject; readonly key_id: string; readonly team_id: string } | null
}

const maxSessions = 100
/** A connection that has not been used for so long is closed. */
const idleMs = 600_000
/** Apple takes tokens between 20 and 60 minutes of age. */
const tokenLifetimeMs = 2_400_000
/** Seconds for which Apple keeps a push for a device that is off. */
const lifetimeS = 86_400
const maxBodyChars = 65_536

export function createApnsSender({ baseUrl, now, ca, timeoutMs = webhookTimeoutMs }: ApnsOptions): ApnsSender {
  const sessions = new LRUCache<string, ClientHttp2Session>({ max: maxSessions, dispose: (session) => session.close() })
  const tokens = new LRUCache<string, { readonly value: string; readonly made: number }>({ max: maxSessions })

  // Reading a key takes longer than all the rest.
  const identities = new LRUCache<string, Identity>({ max: maxSessions })

  function identityFor(push: ApnsPush): Identity | string {
    const known = identities.get(push.name) ?? identityOf(push)
    if (typeof known !== 'string') identities.set(push.name, known)
    return known
  }

  function sessionFor(name: string, origin: string, { certificate }: Identity): ClientHttp2Session {
    const known = sessions.get(name)
    if (known && !known.closed && !known.destroyed) return known
    const session = connect(origin, { ...certificate, ...(ca !== undefined && { ca }) })
    const forget = () => {
      if (sessions.peek(name) === session) sessions.delete(name)
    }
    // The requests on it fail by themselves.
    session.on('error', forget)
    session.on('goaway', forget)
    session.on('close', forget)
    session.setTimeout(idleMs, () => session.close())
    session.unref()
    sessions.set(name, session)
    return session
  }

  async function tokenFor(name: string, { token }: Identity): Promise<string | null> {
    if (!token) return null
    const known = tokens.get(name)
    if (known && now() - known.made < tokenLifetimeMs) return known.value
    const { SignJWT } = await import('jose')
    const made = now()
    const value = await new SignJWT({})
      .setProtectedHeader({ alg: 'ES256', kid: token.key_id })
      .setIssuer(token.team_id)
      .setIssuedAt(Math.floor(made / 1000))
      .sign(token.key)
    tokens.set(name, { value, made })
    return value
  }

  return {
    async send(push, signal) {
      const { name, sandbox, token, id, payload, alert } = push
      const identity = identityFor(push)
      if (typeof identity === 'string') return unsent(identity)
      const bearer = await tokenFor(name, identity)
      const headers = {
        ':method': 'POST',
        ':path': `/3/device/${encodeURIComponent(token)}`,
        'apns-topic': identity.topic,
        'apns-push-type': 'alert',
        'apns-priority': alert ? '10' : '5',
        'apns-expiration': String(Math.floor(now() / 1000) + lifetimeS),
        'apns-id': id,
        ...(bearer !== null && { authorization: `bearer ${bearer}` }),
      }
      const origin = baseUrl ?? appleApns[sandbox ? 'sandbox' : 'production']
      const started = performance.now()
      const timeout = AbortSignal.timeout(timeoutMs)
      const answer = await exchange(
        () => sessionFor(name, origin, identity),
        headers,
        JSON.stringify(payload),
        AbortSignal.any([signal, timeout]),
        now,
      )
      const result = { ...answer, duration_ms: performance.now() - started }
      if (timeout.aborted && answer.kind === 'failed') {
        // A connection that does not answer would keep the next ones waiting, too.
        sessions.peek(name)?.destroy()
        return { ...result, kind: 'timeout', error: 'no response in time' }
      }
      if (reasonOf(result) === 'ExpiredProviderToken') tokens.delete(name)
      return result
    },
    close: () => sessions.clear(),
  }
}

function exchange(
  session: () => ClientHttp2Session,
  headers: Readonly<Record<string, string>>,
  body: string,
  signal: AbortSignal,
  now: () => number,
): Promise<Omit<SendResult, 'duration_ms'>> {
  return new Promise((resolve) => {
    const failed = (error: unknown) => {
      resolve({ kind: 'failed', status: null, body: '', error: error instanceof Error ? error.message.slice(0, 300) : 'failed' })
    }
    try {
      const stream = session().request({ ...headers }, { signal })
      let status = 0
      let text = ''
      let retry_after_ms: number | null = null
      stream.setEncoding('utf8')
      stream.on('response', (response) => {
        status = Number(response[constants.HTTP2_HEADER_STATUS])
        retry_after_ms = retryAfterMs(response[constants.HTTP2_HEADER_RETRY_AFTER], now())
      })
      stream.on('data', (chunk: string) => {
        if (text.length < maxBodyChars) text += chunk
      })
      stream.on('error', failed)
      stream.on('close', () => {
        if (status === 0) return failed(new Error('the connection was closed'))
        const reason = reasonIn(text)
        resolve({
          kind: 'answered',
          status,
          body: text,
          error: status === 200 || reason === null ? null : `HTTP ${status}: ${reason}`,
          ...(retry_after_ms !== null && { retry_after_ms }),
        })
      })
      stream.end(body)
    } catch (error) {
      failed(error)
    }
  })
}

/** Returns how a credential authenticates itself, or why it cannot. */
function identityOf({ certificate, private_key, secret }: ApnsSecrets): Identity | string {
  const given = parseJsonObject(secret) ?? {}
  const topic = typeof given.topic === 'string' ? given.topic : null
  if (private_key === '') return 'the credential has no private key'
  try {
    const key = createPrivateKey(private_key)
    if (certificate !== '') {
      const subject = topic ?? topicOf(certificate)
      if (subject === null) return 'the certificate names no topic, and the Secret of the credential has none'
      return { topic: subject, certificate: { cert: certificate, key: private_key }, token: null }
    }
    const { key_id, team_id } = given
    if (topic === null || typeof key_id !== 'string' || typeof team_id !== 'string') {
      return 'without a certificate the Secret of the credential must be a JSON object with key_id, team_id and topic'
    }
    if (key.asymmetricKeyType !== 'ec') return 'the private key is none for APNs tokens'
    return { topic, certificate: null, token: { key, key_id, team_id } }
  } catch {
    return 'the certificate or the private key of the credential is not PEM'
  }
}

/** The bundle id in the subject of a certificate; null when there is none. Throws when it is no certificate. */
function topicOf(certificate: string): string | null {
  return /^UID=(.+)$/m.exec(new X509Certificate(certificate).subject)?.[1] ?? null
}

function reasonIn(body: string): string | null {
  const { reason } = parseJsonObject(body) ?? {}
  return typeof reason === 'string' ? reason.slice(0, 100) : null
}

export function reasonOf({ body }: SendResult): string | null {
  return reasonIn(body)
}

/**
 * Whether APNs says that the device will never get a push of this topic again (documented). A status without its reason is not from
 * APNs, but from what is in between.
 */
export function isGoneFromApns(result: SendResult): boolean {
  const reason = reasonOf(result)
  if (result.status === 410) return reason === 'Unregistered' || reason === 'ExpiredToken'
  return result.status === 400 && (reason === 'BadDeviceToken' || reason === 'DeviceTokenNotForTopic')
}
