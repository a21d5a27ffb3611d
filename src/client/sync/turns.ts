/**
 * Does so many things at a time, and begins at most `perTurn` of those that have waited in each turn of the event loop: when thousands of
 * clients come back at once, requests of others, which need several turns each, are not to wait for all of them.
 */
export class Turns {
  readonly #max: number
  readonly #perTurn: number
  readonly #queue: (() => void)[] = []
  #running = 0
  /** Places that are free, and not handed on yet. */
  #free = 0

  constructor(max: number, perTurn = 1) {
    this.#max = max
    this.#perTurn = perTurn
  }

  /** How many are waiting. */
  get waiting(): number {
    return this.#queue.length
  }

  async run<T>(work: () => Promise<T>): Promise<T> {
    if (this.#running >= this.#max) await new Promise<void>((resolve) => this.#queue.push(resolve))
    else this.#running++
    try {
      return await work()
    } finally {
      if (this.#free++ === 0) setImmediate(() => this.#pass())
    }
  }

  /** Hands places to the next ones. */
  #pass(): void {
    const next = this.#queue.splice(0, Math.min(this.#perTurn, this.#free))
    this.#free -= next.length
    if (this.#queue.length === 0) {
      this.#running -= this.#free
      this.#free = 0
    }
    if (this.#free > 0) setImmediate(() => this.#pass())
    for (const begin of next) begin()
  }
}
