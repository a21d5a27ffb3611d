import { setTimeout as delay } from 'node:timers/promises'

/** Before the second attempt, at most; twice as much before each further one. */
const firstWaitMs = 200

/** Waits before the attempt `number`, from 1 on for the second one: at random, so that nodes do not come back together. */
export async function waitBefore(number: number): Promise<void> {
  await delay(Math.random() * firstWaitMs * 2 ** (number - 1), undefined, { ref: false })
}

/** Does work up to `attempts` times, until it succeeds or fails in a lasting way. Throws the last error. */
export async function attempt<T>(attempts: number, isLasting: (error: unknown) => boolean, work: () => Promise<T>): Promise<T> {
  for (let number = 1; ; number++) {
    try {
      return await work()
    } catch (error) {
      if (number === attempts || isLasting(error)) throw error
      await waitBefore(number)
    }
  }
}
