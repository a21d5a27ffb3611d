import { sql } from 'kysely'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { SendResult } from '../delivery/client.ts'
import type { Database } from '../storage/database.ts'
import { shape } from '../storage/shapes.ts'

/** A larger number would say nothing more, and counting costs time. */
const maxCounted = 100_000

const countPending = shape<{ limit: number }>()((db, a) =>
  db
    .selectFrom((eb) =>
      eb.selectFrom('deliveries').select('id').where('status', '=', sql.lit('pending')).limit(a.limit).as('some'),
    )
    .select((eb) => eb.fn.countAll<number>().as('pending')),
)

/** What `/metrics` shows, in the Prometheus text format. */
export class Metrics {
  readonly registry = new Registry()
  readonly duration = new Histogram({
    name: 'parley_http_request_duration_seconds',
    help: 'Time from the request line to the end of the response',
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers: [this.registry],
  })
  readonly deliveries = new Counter({
    name: 'parley_webhook_attempts_total',
    help: 'Attempts to deliver a webhook, by outcome',
    labelNames: ['outcome'],
    registers: [this.registry],
  })
  readonly deliveryDuration = new Histogram({
    name: 'parley_webhook_duration_seconds',
    help: 'Time that a webhook endpoint took to respond',
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [this.registry],
  })
  readonly failedLogins = new Counter({
    name: 'parley_logins_failed_total',
    help: 'Logins with wrong credentials',
    registers: [this.registry],
  })
  readonly timers = new Counter({
    name: 'parley_timers_applied_total',
    help: 'State timers applied',
    registers: [this.registry],
  })
  readonly lateness = new Histogram({
    name: 'parley_timer_lateness_seconds',
    help: 'By how much the earliest timer of a batch was late',
    buckets: [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600],
    registers: [this.registry],
  })

  /** By method and status. Plain numbers until a scrape: the labels of prom-client would cost more than the rest of a request's log line. */
  readonly #requests = new Map<string, number>()

  constructor(database: Database) {
    const requests = this.#requests
    new Counter({
      name: 'parley_http_requests_total',
      help: 'HTTP requests, by method and status',
      labelNames: ['method', 'status'],
      registers: [this.registry],
      collect() {
        this.reset()
        for (const [key, count] of requests) {
          const [method = '', status = ''] = key.split(' ')
          this.inc({ method, status }, count)
        }
      },
    })
    // In ms. The default of 10 would cost 4 ms of CPU each idle second.
    collectDefaultMetrics({ register: this.registry, eventLoopMonitoringPrecision: 1000 })
    new Gauge({
      name: 'parley_deliveries_pending',
      help: `Deliveries of all nodes that are pending, counted up to ${maxCounted}`,
      registers: [this.registry],
      async collect() {
        const counted = await database.read.one(countPending, { limit: maxCounted }).catch(() => undefined)
        this.set(counted?.pending ?? Number.NaN)
      },
    })
    new Gauge({
      name: 'parley_writes_waiting',
      help: 'Writes that are waiting for the next transaction',
      registers: [this.registry],
      collect() {
        this.set(database.waiting())
      },
    })
  }

  countDelivery({ kind, status, duration_ms }: SendResult): void {
    this.deliveries.inc({ outcome: kind === 'answered' ? `${Math.floor((status ?? 0) / 100)}xx` : kind })
    this.deliveryDuration.observe(duration_ms / 1000)
  }

  countRequest(method: string, status: number, seconds: number): void {
    const key = `${method} ${status}`
    this.#requests.set(key, (this.#requests.get(key) ?? 0) + 1)
    this.duration.observe(seconds)
  }
}
