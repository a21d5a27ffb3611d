import { Loop, type Worker } from '../loop.ts'
import { MediaStoreError } from './contents.ts'
import type { MediaStore } from './store.ts'

const minuteMs = 60_000
const hourMs = 3_600_000
const dayMs = 24 * hourMs

/**
 * Removes files that a crash has left: at the start; an hour later, when the last of them are old enough; then daily, for files
 * that could not be deleted.
 */
export class MediaCleanup implements Worker {
  readonly #loop: Loop

  constructor({ store, report }: { store: Pick<MediaStore, 'removeLeftovers'>; report: (error: unknown) => void }) {
    let waitMs = hourMs
    this.#loop = new Loop(async (signal) => {
      try {
        await store.removeLeftovers(signal)
      } catch (error) {
        if (!(error instanceof MediaStoreError)) throw error
        report(error)
        return minuteMs
      }
      const againMs = waitMs
      waitMs = dayMs
      return againMs
    }, report)
  }

  start(): void {
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }
}
