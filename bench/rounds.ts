import { cpus } from 'node:os'
import { type Ask, statusOf } from './asks.ts'
import { Child, type Usage } from './child.ts'
import type { Measured } from './load.ts'
import type { Options } from './options.ts'
import { type Parley, type Server, startParley } from './parley.ts'
import { type Population, population } from './population.ts'
import type { Sink } from './sink.ts'

/** Everything that is up during the load part. */
export interface Field {
  readonly bare: Contestant
  readonly map: Contestant
  readonly route: Contestant
  readonly each: Contestant
  readonly small: Contestant
  readonly large: Contestant
}
export type Name = keyof Field

export interface Contestant {
  readonly ports: readonly number[]
  readonly population: Population
  readonly parley: Pick<Server, 'services' | 'drained'> | null
  usage(): Promise<Usage>
  /** Takes back what a burst has added. */
  trim(): Promise<void>
  stop(): Promise<void>
}

/** One cell of the results. */
export interface Cell {
  readonly operation: string
  readonly contestant: Name
  readonly connections: number
  readonly ask: Ask
  /** Which of the service's endpoints hears of it. */
  readonly webhook?: keyof Sink
}

export interface Sample {
  readonly requests_per_s: number
  readonly p50_ms: number
  readonly p99_ms: number
  /** Of the server process, deliveries included that the burst caused. */
  readonly cpu_us: number
  readonly main_us: number
  /** Of the database server, where there is one. */
  readonly database_us: number
  /** Of both. */
  readonly total_us: number
  readonly generator_us: number
  /** Share of its core that the generator was busy. */
  readonly generator_busy: number
  /** Cores that processes outside of the bench used meanwhile. */
  readonly foreign_cores: number
}

const small_rows = 1000

export async function startField(large: Parley, options: Options, sink: Sink, folder: string): Promise<Field> {
  const made = population(small_rows, Date.now())
  const common = { rows: small_rows, sink, profile: options.profile }
  return {
    bare: await plain(new URL('./contestants/bare.ts', import.meta.url), made),
    map: await plain(new URL('./contestants/map.ts', import.meta.url), made),
    route: await plain(new URL('./contestants/route.ts', import.meta.url), made),
    each: ofParley(await startParley({ ...common, path: `${folder}/each.db`, largest_batch: 1 }), true),
    small: ofParley(await startParley({ ...common, path: `${folder}/small.db` }), true),
    large: ofParley(large, false),
  }
}

async function plain(module: URL, made: Population): Promise<Contestant> {
  const child = await Child.start<{ port: number }>(module, made)
  return {
    ports: [child.ready.port],
    population: made,
    parley: null,
    usage: () => child.usage(),
    trim: () => child.ask({ trim: true }),
    stop: () => child.stop(),
  }
}

function ofParley(parley: Parley, trimmed: boolean): Contestant {
  const { ports, population: made, file } = parley
  return {
    ports,
    population: made,
    parley,
    usage: () => parley.usage(),
    trim: async () => {
      // A large one is not made larger by what is added.
      if (trimmed) file.forgetConversations(made.rows)
      file.forgetDeliveries()
    },
    stop: () => parley.stop(),
  }
}

/** One burst: load on one contestant, everybody else idle. */
export async function burst(
  generator: Child<object>,
  contestant: Contestant,
  cell: Omit<Cell, 'contestant'> & { readonly contestant: string },
  ms: number,
): Promise<Sample> {
  const { ports, population: made, parley } = contestant
  const service_sid = cell.webhook === undefined ? null : (parley?.services[cell.webhook] ?? null)
  const ask = 'service_sid' in cell.ask ? { ...cell.ask, service_sid } : cell.ask
  const busy = busyCores()
  const before = await contestant.usage()
  const measured = await generator.ask<Measured | { error: string }>({
    ports,
    connections: cell.connections,
    ms,
    ask,
    population: made,
  })
  if ('error' in measured) throw new Error(`${cell.contestant}, ${cell.operation}, ${cell.connections}: ${measured.error}`)
  // What hangs is never drained; its rows are taken back below.
  if (service_sid !== null && cell.webhook !== 'hang') await parley?.drained(service_sid)
  const after = await contestant.usage()
  const all_us = after.all_us - before.all_us
  const database_us = after.database_us - before.database_us
  const cores = busy()
  if (statusOf(ask) === 201) await contestant.trim()
  return {
    requests_per_s: (measured.requests / measured.ms) * 1000,
    p50_ms: measured.p50_ms,
    p99_ms: measured.p99_ms,
    cpu_us: all_us / measured.requests,
    main_us: (after.main_us - before.main_us) / measured.requests,
    database_us: database_us / measured.requests,
    total_us: (all_us + database_us) / measured.requests,
    generator_us: measured.generator_us / measured.requests,
    generator_busy: measured.generator_us / 1000 / measured.ms,
    foreign_cores: cores.foreign(all_us + (database_us || 0) + measured.generator_us),
  }
}

/** Answers a function that tells, given the CPU time used by the bench, how many cores others were using since now. */
export function busyCores(): () => { foreign(own_us: number): number } {
  const used_ms = () => cpus().reduce((sum, { times }) => sum + times.user + times.sys + times.nice + times.irq, 0)
  const was_ms = used_ms()
  const start_ms = performance.now()
  return () => {
    const ms = performance.now() - start_ms
    const cores = (used_ms() - was_ms) / ms
    return { foreign: (own_us) => Math.max(0, cores - own_us / 1000 / ms) }
  }
}
