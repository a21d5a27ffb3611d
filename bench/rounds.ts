import { cpus } from 'node:os'
import { Child, type Usage } from './child.ts'
import type { Measured } from './load.ts'
import type { Options } from './options.ts'
import { type Parley, type Server, startParley } from './parley.ts'
import { newPopulation, type Population } from './population.ts'
import type { Sink } from './sink.ts'
import { statusOf, type Workload } from './workload.ts'

/** The contestants of the load part. */
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
  /** Deletes what a burst has added. */
  trim(): Promise<void>
  stop(): Promise<void>
}

export interface Cell {
  readonly operation: string
  readonly contestant: Name
  readonly connections: number
  readonly workload: Workload
  /** The endpoint that receives its events. */
  readonly webhook?: keyof Sink
  /**
   * The generator never sleeps, so that the server need not wake it. Only where the server, with its database, leaves a core for that.
   */
  readonly polls?: boolean
}

export interface Sample {
  readonly requests_per_s: number
  readonly p50_ms: number
  readonly p99_ms: number
  /** Of the server process, including the deliveries of the burst. */
  readonly cpu_us: number
  readonly main_us: number
  /** Of the database server, if there is one. */
  readonly database_us: number
  /** Of both. */
  readonly total_us: number
  readonly generator_us: number
  /** Share of a core that the generator used. */
  readonly generator_busy: number
  /** Cores that other processes used at the same time. */
  readonly foreign_cores: number
}

const small_rows = 1000
/** How long each operation of a contestant runs before the first round: V8 compiles over some 30,000 requests. */
export const warm_up_ms = 3000

export async function startField(large: Parley, options: Options, sink: Sink, folder: string): Promise<Field> {
  const population = newPopulation(small_rows, Date.now())
  const common = { rows: small_rows, sink, profile: options.profile }
  return {
    bare: await plain(new URL('./contestants/bare.ts', import.meta.url), population),
    map: await plain(new URL('./contestants/map.ts', import.meta.url), population),
    route: await plain(new URL('./contestants/route.ts', import.meta.url), population),
    each: ofParley(await startParley({ ...common, path: `${folder}/each.db`, largestBatch: 1 }), true),
    small: ofParley(await startParley({ ...common, path: `${folder}/small.db` }), true),
    large: ofParley(large, false),
  }
}

/** Starts a contestant of `bench/contestants` that has nothing to load. */
export async function plain(module: URL, population: Population): Promise<Contestant> {
  const child = await Child.start<{ port: number }>(module, population)
  return {
    ports: [child.ready.port],
    population,
    parley: null,
    usage: () => child.usage(),
    trim: () => child.request({ trim: true }),
    stop: () => child.stop(),
  }
}

/** `trimmed`: the conversations that a burst adds are deleted, too. */
export function ofParley(parley: Parley, trimmed: boolean): Contestant {
  const { ports, population, file } = parley
  return {
    ports,
    population,
    parley,
    usage: () => parley.usage(),
    trim: async () => {
      // A large table hardly grows by what a burst adds.
      if (trimmed) file.deleteConversationsAfter(population.rows)
      file.deleteDeliveries()
    },
    stop: () => parley.stop(),
  }
}

/** Runs a burst on one contestant while all others are idle. */
export async function burst(
  generator: Child<object>,
  contestant: Contestant,
  cell: Omit<Cell, 'contestant'> & { readonly contestant: string },
  ms: number,
): Promise<Sample> {
  const { ports, population, parley } = contestant
  const service_sid = cell.webhook === undefined ? null : (parley?.services[cell.webhook] ?? null)
  const workload = 'service_sid' in cell.workload ? { ...cell.workload, service_sid } : cell.workload
  const busy = busyCores()
  const before = await contestant.usage()
  const measured = await generator.request<Measured | { error: string }>({
    ports,
    connections: cell.connections,
    ms,
    workload,
    population,
    polls: cell.polls ?? false,
  })
  if ('error' in measured) throw new Error(`${cell.contestant}, ${cell.operation}, ${cell.connections}: ${measured.error}`)
  // Deliveries to an endpoint that hangs stay pending; their rows are deleted below.
  if (service_sid !== null && cell.webhook !== 'hang') await parley?.drained(service_sid)
  const after = await contestant.usage()
  const all_us = after.all_us - before.all_us
  const database_us = after.database_us - before.database_us
  const cores = busy()
  if (statusOf(workload) === 201) await contestant.trim()
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
    foreign_cores: cores.foreign(all_us + (database_us || 0) + measured.generator_us + measured.polling_us),
  }
}

/** Returns a function that computes, from the CPU time of the bench, how many cores other processes have used since this call. */
export function busyCores(): () => { foreign(own_us: number): number } {
  const used_ms = () => cpus().reduce((sum, { times }) => sum + times.user + times.sys + times.nice + times.irq, 0)
  const beforeMs = used_ms()
  const startMs = performance.now()
  return () => {
    const ms = performance.now() - startMs
    const cores = (used_ms() - beforeMs) / ms
    return { foreign: (own_us) => Math.max(0, cores - own_us / 1000 / ms) }
  }
}
