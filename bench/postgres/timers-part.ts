import { formatFigure } from '../../reports/figures.ts'
import { atLeast, type Goal, heading, table } from '../../reports/report.ts'
import type { Options } from '../options.ts'
import type { Sink } from '../sink.ts'
import { type Fired, type Firing, fire, idlePoll, idleSecond, watchSome } from '../timers-part.ts'
import { type Bench, makeTemplate, startNodes } from './nodes.ts'

/** Measures lateness and rate of deadlines with one node and with two, while every conversation has a pending one. */
export async function timersPart(bench: Bench, sink: Sink, options: Options): Promise<Goal[]> {
  const count = (full: number) => full * options.scale
  const firings: Firing[] = [
    { what: 'at once, without webhooks', timers: count(10_000), spread_ms: 0, webhook: null },
    { what: 'at once, events sent', timers: count(10_000), spread_ms: 0, webhook: 'sink' },
    { what: 'at once, without webhooks', timers: count(100_000), spread_ms: 0, webhook: null },
    { what: 'at once, an event row each (endpoint hangs)', timers: count(100_000), spread_ms: 0, webhook: 'hang' },
  ]
  const template = await makeTemplate(bench, { rows: options.rows, sink })
  const fired: { nodes: number; firing: Firing; result: Fired }[] = []
  const idle: string[] = []
  for (const nodes of [1, 2]) {
    const parley = await startNodes(bench, template, { name: `timers-${nodes}`, nodes })
    const poll_us = await idlePoll(parley)
    const { cpu_us, database_us } = await idleSecond(parley, options)
    idle.push(
      `Idle, ${nodes} ${nodes === 1 ? 'node' : 'nodes'}: ${formatFigure(poll_us)} µs a poll (its code in a loop); in a second ` +
        `${formatFigure(cpu_us)} µs of CPU of all nodes, ${formatFigure(database_us)} µs of PostgreSQL.`,
    )
    for (const firing of firings) {
      fired.push({ nodes, firing, result: await fire(parley, firing, (_, expected) => watchSome(parley.file, expected)) })
      console.error(`timers: ${nodes} × ${formatFigure(firing.timers)} ${firing.what}`)
    }
    await parley.kill()
  }
  console.log(heading(`Timers, beside ${options.rows.toLocaleString('en-US')} pending deadlines`))
  console.log(
    table(
      ['nodes', 'due', '', 'late p50 ms', 'p99 ms', 'max ms', 'applied/s', 'CPU µs each', 'PostgreSQL’s'],
      fired.map(({ nodes, firing, result }) => [
        String(nodes),
        firing.timers.toLocaleString('en-US'),
        firing.what,
        result.p50_ms,
        result.p99_ms,
        result.max_ms,
        result.per_s,
        result.cpu_us,
        result.database_us,
      ]),
    ),
  )
  console.log('\nLateness: from the deadline until another connection sees it applied, for 200 of them, polled every few ms.')
  console.log(idle.join('\n'))
  const bare = fired.filter(({ firing }) => firing === firings[2])
  return bare.map(({ nodes, result }) =>
    atLeast(`timers: applied durably per second, ${nodes} ${nodes === 1 ? 'node' : 'nodes'}`, 5000, result.per_s),
  )
}
