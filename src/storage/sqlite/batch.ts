import type { ErrorName } from '../../error-catalogue.ts'
import { ApiError } from '../../errors.ts'
import { type Commands, type Notice, onlySlot, type Tx } from '../database.ts'
import { changedNothing } from '../errors.ts'
import { type Failure, failureOf } from '../failures.ts'
import type { Job } from '../jobs.ts'
import { type Connection, keepUndoInMemory, Statements } from './connection.ts'
import { isUnavailable } from './failures.ts'
import { KeptRows } from './kept-rows.ts'
import { ManyInserts } from './many-inserts.ts'

/** What became of a job, as plain data: it crosses to the main thread. */
export type Outcome =
  | { readonly value: unknown; readonly notices: readonly Notice[] }
  | { readonly refused: { readonly kind: ErrorName; readonly details: Readonly<Record<string, string>> } }
  | { readonly failed: Failure }

/** How a transaction ended: committed, or with everything undone. */
type Ended = { readonly outcomes: Outcome[] } | { readonly error: unknown }

/** A batch that has ended. */
export interface Ran {
  readonly outcomes: readonly Outcome[]
  /** When, in epoch ms: other threads measure from it. */
  readonly at: number
}

/** Runs a batch. */
export async function ran(runner: BatchRunner, jobs: readonly Job[]): Promise<Ran> {
  return { outcomes: await runner.run(jobs), at: Date.now() }
}

/** Runs each batch of jobs in one transaction: group commit, one fsync for all of them. */
export class BatchRunner {
  readonly #db: Connection
  readonly #statements: Statements
  readonly #kept: KeptRows
  readonly #inserts: ManyInserts
  readonly #commands: Commands
  readonly #searchable: boolean
  readonly #sql

  constructor(db: Connection, commands: Commands, searchable = true) {
    keepUndoInMemory(db)
    this.#searchable = searchable
    this.#db = db
    this.#statements = new Statements(db)
    this.#kept = new KeptRows(db, this.#statements)
    this.#inserts = new ManyInserts(db)
    this.#commands = commands
    this.#sql = {
      begin: db.prepare('BEGIN IMMEDIATE'),
      commit: db.prepare('COMMIT'),
      rollback: db.prepare('ROLLBACK'),
      save: db.prepare('SAVEPOINT command'),
      release: db.prepare('RELEASE command'),
      undo: db.prepare('ROLLBACK TO command'),
      waiting: db.prepare('select 1 from search_waiting limit 1'),
      index: db.prepare(`insert into search_words (rowid, words)
        select d.id, d.words from search_waiting as w cross join search_documents as d on d.id = w.id order by w.id`),
      indexed: db.prepare('delete from search_waiting'),
    }
  }

  /** Runs without savepoints first. When a command fails after it has written, the batch is repeated with a savepoint for each. */
  async run(jobs: readonly Job[]): Promise<Outcome[]> {
    const ended = await this.#transaction(jobs, (job) => this.#attempt(job))
    if ('outcomes' in ended) return ended.outcomes
    return jobs.length === 1 ? [asOutcome(ended.error)] : this.#withSavepoints(jobs)
  }

  async #withSavepoints(jobs: readonly Job[]): Promise<Outcome[]> {
    const ended = await this.#transaction(jobs, async (job) => {
      this.#sql.save.run()
      const outcome = await this.#attempt(job).catch((error: unknown): Outcome => {
        // SQLite has rolled the whole transaction back, as it does when the disk is full.
        if (!this.#db.inTransaction) throw error
        this.#sql.undo.run()
        this.#kept.forget()
        return asOutcome(error)
      })
      this.#sql.release.run()
      return outcome
    })
    if ('outcomes' in ended) return ended.outcomes
    // The jobs share one failure, so that it is logged once.
    const outcome = asOutcome(ended.error)
    return jobs.map(() => outcome)
  }

  /** An error of the ROLLBACK itself ends the thread: the state of the transaction is unknown. */
  async #transaction(jobs: readonly Job[], step: (job: Job) => Promise<Outcome>): Promise<Ended> {
    const outcomes: Outcome[] = []
    try {
      this.#sql.begin.run()
      this.#kept.begin()
      for (const job of jobs) outcomes.push(await step(job))
      this.#index()
      this.#sql.commit.run()
      return { outcomes }
    } catch (error) {
      this.#kept.forget()
      // SQLite may have rolled back already.
      if (this.#db.inTransaction) this.#sql.rollback.run()
      return { error }
    }
  }

  /** Adds the documents of all jobs to the index of words: see the migration `0018-search`. */
  #index(): void {
    if (this.#sql.waiting.get() === undefined) return
    this.#sql.index.run()
    this.#sql.indexed.run()
  }

  /** A refusal before the first write has nothing to undo: it is returned as an outcome, and the batch goes on. */
  async #attempt(job: Job): Promise<Outcome> {
    const notices: Notice[] = []
    let written = false
    let ended = false
    /** Of several things that a command does at a time, one may have made it fail: what the others ask for would be of the next command. */
    const refuseEnded = () => {
      if (ended) throw new Error('the command has ended')
    }
    const one: Tx['one'] = async (query, args) => {
      refuseEnded()
      return this.#kept.one(query, args)
    }
    const all: Tx['all'] = async (query, args) => {
      refuseEnded()
      return this.#statements.all(query, args)
    }
    const run: Tx['run'] = async (query, args) => {
      refuseEnded()
      written = true
      this.#kept.beforeWrite(query)
      return this.#statements.run(query, args)
    }
    const tx: Tx = {
      one,
      all,
      // This thread is the only writer: nothing changes while the transaction is open.
      hold: one,
      claim: all,
      slots: onlySlot.count,
      searchable: this.#searchable,
      run,
      must: async (query, args) => {
        if ((await run(query, args)) === 0) throw changedNothing(query)
      },
      mustAll: async (query, all) => {
        refuseEnded()
        written = true
        this.#kept.beforeWrite(query)
        if (query.plain?.verb === 'insert' && this.#inserts.run(query.plain, all)) return
        for (const args of all) await tx.must(query, args)
      },
      notify: (notice) => {
        notices.push(notice)
      },
    }
    try {
      const command = this.#commands[job.name]
      if (!command) throw new Error('there is no such command')
      return { value: await command(tx, job.input), notices }
    } catch (error) {
      if (written || !(error instanceof ApiError)) throw error
      return asOutcome(error)
    } finally {
      ended = true
    }
  }
}

function asOutcome(error: unknown): Outcome {
  if (error instanceof ApiError) return { refused: { kind: error.kind, details: error.details } }
  return { failed: failureOf(error, isUnavailable) }
}
