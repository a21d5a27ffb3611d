import { median, percentile } from '../../reports/figures.ts'
import { type Goal, heading, table } from '../../reports/report.ts'
import type { Child } from '../child.ts'
import { type Rate, rate, startProbe } from '../deliveries-part.ts'
import type { Options } from '../options.ts'
import type { Sink } from '../sink.ts'
import { type Bench, makeTemplate, startNodes } from './nodes.ts'

/** Measures deliveries to a local sink with one node and with two. */
export async function deliveriesPart(bench: Bench, sink: Child<Sink>, options: Options): Promise<Goal[]> {
  const count = 10_000 * options.scale
  const template = await makeTemplate(bench, { rows: 1000, sink: sink.ready })
  const rows: (string | number)[][] = []
  for (const nodes of [1, 2]) {
    const parley = await startNodes(bench, template, { name: `deliveries-${nodes}`, nodes })
    const rates: Rate[] = []
    for (let n = 0; n < 4; n++) rates.push(await rate(parley, sink, count))
    // The first run is the warm-up.
    rates.shift()
    const probe = await startProbe(parley)
    const delays = await probe.delays(100)
    probe.close()
    const of = (figure: keyof Rate) => median(rates.map((one) => one[figure]))
    const figures = [of('per_s'), of('cpu_us'), of('database_us'), percentile(delays, 0.5), percentile(delays, 0.99)]
    rows.push([String(nodes), count.toLocaleString('en-US'), ...figures])
    await parley.kill()
    console.error(`deliveries: ${nodes}`)
  }
  console.log(heading('Webhook deliveries to a local sink'))
  const head = ['nodes', 'waiting events', 'a second', 'CPU µs each', 'PostgreSQL’s', 'create answered → event, p50 ms', 'p99 ms']
  console.log(table(head, rows))
  return []
}
