import { setTimeout as sleep } from 'node:timers/promises'

/** Returns the resident memory of this process once what is garbage is collected (`--expose-gc`). */
export async function residentBytes(): Promise<{ readonly bytes: number }> {
  for (let n = 0; n < 3; n++) {
    globalThis.gc?.()
    await sleep(200)
  }
  return { bytes: process.memoryUsage.rss() }
}
