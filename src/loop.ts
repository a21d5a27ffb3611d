/** Work that goes on behind the requests. */
export interface Worker {
  start(): void
  /** Resolves once nothing of it is under way any more. */
  stop(): Promise<void>
}

/**
 * Runs `once` whenever it is nudged or its time has come, never twice at the same time, and never stops on an error:
 * it is reported, and the work is tried again a second later.
 */
export class Loop implements Worker {
  readonly #once: () => Promise<number>
  readonly #report: (error: unknown) => void
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> | undefined
  #again = false
  #stopped = true

  /** `once` returns in how many ms it wants to run again. */
  constructor(once: () => Promise<number>, report: (error: unknown) => void) {
    this.#once = once
    this.#report = report
  }

  start(): void {
    this.#stopped = false
    this.nudge()
  }

  /** Runs now, or once more after the run under way. */
  nudge(): void {
    if (this.#stopped) return
    this.#again = true
    clearTimeout(this.#timer)
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#running
  }

  async #run(): Promise<void> {
    let wait_ms = 0
    while (this.#again && !this.#stopped) {
      this.#again = false
      try {
        wait_ms = await this.#once()
      } catch (error) {
        this.#report(error)
        wait_ms = 1000
      }
    }
    if (this.#stopped) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.nudge(), wait_ms)
  }
}
