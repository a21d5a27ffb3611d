import { LRUCache } from 'lru-cache'
import type { Notice } from '../storage/database.ts'

interface Kept {
  readonly body: string
  readonly sid: string
  /** When a deadline of the row passes, in epoch ms: from then on the body is not true any more. */
  readonly until: number
}

/**
 * Rendered bodies of single rows, by account, host and path. True as long as this process is the only writer: a commit drops
 * what it touched before its writer is answered.
 */
export class Answers {
  readonly #kept: LRUCache<string, Kept>
  readonly #bySid = new Map<string, Set<string>>()

  constructor(max_bytes = 32 * 1024 * 1024) {
    this.#kept = new LRUCache({
      maxSize: max_bytes,
      sizeCalculation: (kept, key) => kept.body.length + key.length + 200,
      dispose: (kept, key) => this.#forget(kept.sid, key),
    })
  }

  get(key: string, now: number): string | undefined {
    const kept = this.#kept.get(key)
    return kept && now < kept.until ? kept.body : undefined
  }

  set(key: string, kept: Kept): void {
    this.#kept.set(key, kept)
    const keys = this.#bySid.get(kept.sid)
    if (keys) keys.add(key)
    else this.#bySid.set(kept.sid, new Set([key]))
  }

  /** Drops what a commit made untrue. A change of an account or a service may move any path, and is rare. */
  drop(notices: readonly Notice[]): void {
    for (const notice of notices) {
      if (notice.topic !== 'changed') continue
      if (notice.table === 'accounts' || notice.table === 'services') {
        this.#kept.clear()
        return
      }
      for (const key of [...(this.#bySid.get(notice.sid) ?? [])]) this.#kept.delete(key)
    }
  }

  #forget(sid: string, key: string): void {
    const keys = this.#bySid.get(sid)
    keys?.delete(key)
    if (keys?.size === 0) this.#bySid.delete(sid)
  }
}
