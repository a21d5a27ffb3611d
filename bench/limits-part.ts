import { formatFigure, median } from '../reports/figures.ts'
import { atLeast, type Goal, heading, table } from '../reports/report.ts'
import type { Child } from './child.ts'
import type { Options } from './options.ts'
import { startParley } from './parley.ts'
import { type Cell, type Contestant, ofParley } from './rounds.ts'
import type { Sink } from './sink.ts'
import { inTurns } from './turns.ts'
import { isRead } from './workload.ts'

const burst_ms = 600
const rows = 1000

const off = {
  PARLEY_MAX_CONCURRENT_REQUESTS: '0',
  PARLEY_MAX_WAITING_WRITES: '0',
  PARLEY_MAX_CONNECTIONS_PER_ADDRESS: '0',
  PARLEY_LOG_LEVEL: 'silent',
}
/** Every limit, so high that none is met. */
const limited = {
  PARLEY_MAX_CONCURRENT_REQUESTS: '100000',
  PARLEY_MAX_REQUESTS_PER_SECOND: '1000000',
  PARLEY_MAX_ACTIONS_PER_SECOND: '1000000',
  PARLEY_MAX_ACCOUNT_ACTIONS_PER_SECOND: '1000000',
  PARLEY_MAX_WAITING_WRITES: '5000',
  PARLEY_MAX_CONNECTIONS_PER_ADDRESS: '500',
  PARLEY_LOG_LEVEL: 'silent',
}
const contestants = { off, limited, logged: { ...limited, PARLEY_LOG_LEVEL: 'info' } }
type Name = keyof typeof contestants

const workloads: readonly [string, Cell['workload']][] = [
  ['fetch by sid, hot', { verb: 'fetch', by: 'sid', among: rows }],
  ['update', { verb: 'update', among: rows }],
  ['create', { verb: 'create', service_sid: null, names: 'scattered' }],
]

/** Measures what limits cost a request, and its line in the log, against a server with none of them. */
export async function limitsPart(sink: Child<Sink>, options: Options, folder: string): Promise<Goal[]> {
  const field = {
    off: await start('off', sink.ready, options, folder),
    limited: await start('limited', sink.ready, options, folder),
    logged: await start('logged', sink.ready, options, folder),
  }
  const cells = workloads.flatMap(([operation, workload]) =>
    (Object.keys(contestants) as Name[]).map((contestant) => ({
      operation,
      contestant,
      connections: 64,
      workload,
      polls: isRead(workload),
    })),
  )
  const results = await inTurns('limits', field, cells, options, burst_ms)
  const of = (operation: string, name: Name) => results.of(operation, 64, name)
  console.log(heading('Limits and log: what they cost (medians over rounds)'))
  console.log(
    table(
      ['operation', 'contestant', 'req/s', 'CPU µs', 'of it main'],
      cells.map(({ operation, contestant }) => [
        operation,
        { off: 'neither', limited: 'all limits', logged: 'all limits, a line for each request' }[contestant],
        ...(['requests_per_s', 'cpu_us', 'main_us'] as const).map((figure) =>
          median(of(operation, contestant).map((sample) => sample[figure])),
        ),
      ]),
    ),
  )
  const foreign = median(results.all().map((sample) => sample.foreign_cores))
  console.log(`\nOthers on this machine used ${formatFigure(foreign)} cores (median over bursts).`)
  return workloads.map(([operation]) => ({
    ...atLeast(
      `${operation}, all limits / none`,
      0.97,
      results.ratio(of(operation, 'limited'), of(operation, 'off'), 'requests_per_s'),
      ' ×',
    ),
    by_cpu: results.ratio(of(operation, 'off'), of(operation, 'limited'), 'cpu_us'),
  }))
}

async function start(name: Name, sink: Sink, options: Options, folder: string): Promise<Contestant> {
  const path = `${folder}/limits-${name}.db`
  const parley = await startParley({ path, rows, sink, profile: options.profile, settings: contestants[name] })
  return ofParley(parley, true)
}
