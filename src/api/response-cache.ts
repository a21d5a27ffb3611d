import { LRUCache } from 'lru-cache'
import type { Notice } from '../storage/database.ts'

interface CachedResponse {
  readonly body: string
  readonly sid: string
  /** When the next deadline of the row passes, in epoch ms: the body is stale from then on. */
  readonly validUntil: number
}

/**
 * Rendered bodies of single rows, by account, host and path. Correct only while this process is the only writer: a commit
 * invalidates the bodies of the rows it changed before the writer gets its response.
 */
export class ResponseCache {
  readonly #responses: LRUCache<string, CachedResponse>
  readonly #keysBySid = new Map<string, Set<string>>()
  readonly #seen = new Seen(10_000)
  readonly #maxBytes: number

  constructor(maxBytes = 32 * 1024 * 1024) {
    this.#maxBytes = maxBytes
    this.#responses = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: (cached, key) => sizeOf(key, cached),
      dispose: (cached, key) => this.#removeKey(cached.sid, key),
    })
  }

  get(key: string, now: number): string | undefined {
    const cached = this.#responses.get(key)
    return cached && now < cached.validUntil ? cached.body : undefined
  }

  /**
   * A full cache takes only rows that are asked for again: of a million rows asked for in no order, making room for each costs 6.6 µs, of which
   * this saves half.
   */
  set(key: string, response: CachedResponse): void {
    const isFull = this.#responses.calculatedSize + sizeOf(key, response) > this.#maxBytes
    if (isFull && !this.#seen.again(response.sid)) return
    this.#responses.set(key, response)
    const keys = this.#keysBySid.get(response.sid)
    if (keys) keys.add(key)
    else this.#keysBySid.set(response.sid, new Set([key]))
  }

  /** Removes the bodies of changed rows, and all on the rare change of an account or a service: it may affect any path. */
  invalidate(notices: readonly Notice[]): void {
    for (const notice of notices) {
      if (notice.topic === 'elapsed') for (const sid of notice.sids) this.#remove(sid)
      if (notice.topic !== 'changed') continue
      if (notice.table === 'accounts' || notice.table === 'services') {
        this.#responses.clear()
        return
      }
      this.#remove(notice.sid)
    }
  }

  /** Removes the bodies of a row. */
  #remove(sid: string): void {
    const keys = this.#keysBySid.get(sid)
    if (keys) for (const key of [...keys]) this.#responses.delete(key)
  }

  #removeKey(sid: string, key: string): void {
    const keys = this.#keysBySid.get(sid)
    keys?.delete(key)
    if (keys?.size === 0) this.#keysBySid.delete(sid)
  }
}

function sizeOf(key: string, { body }: CachedResponse): number {
  return body.length + key.length + 200
}

/** Remembers which texts there were lately: the last `count`, up to twice as many. */
class Seen {
  readonly #count: number
  #last = new Set<string>()
  #earlier = new Set<string>()

  constructor(count: number) {
    this.#count = count
  }

  /** Returns whether the text was here lately, and remembers it. */
  again(text: string): boolean {
    if (this.#last.has(text)) return true
    const seen = this.#earlier.has(text)
    this.#last.add(text)
    if (this.#last.size >= this.#count) {
      this.#earlier = this.#last
      this.#last = new Set()
    }
    return seen
  }
}
