import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { SystemClock, type TestClock } from '../clock.ts'
import type { Database } from '../storage/database.ts'
import { factByName, type factCommands } from '../storage/facts.ts'

/** The fact that has how far the clock has been moved ahead, in ms. */
export const offsetFact = 'clock_offset_ms'

/** When a node dies while it moves the clock, the others wait for this long. */
const turnTimeoutMs = 30_000
const turnRetryMs = 20

/** Returns how far the clock of an installation has been moved ahead, in ms. */
export async function storedOffset(database: Pick<Database, 'read'>): Promise<number> {
  return Number((await database.read.one(factByName, { name: offsetFact }))?.value ?? 0)
}

/** Returns a function that moves this process's clock to where another node has moved it; without other nodes it does nothing. */
export function followClock(clock: TestClock, database: Database<typeof factCommands>): () => Promise<void> {
  if (database.capabilities.soleOwner) return async () => {}
  return async () => clock.follow(await storedOffset(database))
}

/** Returns a function that runs `act` while no other node moves the clock: two moves at once would start from the same time. */
export function clockMutex(database: Database<typeof factCommands>): <T>(act: () => Promise<T>) => Promise<T> {
  const name = 'clock_turn'
  const owner = randomUUID()
  const system = new SystemClock()
  return async (act) => {
    if (database.capabilities.soleOwner) return act()
    for (;;) {
      const now = system.now()
      if (await database.write('takeTurn', { name, owner, now, until: now + turnTimeoutMs })) break
      await delay(turnRetryMs)
    }
    try {
      return await act()
    } finally {
      await database.write('endTurn', { name, owner })
    }
  }
}
