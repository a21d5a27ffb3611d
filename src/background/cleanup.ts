import type { Clock } from '../clock.ts'
import { Loop, type Worker } from '../loop.ts'
import type { removalCommands } from '../model/removals.ts'
import type { Database } from '../storage/database.ts'

const hour_ms = 3_600_000

/** Rows of one transaction. */
const batch = 500

export interface CleanupOptions {
  readonly clock: Clock
  readonly database: Database<ReturnType<typeof removalCommands>>
  /** How long finished deliveries stay in the log. */
  readonly keep_deliveries_ms: number
  readonly failed: (error: unknown) => void
}

/** Removes what nobody can reach any more, and the old end of the delivery log, a batch at a time. */
export class Cleanup implements Worker {
  readonly #loop: Loop

  constructor({ clock, database, keep_deliveries_ms, failed }: CleanupOptions) {
    this.#loop = new Loop(async () => {
      while (await database.write('removeSome', { limit: batch }));
      const before = clock.now() - keep_deliveries_ms
      while ((await database.write('removeOldDeliveries', { before, limit: batch })) === batch);
      return hour_ms
    }, failed)
    database.subscribe((notices) => {
      if (notices.some((notice) => notice.topic === 'removal')) this.#loop.nudge()
    })
  }

  start(): void {
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }
}
