import { LRUCache } from 'lru-cache'
import { refuse } from '../errors.ts'
import { peerOf } from './peers.ts'
import { type Filling, TokenBuckets } from './token-buckets.ts'

export interface LoginLimits {
  /** Failed logins of one address before further ones are refused unread; 0: any number. */
  readonly maxFailed: number
  /** After that, one more is let through in so long. */
  readonly intervalMs: number
  /** In ms, from any start on. */
  readonly now: () => number
}

export const defaultLogins = { intervalMs: 2000, now: () => performance.now() }

/** An account is guessed at from many addresses, and used from many: it has a larger share. */
const accountShare = 4

/** Of credentials that were right. */
const maxKnown = 10_000

/**
 * Slows down guessing, for each address and for each account. Credentials that were right once are not refused, so nobody can lock
 * out a client that is at work, from its own address neither. In memory, of constant size and cost.
 */
export class LoginThrottle {
  readonly #limits: LoginLimits
  readonly #buckets: TokenBuckets
  readonly #known = new LRUCache<string, true>({ max: maxKnown })

  constructor(limits: LoginLimits) {
    this.#limits = limits
    this.#buckets = new TokenBuckets(limits.now)
  }

  /** `proof`: a keyed hash of the credentials. Throws `tooManyRequests`. */
  check(address: string, account: string | null, proof: string): void {
    const waitMs = Math.max(this.#wait(addressKey(address), 1), account ? this.#wait(`account ${account}`, accountShare) : 0)
    if (waitMs > 0 && !this.#known.has(proof)) throw refuse('tooManyRequests', { seconds: String(Math.ceil(waitMs / 1000)) })
  }

  failed(address: string, account: string | null): void {
    this.#take(addressKey(address), 1)
    if (account) this.#take(`account ${account}`, accountShare)
  }

  /** Whoever guesses cannot begin anew with credentials of their own: only those that were not known yet fill up an address. */
  succeeded(address: string, account: string | null, proof: string): void {
    if (!this.#known.has(proof)) this.#buckets.fill(addressKey(address))
    this.#known.set(proof, true)
    if (account) this.#buckets.fill(`account ${account}`)
  }

  /** Returns how long it takes until there is one more to take. */
  #wait(key: string, share: number): number {
    return this.#limits.maxFailed === 0 ? 0 : this.#buckets.waitMs(key, this.#filling(share))
  }

  #take(key: string, share: number): void {
    this.#buckets.take(key, this.#filling(share))
  }

  #filling(share: number): Filling {
    const { maxFailed, intervalMs } = this.#limits
    return { max: maxFailed * share, perMs: share / intervalMs }
  }
}

const addressKey = (address: string) => `address ${peerOf(address)}`
