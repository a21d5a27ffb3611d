import { statfs } from 'node:fs/promises'
import { sql } from 'kysely'
import { Counter, collectDefaultMetrics, Gauge, type Metric, Registry } from 'prom-client'
import { packageVersion } from '../package.ts'
import { shape } from '../storage/shapes.ts'
import type { Distribution, Metrics } from './metrics.ts'

/** Returns all metrics, in the Prometheus text format. */
export type Exposition = () => Promise<{ readonly contentType: string; readonly text: string }>

/** A larger number would say nothing more, and counting costs time. */
const maxCounted = 100_000

const countPending = shape<{ limit: number }>()((db, a) =>
  db
    .selectFrom((eb) =>
      eb.selectFrom('deliveries').select('id').where('status', '=', sql.lit('pending')).limit(a.limit).as('some'),
    )
    .select((eb) => eb.fn.countAll<number>().as('pending')),
)

export function expositionOf(metrics: Metrics): Exposition {
  const registry = new Registry()
  const registers = [registry]
  histogram(
    registry,
    'parley_http_request_duration_seconds',
    'Time from the request line to the end of the response, by operation of the official description',
    () => [...metrics.requestSeconds].map(([operation, distribution]) => ({ labels: { operation }, distribution })),
  )
  new Counter({
    name: 'parley_webhook_attempts_total',
    help: 'Attempts to deliver a webhook, by outcome',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset()
      for (const [outcome, count] of metrics.deliveries) this.inc({ outcome }, count)
    },
  })
  new Counter({
    name: 'parley_push_attempts_total',
    help: 'Attempts to send a push, by outcome',
    labelNames: ['outcome'],
    registers,
    collect() {
      this.reset()
      for (const [outcome, count] of metrics.pushes) this.inc({ outcome }, count)
    },
  })
  histogram(registry, 'parley_webhook_duration_seconds', 'Time that a webhook endpoint took to respond', metrics.deliverySeconds)
  counter(registry, 'parley_logins_failed_total', 'Logins with wrong credentials', () => metrics.failedLogins)
  new Counter({
    name: 'parley_limited_total',
    help: 'What was refused because a limit was reached, by limit',
    labelNames: ['limit'],
    registers,
    collect() {
      this.reset()
      for (const [limit, count] of metrics.limited) this.inc({ limit }, count)
    },
  })
  new Counter({
    name: 'parley_audit_entries_total',
    help: 'Entries added to the audit log by this node, by action and outcome',
    labelNames: ['action', 'outcome'],
    registers,
    collect() {
      this.reset()
      for (const [key, count] of metrics.audit) {
        const [action = '', outcome = ''] = key.split(' ')
        this.inc({ action, outcome }, count)
      }
    },
  })
  counter(registry, 'parley_timers_applied_total', 'State timers applied', () => metrics.timers)
  histogram(
    registry,
    'parley_timer_lateness_seconds',
    'By how much the earliest timer of a batch was late',
    metrics.latenessSeconds,
  )
  new Counter({
    name: 'parley_http_requests_total',
    help: 'HTTP requests, by method and status',
    labelNames: ['method', 'status'],
    registers,
    collect() {
      this.reset()
      for (const [key, count] of metrics.requests) {
        const [method = '', status = ''] = key.split(' ')
        this.inc({ method, status }, count)
      }
    },
  })
  new Counter({
    name: 'parley_expired_total',
    help: 'What was deleted because its account does not keep it longer, by kind',
    labelNames: ['kind'],
    registers,
    collect() {
      this.reset()
      for (const [kind, count] of metrics.expired) this.inc({ kind }, count)
    },
  })
  gauge(registry, 'parley_read_workers', 'Threads that read pages beside the main one', () => metrics.readers.ready)
  counter(registry, 'parley_read_worker_pages_total', 'Pages that such threads have read', () => metrics.readers.pages)
  storeMetrics(registry, metrics)
  clientMetrics(registry, metrics)
  // In ms. The default of 10 would cost 4 ms of CPU each idle second.
  collectDefaultMetrics({ register: registry, eventLoopMonitoringPrecision: 1000 })
  databaseGauges(registry, metrics)
  usageGauges(registry, metrics)
  new Gauge({
    name: 'parley_build_info',
    help: 'Always 1; the labels say what runs',
    labelNames: ['version', 'node', 'engine'],
    registers,
  }).set({ version: packageVersion(), node: process.version, engine: metrics.engine }, 1)
  return async () => ({ contentType: registry.contentType, text: await registry.metrics() })
}

function storeMetrics(registry: Registry, metrics: Metrics): void {
  new Counter({
    name: 'parley_media_store_requests_total',
    help: 'Requests to the bucket of media, with their retries, by operation and outcome (ok or failed)',
    labelNames: ['operation', 'outcome'],
    registers: [registry],
    collect() {
      this.reset()
      for (const [key, count] of metrics.storeRequests) {
        const [operation = '', outcome = ''] = key.split(' ')
        this.inc({ operation, outcome }, count)
      }
    },
  })
  histogram(
    registry,
    'parley_media_store_duration_seconds',
    'Time until the bucket of media had responded, with retries, by operation; of a put with the upload',
    () => [...metrics.storeSeconds].map(([operation, distribution]) => ({ labels: { operation }, distribution })),
  )
}

function clientMetrics(registry: Registry, metrics: Metrics): void {
  const { clientRequestSeconds, clientLagSeconds } = metrics
  histogram(registry, 'parley_client_request_duration_seconds', 'Time that a request of a client SDK took', clientRequestSeconds)
  histogram(
    registry,
    'parley_client_lag_seconds',
    'Time from the commit of a change until its frames were handed to the sockets of all client SDKs that follow it',
    clientLagSeconds,
  )
  counter(registry, 'parley_client_frames_total', 'Frames of events that client SDKs were sent', () => metrics.clientFrames)
  counter(
    registry,
    'parley_client_replayed_events_total',
    'Events that client SDKs had missed and were sent when they subscribed',
    () => metrics.clientReplays,
  )
  gauge(registry, 'parley_client_connections', 'Connections of client SDKs', () => metrics.clients.open)
  gauge(
    registry,
    'parley_client_subscriptions',
    'What client SDKs follow, over all connections',
    () => metrics.clients.subscriptions,
  )
}

function databaseGauges(registry: Registry, { database }: Metrics): void {
  new Gauge({
    name: 'parley_deliveries_pending',
    help: `Deliveries of all nodes that are pending, counted up to ${maxCounted}`,
    registers: [registry],
    async collect() {
      const counted = await database.read.one(countPending, { limit: maxCounted }).catch(() => undefined)
      this.set(counted?.pending ?? Number.NaN)
    },
  })
  new Gauge({
    name: 'parley_writes_waiting',
    help: 'Writes that are waiting for the next transaction',
    registers: [registry],
    collect() {
      this.set(database.waiting())
    },
  })
}

/** NaN where the engine has no such thing, or cannot be asked now. */
function usageGauges(registry: Registry, { database, folder }: Metrics): void {
  const registers = [registry]
  const states = ['open', 'idle', 'waiting'] as const
  // The gauges of one scrape are collected at the same time: the database is asked once.
  let asked: ReturnType<typeof database.usage> | undefined
  const usage = () => {
    asked ??= database.usage().finally(() => {
      asked = undefined
    })
    return asked.catch(() => undefined)
  }
  new Gauge({
    name: 'parley_database_size_bytes',
    help: 'Size of the database: tables and indexes, on SQLite with its write-ahead log',
    registers,
    async collect() {
      this.set((await usage())?.bytes ?? Number.NaN)
    },
  })
  new Gauge({
    name: 'parley_database_connections',
    help: 'Connections of this node to PostgreSQL: open ones, those of them that are idle, and who waits for one',
    labelNames: ['state'],
    registers,
    async collect() {
      const pool = (await usage())?.pool
      this.reset()
      for (const state of pool ? states : []) this.set({ state }, pool?.[state] ?? Number.NaN)
    },
  })
  new Gauge({
    name: 'parley_disk_free_bytes',
    help: 'What is free on the disk of the data folder, for a process that is not root',
    registers,
    async collect() {
      const free = await statfs(folder).then(
        ({ bavail, bsize }) => bavail * bsize,
        () => Number.NaN,
      )
      this.set(free)
    },
  })
}

function gauge(registry: Registry, name: string, help: string, value: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(value())
    },
  })
}

function counter(registry: Registry, name: string, help: string, value: () => number): void {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset()
      this.inc(value())
    },
  })
}

/** The client's own histogram cannot be given counts, only values one by one. */
function histogram(registry: Registry, name: string, help: string, given: Distribution | (() => readonly Labelled[])): void {
  const labelled = typeof given === 'function' ? given : () => [{ labels: {}, distribution: given }]
  const get = async () => ({ name, help, type: 'histogram', values: labelled().flatMap((one) => valuesOf(name, one)) })
  // A metric is a class of the client; of one that is registered the registry reads the name and calls `get`.
  registry.registerMetric({ name, get } as unknown as Metric)
}

interface Labelled {
  readonly labels: Readonly<Record<string, string>>
  readonly distribution: Distribution
}

function valuesOf(name: string, { labels, distribution: { bounds, counts, sum } }: Labelled) {
  let total = 0
  const buckets = counts.map((count, i) => {
    total += count
    return { metricName: `${name}_bucket`, labels: { ...labels, le: bounds[i] ?? '+Inf' }, value: total }
  })
  return [...buckets, { metricName: `${name}_sum`, labels, value: sum }, { metricName: `${name}_count`, labels, value: total }]
}
