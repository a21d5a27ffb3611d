/**
 * Does so many things at a time, and lets everybody else have a turn of the event loop after each: when thousands of clients come back at
 * once, requests of others are not to wait for all of them.
 */
export class Turns {
  readonly #max: number
  readonly #queue: (() => void)[] = []
  #running = 0

  constructor(max: number) {
    this.#max = max
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
      setImmediate(() => this.#pass())
    }
  }

  /** Hands the place to the next one. */
  #pass(): void {
    const next = this.#queue.shift()
    if (next) next()
    else this.#running--
  }
}
