import fc from 'fast-check'
import { expect, onTestFinished, test } from 'vitest'
import { ApiError } from '../../src/errors.ts'
import type { Database } from '../../src/storage/database.ts'
import { StorageError } from '../../src/storage/failures.ts'
import { openDatabase } from '../../src/storage/open.ts'
import { newDatabase } from '../support/databases.ts'
import { postgresOnly } from '../support/only.ts'
import { type Counted, commands, counters, finds, marks, type RacingCommands, type Step } from '../support/racing-commands.ts'

/** A row for each test of what commands do at once: nobody removes these. */
const kept = ['a', 'b', 'c', 'd']
const removed = ['x', 'y']
/** Longer and more of everything, to look for what is rare: `RACING_RUNS=1000`. */
const maxAtOnce = process.env.RACING_RUNS ? 200 : 25
const numRuns = Number(process.env.RACING_RUNS ?? 5)

async function opened(): Promise<{ database: Database<RacingCommands>; failures: Error[]; runs: () => number }> {
  const place = await newDatabase()
  const failures: Error[] = []
  let runs = 0
  const database = await openDatabase<RacingCommands>(place.config.database, {
    commands: new URL('../support/racing-commands.ts', import.meta.url),
    loadCommands: async () => ({
      play: (tx, steps) => {
        runs++
        return commands.play(tx, steps)
      },
    }),
    failed: (error) => void failures.push(error),
  })
  onTestFinished(async () => {
    await database.close()
    await place.dispose()
  })
  await database.write(
    'play',
    [...kept, ...removed].map((sid) => ({ do: 'make', sid })),
  )
  await database.write(
    'play',
    kept.map((sid) => ({ do: 'mark', mark: sid })),
  )
  return { database, failures, runs: () => runs }
}

const sid = fc.constantFrom(...kept)
const by = fc.constantFrom(...finds)
const how = fc.constantFrom('change' as const, 'change' as const, 'keep' as const)
const count: fc.Arbitrary<Step> = fc.record({
  do: fc.constant('count' as const),
  sid,
  by,
  way: fc.constantFrom('must' as const, 'must' as const, 'run' as const, 'blind' as const, 'database' as const),
})
const other: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('hold' as const), sid: fc.constantFrom(...kept, ...removed), by, how }),
  fc.record({ do: fc.constantFrom('read' as const, 'touch' as const), sid }),
  fc.record({ do: fc.constant('claim' as const), sid: fc.constant('nobody') }),
  fc.record({ do: fc.constantFrom('remove' as const, 'make' as const), sid: fc.constantFrom(...removed) }),
  fc.record({ do: fc.constant('beside' as const), sid, mark: fc.uuid() }),
  fc.record({ do: fc.constant('mark' as const), mark: fc.uuid() }),
)
const end: fc.Arbitrary<Step> = fc.constantFrom({ do: 'refuse' }, { do: 'fail' })
const steps = fc.array(fc.oneof({ weight: 3, arbitrary: count }, { weight: 2, arbitrary: other }), { maxLength: 4 })
/** Who changes a row locks it for that from the beginning. */
function rank(step: Step): string {
  const isChange =
    step.do === 'count' || step.do === 'remove' || step.do === 'make' || (step.do === 'hold' && step.how === 'change')
  return `${'sid' in step ? step.sid : ''}${isChange ? 0 : 1}${step.do}`
}
/** Most lock their rows in one order; those that do not end up waiting for each other. */
const inOrder = steps.map((some) => some.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1)))
const line = fc.oneof({ weight: 9, arbitrary: inOrder }, { weight: 1, arbitrary: steps })
const fork: fc.Arbitrary<Step> = fc
  .array(fc.tuple(line, fc.option(end, { freq: 3 })), { minLength: 2, maxLength: 3 })
  .map((branches) => ({
    do: 'fork',
    // What a command does to one row it does one after the other.
    branches: branches.map(([steps, last], i) => [...steps.filter((step) => isOfBranch(step, i)), ...(last ? [last] : [])]),
  }))

function isOfBranch(step: Step, branch: number): boolean {
  if (!('sid' in step)) return true
  return kept.indexOf(step.sid) % 3 === branch || removed.indexOf(step.sid) === branch
}

/** Mostly short ones that get on, and a few that end badly. */
const program: fc.Arbitrary<Step[]> = fc.oneof(
  { weight: 6, arbitrary: count.map((step) => [step]) },
  { weight: 4, arbitrary: line },
  { weight: 2, arbitrary: fc.tuple(line, end).map(([steps, last]) => [...steps, last]) },
  { weight: 1, arbitrary: fc.tuple(line, fork, line).map(([before, fork, after]) => [...before, fork, ...after]) },
)

/** Those that let the others of their transaction go on: they do what they are told, or are refused before they write. */
const calm: fc.Arbitrary<Step[]> = fc.oneof(
  { weight: 6, arbitrary: count.map((step) => [step]) },
  { weight: 6, arbitrary: inOrder },
  {
    weight: 1,
    arbitrary: fc.tuple(sid, by, how).map(([sid, by, how]): Step[] => [{ do: 'hold', sid, by, how }, { do: 'refuse' }]),
  },
  { weight: 1, arbitrary: inOrder.map((others): Step[] => [{ do: 'fork', branches: [[{ do: 'refuse' }], others] }]) },
)
const atOnce = <T>(arbitrary: fc.Arbitrary<T>) => fc.array(arbitrary, { minLength: 1, maxLength: maxAtOnce, size: 'max' })

function marksOf(steps: readonly Step[]): string[] {
  return steps.flatMap((step) => (step.do === 'fork' ? step.branches.flatMap(marksOf) : 'mark' in step ? [step.mark] : []))
}

const ends = (steps: readonly Step[]): boolean =>
  steps.some((step) => step.do === 'refuse' || step.do === 'fail' || (step.do === 'fork' && step.branches.some(ends)))

const isTold = ({ message }: Error) => message.includes('out of luck')

// One by one, as an embedded database runs them, they do not race.
postgresOnly('many commands at once', () => {
  test('commands that race for rows in any order are all answered, and what is done is done once and as a whole', async () => {
    const { database, failures, runs } = await opened()
    const told = new Map(kept.map((name) => [name, [] as number[]]))
    const expected = new Set<string>(kept)
    const tally: Record<string, number> = {}
    await fc.assert(
      fc.asyncProperty(fc.oneof(atOnce(calm), atOnce(calm), atOnce(program)), async (programs) => {
        const answers = await Promise.all(
          programs.map((steps) =>
            database.write('play', steps).then(
              (counted): Counted | unknown => counted,
              (error: unknown) => (error instanceof ApiError ? error : Promise.reject(error)),
            ),
          ),
        )
        for (const [i, answer] of answers.entries()) {
          const steps = programs[i] ?? []
          const kind = answer instanceof ApiError ? answer.kind : 'done'
          tally[kind] = (tally[kind] ?? 0) + 1
          if (kind !== 'unavailable') expect(kind === 'done').toBe(!ends(steps))
          if (answer instanceof ApiError) continue
          for (const mark of marksOf(steps)) expected.add(mark)
          for (const [name, value] of answer as Counted) told.get(name)?.push(value ?? Number.NaN)
        }
        for (const { sid, date_created } of await database.read.all(counters, {})) {
          const values = told.get(sid)
          if (values)
            expect([sid, ...values.sort((a, b) => a - b)]).toEqual([
              sid,
              ...Array.from({ length: date_created }, (_, n) => n + 1),
            ])
        }
        expect((await database.read.all(marks, {})).map(({ name }) => name)).toEqual([...expected].sort())
      }),
      { numRuns, endOnFailure: true, ...(process.env.RACING_SEED && { seed: Number(process.env.RACING_SEED) }) },
    )
    // Of those that all want the same rows, some may have waited for too long.
    const defects = failures.filter(
      (error) => !(error instanceof StorageError && (error.kind === 'unavailable' || isTold(error))),
    )
    if (process.env.RACING_RUNS)
      console.log(JSON.stringify({ numRuns, tally, runs: runs(), defects: [...new Set(defects.map(String))] }))
    expect(defects).toEqual([])
  })
})
