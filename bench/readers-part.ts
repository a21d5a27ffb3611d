import { formatFigure, median } from '../reports/figures.ts'
import { type Goal, heading, table } from '../reports/report.ts'
import type { Child } from './child.ts'
import type { Options } from './options.ts'
import { startParley } from './parley.ts'
import { type Cell, type Contestant, ofParley, type Sample } from './rounds.ts'
import type { Sink } from './sink.ts'
import { inTurns } from './turns.ts'

const burst_ms = 800
const rows = 1000

/** Numbers of reading threads. */
const contestants = ['0', '1', '2'] as const
type Name = (typeof contestants)[number]

/** With 8 connections one thread is asked for every page; with 64 the main thread reads those that find all threads busy. */
const workloads: readonly [string, Cell['workload'], readonly number[]][] = [
  ['page of 50', { verb: 'page' }, [8, 64]],
  ['page of 1,000', { verb: 'get', path: '/v1/Conversations?PageSize=1000' }, [8, 64]],
  ['fetch by sid, hot', { verb: 'fetch', by: 'sid', among: rows }, [64]],
  ['update', { verb: 'update', among: rows }, [64]],
]

/**
 * Measures what reading threads gain: the main thread has the more room for requests the less of its time a page takes. The rate
 * follows only where there are cores for the threads beside the load generator.
 */
export async function readersPart(sink: Child<Sink>, options: Options, folder: string): Promise<Goal[]> {
  const field = {
    0: await start('0', sink.ready, options, folder),
    1: await start('1', sink.ready, options, folder),
    2: await start('2', sink.ready, options, folder),
  }
  const cells = workloads
    .filter(([operation]) => operation.includes(options.operation))
    .flatMap(([operation, workload, counts]) =>
      counts.flatMap((connections) => contestants.map((contestant) => ({ operation, contestant, connections, workload }))),
    )
  const results = await inTurns('readers', field, cells, options, burst_ms)
  const lines = cells.map(({ operation, contestant, connections }) => {
    const of = (name: Name) => results.of(operation, connections, name)
    const mine = of(contestant)
    const figures = (['requests_per_s', 'p50_ms', 'p99_ms', 'cpu_us', 'main_us', 'generator_us', 'generator_busy'] as const).map(
      (figure: keyof Sample) => median(mine.map((sample) => sample[figure])),
    )
    const against = contestant === '0' ? '' : formatFigure(results.ratio(mine, of('0'), 'requests_per_s'))
    return [operation, String(connections), contestant, ...figures, against]
  })
  console.log(heading('Reading threads (medians over rounds)'))
  console.log(
    table(
      ['operation', 'conns', 'threads', 'req/s', 'p50 ms', 'p99 ms', 'CPU µs', 'of it main', 'generator µs', 'its cores', '× 0'],
      lines,
    ),
  )
  const foreign = median(results.all().map((sample) => sample.foreign_cores))
  console.log(`\nOthers on this machine used ${formatFigure(foreign)} cores (median over bursts).`)
  return []
}

async function start(name: Name, sink: Sink, options: Options, folder: string): Promise<Contestant> {
  const settings = { PARLEY_READ_WORKERS: name }
  const parley = await startParley({ path: `${folder}/readers-${name}.db`, rows, sink, profile: options.profile, settings })
  return ofParley(parley, false)
}
