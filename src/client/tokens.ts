import { type ApiError, refuse } from '../errors.ts'
import { isJsonObject } from '../json.ts'
import { isSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { accountBySid, apiKeyOfAccount, serviceOfAccount } from '../storage/lookups.ts'
import type { AccountRow, ServiceRow } from '../storage/schema.ts'
import type { Vault } from '../vault.ts'

/** What an access token says about its bearer. */
export interface AccessToken {
  readonly account_sid: string
  readonly service_sid: string
  readonly identity: string
  /** Epoch ms. */
  readonly expires_ms: number
  /** The service role of a user whom the token creates. */
  readonly role_sid: string | null
  /** The credential by which its devices are notified. */
  readonly push_credential_sid: string | null
}

/** A token that has been verified, with the rows that it refers to. */
export interface Verified extends AccessToken {
  readonly account: AccountRow
  readonly service: ServiceRow
}

/** Documented: tokens live at most a day. */
export const maxLifetimeS = 86_400
export const defaultLifetimeS = 3600
type Jose = Awaited<ReturnType<typeof jose>>

const maxLength = 16_384
const algorithms = ['HS256', 'HS384', 'HS512']
const contentType = 'twilio-fpa;v=1'

/** Loaded by the first token: it would be a part of every start. */
const jose = () => import('jose')

interface Verifier {
  readonly read: Reader
  readonly vault: Vault
  /** Returns the time of an account, epoch ms. */
  readonly now: (account_sid: string) => number
}

/**
 * Verifies an access token. Throws ApiError: 20101 malformed, 20103 unknown or restricted key, 20104 expired or valid for
 * too long, 20105 not valid yet, 20106 without a grant for Conversations, 20107 wrong signature, 20403 suspended account.
 */
export async function verifyToken({ read, vault, now: timeOf }: Verifier, token: string): Promise<Verified> {
  const { decodeJwt, errors, jwtVerify } = await jose()
  const { iss, sub } = claimsOf(token, decodeJwt)
  const now = timeOf(sub)
  const key = await read.one(apiKeyOfAccount, { account_sid: sub, sid: iss })
  // documented: a restricted key signs no tokens.
  if (!key || key.policy !== null) throw refuse('tokenIssuer')
  const { payload, protectedHeader } = await jwtVerify(token, Buffer.from(vault.open(key.secret)), {
    algorithms,
    currentDate: new Date(now),
    requiredClaims: ['exp'],
  }).catch((error: unknown) => {
    throw refusalOf(error, errors)
  })
  if (protectedHeader.cty !== contentType) throw refuse('tokenInvalid')
  const { exp = 0, nbf, iat } = payload
  if (exp - (nbf ?? iat ?? now / 1000) > maxLifetimeS) throw refuse('tokenExpired')
  const account = await read.one(accountBySid, { sid: sub })
  if (!account) throw refuse('tokenIssuer')
  if (account.status !== 'active') throw refuse('forbidden')
  const { service_sid, ...grants } = grantsOf(payload.grants)
  const service = await read.one(serviceOfAccount, { sid: service_sid, account_sid: sub })
  if (!service) throw refuse('tokenGrants')
  return { account_sid: sub, service_sid, ...grants, expires_ms: exp * 1000, account, service }
}

/** Reads who has issued the token, unverified. */
function claimsOf(token: string, decodeJwt: Jose['decodeJwt']): { readonly iss: string; readonly sub: string } {
  try {
    const { iss, sub } = token.length > maxLength ? {} : decodeJwt(token)
    if (iss !== undefined && sub !== undefined && isSid('apiKey', iss) && isSid('account', sub)) return { iss, sub }
  } catch {
    // No token: refused below.
  }
  throw refuse('tokenInvalid')
}

function refusalOf(error: unknown, errors: Jose['errors']): ApiError {
  if (error instanceof errors.JWTExpired) return refuse('tokenExpired')
  if (error instanceof errors.JWSSignatureVerificationFailed) return refuse('tokenSignature')
  if (error instanceof errors.JWTClaimValidationFailed && error.claim === 'nbf') return refuse('tokenNotYetValid')
  return refuse('tokenInvalid')
}

/** Reads the grants. `ip_messaging` is the name that the grant for chat had before. */
function grantsOf(grants: unknown): Omit<AccessToken, 'account_sid' | 'expires_ms'> {
  const { identity, chat, ip_messaging: former } = isJsonObject(grants) ? grants : {}
  const grant = chat ?? former
  const { service_sid, deployment_role_sid: role, push_credential_sid: credential } = isJsonObject(grant) ? grant : {}
  if (typeof identity !== 'string' || identity === '' || typeof service_sid !== 'string') throw refuse('tokenGrants')
  return { identity, service_sid, role_sid: textOrNull(role), push_credential_sid: textOrNull(credential) }
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}

/** Returns an access token as the official server-side libraries make it. `lifetime_s`: at most `maxLifetimeS`; `now` in epoch ms. */
export async function signToken(
  key: { readonly sid: string; readonly secret: string },
  bearer: Pick<AccessToken, 'account_sid' | 'service_sid' | 'identity'> & Partial<Pick<AccessToken, 'push_credential_sid'>>,
  lifetimeS: number,
  now: number,
): Promise<string> {
  const { SignJWT } = await jose()
  const issued = Math.floor(now / 1000)
  const { account_sid, service_sid, identity, push_credential_sid = null } = bearer
  const chat = { service_sid, ...(push_credential_sid !== null && { push_credential_sid }) }
  return new SignJWT({ grants: { identity, chat } })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT', cty: contentType })
    .setJti(`${key.sid}-${issued}`)
    .setIssuer(key.sid)
    .setSubject(account_sid)
    .setIssuedAt(issued)
    .setExpirationTime(issued + lifetimeS)
    .sign(Buffer.from(key.secret))
}
