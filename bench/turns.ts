import { Child } from './child.ts'
import type { Options } from './options.ts'
import { Results, shuffled } from './results.ts'
import { burst, type Cell, type Contestant, warm_up_ms } from './rounds.ts'

/** `Name`: of the contestants of a part. */
export interface TurnCell<Name extends string> extends Omit<Cell, 'contestant'> {
  readonly contestant: Name
}

/**
 * Gives each cell a burst in every round, in random order; the first round only warms up. Ends the contestants, and returns the
 * samples of the others. `part`: for the progress.
 */
export async function inTurns<Name extends string>(
  part: string,
  field: Readonly<Record<Name, Contestant>>,
  cells: readonly TurnCell<Name>[],
  { rounds, scale }: Options,
  burst_ms: number,
): Promise<Results> {
  const generator = await Child.start<object>(new URL('./load.ts', import.meta.url))
  const results = new Results()
  for (let round = -1; round < rounds; round++) {
    for (const cell of shuffled(cells)) {
      const sample = await burst(generator, field[cell.contestant], cell, (round < 0 ? warm_up_ms : burst_ms) * scale)
      if (round >= 0) results.add(cell, sample)
    }
    console.error(round < 0 ? `${part}: warm` : `${part}: round ${round + 1} of ${rounds}`)
  }
  await generator.stop()
  for (const contestant of Object.values<Contestant>(field)) await contestant.stop()
  return results
}
