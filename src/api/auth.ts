import { hash, randomBytes } from 'node:crypto'
import type { FastifyRequest } from 'fastify'
import { refuse } from '../errors.ts'
import { parseStored } from '../json.ts'
import { isSid } from '../sids.ts'
import type { Database } from '../storage/database.ts'
import { accountBySid } from '../storage/lookups.ts'
import { rowsBy } from '../storage/rows.ts'
import type { AccountRow, ApiKeyRow } from '../storage/schema.ts'
import { sameSecret, type Vault } from '../vault.ts'
import type { Principal } from './admission.ts'
import type { Policy } from './key-permissions.ts'
import { LeasedCache } from './leased-cache.ts'
import type { LoginThrottle } from './login-throttle.ts'

const keyBySid = rowsBy('api_keys', ['sid'])

/** A login that failed; the user name only when it has the form of a SID: anything else might be a secret. */
export interface FailedLogin {
  readonly address: string
  readonly username: string | null
}

/** What was tried, for the audit log, which masks the name. */
export interface Tried {
  readonly interface: 'v1' | 'admin' | 'console' | 'client'
  readonly kind: 'account' | 'key' | 'operator' | 'client'
  readonly name: string | null
  readonly agent: string | null
}

export interface AuthenticatorOptions {
  readonly database: Database
  readonly vault: Vault
  readonly throttle: LoginThrottle
  readonly onFailedLogin: (login: FailedLogin, tried: Tried) => void
}

interface Credentials {
  readonly kind: 'account' | 'key' | null
  readonly username: string
  readonly password: string
}

/**
 * HTTP Basic with an account SID and its auth token, or an API key SID and its secret. Verified headers are cached by a keyed
 * hash: a request costs one hash, and no secret stays in memory in clear text.
 */
export class Authenticator {
  readonly #options: AuthenticatorOptions
  readonly #hashKey = randomBytes(32).toString('base64')
  readonly #verified: LeasedCache<Principal>
  /** Compared with where there is no account, so that it takes as long as a wrong secret. */
  readonly #nobody: string

  constructor(options: AuthenticatorOptions) {
    this.#options = options
    this.#nobody = options.vault.seal(randomBytes(16).toString('hex'))
    this.#verified = new LeasedCache(options.database, ['accounts', 'api_keys'])
  }

  /** Returns whose a cached header is; undefined when the header must be verified. */
  cached(header: string | undefined): Principal | undefined {
    return header === undefined ? undefined : this.#verified.get(this.#cacheKey(header))
  }

  /**
   * Verifies a header and returns whose it is. Throws one of the three 401s, 403 for a suspended account, or 429 after too
   * many failures. `address`: that of the caller.
   */
  async authenticate(header: string | undefined, address: string): Promise<Principal> {
    if (header === undefined || header === '') throw refuse('noCredentials')
    const { throttle, onFailedLogin } = this.#options
    const proof = this.#cacheKey(header)
    const credentials = credentialsOf(header)
    const username = credentials?.kind ? credentials.username : null
    throttle.check(address, username, proof)
    const keep = this.#verified.begin()
    const found = credentials && (await this.#accountOf(credentials))
    if (!found || !username) {
      throttle.failed(address, username)
      onFailedLogin(
        { address, username },
        { interface: 'v1', kind: credentials?.kind ?? 'account', name: credentials?.username ?? null, agent: null },
      )
      throw refuse(credentials && !credentials.kind ? 'invalidUsername' : 'authenticate')
    }
    throttle.succeeded(address, username, proof)
    const { account, apiKey } = found
    if (account.status !== 'active') throw refuse('forbidden')
    const permissions = apiKey?.policy && new Set(parseStored<Policy>(apiKey.policy).allow)
    const principal = {
      account_sid: account.sid,
      default_service_sid: account.default_service_sid,
      share: apiKey?.sid ?? null,
      ...(permissions && { permissions }),
    }
    keep(proof, principal)
    return principal
  }

  #cacheKey(header: string): string {
    return hash('sha256', this.#hashKey + header, 'base64')
  }

  /** Returns the account whose credentials these are, and the API key where it is one, if any. */
  async #accountOf({
    kind,
    username,
    password,
  }: Credentials): Promise<{ readonly account: AccountRow; readonly apiKey: ApiKeyRow | undefined } | undefined> {
    if (!kind) return undefined
    const { read } = this.#options.database
    const apiKey = kind === 'key' ? await read.one(keyBySid, { sid: username }) : undefined
    const account = await read.one(accountBySid, { sid: kind === 'key' ? (apiKey?.account_sid ?? '') : username })
    const sealed = kind === 'key' ? apiKey?.secret : account?.auth_token
    const same = sameSecret(this.#options.vault.open(sealed ?? this.#nobody), password)
    return same && account && sealed ? { account, apiKey } : undefined
  }
}

/** Returns what a header says; undefined when it is no HTTP Basic. */
function credentialsOf(header: string): Credentials | undefined {
  const encoded = /^Basic +([A-Za-z0-9+/_-]+=*) *$/i.exec(header)?.[1]
  if (!encoded) return undefined
  const decoded = Buffer.from(encoded, 'base64').toString('utf8')
  const colon = decoded.indexOf(':')
  const username = colon === -1 ? decoded : decoded.slice(0, colon)
  const password = colon === -1 ? '' : decoded.slice(colon + 1)
  const kind = isSid('account', username) ? 'account' : isSid('apiKey', username) ? 'key' : null
  return { kind, username, password }
}

/** Returns the bearer token of a request, if it has one. */
export function bearerOf({ headers }: FastifyRequest): string | undefined {
  return /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
}

/** Whether a request has this bearer token. */
export function hasBearer(request: FastifyRequest, token: string): boolean {
  const given = bearerOf(request)
  return given !== undefined && sameSecret(given, token)
}
