import { type ClientBase, DatabaseError, type QueryResult } from 'pg'
import { ApiError, errorOf } from '../../errors.ts'
import type { Commands, Hold, Notice, Reader, Tx } from '../database.ts'
import { ConflictError, changedNothing } from '../errors.ts'
import type { Job } from '../jobs.ts'
import { type AnyShape, type Shape, tablesOf } from '../shapes.ts'
import { begin } from './connection.ts'
import { isGoingDown, isLost } from './failures.ts'
import type { PendingQuery } from './grouping.ts'
import { KnownRows } from './known-rows.ts'
import { CommitUnknownError, type Outcome, type TransactionId } from './outcome.ts'
import { sendAll } from './queries.ts'
import { grant, handOver, type RowLock } from './row-locks.ts'
import { type ColumnTypes, keyOf, type Lock } from './statements.ts'

/**
 * Differs before and after a crash. When a single process of the database has crashed, it recovers without a start of the first one:
 * its statistics are reset then.
 */
export const databaseRun = "concat(pg_postmaster_start_time(), ' ', pg_stat_get_bgwriter_stat_reset_time())"

/** Returns the number of a transaction, by which its outcome can be asked for later. */
const numbered = { name: 'numbered', text: `select pg_current_xact_id()::text as xid, ${databaseRun} as run` }

const notRun: Outcome = { kind: 'undone', error: new Error('not run') }

const locks: Record<Hold, Lock> = { change: ' for no key update', keep: ' for key share' }

export interface TransactionOptions {
  readonly commands: Commands
  readonly types: ColumnTypes
  readonly slots: number
  readonly searchable: boolean
  /** Called when the commit is sent: all commands have decided what they write. */
  readonly decided: () => void
}

/** One command of a transaction. */
interface Running {
  readonly job: Job
  readonly notices: Notice[]
  /** Names of the rows it has locked. */
  readonly holds: Set<string>
  /** Writes that it has not waited for: whatever it asks for next comes after them. */
  after: readonly PendingQuery[]
  /** Writing statements in flight, and whether one has changed a row. */
  writing: number
  written: boolean
  /** The round in which it has last locked a row in the database: what was read until then may be older than the lock. */
  locked: number
  outcome: Outcome
  /** What it has left behind asks for nothing more: of several things that it did at a time, one has made it fail. */
  ended: boolean
}

/** What was left of a row by the last command that has held it for a change. */
interface Left {
  /** The round in which its last writes are sent: what is read in that round may be older than they are, if it does not come after them. */
  readonly round: number
  readonly writes: readonly PendingQuery[]
}

/**
 * Runs several commands concurrently in one transaction, in rounds: the queries that they issue at one time are sent together.
 * A command waits for a row that another one has locked, as it would in a transaction of its own. Each has an outcome; when one
 * fails after it has written, or the transaction itself fails, all are undone.
 */
export class Transaction {
  readonly #client: ClientBase
  readonly #decided: () => void
  readonly #commands: Commands
  readonly #types: ColumnTypes
  readonly #slots: number
  readonly #searchable: boolean
  readonly #held = new Map<string, RowLock<Running>>()
  #pending: PendingQuery[] = []
  #scheduled = false
  /** Of rows that have been released, by their names: whoever locks one next comes after what is still to be written. */
  readonly #left = new Map<string, Left>()
  /** Writes to be sent of those that have kept a row from changing: whoever changes it next comes after them. */
  readonly #leftByKeepers = new Map<string, Set<PendingQuery>>()
  readonly #known = new KnownRows()
  /** Writes to be sent, by their table. */
  readonly #unsent = new Map<string, PendingQuery[]>()
  /** What is to be read in the next round, by the query and its arguments. */
  readonly #asked = new Map<string, Promise<readonly unknown[]>>()
  #all: readonly Running[] = []
  #begun = false
  /** Undefined until the database has said it. */
  #id: TransactionId | undefined
  /** The answer to a commit that was sent behind the last writes. */
  #committed: Promise<QueryResult> | undefined
  /** How many of them have not ended. */
  #running = 0
  /** How many rounds have begun. */
  #rounds = 0
  /** Why the transaction has to be rolled back. */
  #failure: Error | undefined
  #finished = () => {}

  constructor(client: ClientBase, options: TransactionOptions) {
    this.#client = client
    this.#decided = options.decided
    this.#commands = options.commands
    this.#types = options.types
    this.#slots = options.slots
    this.#searchable = options.searchable
  }

  /** Throws CommitUnknownError; any other error means that the connection cannot be used any more. */
  async run(jobs: readonly Job[]): Promise<Outcome[]> {
    const running = jobs.map(
      (job): Running => ({
        job,
        notices: [],
        holds: new Set(),
        after: [],
        writing: 0,
        written: false,
        locked: 0,
        outcome: notRun,
        ended: false,
      }),
    )
    this.#all = running
    await new Promise<void>((resolve) => {
      this.#finished = resolve
      this.#running = running.length
      for (const one of running) void this.#start(one)
    })
    const outcomes = () => running.map(({ outcome }) => outcome)
    // Without a query there is nothing to commit.
    const hasEnded = this.#begun && (this.#committed || !this.#failure)
    if (hasEnded) await this.#commit((cause) => commitUnknown(cause, this.#id, outcomes()))
    if (this.#failure) {
      if (!hasEnded) await this.#rollBack(this.#failure)
      const undone: Outcome = { kind: 'undone', error: this.#failure }
      // The refusal of a command that ran alone is its own: repeating it would change nothing.
      return running.map(({ outcome }) => (running.length === 1 && outcome.kind === 'refused' ? outcome : undone))
    }
    return outcomes()
  }

  async #start(one: Running): Promise<void> {
    try {
      const command = this.#commands[one.job.name]
      if (!command) throw new Error('there is no such command')
      const value = await command(this.#tx(one), one.job.input)
      one.outcome = { kind: 'done', value, notices: one.notices }
    } catch (error) {
      one.outcome = error instanceof ApiError ? { kind: 'refused', error } : { kind: 'undone', error: errorOf(error) }
      // A command that has not written has nothing to undo: the others go on.
      if (one.written || one.writing > 0) this.#fail(errorOf(error))
    }
    one.ended = true
    for (const sid of one.holds) this.#release(sid, one)
    this.#running--
    // Writes that nobody waits for may still have to be sent.
    if (this.#running === 0 && !this.#scheduled) this.#finished()
  }

  /** `unknown` makes the error for a commit without an answer. */
  async #commit(unknown: (cause: unknown) => CommitUnknownError): Promise<void> {
    this.#decided()
    try {
      const { command } = await (this.#committed ?? this.#client.query('commit'))
      // PostgreSQL answers a commit with a rollback when a statement has failed.
      if (command !== 'COMMIT') this.#fail(new Error('the transaction was rolled back'))
      // What is committed is not done once more, whatever has failed on this side.
      else this.#failure = undefined
    } catch (error) {
      // An error of the server, such as a deferred check, is a rollback. Any other leaves the outcome unknown.
      if (!(error instanceof DatabaseError) || isGoingDown(error)) throw unknown(error)
      this.#fail(errorOf(error))
    }
  }

  async #rollBack(cause: Error): Promise<void> {
    if (!this.#begun) return
    await this.#client.query('rollback').catch((error: unknown) => {
      // The connection is lost, which undoes everything as well: the commands run again, whatever has failed them here.
      throw isLost(cause) ? cause : error
    })
  }

  /** Sends the commit without waiting for the last writes: it is a rollback where one of them has failed. */
  #commitBehind(): void {
    this.#committed = this.#client.query('commit')
    this.#committed.catch(() => {})
    this.#decided()
  }

  /** Sent together with the first round. */
  #begin(): void {
    this.#begun = true
    const failed = (error: unknown) => this.#fail(errorOf(error))
    this.#client.query(begin).catch(failed)
    this.#client.query<TransactionId>(numbered).then(({ rows }) => {
      this.#id = rows[0]
    }, failed)
  }

  #fail(error: Error): void {
    this.#failure ??= error
  }

  #tx(one: Running): Tx {
    const send = <R>(
      kind: PendingQuery['kind'],
      shape: AnyShape,
      args: object,
      lock: Lock,
      others: readonly PendingQuery[] = [],
    ) =>
      new Promise<{ rows: readonly R[]; changed: number }>((resolve, reject) => {
        refuseEnded(one)
        this.#enqueue({
          kind,
          shape,
          args,
          lock,
          after: together(one.after, others),
          done: (rows: readonly R[], changed) => resolve({ rows, changed }),
          fail: (error) => {
            this.#fail(error)
            reject(error)
          },
        })
      })
    const rows = async <R>(shape: AnyShape, args: object, lock: Lock, others?: readonly PendingQuery[]) => [
      ...(await send<R>('read', shape, args, lock, others)).rows,
    ]
    /** What another command asks for in the same round is asked for once, unless it has to come after something. */
    const rowsTogether = async <R>(shape: AnyShape, args: object, lock: Lock, others: readonly PendingQuery[] = []) => {
      if (one.after.length > 0 || others.length > 0) return rows<R>(shape, args, lock, others)
      refuseEnded(one)
      const found = getOrAdd(this.#asked, keyOf(shape, args, lock), () => rows(shape, args, lock))
      // The key holds the id of this query, so the rows have its type.
      return [...(await found)] as R[]
    }
    /** What another command has read already: it could have been read by this one at the same time, if it holds no lock from later. */
    const readOnce = async <R>(shape: Shape<never, R>, args: object): Promise<R[]> => {
      const { plain } = shape
      if (plain?.verb !== 'select') return rows<R>(shape, args, '')
      const ask = () => {
        const unsent = tablesOf(plain).flatMap((table) => this.#unsent.get(table) ?? [])
        return rowsTogether<R>(shape, args, '', unsent)
      }
      const question = { shape, plain, args, after: one.locked, round: this.#rounds + 1 }
      // What is kept under the id of this query has the type of its rows.
      return [...(await this.#known.read(question, ask))] as R[]
    }
    /** Rows that the database locks: what others have read before is not known to be as it is now. */
    const locked = async <R>(found: Promise<R[]>) => {
      const rows = await found
      one.locked = this.#rounds
      return rows
    }
    const reader: Pick<Reader, 'one' | 'all'> = {
      one: async <A extends object, R>(query: Shape<A, R>, args: A) => (await readOnce<R>(query, args))[0],
      all: (query, args) => readOnce(query, args),
    }
    const must: Tx['must'] = async (query, args) => {
      refuseEnded(one)
      one.written = true
      this.#known.learn(query, args)
      const write: PendingQuery = {
        kind: 'run',
        shape: query,
        args,
        lock: '',
        must: true,
        after: one.after,
        done: (_rows, changed) => {
          if (changed === 0) this.#fail(changedNothing(query))
        },
        fail: (error) => this.#fail(error),
      }
      one.after = [write]
      if (query.plain) getOrAdd(this.#unsent, query.plain.table, () => []).push(write)
      this.#enqueue(write)
    }
    return {
      ...reader,
      slots: this.#slots,
      searchable: this.#searchable,
      claim: (query, args) => locked(rows(query, args, ' for update skip locked')),
      hold: async <A extends object, R>(query: Shape<A, R>, args: A, how: Hold) => {
        let name = 'sid' in args ? String(args.sid) : undefined
        for (;;) {
          // Of a known row no query would tell: whoever waits here for others that wait, too, would do so for ever.
          if (this.#failure) throw this.#failure
          refuseEnded(one)
          const next = this.#rounds + 1
          const left = name === undefined ? undefined : this.#left.get(name)
          if (left?.round === next) one.after = together(one.after, left.writes)
          const { forgotten } = this.#known
          const known = this.#known.row(name, query, args)
          // The known row was selected by a query of the same table, and so has its columns.
          const row = known ? (known.row as R) : (await locked(rowsTogether<R>(query, args, locks[how])))[0]
          if (!row) return undefined
          refuseEnded(one)
          name = nameOf(row, query, args)
          const wait = this.#hold(name, one, how)
          await wait
          // It is read again where whoever had it meanwhile may have changed or removed it.
          const released = this.#left.get(name)
          if (wait || (!known && released && released !== left && released.round >= next)) continue
          if (how === 'change') one.after = together(one.after, [...(this.#leftByKeepers.get(name) ?? [])])
          if (known) one.locked = Math.max(one.locked, known.locked)
          if (how === 'change' && forgotten === this.#known.forgotten)
            this.#known.keep(name, query, row, known?.locked ?? one.locked)
          return row
        }
      },
      must,
      // They are of one round, and merged.
      mustAll: async (query, all) => {
        for (const args of all) await must(query, args)
      },
      run: async (query, args) => {
        refuseEnded(one)
        one.writing++
        // What is read while it is on its way may be of before or after it.
        this.#known.forget()
        const { changed } = await send('run', query, args, '')
        this.#known.forget()
        one.writing--
        one.written ||= changed > 0
        if (changed === 0 && query.plain?.verb === 'insert') throw changedNothing(query)
        return changed
      },
      notify: (notice) => void one.notices.push(notice),
    }
  }

  /** Locks a row. Returns undefined when it was free, else a promise that resolves when it has been handed over. */
  #hold(sid: string, one: Running, how: Hold): Promise<void> | undefined {
    const held = getOrAdd(this.#held, sid, (): RowLock<Running> => ({ by: new Set(), how: 'keep', waiting: [] }))
    one.holds.add(sid)
    if (grant(held, one, how)) return undefined
    return new Promise((wake) => held.waiting.push({ one, how, wake }))
  }

  #release(sid: string, one: Running): void {
    const held = this.#held.get(sid)
    if (!held?.by.delete(one)) return
    if (held.how === 'keep') {
      const left = getOrAdd(this.#leftByKeepers, sid, () => new Set())
      for (const write of one.after) left.add(write)
    } else this.#left.set(sid, { round: this.#rounds + (one.after.length > 0 ? 1 : 0), writes: one.after })
    handOver(held)
    if (held.by.size === 0) this.#held.delete(sid)
  }

  #enqueue(query: PendingQuery): void {
    this.#pending.push(query)
    if (!this.#scheduled) this.#schedule()
  }

  #schedule(): void {
    this.#scheduled = true
    setImmediate(() => void this.#round())
  }

  async #round(): Promise<void> {
    this.#rounds++
    const queries = this.#pending
    this.#pending = []
    // What is issued from here on is sent in a later round, and so comes after all of these.
    this.#leftByKeepers.clear()
    this.#unsent.clear()
    this.#asked.clear()
    for (const one of this.#all) one.after = []
    // Writes that fail where they take no effect. Of a commit without an answer the number has to be known.
    const isLast = this.#running === 0 && this.#id !== undefined && queries.every(({ must }) => must)
    try {
      if (this.#failure) throw this.#failure
      await sendAll(this.#client, queries, this.#types, {
        before: () => {
          if (!this.#begun) this.#begin()
        },
        after: () => {
          if (isLast && !this.#failure) this.#commitBehind()
        },
      })
    } catch (error) {
      for (const query of queries) query.fail(errorOf(error))
    }
    setImmediate(() => this.#next())
  }

  /** A command that goes on has issued its next query within this turn; one that has not waits for a row. */
  #next(): void {
    if (this.#pending.length > 0) return void this.#round()
    if (this.#running > 0 && this.#endWaiting()) return void setImmediate(() => this.#next())
    this.#scheduled = false
    if (this.#running > 0) {
      this.#fail(new Error('a command waits for something else than the database'))
      for (const one of this.#all) one.ended = true
    }
    this.#finished()
  }

  /**
   * No command issues a query, and those still pending wait for each other: all are undone, to be run one by one. Returns false if nobody
   * waits for a row.
   */
  #endWaiting(): boolean {
    const waiting = [...this.#held.values()].flatMap((held) => held.waiting.splice(0))
    if (waiting.length > 0) this.#fail(new ConflictError('commands wait for each other'))
    for (const { wake } of waiting) wake()
    return waiting.length > 0
  }
}

function refuseEnded({ ended }: Running): void {
  if (ended) throw new Error('the command has ended')
}

/** Returns the value of a key, made where there is none. */
function getOrAdd<T>(all: Map<string, T>, key: string, make: () => T): T {
  const value = all.get(key) ?? make()
  all.set(key, value)
  return value
}

/** Returns the queries of both, each once: many that wait for one row hand on what they have been handed. */
function together(some: readonly PendingQuery[], others: readonly PendingQuery[]): readonly PendingQuery[] {
  if (some.length === 0) return others
  return others.length === 0 ? some : [...new Set([...some, ...others])]
}

/** Returns the name of a row that no other row of any table has: its sid or id, or else the query that has found it. */
function nameOf(row: unknown, query: AnyShape, args: object): string {
  if (typeof row === 'object' && row !== null) {
    if ('sid' in row && typeof row.sid === 'string') return row.sid
    if ('id' in row && typeof row.id === 'string') return row.id
  }
  return keyOf(query, args)
}

function commitUnknown(cause: unknown, id: TransactionId | undefined, ifCommitted: readonly Outcome[]): CommitUnknownError {
  return new CommitUnknownError(`no answer to a commit: ${errorOf(cause).message}`, cause, id, ifCommitted)
}
