import { setTimeout as sleep } from 'node:timers/promises'
import { Timers } from '../src/background/timers.ts'
import { SystemClock } from '../src/clock.ts'
import type { ParleyCommands } from '../src/commands.ts'
import { resources } from '../src/resources/index.ts'
import { type Database, only_slot } from '../src/storage/database.ts'
import type { Deadline } from './added-rows.ts'
import type { Contents } from './contents.ts'
import { median, percentile, shown } from './figures.ts'
import type { Options } from './options.ts'
import type { Parley, Server } from './parley.ts'
import type { SharedContents } from './postgres/contents.ts'
import { atLeast, atMost, type Goal, heading, table } from './report.ts'

export interface Firing {
  readonly what: string
  readonly timers: number
  /** Due evenly over so long; 0: all at one instant. */
  readonly spread_ms: number
  /** `null`: nobody is told. */
  readonly told: 'sink' | 'hang' | null
}

export interface Fired {
  readonly p50_ms: number
  readonly p99_ms: number
  readonly max_ms: number
  readonly per_s: number
  readonly cpu_us: number
  readonly database_us: number
}

/** Lateness and rate of deadlines, beside as many pending ones as the large database has rows. */
export async function timersPart(parley: Parley, options: Options): Promise<Goal[]> {
  const count = (full: number) => full * options.scale
  const firings: Firing[] = [
    { what: 'within one second, events sent', timers: count(10_000), spread_ms: 1000, told: 'sink' },
    { what: 'at once, events sent', timers: count(10_000), spread_ms: 0, told: 'sink' },
    { what: 'at once, nobody told', timers: count(100_000), spread_ms: 0, told: null },
    { what: 'at once, an event row each (endpoint hangs)', timers: count(100_000), spread_ms: 0, told: 'hang' },
  ]
  const poll_us = await idlePoll(parley)
  const idle = await idleSecond(parley, options)
  const fired: Fired[] = []
  for (const firing of firings) {
    fired.push(await fire(parley, firing))
    console.error(`timers: ${shown(firing.timers)} ${firing.what}`)
  }
  console.log(heading(`Timers, beside ${parley.population.rows.toLocaleString('en-US')} pending deadlines`))
  console.log(
    table(
      ['due', '', 'late p50 ms', 'p99 ms', 'max ms', 'applied/s', 'CPU µs each'],
      firings.map(({ timers, what }, i) => {
        const { p50_ms, p99_ms, max_ms, per_s, cpu_us } = fired[i] as Fired
        return [timers.toLocaleString('en-US'), what, p50_ms, p99_ms, max_ms, per_s, cpu_us]
      }),
    ),
  )
  console.log(`\nLateness: from the deadline until another connection to the file sees it applied, looked for every ms or so.`)
  console.log(
    `Idle poll: ${shown(poll_us)} µs (its code in a loop); the whole process, idle: ${shown(idle.cpu_us)} µs of CPU a second.`,
  )
  const [spread, must, bare, rows] = fired as [Fired, Fired, Fired, Fired]
  return [
    atMost('timers: idle poll, µs', 50, poll_us),
    atMost('timers: 10,000 due within a second, lateness p99, ms', 1000, spread.p99_ms),
    atMost('timers: 10,000 due at once, lateness max, ms', 1000, must.max_ms),
    atMost('timers: 100,000 due at once, lateness p99, ms (stretch)', 1000, bare.p99_ms),
    atMost('timers: the same with an event row each (stretch)', 1000, rows.p99_ms),
    atLeast('timers: applied durably per second', 15_000, bare.per_s),
    atLeast('timers: the same with an event row each', 15_000, rows.per_s),
  ]
}

/** Resolves when all have been applied: how late, in the order in which it was seen. */
type Watch = (file: Contents, expected: readonly Deadline[]) => Promise<number[]>

export async function fire(parley: Server, { timers, spread_ms, told }: Firing, watch: Watch = watchFirst): Promise<Fired> {
  const { file } = parley
  const standard = await file.owner()
  const owner = told === null ? standard : { ...standard, service_sid: parley.services[told] }
  const now_ms = Date.now()
  // Time for the rows to get in and for the server to notice them.
  const first_ms = now_ms + 2500 + timers * file.row_ms
  const expected = await file.addDue(timers, (i) => Math.round(first_ms + (i * spread_ms) / timers), owner, now_ms)
  if (Date.now() > first_ms - 1200) throw new Error('the machine is too slow: rows were not in before they were due')
  const before = await parley.usage()
  const lateness = await watch(file, expected)
  const after = await parley.usage()
  if (told === 'sink') await parley.drained(owner.service_sid)
  await file.forgetDeliveries()
  return {
    p50_ms: percentile(lateness, 0.5),
    p99_ms: percentile(lateness, 0.99),
    max_ms: percentile(lateness, 1),
    per_s: (timers / ((expected.at(-1)?.due ?? 0) + (lateness.at(-1) ?? 0) - first_ms)) * 1000,
    cpu_us: (after.all_us - before.all_us) / timers,
    database_us: (after.database_us - before.database_us) / timers,
  }
}

/**
 * Looks from outside which is the first that has not been applied: those before it are committed. One look is one step in an
 * index, so looking often costs the server nothing. Were a sweep to take them in another order, this would only judge harder.
 */
async function watchFirst(file: Contents, expected: readonly Deadline[]): Promise<number[]> {
  const lateness: number[] = []
  const last = expected.at(-1) as Deadline
  let done = 0
  while (done < expected.length) {
    await sleep(1)
    const first = await file.firstPending()
    const now_ms = Date.now()
    const applied = (row: Deadline) =>
      first === undefined || row.due < first.due || (row.due === first.due && row.sid < first.sid)
    for (let row = expected[done]; row && applied(row); row = expected[++done]) lateness.push(now_ms - row.due)
    if (now_ms > last.due + 120_000) throw new Error(`${expected.length - done} timers were not applied within two minutes`)
  }
  return lateness
}

/** Looks at some of them, for an engine that takes what is due in any order, and for the end at all. */
export async function watchSome(file: SharedContents, expected: readonly Deadline[]): Promise<number[]> {
  const lateness: number[] = []
  const last = expected.at(-1) as Deadline
  const step = Math.ceil(expected.length / most_watched)
  let left = new Map(expected.filter((_, i) => i % step === 0).map(({ sid, due }) => [sid, due]))
  for (;;) {
    await sleep(2)
    const pending = await file.pendingOf([...left.keys()])
    const first = pending.size > 0 ? undefined : await file.firstPending()
    const now_ms = Date.now()
    const over = pending.size === 0 && (first === undefined || first.due > last.due)
    for (const [sid, due] of left) if (!pending.has(sid)) lateness.push(now_ms - due)
    left = new Map([...left].filter(([sid]) => pending.has(sid)))
    if (over) return [...lateness, now_ms - last.due]
    if (now_ms > last.due + 120_000) throw new Error('not all timers were applied within two minutes')
  }
}

const most_watched = 200

/** What a poll costs when nothing is due: the sweep's own code over a connection of its own. */
export async function idlePoll(parley: Server): Promise<number> {
  const reader = parley.file.reader()
  const database: Database<ParleyCommands> = {
    capabilities: { sole_owner: true },
    read: reader.read,
    slots: only_slot,
    write: () => Promise.reject(new Error('nothing should be due')),
    subscribe: () => {},
    failing: () => false,
    waiting: () => 0,
    close: async () => await reader.close(),
  }
  const timers = new Timers({
    clock: new SystemClock(),
    database,
    resources,
    sweep: (request) => database.write('sweep', request),
    onError: console.error,
  })
  const bursts: number[] = []
  for (let n = 0; n < 20; n++) {
    const start_ms = performance.now()
    for (let i = 0; i < 100; i++) {
      await timers.catchUp()
      reader.refresh()
    }
    bursts.push((performance.now() - start_ms) * 10)
  }
  await database.close()
  return median(bursts)
}

/** CPU time of an idle second, in µs. */
export async function idleSecond(parley: Server, options: Options): Promise<{ cpu_us: number; database_us: number }> {
  const seconds = 10 * options.scale
  const before = await parley.usage()
  await sleep(seconds * 1000)
  const after = await parley.usage()
  return {
    cpu_us: (after.all_us - before.all_us) / seconds,
    database_us: (after.database_us - before.database_us) / seconds,
  }
}
