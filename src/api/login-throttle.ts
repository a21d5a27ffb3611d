import { LRUCache } from 'lru-cache'
import { refuse } from '../errors.ts'

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

/** Of addresses and accounts that failed, and of credentials that were right. */
const maxEntries = 10_000

/** What is left of the failures that somebody may make, as of a point in time. */
interface Bucket {
  left: number
  at: number
}

/**
 * Slows down guessing, for each address and for each account. Credentials that were right once are not refused, so nobody can lock
 * out a client that is at work, from its own address neither. In memory, of constant size and cost.
 */
export class LoginThrottle {
  readonly #limits: LoginLimits
  readonly #buckets = new LRUCache<string, Bucket>({ max: maxEntries })
  readonly #known = new LRUCache<string, true>({ max: maxEntries })

  constructor(limits: LoginLimits) {
    this.#limits = limits
  }

  /** `proof`: a keyed hash of the credentials. Throws `tooManyRequests`. */
  check(address: string, account: string | null, proof: string): void {
    const waitMs = Math.max(this.#wait(`address ${address}`, 1), account ? this.#wait(`account ${account}`, accountShare) : 0)
    if (waitMs > 0 && !this.#known.has(proof)) throw refuse('tooManyRequests', { seconds: String(Math.ceil(waitMs / 1000)) })
  }

  failed(address: string, account: string | null): void {
    this.#take(`address ${address}`, 1)
    if (account) this.#take(`account ${account}`, accountShare)
  }

  succeeded(address: string, account: string, proof: string): void {
    this.#known.set(proof, true)
    this.#buckets.delete(`address ${address}`)
    this.#buckets.delete(`account ${account}`)
  }

  /** Returns how long it takes until there is one more to take. */
  #wait(key: string, share: number): number {
    const { left } = this.#refilled(key, share)
    return left >= 1 || this.#limits.maxFailed === 0 ? 0 : ((1 - left) * this.#limits.intervalMs) / share
  }

  #take(key: string, share: number): void {
    const bucket = this.#refilled(key, share)
    bucket.left = Math.max(0, bucket.left - 1)
    this.#buckets.set(key, bucket)
  }

  #refilled(key: string, share: number): Bucket {
    const now = this.#limits.now()
    const max = this.#limits.maxFailed * share
    const bucket = this.#buckets.get(key)
    if (!bucket) return { left: max, at: now }
    bucket.left = Math.min(max, bucket.left + ((now - bucket.at) * share) / this.#limits.intervalMs)
    bucket.at = now
    return bucket
  }
}
