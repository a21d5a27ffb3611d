import { refuse } from '../errors.ts'

export interface WaitingWritesOptions {
  /** Writes that wait for the database at one time in this process. */
  readonly max: number
  readonly onRefused: () => void
}

/**
 * Refuses writes while too many wait for the database: each holds its request in memory, and the last would wait for too long. Only the
 * account that has most of them waiting is refused; others go on, until there are twice as many.
 */
export class WaitingWrites {
  readonly #options: WaitingWritesOptions
  /** By account; those that have none are not in it. */
  readonly #counts = new Map<string, number>()
  #all = 0

  constructor(options: WaitingWritesOptions) {
    this.#options = options
  }

  /** Runs a write of an account. Throws `tooManyWrites`, and does not run it. */
  async run<T>(account_sid: string, write: () => Promise<T>): Promise<T> {
    const own = this.#counts.get(account_sid) ?? 0
    if (this.#all >= this.#options.max && this.#refuses(own)) {
      this.#options.onRefused()
      throw refuse('tooManyWrites', { seconds: '1' })
    }
    this.#counts.set(account_sid, own + 1)
    this.#all++
    try {
      return await write()
    } finally {
      this.#all--
      const left = (this.#counts.get(account_sid) ?? 0) - 1
      if (left > 0) this.#counts.set(account_sid, left)
      else this.#counts.delete(account_sid)
    }
  }

  #refuses(own: number): boolean {
    return this.#all >= 2 * this.#options.max || own >= Math.max(...this.#counts.values())
  }
}
