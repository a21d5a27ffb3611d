import { createPrivateKey, type KeyObject } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { type SendResult, type WebhookClient, webhookTimeoutMs } from '../delivery/client.ts'
import { isDelivered, unsent } from '../delivery/handler.ts'
import { deliverableUrl } from '../delivery/signature.ts'
import { isJsonObject, parseJsonObject } from '../json.ts'
import { retryAfterMs } from '../retry-after.ts'
import { fcmMessage, type PushData } from './payload.ts'

const googleTokens = 'https://oauth2.googleapis.com/token'
const scope = 'https://www.googleapis.com/auth/firebase.messaging'
const grantType = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const assertionLifetimeS = 3600
/** A token is replaced so long before its end. */
const earlyMs = 120_000
/** Of a token whose response does not say. */
const defaultLifetimeS = 3000
const maxAccounts = 1000
/** Of what the url of the tokens calls an error: the url is the account's. */
const maxCodeChars = 100

/** Sends pushes by FCM's HTTP v1 API. */
export interface FcmSender {
  /** `account`: the JSON of the service account; `name`: of the credential in this state, under which its token is kept. */
  send(push: FcmPush, signal: AbortSignal): Promise<SendResult>
}

export interface FcmPush {
  readonly name: string
  readonly account: string
  /** The registration token of the device. */
  readonly token: string
  readonly data: PushData
}

export interface FcmOptions {
  /** Checks addresses: the url of the tokens comes with the account. */
  readonly client: WebhookClient
  readonly baseUrl: string
  /** Returns the time that Google's clocks show, epoch ms: never that of a test clock. */
  readonly now: () => number
}

interface ServiceAccount {
  readonly project_id: string
  readonly client_email: string
  readonly key: KeyObject
  readonly key_id: string | undefined
  readonly token_uri: string
}

type Token = { readonly value: string; readonly until: number } | { readonly refused: SendResult }

export function createFcmSender({ client, baseUrl, now }: FcmOptions): FcmSender {
  // Promises: of several pushes at one time only the first asks for a token.
  const tokens = new LRUCache<string, Promise<Token>>({ max: maxAccounts })
  // Reading a key takes longer than all the rest.
  const accounts = new LRUCache<string, ServiceAccount>({ max: maxAccounts })

  function accountOf({ name, account }: FcmPush): ServiceAccount | null {
    const known = accounts.get(name) ?? parseAccount(account)
    if (known) accounts.set(name, known)
    return known
  }

  async function request(...given: Parameters<WebhookClient['request']>): Promise<SendResult> {
    const { headers, bytes, ...result } = await client.request(...given)
    const retry_after_ms = retryAfterMs(headers['retry-after'], now())
    return { ...result, body: new TextDecoder().decode(bytes), ...(retry_after_ms !== null && { retry_after_ms }) }
  }

  async function tokenFor(name: string, account: ServiceAccount, signal: AbortSignal): Promise<Token> {
    const before = tokens.get(name)
    const known = before && (await before)
    if (known && ('refused' in known || known.until > now())) return known
    // Another push may have asked meanwhile.
    const newer = tokens.get(name)
    if (newer && newer !== before) return newer
    const asked = askForToken(account, signal)
    tokens.set(name, asked)
    const forget = () => {
      if (tokens.get(name) === asked) tokens.delete(name)
    }
    // The pushes that wait for it have the same answer, later ones ask again.
    asked.then((token) => 'refused' in token && forget(), forget)
    return asked
  }

  async function askForToken(account: ServiceAccount, signal: AbortSignal): Promise<Token> {
    const { token_uri } = account
    const body = new URLSearchParams({ grant_type: grantType, assertion: await assertionOf(account, now()) }).toString()
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' }
    const result = await request({ method: 'POST', ...deliverableUrl(token_uri), headers, body }, webhookTimeoutMs, signal)
    const { access_token, expires_in = defaultLifetimeS } = parseJsonObject(result.body) ?? {}
    if (!isDelivered(result) || typeof access_token !== 'string') {
      // Its body is not FCM's, and says nothing about the device.
      return { refused: { ...result, body: '', status: isDelivered(result) ? null : result.status, error: whyNoToken(result) } }
    }
    const lifetimeMs = typeof expires_in === 'number' ? expires_in * 1000 : defaultLifetimeS * 1000
    return { value: access_token, until: now() + lifetimeMs - earlyMs }
  }

  return {
    async send(push, signal) {
      const { name, token, data } = push
      const account = accountOf(push)
      if (!account) return unsent('the secret of the credential is not the JSON of a service account')
      const started = performance.now()
      const authorized = await tokenFor(name, account, signal)
      if ('refused' in authorized) return authorized.refused
      const result = await request(
        {
          method: 'POST',
          url: `${baseUrl}/v1/projects/${encodeURIComponent(account.project_id)}/messages:send`,
          headers: { Authorization: `Bearer ${authorized.value}`, 'Content-Type': 'application/json' },
          body: JSON.stringify(fcmMessage(token, data)),
          username: '',
          password: '',
        },
        // Both requests together take no longer than a webhook may.
        Math.max(1, webhookTimeoutMs - (performance.now() - started)),
        signal,
      )
      if (result.status === 401) tokens.delete(name)
      return { ...result, error: result.error ?? errorOf(result) }
    },
  }
}

function whyNoToken({ error, status, body }: SendResult): string {
  const { error: code } = parseJsonObject(body) ?? {}
  return `no access token from Google: ${error ?? (typeof code === 'string' ? code.slice(0, maxCodeChars) : `HTTP ${status}`)}`
}

/** Parses the JSON file of a service account as the console makes it; null when it is none. */
function parseAccount(text: string): ServiceAccount | null {
  const { project_id, client_email, private_key, private_key_id, token_uri = googleTokens } = parseJsonObject(text) ?? {}
  if (typeof project_id !== 'string' || typeof client_email !== 'string' || typeof private_key !== 'string') return null
  if (typeof token_uri !== 'string' || !/^https?:$/.test(URL.parse(token_uri)?.protocol ?? '')) return null
  try {
    const key = createPrivateKey(private_key)
    if (key.asymmetricKeyType !== 'rsa') return null
    return { project_id, client_email, key, key_id: typeof private_key_id === 'string' ? private_key_id : undefined, token_uri }
  } catch {
    return null
  }
}

async function assertionOf({ client_email, key, key_id, token_uri }: ServiceAccount, now: number): Promise<string> {
  const { SignJWT } = await import('jose')
  const issued = Math.floor(now / 1000)
  return new SignJWT({ scope })
    .setProtectedHeader({ alg: 'RS256', typ: 'JWT', ...(key_id !== undefined && { kid: key_id }) })
    .setIssuer(client_email)
    .setAudience(token_uri)
    .setIssuedAt(issued)
    .setExpirationTime(issued + assertionLifetimeS)
    .sign(key)
}

/** Returns the codes in the body of a refusal: FCM's own, and whether it found fault with a field of the request. */
function detailsOf(body: string): { readonly code: unknown; readonly badRequest: boolean } {
  const { error } = parseJsonObject(body) ?? {}
  const { details } = isJsonObject(error) ? error : {}
  const all = (Array.isArray(details) ? details : []).filter(isJsonObject)
  const typed = (suffix: string) => all.find((detail) => String(detail['@type']).endsWith(suffix))
  return { code: typed('.fcm.v1.FcmError')?.errorCode, badRequest: typed('.BadRequest') !== undefined }
}

/** Whether FCM says that the device will never get a push again (documented). */
export function isGoneFromFcm({ status, body }: SendResult): boolean {
  const { code, badRequest } = detailsOf(body)
  if (code === 'UNREGISTERED' || code === 'SENDER_ID_MISMATCH') return true
  return status === 400 && code === 'INVALID_ARGUMENT' && !badRequest
}

function errorOf({ status, body, kind }: SendResult): string | null {
  const { code } = detailsOf(body)
  return kind === 'answered' && typeof code === 'string' ? `HTTP ${status}: ${code}` : null
}
