import { ApiError, errorOf, refuse } from '../../errors.ts'
import type { Listener } from '../database.ts'
import { type Failure, refusalOf, reported } from '../failures.ts'
import type { Job, PendingJob } from '../jobs.ts'
import type { Ran } from './batch.ts'

/** What runs the batches, each in one transaction and one at a time: a thread of its own, or this one. */
export interface Runner {
  /** Resolves when it can run batches; rejects when it cannot be started. */
  readonly ready: Promise<void>
  /** Resolves with the error that has ended it; never after `close`. */
  readonly gone: Promise<Error>
  run(jobs: readonly Job[]): Promise<Ran>
  /** Never while a batch runs. Returns whether nothing that was deleted is left in the files. */
  scrub(): Promise<boolean>
  close(): Promise<void>
}

/**
 * The main thread's side of group commit: jobs that arrive while a transaction is in flight form the next one. Measured at
 * 64 connections: five times the throughput of one commit for each request, and the event loop never waits for the disk.
 */
export class Writer {
  readonly #runner: Runner
  readonly #committed: Listener
  readonly #failed: (error: Error) => void
  readonly #dead: (error: Error) => void
  readonly #largest: number
  #queue: PendingJob[] = []
  #inflight: PendingJob[] = []
  #scrubs: PromiseWithResolvers<boolean>[] = []
  #scrubbing = false
  #scheduled = false
  #started = false
  #broken: Error | undefined
  readonly ready: Promise<void>

  /**
   * `largestBatch` bounds a transaction; 1 is one commit for each request (kept for the benchmark).
   * `committed` is called before writers are answered; `failed` with what is not the caller's fault; `dead` when the runner has
   * ended by itself.
   */
  constructor(options: {
    runner: Runner
    largestBatch: number
    committed: Listener
    failed: (error: Error) => void
    dead: (error: Error) => void
  }) {
    this.#runner = options.runner
    this.#committed = options.committed
    this.#failed = options.failed
    this.#dead = options.dead
    this.#largest = options.largestBatch
    this.ready = this.#runner.ready.then(() => {
      this.#started = true
    })
    void this.#runner.gone.then((error) => this.#break(error))
  }

  get waiting(): number {
    return this.#queue.length
  }

  /** Resolves with what the command returns, once it is on disk. */
  write<T>(job: Job): Promise<T> {
    if (this.#broken) return Promise.reject(refuse('unavailable'))
    return new Promise((done, fail) => {
      this.#queue.push({ job, done: (value: T) => done(value), fail })
      if (this.#inflight.length > 0 || this.#scheduled) return
      this.#scheduled = true
      // Writes of one turn of the event loop form one batch.
      setImmediate(() => this.#go())
    })
  }

  /** Has the files overwritten between two batches. Resolves with whether nothing that was deleted is left in them. */
  scrub(): Promise<boolean> {
    if (this.#broken) return Promise.reject(refuse('unavailable'))
    const scrub = Promise.withResolvers<boolean>()
    this.#scrubs.push(scrub)
    setImmediate(() => this.#go())
    return scrub.promise
  }

  /** Resolves when nothing is queued or in flight. */
  async drained(): Promise<void> {
    while (!this.#broken && this.#queue.length + this.#inflight.length + this.#scrubs.length > 0) {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Runs what is queued, then closes the file. Later writes are refused. */
  async close(): Promise<void> {
    await this.drained()
    const broken = this.#broken !== undefined
    this.#broken ??= new Error('the database is closed')
    if (broken) return
    await this.#runner.close()
  }

  #go(): void {
    this.#scheduled = false
    if (this.#inflight.length > 0 || this.#scrubbing || this.#broken) return
    if (this.#scrubs.length > 0) {
      this.#scrub()
      return
    }
    if (this.#queue.length === 0) return
    this.#inflight = this.#queue.splice(0, this.#largest)
    this.#runner.run(this.#inflight.map(({ job }) => job)).then(
      (ran) => this.#settle(ran),
      (error: unknown) => this.#break(errorOf(error)),
    )
  }

  #scrub(): void {
    this.#scrubbing = true
    const asked = [...this.#scrubs]
    this.#runner
      .scrub()
      .then(
        (scrubbed) => {
          for (const { resolve } of asked) resolve(scrubbed)
        },
        (error: unknown) => {
          for (const { reject } of asked) reject(error)
        },
      )
      .finally(() => {
        this.#scrubs = this.#scrubs.slice(asked.length)
        this.#scrubbing = false
        this.#go()
      })
  }

  #settle({ outcomes, at }: Ran): void {
    const settled = this.#inflight
    this.#inflight = []
    this.#go()
    const notices = outcomes.flatMap((outcome) => ('value' in outcome ? outcome.notices : []))
    this.#committed(notices, at)
    const logged = new Set<Failure>()
    for (const [i, outcome] of outcomes.entries()) {
      const pending = settled[i]
      if (!pending) continue
      if ('value' in outcome) pending.done(outcome.value)
      else if ('refused' in outcome) pending.fail(new ApiError(outcome.refused.kind, outcome.refused.details))
      else pending.fail(this.#refusal(pending.job, outcome.failed, logged))
    }
  }

  /** A failure that several jobs share is logged once. */
  #refusal({ name }: Job, failure: Failure, logged: Set<Failure>): ApiError {
    if (logged.has(failure)) return refusalOf(failure)
    logged.add(failure)
    return reported(name, failure, this.#failed)
  }

  /** The runner is gone, and no write is possible any more. */
  #break(error: Error): void {
    if (this.#broken) return
    this.#broken = error
    for (const { fail } of [...this.#inflight, ...this.#queue]) fail(refuse('unavailable'))
    for (const { reject } of this.#scrubs) reject(refuse('unavailable'))
    this.#inflight = []
    this.#queue = []
    this.#scrubs = []
    // A start that fails throws instead.
    if (this.#started) this.#dead(error)
  }
}
