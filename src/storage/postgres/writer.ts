import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import { errorOf, refuse } from '../../errors.ts'
import { type Commands, isLong, type Notice } from '../database.ts'
import { ConflictError } from '../errors.ts'
import { failureOf, reported } from '../failures.ts'
import { connect } from './connection.ts'
import { isContention, isLost, isOutOfRoom, isUnavailable, OverdueError } from './failures.ts'
import type { ColumnTypes } from './statements.ts'
import { CommitUnknownError, type Job, type Outcome, Transaction } from './transaction.ts'

interface Waiting {
  readonly job: Job
  /** From then on it is not tried again, by the process's own clock. */
  readonly until: number
  /** How often others were in the way. */
  tries: number
  readonly answer: (value: unknown) => void
  readonly fail: (error: Error) => void
}

/** How long a write waits for a database that is away or for others that are in the way. */
const patience_ms = 5000
/** For so long after a failure that is not the caller's. */
const failing_ms = 5000
/** Others are not in the way that often: something is wrong with the command. */
const max_tries = 12
/** While one waits for the disk the next one runs; more would only divide the same writes into smaller batches. */
const most_batches = 2
/** Without batches: what the pool has left. */
const most_unbatched = 6
/** Transactions of one command under way at a time. */
const most_alone = 4

export interface WriterOptions {
  readonly pool: Pool
  readonly commands: Commands
  readonly types: ColumnTypes
  readonly slots: number
  /** Bounds a batch; 1 is a transaction for each write. */
  readonly largest_batch: number
  /** Called before the writers are answered. */
  readonly committed: (notices: readonly Notice[]) => void
  readonly failed: (error: Error) => void
}

/**
 * Group commit over a connection: everything that arrives while a transaction is under way goes into the next one. What cannot
 * go on with the others is tried again alone; so are commands that work through many rows.
 */
export class PostgresWriter {
  readonly #options: WriterOptions
  #queue: Waiting[] = []
  #batches = 0
  #scheduled = false
  readonly #alone: Waiting[] = []
  #running_alone = 0
  #open = 0
  #closed = false
  #failing_until = 0
  #idle = () => {}

  constructor(options: WriterOptions) {
    this.#options = options
  }

  get waiting(): number {
    return this.#queue.length + this.#alone.length
  }

  /** Small writes still find room in the pages there are when the disk is full: what has failed tells more than a try. */
  get failing(): boolean {
    return performance.now() < this.#failing_until
  }

  write(job: Job): Promise<unknown> {
    if (this.#closed) return Promise.reject(refuse('unavailable'))
    return new Promise((answer, fail) => {
      this.#open++
      const waiting = { job, until: performance.now() + patience_ms, tries: 0, answer, fail }
      const command = this.#options.commands[job.name]
      if (command && isLong(command)) this.#runAlone(waiting)
      else {
        this.#queue.push(waiting)
        this.#schedule()
      }
    })
  }

  /** Finishes what has been accepted; a write from now on is refused. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#open === 0) return
    await new Promise<void>((resolve) => {
      this.#idle = resolve
    })
  }

  #schedule(): void {
    const { largest_batch } = this.#options
    const lanes = largest_batch === 1 ? most_unbatched : most_batches
    if (this.#scheduled || this.#queue.length === 0 || this.#batches >= lanes) return
    this.#scheduled = true
    // One turn's writes start together.
    setImmediate(() => {
      this.#scheduled = false
      void this.#batch(this.#inTime(this.#queue.splice(0, largest_batch)))
      this.#schedule()
    })
  }

  async #batch(batch: readonly Waiting[]): Promise<void> {
    if (batch.length === 0) return
    this.#batches++
    const outcomes = await this.#transaction(batch.map(({ job }) => job))
    this.#batches--
    this.#schedule()
    this.#settle(batch, outcomes)
    for (const [i, waiting] of batch.entries()) if (outcomes[i]?.kind === 'undone') this.#runAlone(waiting)
  }

  /** Who has waited too long for a turn is told so, instead of beginning to wait for the database. */
  #inTime(turn: readonly Waiting[]): readonly Waiting[] {
    return turn.filter((waiting) => {
      const late = performance.now() > waiting.until
      if (late) this.#giveUp(waiting, new OverdueError('no turn came'))
      return !late
    })
  }

  #runAlone(waiting: Waiting): void {
    this.#alone.push(waiting)
    void this.#nextAlone()
  }

  async #nextAlone(): Promise<void> {
    if (this.#running_alone >= most_alone) return
    const [waiting] = this.#inTime(this.#alone.splice(0, 1))
    if (!waiting) {
      if (this.#alone.length > 0) void this.#nextAlone()
      return
    }
    this.#running_alone++
    const outcomes = await this.#transaction([waiting.job])
    this.#running_alone--
    const [outcome] = outcomes
    if (outcome?.kind === 'undone') this.#tryAgain(waiting, outcome.error)
    else this.#settle([waiting], outcomes)
    void this.#nextAlone()
  }

  #tryAgain(waiting: Waiting, error: Error): void {
    const left_ms = waiting.until - performance.now()
    if (left_ms > 0 && (isLost(error) || (isContention(error) && waiting.tries++ < max_tries))) {
      void delay(Math.min(pauseAfter(error), left_ms)).then(() => this.#runAlone(waiting))
      return
    }
    this.#giveUp(waiting, error)
  }

  #giveUp(waiting: Waiting, error: Error): void {
    if (isLost(error) || isOutOfRoom(error)) this.#failing_until = performance.now() + failing_ms
    // A row that is in the way each time is not there because of others: the command ought to have seen it.
    const crowded = isContention(error) && waiting.tries <= max_tries
    const failure = failureOf(error, () => crowded || isUnavailable(error))
    const refusal = reported(waiting.job.name, failure, this.#options.failed)
    this.#done(() => waiting.fail(refusal))
  }

  /** Tells everybody of what has been committed, then answers those who waited for it. */
  #settle(batch: readonly Waiting[], outcomes: readonly Outcome[]): void {
    const notices = outcomes.flatMap((outcome) => (outcome.kind === 'done' ? outcome.notices : []))
    this.#options.committed(notices)
    for (const [i, outcome] of outcomes.entries()) {
      const waiting = batch[i] as Waiting
      if (outcome.kind === 'done') this.#done(() => waiting.answer(outcome.value))
      if (outcome.kind === 'refused') this.#done(() => waiting.fail(outcome.error))
      if (outcome.kind === 'unknown') this.#done(() => waiting.fail(refuse('unavailable')))
    }
  }

  #done(answer: () => void): void {
    this.#open--
    answer()
    if (this.#open === 0) this.#idle()
  }

  /** One transaction from its beginning to its end, whatever comes between. */
  async #transaction(jobs: readonly Job[]): Promise<readonly Outcome[]> {
    try {
      const client = await connect(this.#options.pool)
      try {
        const outcomes = await new Transaction(client, this.#options).run(jobs)
        client.release()
        return outcomes
      } catch (error) {
        // In what state it is nobody knows.
        client.release(true)
        throw error
      }
    } catch (error) {
      if (error instanceof CommitUnknownError) {
        reported(
          namesOf(jobs),
          failureOf(error, () => true),
          this.#options.failed,
        )
        return jobs.map(() => ({ kind: 'unknown' }))
      }
      return jobs.map(() => ({ kind: 'undone', error: errorOf(error) }))
    }
  }
}

/** Not all at the same moment, and not at once: the other side needs time too. Who waited for a lock in vain needs a head start. */
function pauseAfter(error: Error): number {
  if (isLost(error)) return 100 + Math.random() * 200
  return Math.random() * (error instanceof ConflictError ? 30 : 400)
}

function namesOf(jobs: readonly Job[]): string {
  return [...new Set(jobs.map(({ name }) => name))].join(', ')
}
