import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { refuse } from '../errors.ts'
import { isSid } from '../sids.ts'
import type { Database } from '../storage/database.ts'
import { accountBySid } from '../storage/lookups.ts'
import { rowsBy } from '../storage/rows.ts'
import type { Vault } from '../vault.ts'

const keyBySid = rowsBy('api_keys', ['sid'])

/**
 * HTTP Basic with an account SID and its auth token, or an API key SID and its secret. Verified headers are cached by a keyed
 * hash: a request costs one hash, and no secret stays in memory in clear text.
 */
export class Authenticator {
  readonly #database: Database
  readonly #vault: Vault
  readonly #hashKey = randomBytes(32).toString('base64')
  readonly #verified = new LRUCache<string, string>({ max: 10_000 })

  constructor(database: Database, vault: Vault) {
    this.#database = database
    this.#vault = vault
    database.subscribe((notices) => {
      const rotated = notices.some((n) => n.topic === 'changed' && (n.table === 'accounts' || n.table === 'api_keys'))
      if (rotated) this.#verified.clear()
    })
  }

  /** Returns the account SID of a header that is cached; undefined when the header must be verified. */
  cachedAccount(header: string | undefined): string | undefined {
    if (header === undefined || !this.#database.capabilities.sole_owner) return undefined
    return this.#verified.get(this.#cacheKey(header))
  }

  /** Verifies a header and returns its account SID. Throws one of the three 401s, or 403 for a suspended account. */
  async authenticate(header: string | undefined): Promise<string> {
    if (header === undefined || header === '') throw refuse('noCredentials')
    const account_sid = await this.#verify(header)
    this.#verified.set(this.#cacheKey(header), account_sid)
    return account_sid
  }

  #cacheKey(header: string): string {
    return hash('sha256', this.#hashKey + header, 'base64')
  }

  async #verify(header: string): Promise<string> {
    const encoded = /^Basic +([A-Za-z0-9+/_-]+=*) *$/i.exec(header)?.[1]
    if (!encoded) throw refuse('authenticate')
    const decoded = Buffer.from(encoded, 'base64').toString('utf8')
    const colon = decoded.indexOf(':')
    const username = colon === -1 ? decoded : decoded.slice(0, colon)
    const password = colon === -1 ? '' : decoded.slice(colon + 1)
    const kind = isSid('account', username) ? 'account' : isSid('apiKey', username) ? 'key' : undefined
    if (!kind) throw refuse('invalidUsername')
    const read = this.#database.read
    const apiKey = kind === 'key' ? await read.one(keyBySid, { sid: username }) : undefined
    const account = await read.one(accountBySid, { sid: kind === 'key' ? (apiKey?.account_sid ?? '') : username })
    const sealed = kind === 'key' ? apiKey?.secret : account?.auth_token
    if (!account || !sealed || !sameSecret(this.#vault.open(sealed), password)) throw refuse('authenticate')
    if (account.status !== 'active') throw refuse('forbidden')
    return account.sid
  }
}

/** Compares in constant time, also when the lengths differ. */
export function sameSecret(a: string, b: string): boolean {
  return timingSafeEqual(hash('sha256', a, 'buffer'), hash('sha256', b, 'buffer'))
}
