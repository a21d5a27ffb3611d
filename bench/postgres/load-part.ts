import { cpus } from 'node:os'
import { formatFigure, median } from '../../reports/figures.ts'
import { atLeast, atMost, type Goal, heading, table } from '../../reports/report.ts'
import { Child } from '../child.ts'
import type { Options } from '../options.ts'
import { Results, shuffled } from '../results.ts'
import { burst, type Contestant, type Sample, warm_up_ms } from '../rounds.ts'
import type { Sink } from '../sink.ts'
import type { Workload } from '../workload.ts'
import { SharedContents } from './contents.ts'
import { type Bench, makeTemplate, type Nodes, type NodesOptions, startNodes, type Template } from './nodes.ts'
import { findPgbench, type Pgbench, type Script, startPgbench } from './pgbench.ts'

/** Connections per node: more nodes serve more clients. */
const per_node = 64
const burst_ms = 1000

const nodes = {
  one: { name: 'one', nodes: 1 },
  two: { name: 'two', nodes: 2 },
  three: { name: 'three', nodes: 3 },
  reads: { name: 'reads', nodes: 1, coalesce: false },
  each: { name: 'each', nodes: 1, largestBatch: 1 },
} satisfies Record<string, NodesOptions>

type Name = keyof typeof nodes | 'pooled' | 'pgbench'

const labels: Record<Name, string> = {
  one: 'Parley, 1 node',
  two: 'Parley, 2 nodes',
  three: 'Parley, 3 nodes',
  reads: 'Parley, a query for each read',
  each: 'Parley, a transaction for each create',
  pooled: 'node:http + pg pool',
  pgbench: 'pgbench',
}

function connectionsOf(name: Name): number {
  return per_node * (name in nodes ? nodes[name as keyof typeof nodes].nodes : 1)
}

interface Field {
  readonly served: Readonly<Record<Exclude<Name, 'pgbench'>, Contestant>>
  readonly pgbench: Pgbench | null
  stop(): Promise<void>
}

interface Cell {
  readonly operation: string
  readonly contestant: Name
  readonly connections: number
  readonly workload: Workload
  readonly webhook?: keyof Sink
  /** The pgbench script to compare with. */
  readonly script: Script
}

const fetching = 'fetch by sid'
const creating = 'create, webhook row'

/** Groups of cells that are compared. Groups and the cells of a group run in random order. */
function groups(rows: number): Cell[][] {
  const all: Name[] = ['one', 'two', 'three']
  const cells = (operation: string, names: readonly Name[], workload: Workload, webhook?: keyof Sink): Cell[] =>
    names.map((contestant) => ({
      operation,
      contestant,
      connections: connectionsOf(contestant),
      workload,
      script: workload.verb === 'create' ? 'create' : 'fetch',
      ...(webhook && { webhook }),
    }))
  const create: Workload = { verb: 'create', service_sid: null, names: 'scattered' }
  return [
    cells(fetching, [...all, 'reads', 'pooled', 'pgbench'], { verb: 'fetch', by: 'sid', among: rows }),
    cells('fetch by name', all, { verb: 'fetch', by: 'name', among: rows }),
    cells('page of 50', all, { verb: 'page' }),
    cells('update', all, { verb: 'update', among: 1000 }),
    [
      ...cells('create', all, create),
      ...cells(creating, [...all, 'each', 'pooled', 'pgbench'], create, 'hang'),
      ...cells('create, webhook delivered', all, create, 'sink'),
    ],
  ]
}

/** Compares one, two and three nodes with the bare statements of pgbench and with a usual server, at the same durability. */
export async function loadPart(bench: Bench, sink: Sink, options: Options): Promise<Goal[]> {
  const startMs = performance.now()
  const field = await startField(bench, await makeTemplate(bench, { rows: options.rows, sink }))
  console.error(`load: all contestants started after ${formatFigure((performance.now() - startMs) / 1000)} s`)
  const generator = await Child.start<object>(new URL('../load.ts', import.meta.url))
  const chosen = groups(options.rows)
    .map((group) =>
      group.filter(
        ({ operation, contestant }) =>
          operation.includes(options.operation) && (contestant !== 'pgbench' || field.pgbench !== null),
      ),
    )
    .filter((group) => group.length > 0)
  const results = await runRounds(field, generator, chosen, options)
  await generator.stop()
  await field.stop()
  print(results, chosen.flat(), options)
  if (field.pgbench === null) console.log('\npgbench is not installed: the comparison with it is missing.')
  return goals(results)
}

async function runRounds(field: Field, generator: Child<object>, chosen: readonly Cell[][], options: Options): Promise<Results> {
  const results = new Results()
  for (let round = -1; round < options.rounds; round++) {
    for (const group of shuffled(chosen)) {
      for (const cell of shuffled(group)) {
        // Round -1 is the warm-up and is not counted.
        const ms = (round < 0 ? warm_up_ms : burst_ms) * options.scale
        const { contestant } = cell
        const sample =
          contestant === 'pgbench'
            ? await (field.pgbench as Pgbench).burst(cell.script, cell.connections, ms)
            : await burst(generator, field.served[contestant], cell, ms)
        if (round >= 0) results.add(cell, sample)
      }
    }
    console.error(round < 0 ? 'load: warm' : `load: round ${round + 1} of ${options.rounds}`)
  }
  return results
}

async function startField(bench: Bench, template: Template): Promise<Field> {
  const started: Partial<Record<Name, Contestant>> = {}
  for (const [name, options] of Object.entries(nodes)) {
    started[name as Name] = contestant(await startNodes(bench, template, options))
  }
  started.pooled = await startPooled(bench, template)
  const program = findPgbench()
  const pgbench = program === null ? null : await startPgbench(program, bench, template)
  return {
    served: started as Field['served'],
    pgbench,
    async stop() {
      await Promise.all([...Object.values(started).map((one) => one.stop()), pgbench?.stop()])
    },
  }
}

/** Keeps added conversations: a large table hardly grows by them. */
function contestant(parley: Nodes): Contestant {
  const { ports, population, file } = parley
  return {
    ports,
    population,
    parley,
    usage: () => parley.usage(),
    trim: () => file.deleteDeliveries(),
    stop: () => parley.stop(),
  }
}

async function startPooled({ server }: Bench, template: Template): Promise<Contestant> {
  const url = await server.create(template.url)
  const contents = new SharedContents(url)
  const { sid: service_sid, post_webhook_url } = await contents.service(template.services.hang)
  const input = { url, owner: await contents.owner(), target: { service_sid, url: post_webhook_url } }
  const child = await Child.start<{ port: number }>(new URL('../contestants/pooled.ts', import.meta.url), input)
  return {
    ports: [child.ready.port],
    population: template.population,
    parley: null,
    usage: async () => ({ ...(await child.usage()), database_us: server.cpu_us() }),
    trim: () => contents.deleteDeliveries(),
    async stop() {
      await contents.close()
      await child.stop()
    },
  }
}

function print(results: Results, cells: readonly Cell[], { rows: population }: Options): void {
  const rows = cells.map(({ operation, contestant }) => {
    const mine = results.of(operation, connectionsOf(contestant), contestant)
    const of = (figure: keyof Sample) => median(mine.map((sample) => sample[figure]))
    const against = (...others: Name[]) => {
      const theirs = others
        .map((other) => results.of(operation, connectionsOf(other), other))
        .find((samples) => samples.length > 0)
      return theirs === undefined || others.includes(contestant)
        ? ''
        : formatFigure(results.ratio(mine, theirs, 'requests_per_s'))
    }
    const figures = (['requests_per_s', 'p50_ms', 'p99_ms', 'cpu_us', 'database_us', 'total_us'] as const).map(of)
    return [
      operation,
      labels[contestant],
      ...figures,
      against('pgbench'),
      against('pooled'),
      against('reads', 'each'),
      against('one'),
    ]
  })
  console.log(
    heading(
      `Load, ${per_node} connections for each node, ${population.toLocaleString('en-US')} conversations (medians over rounds; “× name”: median of the ratios of requests/s within a round)`,
    ),
  )
  const figures = ['req/s', 'p50 ms', 'p99 ms', 'CPU µs', 'PostgreSQL’s', 'both']
  console.log(table(['operation', 'contestant', ...figures, '× pgbench', '× pool', '× ungathered', '× 1 node'], rows))
  const all = results.all()
  const driving = all.reduce((most, sample) => (sample.generator_busy > most.generator_busy ? sample : most))
  console.log(
    `\nLoad generator: at most ${formatFigure(driving.generator_busy * 100)} % of one core. Others on this machine used ` +
      `${formatFigure(median(all.map((sample) => sample.foreign_cores)))} cores (median over bursts).`,
  )
}

/** For two nodes, their database and the generator. */
const min_cores = 6

function goals(results: Results): Goal[] {
  const at = (operation: string, name: Name) => results.of(operation, connectionsOf(name), name)
  const versus = (figure: string, limit: number, operation: string, mine: Name, theirs: Name): Goal => ({
    ...atLeast(figure, limit, results.ratio(at(operation, mine), at(operation, theirs), 'requests_per_s'), ' ×'),
    by_cpu: results.ratio(at(operation, theirs), at(operation, mine), 'total_us'),
  })
  const cpu = (operation: string, name: string, figure: keyof Sample) =>
    atMost(
      `${operation}: CPU of ${name} for a request, two nodes / one`,
      1.1,
      results.ratio(at(operation, 'two'), at(operation, 'one'), figure),
      ' ×',
    )
  const more = (operation: string) =>
    cpus().length >= min_cores
      ? [versus(`${operation}: two nodes / one`, 1.5, operation, 'two', 'one')]
      : [cpu(operation, 'the nodes', 'cpu_us'), cpu(operation, 'nodes and PostgreSQL', 'total_us')]
  return [
    versus('create + webhook row, one node / pgbench', 0.6, creating, 'one', 'pgbench'),
    versus('fetch by sid, gathered / a query each (node:http + pool)', 2.5, fetching, 'one', 'pooled'),
    versus('create + webhook row, batched / four statements each (node:http + pool)', 3, creating, 'one', 'pooled'),
    versus('fetch by sid, gathered / Parley with a query for each read', 2.5, fetching, 'one', 'reads'),
    versus('create + webhook row, batched / Parley with a transaction each', 3, creating, 'one', 'each'),
    ...more(fetching),
    ...more(creating),
  ].filter(({ measured }) => !Number.isNaN(measured))
}
