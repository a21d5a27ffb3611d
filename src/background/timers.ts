import { setTimeout as delay } from 'node:timers/promises'
import type { Clock } from '../clock.ts'
import { Loop, type Worker } from '../loop.ts'
import type { AnyResource } from '../model/declare.ts'
import type { SweepRequest } from '../model/sweep.ts'
import type { Database } from '../storage/database.ts'
import { firstDue } from '../storage/rows.ts'

/** Also when nothing is due: another node may have written, the machine's clock may have been set. */
const max_sleep_ms = 1000
/** Between two looks at what others are about to finish. */
const claimed_ms = 5

export interface TimersOptions {
  readonly clock: Clock
  readonly database: Pick<Database, 'read' | 'subscribe'>
  /** Applies a batch of deadlines in one transaction; returns how many rows it took. */
  readonly sweep: (request: SweepRequest) => Promise<number>
  readonly resources: readonly AnyResource[]
  readonly failed: (error: unknown) => void
  /** Called after each batch: how many rows, and by how much the earliest was late. */
  readonly applied?: (rows: number, late_ms: number) => void
  readonly batch?: number
}

/** Applies deadlines: sleeps until the next one, takes what is due in bounded batches, loops while a batch was full. */
export class Timers implements Worker {
  readonly #options: TimersOptions
  readonly #resources: readonly AnyResource[]
  readonly #loop: Loop
  #planned = Number.POSITIVE_INFINITY

  constructor(options: TimersOptions) {
    this.#options = options
    this.#resources = options.resources.filter((resource) => resource.elapse)
    this.#loop = new Loop(() => this.#once(), options.failed)
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

  /** Applies everything that is due by now. Returns the next deadline, in epoch ms, if there is one. */
  async catchUp(): Promise<number | undefined> {
    const { clock, sweep, batch = 500 } = this.#options
    let next: number | undefined
    for (const resource of this.#resources) {
      let first = await this.#first(resource)
      while (first !== undefined && first <= clock.now()) {
        const now = clock.now()
        const rows = await sweep({ resource: resource.name, now, limit: batch })
        if (rows > 0) this.#options.applied?.(rows, now - first)
        // Another node has claimed them all: they are done when it commits, or due again when it dies.
        else await delay(claimed_ms)
        first = await this.#first(resource)
      }
      if (first !== undefined) next = Math.min(next ?? first, first)
    }
    return next
  }

  async #once(): Promise<number> {
    this.#planned = 0
    const next = await this.catchUp()
    const now = this.#options.clock.now()
    const sleep_ms = Math.min(max_sleep_ms, Math.max(0, (next ?? Number.POSITIVE_INFINITY) - now))
    this.#planned = now + sleep_ms
    return sleep_ms
  }

  async #first(resource: AnyResource): Promise<number | undefined> {
    return (await this.#options.database.read.one(firstDue(resource.table), {}))?.next_due
  }
}
