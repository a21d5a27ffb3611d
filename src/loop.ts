/** Work in the background, started and stopped with the server. */
export interface Worker {
  start(): void
  /** Resolves once the work in progress has ended. */
  stop(): Promise<void>
}

/**
 * Runs `once` when it is nudged and when its time has come, never twice at the same time. An error is reported, and the next run
 * comes a second later.
 */
export class Loop implements Worker {
  readonly #once: (signal: AbortSignal) => Promise<number>
  readonly #onError: (error: unknown) => void
  #stopping = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #again = false
  #stopped = true

  /** `once` returns after how many ms it is to run again. With work in batches it checks `signal` between two of them. */
  constructor(once: (signal: AbortSignal) => Promise<number>, onError: (error: unknown) => void) {
    this.#once = once
    this.#onError = onError
  }

  start(): void {
    this.#stopped = false
    this.#stopping = new AbortController()
    this.nudge()
  }

  /** Runs now, or once more after the current run. */
  nudge(): void {
    if (this.#stopped) return
    this.#again = true
    clearTimeout(this.#timer)
    this.#running ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#stopping.abort()
    clearTimeout(this.#timer)
    await this.#running
  }

  async #run(): Promise<void> {
    let waitMs = 0
    try {
      while (this.#again && !this.#stopped) {
        this.#again = false
        waitMs = await this.#once(this.#stopping.signal).catch((error: unknown) => {
          this.#onError(error)
          return 1000
        })
      }
    } finally {
      // At once: a nudge that came any later would be for a run that has ended.
      this.#running = undefined
    }
    if (this.#stopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.nudge(), waitMs)
  }
}
