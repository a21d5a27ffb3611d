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

  constructor(maxBytes = 32 * 1024 * 1024) {
    this.#responses = new LRUCache({
      maxSize: maxBytes,
      sizeCalculation: (cached, key) => cached.body.length + key.length + 200,
      dispose: (cached, key) => this.#removeKey(cached.sid, key),
    })
  }

  get(key: string, now: number): string | undefined {
    const cached = this.#responses.get(key)
    return cached && now < cached.validUntil ? cached.body : undefined
  }

  set(key: string, response: CachedResponse): void {
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
