import { request } from 'undici'
import { formatFigure, percentile } from './figures.ts'
import type { Options } from './options.ts'
import type { Parley } from './parley.ts'
import { nameOf, sidOf } from './population.ts'
import { atMost, type Goal, heading, table } from './report.ts'
import { adminToken } from './workload.ts'

/** No read of the console may take longer, whatever is stored. */
const goalMs = 50

/** Measures what the console reads, one request at a time, on the large database. */
export async function consolePart(parley: Parley, options: Options): Promise<Goal[]> {
  const { service_sid } = await parley.file.owner()
  const { population } = parley
  const list = `/conversations?service_sid=${service_sid}`
  const middle = Math.floor(population.rows / 2)
  const dayBefore = new Date(Date.now() - 86_400_000).toISOString()
  const reads: [what: string, path: string][] = [
    ['conversations, first page', list],
    ['conversations of a state', `${list}&state=closed`],
    ['conversations with a common part of a name', `${list}&name=customer`],
    ['conversations with a name of nobody', `${list}&name=nobody`],
    ['conversations until yesterday', `${list}&to=${dayBefore}`],
    ['conversations of nobody', `${list}&identity=nobody`],
    ['where a conversation is', `/sids/${sidOf(population, middle)}`],
    ['timers due next', '/timers?limit=100'],
    ['deliveries', '/deliveries'],
    ['deliveries of a service and an event', `/deliveries?service_sid=${service_sid}&event_type=onMessageAdded`],
  ]
  const rows = []
  for (const [what, path] of reads) {
    const taken: number[] = []
    for (let n = 0; n < 100 * options.scale; n++) taken.push(await take(parley, path))
    rows.push({ what, p50: percentile(taken, 0.5), p95: percentile(taken, 0.95) })
  }
  console.log(heading(`Console, among ${population.rows.toLocaleString('en-US')} conversations such as ${nameOf(middle)}`))
  console.log(
    table(
      ['read', 'p50 ms', 'p95 ms'],
      rows.map(({ what, p50, p95 }) => [what, p50, p95]),
    ),
  )
  const slowest = Math.max(...rows.map(({ p50 }) => p50))
  console.log(`\nThe slowest takes ${formatFigure(slowest)} ms, in pieces between which other requests have their turn.`)
  return [atMost('console: any read, p50, ms', goalMs, slowest)]
}

/** Returns how long a read takes, in ms. */
async function take({ ports: [port] }: Parley, path: string): Promise<number> {
  const startMs = performance.now()
  const { statusCode, body } = await request(`http://127.0.0.1:${port}/admin/v1${path}`, {
    headers: { authorization: `Bearer ${adminToken}` },
  })
  const text = await body.text()
  if (statusCode !== 200) throw new Error(`${path}: ${statusCode} ${text}`)
  return performance.now() - startMs
}
