import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { SystemClock, type TestClock } from '../clock.ts'
import type { Database } from '../storage/database.ts'
import { factByName, type factCommands } from '../storage/facts.ts'

/** A node that dies in the middle of its move holds the others up for so long. */
const longest_turn_ms = 30_000
const turn_every_ms = 20

/** How far the clock of an installation is ahead, as it was last moved. */
export async function keptOffset(database: Pick<Database, 'read'>): Promise<number> {
  return Number((await database.read.one(factByName, { name: 'clock_offset_ms' }))?.value ?? 0)
}

/** Brings this process's clock to where another node has moved it; does nothing where there are no others. */
export function followClock(clock: TestClock, database: Database<typeof factCommands>): () => Promise<void> {
  if (database.capabilities.sole_owner) return async () => {}
  return async () => clock.follow(await keptOffset(database))
}

/** Of several nodes one at a time moves the clock: else each would count from the same moment. */
export function turnOf(database: Database<typeof factCommands>): <T>(act: () => Promise<T>) => Promise<T> {
  const name = 'clock_turn'
  const owner = randomUUID()
  const machine = new SystemClock()
  return async (act) => {
    if (database.capabilities.sole_owner) return act()
    for (;;) {
      const now = machine.now()
      if (await database.write('takeTurn', { name, owner, now, until: now + longest_turn_ms })) break
      await delay(turn_every_ms)
    }
    try {
      return await act()
    } finally {
      await database.write('endTurn', { name, owner })
    }
  }
}
