import type { Clock } from '../../clock.ts'

/** Limits of what is asked of a hosted account, which serves its users at the same time. */
export interface PaceOptions {
  /** At most so many requests begin in a second. */
  readonly perSecond: number
  /** At most so many requests are in flight. */
  readonly concurrency: number
  readonly clock: Clock
  /** Resolves after so many ms. */
  readonly wait: (ms: number) => Promise<void>
}

/** So many requests in a row without a refusal, and one more may be in flight. */
const raiseAfter = 50

/**
 * Says when a request may begin: not more than `perSecond`, and not more than `concurrency` at the same time. A refusal halves
 * what may be in flight; it grows again one by one.
 */
export class Pace {
  readonly #options: PaceOptions
  readonly #waiting: (() => void)[] = []
  #allowed: number
  #inFlight = 0
  #successes = 0
  /** When the next request may begin. */
  #nextDue = 0

  constructor(options: PaceOptions) {
    this.#options = options
    this.#allowed = options.concurrency
  }

  /** How many requests may be in flight now. */
  get allowed(): number {
    return this.#allowed
  }

  /** Runs `request` when it may begin. */
  async run<T>(request: () => Promise<T>): Promise<T> {
    if (this.#inFlight >= this.#allowed) await new Promise<void>((resolve) => this.#waiting.push(resolve))
    else this.#inFlight++
    try {
      await this.#turn()
      return await request()
    } finally {
      this.#leave()
    }
  }

  /** A request was not refused for coming too often. */
  succeeded(): void {
    if (++this.#successes % raiseAfter === 0) this.#allowed = Math.min(this.#options.concurrency, this.#allowed + 1)
  }

  /** A request came too often; nothing is to begin for so many ms. */
  refused(pauseMs: number): void {
    this.#successes = 0
    this.#allowed = Math.max(1, Math.floor(this.#allowed / 2))
    this.#nextDue = Math.max(this.#nextDue, this.#options.clock.now() + pauseMs)
  }

  async #turn(): Promise<void> {
    const { clock, perSecond, wait } = this.#options
    for (;;) {
      const now = clock.now()
      if (this.#nextDue <= now) break
      await wait(this.#nextDue - now)
    }
    // Timers are late: what they lose, up to a tenth of a second, is made up for.
    this.#nextDue = Math.max(this.#nextDue, clock.now() - 100) + 1000 / perSecond
  }

  /** Whoever waits takes over the place, unless fewer are allowed by now. */
  #leave(): void {
    this.#inFlight--
    while (this.#inFlight < this.#allowed) {
      const next = this.#waiting.shift()
      if (!next) return
      this.#inFlight++
      next()
    }
  }
}
