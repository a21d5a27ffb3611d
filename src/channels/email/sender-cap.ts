import { LRUCache } from 'lru-cache'

const hourMs = 3_600_000
/** Senders that are counted at a time; on each node by itself. */
const maxSenders = 10_000

/** Counts mails by their sender: a backstop against programs that answer each other. */
export class SenderCap {
  readonly #max: number
  readonly #counted = new LRUCache<string, { since: number; mails: number }>({ max: maxSenders })

  /** `max`: mails of one sender in an hour. */
  constructor(max: number) {
    this.#max = max
  }

  /** Counts a mail. Returns whether it is within the limit. `now` in epoch ms. */
  admits(sender: string, now: number): boolean {
    const before = this.#counted.get(sender)
    const current = before && now - before.since < hourMs && now >= before.since ? before : { since: now, mails: 0 }
    if (current.mails >= this.#max) return false
    this.#counted.set(sender, { ...current, mails: current.mails + 1 })
    return true
  }
}
