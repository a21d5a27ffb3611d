import { setTimeout as sleep } from 'node:timers/promises'
import { formatFigure, median, percentile } from '../reports/figures.ts'
import { atLeast, atMost, type Goal, heading, table } from '../reports/report.ts'
import { Timers } from '../src/background/timers.ts'
import { SystemClock } from '../src/clock.ts'
import type { ParleyCommands } from '../src/commands.ts'
import { resources } from '../src/resources/index.ts'
import { type Database, onlyNode, onlySlot } from '../src/storage/database.ts'
import type { Deadline } from './added-rows.ts'
import type { Contents } from './contents.ts'
import type { Options } from './options.ts'
import type { Parley, Server } from './parley.ts'
import type { SharedContents } from './postgres/contents.ts'

export interface Firing {
  readonly what: string
  readonly timers: number
  /** Deadlines are spread evenly over this time; 0: all at one instant. */
  readonly spread_ms: number
  /** The endpoint of the events; null: no events. */
  readonly webhook: 'sink' | 'hang' | null
}

export interface Fired {
  readonly p50_ms: number
  readonly p99_ms: number
  readonly max_ms: number
  readonly per_s: number
  readonly cpu_us: number
  readonly database_us: number
}

/** Measures lateness and rate of deadlines while as many are pending as the large database has rows. */
export async function timersPart(parley: Parley, options: Options): Promise<Goal[]> {
  const count = (full: number) => full * options.scale
  const firings: Firing[] = [
    { what: 'within one second, events sent', timers: count(10_000), spread_ms: 1000, webhook: 'sink' },
    { what: 'at once, events sent', timers: count(10_000), spread_ms: 0, webhook: 'sink' },
    { what: 'at once, without webhooks', timers: count(100_000), spread_ms: 0, webhook: null },
    { what: 'at once, an event row each (endpoint hangs)', timers: count(100_000), spread_ms: 0, webhook: 'hang' },
  ]
  const poll_us = await idlePoll(parley)
  const idle = await idleSecond(parley, options)
  const fired: Fired[] = []
  for (const firing of firings) {
    fired.push(await fire(parley, firing))
    console.error(`timers: ${formatFigure(firing.timers)} ${firing.what}`)
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
  console.log(`\nLateness: from the deadline until another connection to the file sees it applied, polled about every ms.`)
  console.log(
    `Idle poll: ${formatFigure(poll_us)} µs (its code in a loop); the whole process, idle: ${formatFigure(idle.cpu_us)} µs of CPU a second.`,
  )
  const [spread, must, bare, rows] = fired as [Fired, Fired, Fired, Fired]
  return [
    atMost('timers: idle poll, µs', 50, poll_us),
    atMost('timers: 10,000 due within a second, lateness p99, ms', 1000, spread.p99_ms),
    atMost('timers: 10,000 due at once, lateness max, ms', 1000, must.max_ms),
    atMost('timers: 100,000 due at once, lateness max, ms', 1000, bare.max_ms),
    atMost('timers: the same with an event row each', 2000, rows.max_ms),
    atLeast('timers: applied durably per second', 15_000, bare.per_s),
    atLeast('timers: applied durably per second, with an event row each', 15_000, rows.per_s),
  ]
}

/** Resolves when all deadlines have been applied, to their lateness in the order of observation. */
type Watch = (file: Contents, expected: readonly Deadline[]) => Promise<number[]>

export async function fire(parley: Server, { timers, spread_ms, webhook }: Firing, watch: Watch = watchFirst): Promise<Fired> {
  const { file } = parley
  const standard = await file.owner()
  const owner = webhook === null ? standard : { ...standard, service_sid: parley.services[webhook] }
  const nowMs = Date.now()
  // Leaves time to insert the rows and for the server to notice them.
  const firstMs = nowMs + 2500 + timers * file.row_ms
  const expected = await file.addDue(timers, (i) => Math.round(firstMs + (i * spread_ms) / timers), owner, nowMs)
  if (Date.now() > firstMs - 1200) throw new Error('the machine is too slow: the rows were inserted after their deadlines')
  const before = await parley.usage()
  const lateness = await watch(file, expected)
  const after = await parley.usage()
  if (webhook === 'sink') await parley.drained(owner.service_sid)
  await file.deleteDeliveries()
  return {
    p50_ms: percentile(lateness, 0.5),
    p99_ms: percentile(lateness, 0.99),
    max_ms: percentile(lateness, 1),
    per_s: (timers / ((expected.at(-1)?.due ?? 0) + (lateness.at(-1) ?? 0) - firstMs)) * 1000,
    cpu_us: (after.all_us - before.all_us) / timers,
    database_us: (after.database_us - before.database_us) / timers,
  }
}

/**
 * Polls for the first deadline that has not been applied: those before it are committed. A poll reads one entry of an index, so
 * that it costs the server nothing. If a sweep used another order, the measured lateness would only be larger.
 */
async function watchFirst(file: Contents, expected: readonly Deadline[]): Promise<number[]> {
  const lateness: number[] = []
  const last = expected.at(-1) as Deadline
  let done = 0
  while (done < expected.length) {
    await sleep(1)
    const first = await file.firstPending()
    const nowMs = Date.now()
    const applied = (row: Deadline) =>
      first === undefined || row.due < first.due || (row.due === first.due && row.sid < first.sid)
    for (let row = expected[done]; row && applied(row); row = expected[++done]) lateness.push(nowMs - row.due)
    if (nowMs > last.due + 120_000) throw new Error(`${expected.length - done} timers were not applied within two minutes`)
  }
  return lateness
}

/** Polls for a sample and for the end, for an engine that applies deadlines in any order. */
export async function watchSome(file: SharedContents, expected: readonly Deadline[]): Promise<number[]> {
  const lateness: number[] = []
  const last = expected.at(-1) as Deadline
  const step = Math.ceil(expected.length / max_watched)
  let left = new Map(expected.filter((_, i) => i % step === 0).map(({ sid, due }) => [sid, due]))
  for (;;) {
    await sleep(2)
    const pending = await file.pendingOf([...left.keys()])
    const first = pending.size > 0 ? undefined : await file.firstPending()
    const nowMs = Date.now()
    const over = pending.size === 0 && (first === undefined || first.due > last.due)
    for (const [sid, due] of left) if (!pending.has(sid)) lateness.push(nowMs - due)
    left = new Map([...left].filter(([sid]) => pending.has(sid)))
    if (over) return [...lateness, nowMs - last.due]
    if (nowMs > last.due + 120_000) throw new Error('not all timers were applied within two minutes')
  }
}

const max_watched = 200

/** Measures a poll when nothing is due: the code of the sweep with its own connection. */
export async function idlePoll(parley: Server): Promise<number> {
  const reader = parley.file.reader()
  const database: Database<ParleyCommands> = {
    capabilities: { engine: 'sqlite', soleOwner: true, cacheLeaseMs: Number.POSITIVE_INFINITY },
    read: reader.read,
    slots: onlySlot,
    nodes: onlyNode(),
    write: () => Promise.reject(new Error('nothing should be due')),
    publish: () => {},
    subscribe: () => {},
    failing: () => false,
    sizes: async () => ({ bytes: 0, tables: [] }),
    waiting: () => 0,
    scrub: async () => true,
    usage: async () => ({ bytes: 0, pool: null }),
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
    const startMs = performance.now()
    for (let i = 0; i < 100; i++) {
      await timers.catchUp()
      reader.refresh()
    }
    bursts.push((performance.now() - startMs) * 10)
  }
  await database.close()
  return median(bursts)
}

/** Measures the CPU time of an idle second, in µs. */
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
