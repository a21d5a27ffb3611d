import { setTimeout as delay } from 'node:timers/promises'
import type { Clock, TestClock } from '../clock.ts'
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
  readonly clock: Clock & Partial<Pick<TestClock, 'accounts'>>
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

  /** Applies all deadlines that have passed, until `signal` aborts. Returns the next one, in epoch ms of the server's clock. */
  async catchUp(signal?: AbortSignal): Promise<number | undefined> {
    const { clock, sweep, batch = 2000 } = this.#options
    let next: number | undefined
    for (const resource of this.#resources) {
      let first = await this.#first(resource)
      while (first !== undefined && first <= clock.now() && !signal?.aborted) {
        const now = clock.now()
        const rows = await sweep({ resource: resource.name, now, ahead: Object.fromEntries(this.#ahead), limit: batch })
        if (rows > 0) this.#options.onBatch?.(rows, now - first)
        // Another node has claimed all of them: they are applied when it commits, or due again when it dies.
        else await delay(claimRetryMs)
        first = await this.#first(resource)
      }
      if (first !== undefined) next = Math.min(next ?? first, first)
    }
    return next
  }

  /** Returns the next deadline of an account, in epoch ms of its own clock. */
  async nextOf(account_sid: string): Promise<number | undefined> {
    const found = await Promise.all(
      this.#resources.map(({ table }) => this.#options.database.read.one(firstDue(table, { ofAccount: true }), { account_sid })),
    )
    return earliest(found.map((row) => row?.next_due))
  }

  /** Accounts whose clocks a test has moved further than the server's. */
  get #ahead(): ReadonlyMap<string, number> {
    return this.#options.clock.accounts ?? none
  }

  async #once(signal: AbortSignal): Promise<number> {
    this.#planned = 0
    const next = await this.catchUp(signal)
    const now = this.#options.clock.now()
    const sleepMs = Math.min(maxSleepMs, Math.max(0, (next ?? Number.POSITIVE_INFINITY) - now))
    this.#planned = now + sleepMs
    return sleepMs
  }

  /** Returns the first deadline in epoch ms of the server's clock. */
  async #first({ table }: AnyResource): Promise<number | undefined> {
    const { read } = this.#options.database
    const [first, ...ofAccounts] = await Promise.all([
      read.one(firstDue(table), {}),
      ...[...this.#ahead].map(async ([account_sid, ahead_ms]) => {
        const row = await read.one(firstDue(table, { ofAccount: true }), { account_sid })
        return row && { next_due: row.next_due - ahead_ms }
      }),
    ])
    return earliest([first, ...ofAccounts].map((row) => row?.next_due))
  }
}

const none: ReadonlyMap<string, number> = new Map()

function earliest(instants: readonly (number | undefined)[]): number | undefined {
  return instants.reduce((first, one) => (one !== undefined && (first === undefined || one < first) ? one : first), undefined)
}
