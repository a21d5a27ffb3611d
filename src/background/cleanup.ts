import type { channelCommands } from '../channels/commands.ts'
import type { registrationCommands } from '../client/registrations.ts'
import type { Clock } from '../clock.ts'
import { Loop, type Worker } from '../loop.ts'
import type { removalCommands } from '../model/removals.ts'
import type { Database } from '../storage/database.ts'

const hourMs = 3_600_000

/** A client repeats a request within a minute, or when it is connected again. */
const mutationRetentionMs = 24 * hourMs

/** As the vendor's: a device registers at each start of its app. */
const bindingRetentionMs = 365 * 24 * hourMs

/** Rows per transaction: requests wait at most for one batch, some 20 ms. */
const batch = 500

export interface CleanupOptions {
  readonly clock: Clock
  readonly database: Database<
    ReturnType<typeof removalCommands> & typeof registrationCommands & Pick<typeof channelCommands, 'removeOldExternalIds'>
  >
  /** How long finished deliveries stay in the log. */
  readonly deliveryRetentionMs: number
  /** How long a client SDK may be away and still learn of what was removed. */
  readonly tombstoneRetentionMs: number
  readonly onError: (error: unknown) => void
}

/** Deletes in batches what deleted services, accounts and conversations have left, and what is old: deliveries of the log, tombstones. */
export class Cleanup implements Worker {
  readonly #loop: Loop

  constructor({ clock, database, deliveryRetentionMs, tombstoneRetentionMs, onError }: CleanupOptions) {
    this.#loop = new Loop(async (signal) => {
      while (!signal.aborted && (await database.write('removeSome', { limit: batch })));
      const before = clock.now() - deliveryRetentionMs
      while (!signal.aborted && (await database.write('removeOldDeliveries', { before, limit: batch })) === batch);
      const buried = clock.now() - tombstoneRetentionMs
      while (!signal.aborted && (await database.write('removeOldTombstones', { before: buried, limit: batch })) === batch);
      const repeatable = clock.now() - mutationRetentionMs
      while (!signal.aborted && (await database.write('removeOldMutations', { before: repeatable, limit: batch })) === batch);
      const now = clock.now()
      const lost = { before: now - bindingRetentionMs, now, limit: batch }
      while (!signal.aborted && (await database.write('removeOldBindings', lost)) === batch);
      while (!signal.aborted && (await database.write('removeOldExternalIds', { now, limit: batch })) >= batch);
      return hourMs
    }, onError)
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
