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
  readonly #seen = new Seen()

  constructor(maxBytes = 32 * 1024 * 1024) {
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
   * Takes only rows that are asked for again: of rows asked for in no order, taking each, and making room for it, costs more than it ever saves.
   */
  set(key: string, response: CachedResponse): void {
    if (!this.#seen.again(response.sid)) return
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

/** So many rows are remembered at most, each in the place of its hash: a power of two. */
const seenPlaces = 4096

/** Remembers which SIDs there were lately, without their texts, which would be garbage later on. That it takes one for another does no harm. */
class Seen {
  readonly #hashes = new Int32Array(seenPlaces)

  /** Returns whether the SID was here lately, and remembers it. */
  again(sid: string): boolean {
    // Its last digits are random.
    let hash = sid.length
    for (let i = Math.max(0, sid.length - 10); i < sid.length; i++) hash = (Math.imul(hash, 31) + sid.charCodeAt(i)) | 0
    const place = hash & (seenPlaces - 1)
    const seen = this.#hashes[place] === hash
    this.#hashes[place] = hash
    return seen
  }
}
