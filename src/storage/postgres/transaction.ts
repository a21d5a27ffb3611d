import { type ClientBase, DatabaseError } from 'pg'
import { ApiError, errorOf } from '../../errors.ts'
import type { Commands, Hold, Notice, Reader, Tx } from '../database.ts'
import { ConflictError } from '../errors.ts'
import type { AnyShape, Shape } from '../shapes.ts'
import { isGoingDown } from './failures.ts'
import { type Ask, answerAll } from './queries.ts'
import type { ColumnTypes, Lock } from './statements.ts'

export interface Job {
  readonly name: string
  readonly input: unknown
}

/** What came of a job. `undone`: nothing of it is there, it may be tried again. */
export type Outcome =
  | { readonly kind: 'done'; readonly value: unknown; readonly notices: readonly Notice[] }
  | { readonly kind: 'refused'; readonly error: ApiError }
  | { readonly kind: 'undone'; readonly error: Error }
  | { readonly kind: 'unknown' }

/** The commit was sent and no answer came: it may be there or not. */
export class CommitUnknownError extends Error {
  override readonly name = 'CommitUnknownError'
  readonly code = 'PARLEY_COMMIT_UNKNOWN'
}

const locks: Record<Hold, Lock> = { change: ' for no key update', keep: ' for key share' }

/** One command of a transaction. */
interface Running {
  readonly job: Job
  readonly notices: Notice[]
  /** Rows it has. */
  readonly holds: Set<string>
  /** Statements under way that write, and whether one has. */
  writing: number
  written: boolean
  outcome: Outcome | undefined
}

interface Held {
  readonly by: Set<Running>
  how: Hold
  /** Asks of others to be made once more when the row is free. */
  readonly waiting: (() => void)[]
}

/**
 * Runs several commands side by side in one transaction, in rounds: what all of them ask for at one time is answered together.
 * A row that one holds for a change the others wait for, as they would in transactions of their own. Answers an outcome each;
 * when one fails after it has written, or the transaction itself fails, all are undone.
 */
export class Transaction {
  readonly #client: ClientBase
  readonly #commands: Commands
  readonly #types: ColumnTypes
  readonly #slots: number
  readonly #held = new Map<string, Held>()
  #asked: Ask[] = []
  #scheduled = false
  #running = 0
  /** Why everything has to be undone. */
  #failure: Error | undefined
  #finished = () => {}

  constructor(client: ClientBase, options: { commands: Commands; types: ColumnTypes; slots: number }) {
    this.#client = client
    this.#commands = options.commands
    this.#types = options.types
    this.#slots = options.slots
  }

  /** Throws CommitUnknownError when nobody can say whether it is on disk, anything else when the connection is of no use any more. */
  async run(jobs: readonly Job[]): Promise<Outcome[]> {
    // Sent together with the first round.
    const begun = this.#client.query('begin')
    begun.catch((error: Error) => this.#fail(error))
    const running = jobs.map(
      (job): Running => ({
        job,
        notices: [],
        holds: new Set(),
        writing: 0,
        written: false,
        outcome: undefined,
      }),
    )
    await new Promise<void>((resolve) => {
      this.#finished = resolve
      this.#running = running.length
      for (const one of running) void this.#start(one)
    })
    if (!this.#failure) await this.#commit()
    if (this.#failure) {
      await this.#rollBack(this.#failure)
      const undone: Outcome = { kind: 'undone', error: this.#failure }
      // Alone it has nobody to blame: its own refusal is its answer.
      return running.map(({ outcome }) => (running.length === 1 && outcome?.kind === 'refused' ? outcome : undone))
    }
    return running.map(({ outcome }) => outcome as Outcome)
  }

  async #start(one: Running): Promise<void> {
    try {
      const command = this.#commands[one.job.name]
      if (!command) throw new Error('there is no such command')
      const value = await command(this.#tx(one), one.job.input)
      one.outcome = { kind: 'done', value, notices: one.notices }
    } catch (error) {
      one.outcome = error instanceof ApiError ? { kind: 'refused', error } : { kind: 'undone', error: errorOf(error) }
      // What has not written anything leaves nothing to undo; the others go on.
      if (one.written || one.writing > 0) this.#fail(errorOf(error))
    }
    for (const sid of one.holds) this.#release(sid, one)
    this.#running--
    if (this.#running === 0) this.#finished()
  }

  async #commit(): Promise<void> {
    try {
      const { command } = await this.#client.query('commit')
      // A transaction in which something failed answers a commit with a rollback.
      if (command !== 'COMMIT') this.#fail(new Error('the transaction was rolled back'))
    } catch (error) {
      // Refused by the database, as a deferred check would: undone. Without an answer of its own: unknown.
      if (!(error instanceof DatabaseError) || isGoingDown(error)) {
        throw new CommitUnknownError(`no answer to a commit: ${errorOf(error).message}`, { cause: error })
      }
      this.#fail(errorOf(error))
    }
  }

  async #rollBack(cause: Error): Promise<void> {
    await this.#client.query('rollback').catch(() => {
      throw cause
    })
  }

  #fail(error: Error): void {
    this.#failure ??= error
  }

  #tx(one: Running): Tx {
    const ask = (kind: Ask['kind'], shape: AnyShape, args: object, lock: Lock) =>
      new Promise<{ rows: readonly Record<string, unknown>[]; touched: number }>((resolve, reject) => {
        this.#ask({
          kind,
          shape,
          args: args as Record<string, unknown>,
          lock,
          answer: (rows, touched) => resolve({ rows, touched }),
          fail: (error) => {
            this.#fail(error)
            reject(error)
          },
        })
      })
    const rows = async <R>(shape: AnyShape, args: object, lock: Lock) => (await ask('read', shape, args, lock)).rows as R[]
    const reader: Pick<Reader, 'one' | 'all'> = {
      one: async <A extends object, R>(query: Shape<A, R>, args: A) => (await rows<R>(query, args, ''))[0],
      all: (query, args) => rows(query, args, ''),
    }
    return {
      ...reader,
      slots: this.#slots,
      claim: (query, args) => rows(query, args, ' for update skip locked'),
      hold: async <A extends object, R>(query: Shape<A, R>, args: A, how: Hold) => {
        for (;;) {
          const row = (await rows<R>(query, args, locks[how]))[0]
          // Read once more after waiting: whoever held it may have changed it, or removed it.
          const wait = row && this.#hold((row as unknown as { sid: string }).sid, one, how)
          if (!wait) return row
          await wait
        }
      },
      run: async (query, args) => {
        one.writing++
        const { touched } = await ask('run', query, args, '')
        one.writing--
        one.written ||= touched > 0
        if (touched === 0 && query.plain?.verb === 'insert') throw new ConflictError(`${query.plain.table}: taken meanwhile`)
        return touched
      },
      notify: (notice) => void one.notices.push(notice),
    }
  }

  /** Undefined when the row is had at once; else a promise for the moment when it may be. */
  #hold(sid: string, one: Running, how: Hold): Promise<void> | undefined {
    const held = this.#held.get(sid) ?? { by: new Set(), how: 'keep', waiting: [] }
    const free = [...held.by].every((other) => other === one)
    if (!free && (how === 'change' || held.how === 'change')) {
      return new Promise((resolve) => held.waiting.push(resolve))
    }
    held.by.add(one)
    if (how === 'change') held.how = 'change'
    one.holds.add(sid)
    this.#held.set(sid, held)
    return undefined
  }

  #release(sid: string, one: Running): void {
    const held = this.#held.get(sid)
    held?.by.delete(one)
    if (!held || held.by.size > 0) return
    this.#held.delete(sid)
    for (const again of held.waiting) again()
  }

  #ask(ask: Ask): void {
    this.#asked.push(ask)
    if (!this.#scheduled) this.#schedule()
  }

  #schedule(): void {
    this.#scheduled = true
    setImmediate(() => void this.#round())
  }

  async #round(): Promise<void> {
    const asks = this.#asked
    this.#asked = []
    if (this.#failure) for (const ask of asks) ask.fail(this.#failure)
    else await answerAll(this.#client, asks, this.#types)
    // Answered in this turn, asked again by the next: who does not ask then waits for a row.
    setImmediate(() => {
      if (this.#asked.length > 0) return void this.#round()
      this.#scheduled = false
      if (this.#running > 0) this.#endWaiting()
    })
  }

  /** Nobody asks any more: those that are left wait for each other. All are undone, to be run one by one. */
  #endWaiting(): void {
    this.#fail(new ConflictError('commands wait for each other'))
    for (const { waiting } of this.#held.values()) for (const again of waiting.splice(0)) again()
  }
}
