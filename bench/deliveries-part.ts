import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'
import { formatFigure, median, percentile } from '../reports/figures.ts'
import { atLeast, atMost, type Goal, heading, table } from '../reports/report.ts'
import type { Child } from './child.ts'
import type { Options } from './options.ts'
import { call, createWebhookService, type Server, startParley } from './parley.ts'
import type { Arrivals, Sink } from './sink.ts'
import { account_sid, creation } from './workload.ts'

export async function deliveriesPart(sink: Child<Sink>, options: Options, folder: string): Promise<Goal[]> {
  const parley = await startParley({ path: `${folder}/deliveries.db`, rows: 1000, sink: sink.ready, profile: options.profile })
  const count = 10_000 * options.scale
  const rates: Rate[] = []
  for (let n = 0; n < 4; n++) rates.push(await rate(parley, sink, count))
  // The first run is the warm-up.
  rates.shift()
  const probe = await startProbe(parley)
  const alone = await probe.delays(100)
  await backlog(parley, 'hang', count)
  const beside = await probe.delays(100)
  probe.close()
  // `stop` would wait for the endpoint that hangs.
  await (options.profile === null ? parley.kill() : parley.stop())
  const per_s = median(rates.map((r) => r.per_s))
  console.log(heading('Webhook deliveries'))
  console.log(
    `${formatFigure(count)} waiting events to a local sink: ${formatFigure(per_s)} a second, ${formatFigure(median(rates.map((r) => r.cpu_us)))} µs of CPU each.\n`,
  )
  const line = (name: string, delays: readonly number[]) => [
    name,
    percentile(delays, 0.5),
    percentile(delays, 0.99),
    Math.max(...delays),
  ]
  console.log(
    table(
      ['create answered → event arrives, ms', 'p50', 'p99', 'max'],
      [line('nothing else waits', alone), line(`${formatFigure(count)} wait for an endpoint that never answers`, beside)],
    ),
  )
  return [
    atLeast('deliveries per second to a local sink', 5000, per_s),
    atMost(
      'delay by 10,000 waiting for a dead endpoint, ms (its p99 − p50 without)',
      50,
      percentile(beside, 0.99) - percentile(alone, 0.5),
    ),
  ]
}

export interface Rate {
  readonly per_s: number
  readonly cpu_us: number
  readonly database_us: number
}

/** Inserts events directly into the outbox, wakes the server with one more through the API, and counts arrivals. */
export async function rate(parley: Server, sink: Child<Sink>, count: number): Promise<Rate> {
  await sink.request({ reset: true })
  const before = await parley.usage()
  await backlog(parley, 'sink', count)
  await parley.drained(parley.services.sink)
  const after = await parley.usage()
  const arrivals = await sink.request<Arrivals>({ count: true })
  if (arrivals.count !== count + 1) throw new Error(`${arrivals.count} events arrived, not ${count + 1}`)
  await parley.file.deleteDeliveries()
  return {
    per_s: (count / (arrivals.lastMs - arrivals.firstMs)) * 1000,
    cpu_us: (after.all_us - before.all_us) / count,
    database_us: (after.database_us - before.database_us) / count,
  }
}

export async function backlog(parley: Server, endpoint: keyof Sink, count: number): Promise<void> {
  const service_sid = parley.services[endpoint]
  const { post_webhook_url } = await parley.file.service(service_sid)
  const url = post_webhook_url as string
  await parley.file.addDeliveries(count, { service_sid, url }, account_sid, Date.now())
  await call(parley.ports[0], `/v1/Services/${service_sid}/Conversations`, creation())
}

/** Starts an endpoint in this process, so that sending and arrival are measured by one clock. */
export async function startProbe(parley: Server) {
  const waiting = new Map<string, (arrived_ms: number) => void>()
  const arrived = new Map<string, number>()
  const server = createServer((request, response) => {
    text(request).then((body) => {
      response.end()
      const sid = new URLSearchParams(body).get('ConversationSid') ?? ''
      const nowMs = performance.now()
      arrived.set(sid, nowMs)
      waiting.get(sid)?.(nowMs)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const service_sid = await createWebhookService(parley.ports[0], (server.address() as AddressInfo).port)

  async function delay(): Promise<number> {
    const { sid } = await call<{ sid: string }>(parley.ports[0], `/v1/Services/${service_sid}/Conversations`, creation())
    const answered_ms = performance.now()
    const arrived_ms =
      arrived.get(sid) ??
      (await Promise.race([new Promise<number>((resolve) => waiting.set(sid, resolve)), sleep(10_000, Number.POSITIVE_INFINITY)]))
    return Math.max(0, arrived_ms - answered_ms)
  }

  return {
    async delays(count: number): Promise<number[]> {
      const delays: number[] = []
      for (let n = 0; n < count; n++) {
        delays.push(await delay())
        await sleep(10)
      }
      return delays
    },
    close: () => {
      server.close()
      server.closeAllConnections()
    },
  }
}
