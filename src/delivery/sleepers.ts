import type { Clock } from '../clock.ts'

/** Waits until instants of a clock that may be moved, in either direction. */
export class Sleepers {
  readonly #clock: Pick<Clock, 'now'>
  readonly #wakers = new Set<() => void>()

  constructor(clock: Pick<Clock, 'now'>) {
    this.#clock = clock
  }

  /**
   * Resolves at the instant, by the clock of the account if one is given, or earlier when `isOver` says so on waking. When the
   * clock is set back meanwhile, the instant moves with it.
   */
  async until(instantMs: number, isOver: () => boolean, account_sid?: string): Promise<void> {
    let [until, now] = [instantMs, this.#clock.now(account_sid)]
    for (;;) {
      const waitMs = until - now
      if (waitMs <= 0 || isOver()) return
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer)
          this.#wakers.delete(done)
          resolve()
        }
        const timer = setTimeout(done, Math.min(waitMs, 60_000))
        this.#wakers.add(done)
      })
      const woken = this.#clock.now(account_sid)
      if (woken < now) until -= now - woken
      now = woken
    }
  }

  /** Makes every sleeper check again whether its wait is over: the clock was moved, or what it waits for has changed. */
  wake(): void {
    for (const done of [...this.#wakers]) done()
  }
}
