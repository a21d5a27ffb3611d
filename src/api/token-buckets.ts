import { LRUCache } from 'lru-cache'

/** What is left in a bucket, as of a point in time. */
interface Bucket {
  left: number
  at: number
}

export interface Filling {
  /** The tokens in a full bucket. */
  readonly max: number
  /** Tokens that are added per ms until it is full. */
  readonly perMs: number
}

/** Buckets of tokens, full at first, by names of which only the last ones used are kept. In memory, of constant size and cost. */
export class TokenBuckets {
  readonly #now: () => number
  readonly #buckets = new LRUCache<string, Bucket>({ max: 10_000 })

  /** `now`: in ms, from any start on. */
  constructor(now: () => number) {
    this.#now = now
  }

  /** Returns how many ms it takes until there is a token to take. */
  waitMs(name: string, filling: Filling): number {
    const { left } = this.#refilled(name, filling)
    return left >= 1 ? 0 : (1 - left) / filling.perMs
  }

  /** `min`: how far the bucket may be emptied; what is below 0 has to be filled up first. */
  take(name: string, filling: Filling, tokens = 1, min = 0): void {
    const bucket = this.#refilled(name, filling)
    bucket.left = Math.max(min, bucket.left - tokens)
    this.#buckets.set(name, bucket)
  }

  fill(name: string): void {
    this.#buckets.delete(name)
  }

  #refilled(name: string, { max, perMs }: Filling): Bucket {
    const now = this.#now()
    const bucket = this.#buckets.get(name)
    if (!bucket) return { left: max, at: now }
    bucket.left = Math.min(max, bucket.left + (now - bucket.at) * perMs)
    bucket.at = now
    return bucket
  }
}
