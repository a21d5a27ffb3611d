import type { Clock } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import { Loop, type Service } from '../loop.ts'
import type { Database } from '../storage/database.ts'

const hour_ms = 3_600_000

export const batch = 500

export interface CleanupOptions {
  readonly clock: Clock
  readonly database: Database<ParleyCommands>
  /** How long finished deliveries stay in the log. */
  readonly keep_deliveries_ms: number
  readonly report: (error: unknown) => void
}

/** Removes what nobody can reach any more, and the old end of the delivery log, a batch at a time. */
export class Cleanup implements Service {
  readonly #loop: Loop

  constructor({ clock, database, keep_deliveries_ms, report }: CleanupOptions) {
    this.#loop = new Loop(async () => {
      while (await database.write('removeSome', { limit: batch }));
      const before = clock.now() - keep_deliveries_ms
      while ((await database.write('forgetDeliveries', { before, limit: batch })) === batch);
      return hour_ms
    }, report)
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
