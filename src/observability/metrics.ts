import type { Responded } from '../api/surface.ts'
import type { SendResult } from '../delivery/client.ts'
import type { Database } from '../storage/database.ts'

/** A histogram: how many of the observed values are at most each bound. */
export class Distribution {
  /** In ascending order. */
  readonly bounds: readonly number[]
  /** By the first bound that is not exceeded; the last entry is for values above all bounds. */
  readonly counts: number[]
  sum = 0

  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Array<number>(bounds.length + 1).fill(0)
  }

  observe(value: number): void {
    let bound = 0
    while (bound < this.bounds.length && value > (this.bounds[bound] as number)) bound++
    this.counts[bound] = (this.counts[bound] as number) + 1
    this.sum += value
  }
}

/**
 * What `/metrics` shows. Plain numbers: the Prometheus client, which is a tenth of a start and of its memory, is loaded by the first
 * scrape (`exposition.ts`), and its labels would cost more than the rest of a request's log line.
 */
export class Metrics {
  /** By method and status, with a space between them. */
  readonly requests = new Map<string, number>()
  /** By operation, of which there is a fixed number; empty for what is none. Each is made by the first request of its operation. */
  readonly requestSeconds = new Map<string, Distribution>()
  /** By outcome. */
  readonly deliveries = new Map<string, number>()
  /** Of pushes, by outcome. */
  readonly pushes = new Map<string, number>()
  readonly deliverySeconds = new Distribution([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5])
  readonly latenessSeconds = new Distribution([0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600])
  readonly clientRequestSeconds = new Distribution([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])
  readonly clientLagSeconds = new Distribution([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])
  clientFrames = 0
  clientReplays = 0
  /** The connections of client SDKs. */
  clients: { readonly open: number; readonly subscriptions: number } = { open: 0, subscriptions: 0 }
  /** The threads that read pages. */
  readers: { readonly ready: number; readonly pages: number } = { ready: 0, pages: 0 }
  failedLogins = 0
  /** Refusals, by the limit that was reached. */
  readonly limited = new Map<string, number>()
  /** What has expired and was removed, by kind. */
  readonly expired = new Map<string, number>()
  /** Entries of the audit log, by action and outcome, with a space between them. */
  readonly audit = new Map<string, number>()
  /** Requests to the bucket of media, by operation and outcome, with a space between them. */
  readonly storeRequests = new Map<string, number>()
  /** By operation, of which there are a few. */
  readonly storeSeconds = new Map<string, Distribution>()
  timers = 0
  readonly database: Database
  readonly engine: string
  /** On the disk whose room is of interest. */
  readonly folder: string

  constructor(database: Database, { engine, folder }: { readonly engine: string; readonly folder: string }) {
    this.database = database
    this.engine = engine
    this.folder = folder
  }

  countClientFrames(frames: number): void {
    this.clientFrames += frames
  }

  countClientReplay(events: number): void {
    this.clientReplays += events
  }

  countDelivery(result: SendResult): void {
    count(this.deliveries, outcomeOf(result))
    this.deliverySeconds.observe(result.duration_ms / 1000)
  }

  countPush(result: SendResult): void {
    count(this.pushes, outcomeOf(result))
  }

  countRequest({ method, status, seconds, operation = '' }: Responded): void {
    count(this.requests, `${method} ${status}`)
    let distribution = this.requestSeconds.get(operation)
    if (!distribution) {
      distribution = new Distribution([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10])
      this.requestSeconds.set(operation, distribution)
    }
    distribution.observe(seconds)
  }

  /** `lateMs`: by how much the earliest of them was late. */
  countTimers(applied: number, lateMs: number): void {
    this.timers += applied
    this.latenessSeconds.observe(lateMs / 1000)
  }

  countExpired(kind: string, removed: number): void {
    if (removed > 0) count(this.expired, kind, removed)
  }

  countAudit(action: string, outcome: string): void {
    count(this.audit, `${action} ${outcome}`)
  }

  countStoreRequest(operation: string, outcome: 'ok' | 'failed', seconds: number): void {
    count(this.storeRequests, `${operation} ${outcome}`)
    let distribution = this.storeSeconds.get(operation)
    if (!distribution) {
      distribution = new Distribution([0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30])
      this.storeSeconds.set(operation, distribution)
    }
    distribution.observe(seconds)
  }

  countLimited(limit: string): void {
    count(this.limited, limit)
  }

  countFailedLogin(): void {
    this.failedLogins++
  }
}

function outcomeOf({ kind, status }: SendResult): string {
  const isAnswered = kind === 'answered' || (kind === 'accepted' && status !== null)
  return isAnswered ? `${Math.floor((status ?? 0) / 100)}xx` : kind
}

function count(counts: Map<string, number>, key: string, more = 1): void {
  counts.set(key, (counts.get(key) ?? 0) + more)
}
