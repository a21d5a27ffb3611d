import { Loop, type Worker } from '../loop.ts'
import type { MediaStore } from './store.ts'

const hour_ms = 3_600_000
const day_ms = 24 * hour_ms

/**
 * Removes files that a crash has left: at the start; an hour later, when the last of them are old enough; then daily, for files
 * that could not be deleted.
 */
export class MediaCleanup implements Worker {
  readonly #loop: Loop

  constructor({ store, report }: { store: Pick<MediaStore, 'removeLeftovers'>; report: (error: unknown) => void }) {
    let wait_ms = hour_ms
    this.#loop = new Loop(async (signal) => {
      await store.removeLeftovers(signal)
      const again_ms = wait_ms
      wait_ms = day_ms
      return again_ms
    }, report)
  }

  start(): void {
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }
}
