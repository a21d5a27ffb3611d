import { extname } from 'node:path'
import { Worker } from 'node:worker_threads'
import { ApiError, errorOf, refuse } from '../../errors.ts'
import type { Notice } from '../database.ts'
import { type Failure, reported } from '../failures.ts'
import type { Job, Outcome } from './batch.ts'

interface Waiting {
  readonly job: Job
  readonly answer: (value: unknown) => void
  readonly fail: (error: Error) => void
}

/**
 * Group commit, main thread side: everything that arrives while a commit is in flight goes into the next transaction.
 * Measured at 64 connections: five times one commit per request, and the event loop never waits for the disk.
 */
export class Writer {
  readonly #worker: Worker
  readonly #committed: (notices: readonly Notice[]) => void
  readonly #failed: (error: Error) => void
  readonly #dead: (error: Error) => void
  readonly #largest: number
  #queue: Waiting[] = []
  #inflight: Waiting[] = []
  #scheduled = false
  #started = false
  #broken: Error | undefined
  readonly ready: Promise<void>

  /**
   * `largest_batch` bounds a transaction; 1 is one commit per request (kept for the benchmark).
   * `committed` is called before writers are answered; `failed` with what is not the caller's fault; `dead` when the thread has
   * ended by itself.
   */
  constructor(options: {
    file: string
    durable: boolean
    commands: URL
    largest_batch: number
    committed: (notices: readonly Notice[]) => void
    failed: (error: Error) => void
    dead: (error: Error) => void
  }) {
    this.#committed = options.committed
    this.#failed = options.failed
    this.#dead = options.dead
    this.#largest = options.largest_batch
    const thread = new URL(`./writer-thread${extname(import.meta.url)}`, import.meta.url)
    this.#worker = new Worker(thread, {
      workerData: { file: options.file, durable: options.durable, commands: options.commands.href },
    })
    this.ready = new Promise((resolve, reject) => {
      this.#worker.once('message', () => {
        this.#started = true
        this.#worker.on('message', (outcomes: Outcome[]) => this.#settle(outcomes))
        resolve()
      })
      const gone = (error: unknown) => {
        reject(error)
        this.#break(errorOf(error))
      }
      this.#worker.once('error', gone)
      this.#worker.once('exit', (code) => gone(new Error(`the writer thread has ended with code ${code}`)))
    })
  }

  get waiting(): number {
    return this.#queue.length
  }

  write(job: Job): Promise<unknown> {
    if (this.#broken) return Promise.reject(refuse('unavailable'))
    return new Promise((answer, fail) => {
      this.#queue.push({ job, answer, fail })
      if (this.#inflight.length > 0 || this.#scheduled) return
      this.#scheduled = true
      // One turn's writes start together.
      setImmediate(() => this.#go())
    })
  }

  /** Resolves when nothing is queued or in flight. */
  async drained(): Promise<void> {
    while (!this.#broken && (this.#queue.length > 0 || this.#inflight.length > 0)) {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** Finishes what is queued, then closes the file. A write from now on is refused. */
  async close(): Promise<void> {
    await this.drained()
    const broken = this.#broken !== undefined
    this.#broken ??= new Error('the database is closed')
    if (broken) return
    const gone = new Promise((resolve) => this.#worker.once('exit', resolve))
    this.#worker.postMessage('close')
    await gone
  }

  #go(): void {
    this.#scheduled = false
    if (this.#inflight.length > 0 || this.#queue.length === 0) return
    this.#inflight = this.#queue.splice(0, this.#largest)
    this.#worker.postMessage(this.#inflight.map((waiting) => waiting.job))
  }

  #settle(outcomes: readonly Outcome[]): void {
    const settled = this.#inflight
    this.#inflight = []
    this.#go()
    const notices = outcomes.flatMap((outcome) => ('value' in outcome ? outcome.notices : []))
    this.#committed(notices)
    const told = new Set<Failure>()
    for (const [i, outcome] of outcomes.entries()) {
      const waiting = settled[i]
      if (!waiting) continue
      if ('value' in outcome) waiting.answer(outcome.value)
      else if ('refused' in outcome) waiting.fail(new ApiError(outcome.refused.kind, outcome.refused.details))
      else waiting.fail(this.#refusal(waiting.job, outcome.failed, told))
    }
  }

  /** A failure that several jobs share is logged once. */
  #refusal({ name }: Job, failure: Failure, told: Set<Failure>): ApiError {
    if (told.has(failure)) return refuse(failure.kind)
    told.add(failure)
    return reported(name, failure, this.#failed)
  }

  /** The thread is gone, and no write is possible any more. */
  #break(error: Error): void {
    if (this.#broken) return
    this.#broken = error
    for (const waiting of [...this.#inflight, ...this.#queue]) waiting.fail(refuse('unavailable'))
    this.#inflight = []
    this.#queue = []
    // A start that fails throws instead.
    if (this.#started) this.#dead(error)
  }
}
