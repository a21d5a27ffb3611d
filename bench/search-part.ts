import { formatFigure, median } from '../reports/figures.ts'
import { atLeast, type Goal, heading, table } from '../reports/report.ts'
import { single, spread } from './chat-part.ts'
import { chatFilling, chatOf } from './chat-population.ts'
import { Child } from './child.ts'
import type { Options } from './options.ts'
import { type Parley, startParley } from './parley.ts'
import { Results, shuffled } from './results.ts'
import { burst, type Cell, type Contestant } from './rounds.ts'
import type { Sink } from './sink.ts'

type SearchCell = Omit<Cell, 'contestant'> & { readonly contestant: 'indexed' | 'plain' }

const burst_ms = 800
const conversations = 1000

/** Measures what the index of the search costs a message, against a server without one. */
export async function searchPart(sink: Child<Sink>, options: Options, folder: string): Promise<Goal[]> {
  const field = {
    indexed: await start('indexed', 'on', sink.ready, options, folder),
    plain: await start('plain', 'off', sink.ready, options, folder),
  }
  const generator = await Child.start<object>(new URL('./load.ts', import.meta.url))
  const results = new Results()
  const cells = cellsOf()
  for (let round = -1; round < options.rounds; round++) {
    for (const cell of shuffled(cells)) {
      const sample = await burst(generator, field[cell.contestant], cell, burst_ms * options.scale)
      if (round >= 0) results.add(cell, sample)
    }
    console.error(round < 0 ? 'search: warm' : `search: round ${round + 1} of ${options.rounds}`)
  }
  await generator.stop()
  for (const contestant of Object.values(field)) await contestant.stop()
  const rows = cells.map(({ operation, connections, contestant }) => {
    const mine = results.of(operation, connections, contestant)
    const of = (figure: 'requests_per_s' | 'p50_ms' | 'cpu_us' | 'main_us') => median(mine.map((sample) => sample[figure]))
    const label = contestant === 'indexed' ? 'with the index' : 'PARLEY_SEARCH=off'
    return [operation, String(connections), label, of('requests_per_s'), of('p50_ms'), of('cpu_us'), of('main_us')]
  })
  console.log(heading('Search: what its index costs (medians over rounds)'))
  console.log(table(['operation', 'conns', 'contestant', 'req/s', 'p50 ms', 'CPU µs', 'of it main'], rows))
  const foreign = median(results.all().map((sample) => sample.foreign_cores))
  console.log(`\nOthers on this machine used ${formatFigure(foreign)} cores (median over bursts).`)
  return [single, spread].map((operation) => {
    const [indexed, plain] = (['indexed', 'plain'] as const).map((contestant) => results.of(operation, 64, contestant))
    const by_cpu = results.ratio(plain ?? [], indexed ?? [], 'cpu_us')
    return {
      ...atLeast(
        `${operation}, with the index / without`,
        0.85,
        results.ratio(indexed ?? [], plain ?? [], 'requests_per_s'),
        ' ×',
      ),
      by_cpu,
    }
  })
}

async function start(name: string, search: string, sink: Sink, options: Options, folder: string): Promise<Contestant> {
  const chat = chatOf(conversations, 0)
  const parley: Parley = await startParley({
    path: `${folder}/search-${name}.db`,
    rows: chat.deep + 1,
    sink,
    profile: options.profile,
    settings: { PARLEY_SEARCH: search },
    filling: (population) => chatFilling(chat, population, Date.now()),
  })
  return {
    ports: parley.ports,
    population: parley.population,
    parley,
    usage: () => parley.usage(),
    // Kept: an index grows with what is in it.
    trim: async () => parley.file.deleteDeliveries(),
    stop: () => parley.stop(),
  }
}

function cellsOf(): SearchCell[] {
  const workloads: [string, Cell['workload']][] = [
    [single, { verb: 'message', service_sid: null, first: conversations, count: 1 }],
    [spread, { verb: 'message', service_sid: null, first: 0, count: conversations }],
  ]
  return workloads.flatMap(([operation, workload]) =>
    [1, 64].flatMap((connections) =>
      (['indexed', 'plain'] as const).map((contestant) => ({ operation, contestant, connections, workload })),
    ),
  )
}
