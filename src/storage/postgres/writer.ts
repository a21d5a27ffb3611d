import { setTimeout as delay } from 'node:timers/promises'
import type { Pool } from 'pg'
import { errorOf, refuse } from '../../errors.ts'
import { type Commands, isLong, type Notice } from '../database.ts'
import { ConflictError } from '../errors.ts'
import { failureOf, reported } from '../failures.ts'
import type { Job, PendingJob } from '../jobs.ts'
import { connect } from './connection.ts'
import { isContention, isLost, isOutOfRoom, isUnavailable, OverdueError } from './failures.ts'
import { CommitUnknownError, type Outcome, type TransactionId } from './outcome.ts'
import type { ColumnTypes } from './statements.ts'
import { databaseRun, Transaction } from './transaction.ts'

interface PendingWrite extends PendingJob {
  /** When it is given up instead of run again, by the monotonic clock of the process. */
  readonly deadline: number
  /** Attempts that ended in contention. */
  tries: number
}

/** How long a write is repeated while the database is away or other transactions conflict with it. */
const writeTimeoutMs = 5000
/** How long `failing` is true after a failure of the database. */
const failingMs = 5000
/** Contention ends sooner: after so many attempts the command itself is at fault. */
const maxTries = 12
/** While one batch waits for the disk the next one runs; more would only divide the same writes into smaller batches. */
const maxBatches = 2
/**
 * The next batch begins when the one before it commits, or after so long: that one may wait for a row that another node has locked. Begun sooner,
 * it would be small, and as dear as a large one.
 */
const maxDecidingMs = 20
/** Without batches: the connections that the pool has left. */
const maxUnbatched = 6
/** Transactions of a single command in flight. */
const maxAlone = 4

/** Of two questions about a commit whose answer was lost. */
const statusIntervalMs = 100
const xactStatus = `select pg_xact_status($1::xid8) as status, ${databaseRun} = $2 as same`

export interface WriterOptions {
  readonly pool: Pool
  readonly commands: Commands
  readonly types: ColumnTypes
  readonly slots: number
  readonly searchable: boolean
  /** The most writes in a batch; 1 is a transaction for each write. */
  readonly largestBatch: number
  /** Called after a commit, before its writes resolve: those wait for the promise, if it returns one. */
  readonly committed: (notices: readonly Notice[]) => Promise<void> | undefined
  readonly failed: (error: Error) => void
}

/**
 * Group commit: writes that arrive while a batch is in flight form the next one. A command that fails in a batch is repeated in a
 * transaction of its own, in which commands that change many rows always run.
 */
export class PostgresWriter {
  readonly #options: WriterOptions
  #queue: PendingWrite[] = []
  #batches = 0
  /** Those of them that have not sent their commit. */
  #deciding = 0
  #scheduled = false
  readonly #alone: PendingWrite[] = []
  #runningAlone = 0
  #open = 0
  #closed = false
  #failingUntil = 0
  #idle = () => {}

  constructor(options: WriterOptions) {
    this.#options = options
  }

  get waiting(): number {
    return this.#queue.length + this.#alone.length
  }

  /** Remembered, because on a full disk small writes still succeed now and then: a trial write would not tell. */
  get failing(): boolean {
    return performance.now() < this.#failingUntil
  }

  /** Resolves with what the command returns, once it is on disk. */
  write<T>(job: Job): Promise<T> {
    if (this.#closed) return Promise.reject(refuse('unavailable'))
    return new Promise((resolve, fail) => {
      this.#open++
      const done = (value: T) => resolve(value)
      const pending: PendingWrite = { job, deadline: performance.now() + writeTimeoutMs, tries: 0, done, fail }
      const command = this.#options.commands[job.name]
      if (command && isLong(command)) this.#runAlone(pending)
      else {
        this.#queue.push(pending)
        this.#schedule()
      }
    })
  }

  /** Runs what has been accepted. Later writes are refused. */
  async close(): Promise<void> {
    this.#closed = true
    if (this.#open === 0) return
    await new Promise<void>((resolve) => {
      this.#idle = resolve
    })
  }

  #schedule(): void {
    const { largestBatch } = this.#options
    const isFree = largestBatch === 1 ? this.#batches < maxUnbatched : this.#batches < maxBatches && this.#deciding === 0
    if (this.#scheduled || this.#queue.length === 0 || !isFree) return
    this.#scheduled = true
    // Writes of one turn of the event loop form one batch.
    setImmediate(() => {
      this.#scheduled = false
      void this.#batch(this.#inTime(this.#queue.splice(0, largestBatch)))
      this.#schedule()
    })
  }

  async #batch(batch: readonly PendingWrite[]): Promise<void> {
    if (batch.length === 0) return
    this.#batches++
    const decided = this.#decides()
    const outcomes = await this.#transaction(
      batch.map(({ job }) => job),
      decided,
    )
    this.#batches--
    decided()
    this.#schedule()
    this.#conclude(batch, outcomes)
    await this.#resolveUnknown(batch, outcomes)
  }

  /** Counts a batch as deciding until it calls what is returned. */
  #decides(): () => void {
    this.#deciding++
    let is = true
    const decided = () => {
      clearTimeout(timer)
      if (!is) return
      is = false
      this.#deciding--
      this.#schedule()
    }
    const timer = setTimeout(decided, maxDecidingMs)
    return decided
  }

  /** Settles what is done or refused, and runs the others again, alone. */
  #conclude(batch: readonly PendingWrite[], outcomes: readonly Outcome[]): void {
    void this.#settle(batch, outcomes)
    for (const [i, pending] of batch.entries()) if (outcomes[i]?.kind === 'undone') this.#runAlone(pending)
  }

  /** Gives up writes that have been queued past their deadline, instead of letting them wait for the database as well. */
  #inTime(batch: readonly PendingWrite[]): readonly PendingWrite[] {
    return batch.filter((pending) => {
      const late = performance.now() > pending.deadline
      if (late) this.#giveUp(pending, new OverdueError('queued for too long'))
      return !late
    })
  }

  #runAlone(pending: PendingWrite): void {
    this.#alone.push(pending)
    void this.#nextAlone()
  }

  async #nextAlone(): Promise<void> {
    if (this.#runningAlone >= maxAlone) return
    let pending: PendingWrite | undefined
    while (!pending && this.#alone.length > 0) [pending] = this.#inTime(this.#alone.splice(0, 1))
    if (!pending) return
    this.#runningAlone++
    const outcomes = await this.#transaction([pending.job])
    this.#runningAlone--
    const [outcome] = outcomes
    if (outcome?.kind === 'undone') this.#retry(pending, outcome.error)
    else void this.#settle([pending], outcomes)
    void this.#nextAlone()
    await this.#resolveUnknown([pending], outcomes)
  }

  #retry(pending: PendingWrite, error: Error): void {
    const leftMs = pending.deadline - performance.now()
    if (leftMs > 0 && (isLost(error) || (isContention(error) && pending.tries++ < maxTries))) {
      void delay(Math.min(pauseAfter(error), leftMs)).then(() => this.#runAlone(pending))
      return
    }
    this.#giveUp(pending, error)
  }

  #giveUp(pending: PendingWrite, error: Error): void {
    if (isLost(error) || isOutOfRoom(error)) this.#failingUntil = performance.now() + failingMs
    // A row that conflicts at every attempt is not being written by others: the command should have found it.
    const crowded = isContention(error) && pending.tries <= maxTries
    const failure = failureOf(error, () => crowded || isUnavailable(error))
    const refusal = reported(pending.job.name, failure, this.#options.failed)
    this.#settled(() => pending.fail(refusal))
  }

  /** Sends the notices of what has been committed, then resolves the writes. */
  async #settle(batch: readonly PendingWrite[], outcomes: readonly Outcome[]): Promise<void> {
    const notices = outcomes.flatMap((outcome) => (outcome.kind === 'done' ? outcome.notices : []))
    const sent = this.#options.committed(notices)
    if (sent) await sent
    for (const [i, pending] of batch.entries()) {
      const outcome = outcomes[i]
      if (outcome?.kind === 'done') this.#settled(() => pending.done(outcome.value))
      if (outcome?.kind === 'refused') this.#settled(() => pending.fail(outcome.error))
    }
  }

  /**
   * Asks the database what became of a commit whose answer was lost, and settles its writes accordingly: an SDK repeats a request
   * that failed with a 5xx, and would do twice what is done. Where the database does not say so in time they fail as unavailable.
   */
  async #resolveUnknown(batch: readonly PendingWrite[], outcomes: readonly Outcome[]): Promise<void> {
    const [outcome] = outcomes
    if (outcome?.kind !== 'unknown') return
    const { error } = outcome
    const status = await this.#statusOf(error.id)
    if (status === 'committed') return this.#conclude(batch, error.ifCommitted)
    if (status === 'aborted') {
      for (const pending of batch) this.#retry(pending, errorOf(error.cause))
      return
    }
    const names = namesOf(batch.map(({ job }) => job))
    const refusal = reported(
      names,
      failureOf(error, () => true),
      this.#options.failed,
    )
    for (const pending of batch) this.#settled(() => pending.fail(refusal))
  }

  /** Asks until the transaction has ended, at most for `writeTimeoutMs`. Undefined when there is no answer in time. */
  async #statusOf(id: TransactionId | undefined): Promise<string | undefined> {
    const deadline = performance.now() + writeTimeoutMs
    while (id !== undefined && performance.now() < deadline) {
      try {
        const { rows } = await this.#options.pool.query<{ status: string | null; same: boolean }>(xactStatus, [id.xid, id.run])
        const { status = null, same = false } = rows[0] ?? {}
        // Of another transaction, perhaps: what was not committed gives its number away in a crash.
        if (status === 'committed' && !same) return undefined
        if (status !== 'in progress') return status ?? undefined
      } catch {
        // The database is still away, or away again.
      }
      await delay(statusIntervalMs)
    }
    return undefined
  }

  #settled(settle: () => void): void {
    this.#open--
    settle()
    if (this.#open === 0) this.#idle()
  }

  /** Runs jobs in one transaction. Never throws: an error is an outcome of each of them. `decided` is called when the commit is sent. */
  async #transaction(jobs: readonly Job[], decided = () => {}): Promise<readonly Outcome[]> {
    try {
      const client = await connect(this.#options.pool)
      try {
        const outcomes = await new Transaction(client, { ...this.#options, decided }).run(jobs)
        client.release()
        return outcomes
      } catch (error) {
        // The state of the connection is unknown.
        client.release(true)
        throw error
      }
    } catch (error) {
      if (error instanceof CommitUnknownError) return jobs.map(() => ({ kind: 'unknown', error }))
      return jobs.map(() => ({ kind: 'undone', error: errorOf(error) }))
    }
  }
}

/** Random, so that writes that conflicted do not meet again. A write that has waited for a lock in vain needs more distance. */
function pauseAfter(error: Error): number {
  if (isLost(error)) return 100 + Math.random() * 200
  return Math.random() * (error instanceof ConflictError ? 30 : 400)
}

function namesOf(jobs: readonly Job[]): string {
  return [...new Set(jobs.map(({ name }) => name))].join(', ')
}
