import { LRUCache } from 'lru-cache'
import type { Database, Notice } from '../storage/database.ts'

/** Keeps a value that was made of what has been read since `begin`. */
export type Keep<V> = (key: string, value: V) => void

interface Kept<V> {
  readonly value: V
  /** By the monotonic clock. */
  readonly until: number
}

/**
 * Values made of rows of some tables. A commit to one of them clears the cache: on the node that made it before the writer gets its
 * response, on others when its notice arrives. A notice that is lost is made up for by a short lease (`cacheLeaseMs`), which counts
 * from before the rows were read.
 */
export class LeasedCache<V> {
  readonly #leaseMs: number
  readonly #now: () => number
  readonly #kept = new LRUCache<string, Kept<V>>({ max: 10_000 })
  #cleared = 0

  constructor(
    database: Pick<Database, 'capabilities' | 'subscribe'>,
    tables: readonly string[],
    now: () => number = () => performance.now(),
  ) {
    this.#leaseMs = database.capabilities.cacheLeaseMs
    this.#now = now
    const concerns = (notice: Notice) =>
      notice.topic === 'changed' ? tables.includes(notice.table) : notice.topic === 'missed' || notice.topic === 'emptied'
    database.subscribe((notices) => {
      if (!notices.some(concerns)) return
      this.#kept.clear()
      this.#cleared++
    })
  }

  get(key: string): V | undefined {
    const kept = this.#kept.get(key)
    return kept && this.#now() < kept.until ? kept.value : undefined
  }

  /** To be called before rows are read: what is made of them is not kept if the cache has been cleared meanwhile. */
  begin(): Keep<V> {
    const [until, cleared] = [this.#now() + this.#leaseMs, this.#cleared]
    return (key, value) => {
      if (cleared === this.#cleared) this.#kept.set(key, { value, until })
    }
  }
}
