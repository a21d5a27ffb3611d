import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { median } from '../../reports/figures.ts'
import { atLeast, type Goal, table } from '../../reports/report.ts'
import { Child } from '../child.ts'
import type { Options } from '../options.ts'
import { startParley } from '../parley.ts'
import { burst, type Contestant, type Sample } from '../rounds.ts'
import type { Sink } from '../sink.ts'

const burst_ms = 1000
const conversations = 1000
const operation = 'message create, no clients'
const figure = 'clients: messages/s without any, of those of the commit before the feature'

/** What a message costs nobody is connected for, beside an earlier commit, whose folder `--before` names. */
async function measure(sink: Sink, options: Options, folder: string): Promise<Goal> {
  if (options.before === null) return atLeast(figure, 0.95, Number.NaN)
  const own = await contestant({ startParley }, sink, `${folder}/now.db`)
  // Its own bench, which fills a database of its own schema.
  const earlier = await import(pathToFileURL(join(options.before, 'bench/parley.ts')).href)
  const before = await contestant(earlier, sink, `${folder}/before.db`)
  const generator = await Child.start<object>(new URL('../load.ts', import.meta.url))
  const workload = { verb: 'message' as const, service_sid: null, first: 0, count: conversations }
  const samples: { now: Sample; before: Sample }[] = []
  for (let round = 0; round <= options.rounds; round++) {
    const run = (one: Contestant, name: string) =>
      burst(generator, one, { operation, contestant: name, connections: 64, workload }, burst_ms * options.scale)
    // Neither always comes first.
    const first = round % 2 === 0 ? await run(own, 'now') : undefined
    const earlierSample = await run(before, 'before')
    const sample = { now: first ?? (await run(own, 'now')), before: earlierSample }
    if (round > 0) samples.push(sample)
  }
  for (const child of [generator, own, before]) await child.stop()
  const of = (figure: keyof Sample, which: 'now' | 'before') => median(samples.map((sample) => sample[which][figure]))
  const line = (name: string, which: 'now' | 'before') => [
    name,
    of('requests_per_s', which),
    of('p50_ms', which),
    of('cpu_us', which),
  ]
  console.log('\nMessages without any client, beside the commit before:\n')
  console.log(table(['', 'messages/s', 'p50 ms', 'µs CPU'], [line('now', 'now'), line('before', 'before')]))
  const ratio = (figure: keyof Sample) => median(samples.map((sample) => sample.now[figure] / sample.before[figure]))
  return { ...atLeast(figure, 0.95, ratio('requests_per_s')), by_cpu: 1 / ratio('cpu_us') }
}

type Bench = Pick<typeof import('../parley.ts'), 'startParley'>

async function contestant({ startParley: start }: Bench, sink: Sink, path: string): Promise<Contestant> {
  const parley = await start({ path, rows: conversations, sink, profile: null })
  const { ports, population } = parley
  return { ports, population, parley, usage: () => parley.usage(), trim: async () => {}, stop: () => parley.stop() }
}

export const costUnused = { operation, measure }
