import { formatFigure, median } from '../reports/figures.ts'
import { atLeast, atMost, type Goal, heading, table } from '../reports/report.ts'
import type { Child } from './child.ts'
import type { Options } from './options.ts'
import { Results, shuffled } from './results.ts'
import { burst, type Cell, type Contestant, type Field, type Name, type Sample, warm_up_ms } from './rounds.ts'
import { isRead, type Workload } from './workload.ts'

/** Length of a burst, by connections: the goals are for 64. */
const burst_ms: Readonly<Record<number, number>> = { 1: 500, 64: 800, 256: 500 }
const hot = 1000

/** Groups of cells that are compared. Groups and the cells of a group run in random order. */
function groups(large_rows: number, connections: readonly number[]): Cell[][] {
  return connections.flatMap((connections) => {
    const goals = connections === 64
    const cells = (operation: string, workload: Workload, names: readonly Name[], webhook?: Cell['webhook']): Cell[] =>
      names.map((contestant) => ({
        operation,
        contestant,
        connections,
        workload,
        polls: isRead(workload),
        ...(webhook && { webhook }),
      }))
    const fetch = (by: 'sid' | 'name', among: number): Workload => ({ verb: 'fetch', by, among })
    const create: Workload = { verb: 'create', service_sid: null, names: 'scattered' }
    return [
      [
        ...cells('fetch by sid, hot', fetch('sid', hot), ['bare', 'map', 'large']),
        ...cells('fetch by sid, cold', fetch('sid', large_rows), ['large']),
        ...cells('fetch by name, hot', fetch('name', hot), ['large']),
        ...cells('fetch by name, cold', fetch('name', large_rows), ['large']),
        ...(goals
          ? cells('fetch by sid, never cached', { ...fetch('sid', hot), unique_host: true } as Workload, ['small', 'large'])
          : []),
      ],
      cells('page of 50', { verb: 'page' }, goals ? ['bare', 'map', 'small', 'large'] : ['bare', 'large']),
      cells('update', { verb: 'update', among: hot }, goals ? ['map', 'each', 'small', 'large'] : ['map', 'each', 'small']),
      [
        ...cells('create', create, goals ? ['bare', 'map', 'route', 'each', 'small', 'large'] : ['bare', 'map', 'each', 'small']),
        ...(goals ? cells('create, ordered names', { ...create, names: 'ordered' }, ['small', 'large']) : []),
        ...cells('create, webhook delivered', create, goals ? ['each', 'small', 'large'] : ['each', 'small'], 'sink'),
        ...(goals ? cells('create, webhook endpoint down', create, ['small'], 'down') : []),
        ...(goals ? cells('create, webhook endpoint hangs', create, ['each', 'small'], 'hang') : []),
      ],
    ]
  })
}

export async function loadPart(field: Field, generator: Child<object>, options: Options): Promise<Goal[]> {
  const everything = groups(field.large.population.rows, options.goals_only ? [64] : [1, 64, 256])
    .map((group) => group.filter(({ operation }) => operation.includes(options.operation)))
    .filter((group) => group.length > 0)
  const results = new Results()
  for (let round = -1; round < options.rounds; round++) {
    for (const group of shuffled(everything)) {
      for (const cell of shuffled(group)) {
        // Round -1 is the warm-up and is not counted.
        const ms = (round < 0 ? warm_up_ms : (burst_ms[cell.connections] as number)) * options.scale
        if (round < 0 && cell.connections !== 64) continue
        const sample = await burst(generator, field[cell.contestant] as Contestant, cell, ms)
        if (round >= 0) results.add(cell, sample)
      }
    }
    console.error(round < 0 ? 'load: warm' : `load: round ${round + 1} of ${options.rounds}`)
  }
  print(results, everything.flat(), field)
  return goals(results)
}

const labels = (field: Field): Record<Name, string> => ({
  bare: 'bare node:http',
  map: 'Fastify + Map',
  route: 'Parley’s route, no storage',
  each: 'Parley, one commit each',
  small: `Parley, ${field.small.population.rows.toLocaleString('en-US')} rows`,
  large: `Parley, ${field.large.population.rows.toLocaleString('en-US')} rows`,
})

function print(results: Results, cells: readonly Cell[], field: Field): void {
  const label = labels(field)
  console.log(heading('Load (medians over rounds; “× name”: median of the ratios of requests/s within a round)'))
  const ordered = [...cells].sort((a, b) => operations.indexOf(a.operation) - operations.indexOf(b.operation))
  const rows = ordered.map(({ operation, connections, contestant }) => {
    const mine = results.of(operation, connections, contestant)
    const of = (figure: keyof Sample) => median(mine.map((sample) => sample[figure]))
    const against = (other: Name) => {
      const theirs = results.of(referenceOf(operation, other), connections, other)
      return contestant === other || theirs.length === 0 ? '' : formatFigure(results.ratio(mine, theirs, 'requests_per_s'))
    }
    return [
      operation,
      String(connections),
      label[contestant],
      of('requests_per_s'),
      of('p50_ms'),
      of('p99_ms'),
      of('cpu_us'),
      of('main_us'),
      against('bare'),
      against('map'),
      against('each'),
    ]
  })
  console.log(
    table(
      ['operation', 'conns', 'contestant', 'req/s', 'p50 ms', 'p99 ms', 'CPU µs', 'of it main', '× bare', '× Map', '× each'],
      rows,
    ),
  )
  const all = results.all()
  const driving = all.reduce((max, sample) => (sample.requests_per_s > max.requests_per_s ? sample : max))
  console.log(
    `\nLoad generator: in its fastest burst, ${formatFigure(driving.requests_per_s)} requests/s, it took ${formatFigure(driving.generator_us)} µs of ` +
      `CPU for each, ${formatFigure(driving.generator_busy * 100)} % of one core. Others on this machine used ${formatFigure(median(all.map((sample) => sample.foreign_cores)))} cores (median over bursts).`,
  )
}

const operations = [
  'fetch by sid, hot',
  'fetch by sid, cold',
  'fetch by name, hot',
  'fetch by name, cold',
  'fetch by sid, never cached',
  'page of 50',
  'update',
  'create',
  'create, ordered names',
  'create, webhook delivered',
  'create, webhook endpoint down',
  'create, webhook endpoint hangs',
]

/** Returns the operation of another contestant to compare with: bare and Map have no hot or cold rows and no webhooks. */
function referenceOf(operation: string, other: Name): string {
  if (operation.startsWith('fetch')) return 'fetch by sid, hot'
  const has_webhook = operation === 'create, webhook delivered' || operation === 'create, webhook endpoint hangs'
  return operation.startsWith('create') && !(other === 'each' && has_webhook) ? 'create' : operation
}

function goals(results: Results): Goal[] {
  const at = (operation: string, name: Name) => results.of(operation, 64, name)
  const versus = (figure: string, limit: number, mine: readonly Sample[], theirs: readonly Sample[]): Goal => ({
    ...atLeast(figure, limit, results.ratio(mine, theirs, 'requests_per_s'), ' ×'),
    by_cpu: results.ratio(theirs, mine, 'cpu_us'),
  })
  const bare = at('fetch by sid, hot', 'bare')
  const fetch = (operation: string, limit: number) => versus(`${operation} / bare`, limit, at(operation, 'large'), bare)
  const creates = (figure: string, operation: string, eachLimit: number) => [
    versus(`${figure} / same route, no storage`, 0.8, at(operation, 'small'), at('create', 'route')),
    versus(`${figure} / one commit each`, eachLimit, at(operation, 'small'), at(operation, 'each')),
    versus(`${figure} / Fastify + Map`, 1, at(operation, 'small'), at('create', 'map')),
  ]
  const growth = (operation: string) => results.ratio(at(operation, 'large'), at(operation, 'small'), 'cpu_us')
  const tail = median(at('create', 'small').map((sample) => sample.p99_ms / sample.p50_ms))
  return [
    fetch('fetch by sid, hot', 0.75),
    fetch('fetch by name, hot', 0.75),
    fetch('fetch by sid, cold', 0.55),
    fetch('fetch by name, cold', 0.55),
    // A server that writes from columns may take a quarter more than one that stringifies objects that it has.
    versus('page of 50 / bare', 0.8, at('page of 50', 'large'), at('page of 50', 'bare')),
    // With an endpoint that hangs only the row costs time; the second figure includes the sending.
    ...creates('create + webhook row', 'create, webhook endpoint hangs', 4.5),
    ...creates('create + webhook row and its sending', 'create, webhook delivered', 6),
    atMost('create, p99 / p50', 3, tail, ' ×'),
    atMost('CPU, large / small: fetch (never cached)', 1.15, growth('fetch by sid, never cached'), ' ×'),
    atMost('CPU, large / small: page of 50', 1.3, growth('page of 50'), ' ×'),
    atMost('CPU, large / small: create, unique names in order', 1.15, growth('create, ordered names'), ' ×'),
    // Each of these changes another page of the index of names.
    atMost('CPU, large / small: create, unique names in no order', 1.15, growth('create'), ' ×'),
  ].filter(({ measured }) => !Number.isNaN(measured))
}
