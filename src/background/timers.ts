import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import { Loop, type Worker } from '../loop.ts'
import type { AnyResource } from '../model/declare.ts'
import type { SweepRequest } from '../model/sweep.ts'
import type { Database } from '../storage/database.ts'
import { firstDue } from '../storage/rows.ts'

/** Also when nothing is due: another node may have written a deadline, or the system clock may have been set. */
const maxSleepMs = 1000
/** Between two checks for rows that other nodes have claimed. */
const claimRetryMs = 5

export interface TimersOptions {
  readonly clock: Clock
  readonly database: Pick<Database, 'read' | 'subscribe'>
  /** Applies a batch of deadlines in one transaction; returns the number of rows. */
  readonly sweep: (request: SweepRequest) => Promise<number>
  readonly resources: readonly AnyResource[]
  readonly onError: (error: unknown) => void
  /** Called after each batch with the number of rows and how late the earliest of them was. */
  readonly onBatch?: (rows: number, lateMs: number) => void
  readonly batch?: number
}

/** Applies deadlines: sleeps until the next one, then applies all that have passed, in bounded batches. */
export class Timers implements Worker {
  readonly #options: TimersOptions
  readonly #resources: readonly AnyResource[]
  readonly #loop: Loop
  #planned = Number.POSITIVE_INFINITY

  constructor(options: TimersOptions) {
    this.#options = options
    this.#resources = options.resources.filter((resource) => resource.elapse)
    this.#loop = new Loop((signal) => this.#once(signal), options.onError)
    options.database.subscribe((notices) => {
      for (const notice of notices) {
        if (notice.topic === 'due' ? notice.at < this.#planned : notice.topic === 'clock') this.#loop.nudge()
      }
    })
  }

  start(): void {
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }

  /** Applies all deadlines that have passed, until `signal` aborts. Returns the next deadline, in epoch ms, if there is one. */
  async catchUp(signal?: AbortSignal): Promise<number | undefined> {
    const { clock, sweep, batch = 500 } = this.#options
    let next: number | undefined
    for (const resource of this.#resources) {
      let first = await this.#first(resource)
      while (first !== undefined && first <= clock.now() && !signal?.aborted) {
        const now = clock.now()
        const rows = await sweep({ resource: resource.name, now, limit: batch })
        if (rows > 0) this.#options.onBatch?.(rows, now - first)
        // Another node has claimed all of them: they are applied when it commits, or due again when it dies.
        else await delay(claimRetryMs)
        first = await this.#first(resource)
      }
      if (first !== undefined) next = Math.min(next ?? first, first)
    }
    return next
  }

  async #once(signal: AbortSignal): Promise<number> {
    this.#planned = 0
    const next = await this.catchUp(signal)
    const now = this.#options.clock.now()
    const sleepMs = Math.min(maxSleepMs, Math.max(0, (next ?? Number.POSITIVE_INFINITY) - now))
    this.#planned = now + sleepMs
    return sleepMs
  }

  async #first(resource: AnyResource): Promise<number | undefined> {
    return (await this.#options.database.read.one(firstDue(resource.table), {}))?.next_due
  }
}
