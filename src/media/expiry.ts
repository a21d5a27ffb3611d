import type { Clock } from '../clock.ts'
import { Loop, type Worker } from '../loop.ts'
import type { Database } from '../storage/database.ts'
import type { mediaCommands } from './commands.ts'

const minuteMs = 60_000

/** Rows per transaction. */
const batch = 100

/** Removes uploads that no message has taken in time. They are not found from their deadline on; this frees their disk. */
export class MediaExpiry implements Worker {
  readonly #loop: Loop

  constructor({
    clock,
    database,
    onError,
  }: {
    clock: Clock
    database: Database<typeof mediaCommands>
    onError: (error: unknown) => void
  }) {
    this.#loop = new Loop(async (signal) => {
      const now = clock.now()
      while (!signal.aborted && (await database.write('removeExpiredMedia', { now, limit: batch })) === batch);
      return minuteMs
    }, onError)
  }

  start(): void {
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }
}
