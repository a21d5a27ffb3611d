import { randomUUID } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { type ClockState, SystemClock, type TestClock, unmoved } from '../clock.ts'
import { parseStored } from '../json.ts'
import type { Database } from '../storage/database.ts'
import { clockFacts, type Facts, factByName, type factCommands, factsOf } from '../storage/facts.ts'

/** When a node dies while it moves the clock, the others wait for this long. */
const turnTimeoutMs = 30_000
const turnRetryMs = 20

/** Returns where the test clock of an installation with these facts stands. */
export function clockIn(facts: Facts): ClockState {
  const others = facts.get(clockFacts.others)
  return {
    ...unmoved,
    ...(others !== undefined && parseStored<Omit<ClockState, 'offset_ms'>>(others)),
    offset_ms: Number(facts.get(clockFacts.offset) ?? 0),
  }
}

/** Returns where the test clock of an installation stands. */
export async function storedClock({ read }: Pick<Database, 'read'>): Promise<ClockState> {
  // All in one round trip.
  const found = await Promise.all(Object.values(clockFacts).map((name) => read.one(factByName, { name })))
  return clockIn(factsOf(found.filter((fact) => fact !== undefined)))
}

/** Returns a function that moves this process's clock to where another node has moved it; without other nodes it does nothing. */
export function followClock(clock: TestClock, database: Database<typeof factCommands>): () => Promise<void> {
  if (database.capabilities.soleOwner) return async () => {}
  return async () => clock.follow(await storedClock(database))
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

/** Whether rows may have dates that are still to come. */
export function isAhead({ offset_ms, accounts }: ClockState): boolean {
  return offset_ms > 0 || Object.keys(accounts).length > 0
}
