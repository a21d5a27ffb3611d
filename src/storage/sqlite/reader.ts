import { refuse } from '../../errors.ts'
import type { Reader } from '../database.ts'
import { failureOf, reported, StorageError } from '../failures.ts'
import type { Shape } from '../shapes.ts'
import { type Connection, Statements } from './connection.ts'
import { isUnavailable } from './failures.ts'

/**
 * Reads on a connection of the main thread. All reads of one turn of the event loop share a transaction: a read in its own makes
 * six system calls, which take twice as long as the query.
 */
export class SqliteReader implements Reader {
  readonly #db: Connection
  readonly #statements: Statements
  readonly #begin
  readonly #end
  readonly #undo
  readonly #failed: (error: Error) => void
  #open = false

  /** `failed` is called with what goes wrong; the caller of a read does not learn the cause. */
  constructor(db: Connection, failed: (error: Error) => void = () => {}) {
    this.#db = db
    this.#failed = failed
    this.#statements = new Statements(db)
    this.#begin = db.prepare('BEGIN')
    this.#end = db.prepare('COMMIT')
    this.#undo = db.prepare('ROLLBACK')
  }

  async one<A extends object, R>(query: Shape<A, R>, args: A): Promise<R | undefined> {
    return this.oneNow(query, args)
  }

  oneNow<A extends object, R>(query: Shape<A, R>, args: A): R | undefined {
    return this.#answered(() => this.#statements.one(query, args))
  }

  async all<A extends object, R>(query: Shape<A, R>, args: A): Promise<R[]> {
    return this.#answered(() => this.#statements.all(query, args))
  }

  async hold<A extends object, R>(query: Shape<A, R>, args: A): Promise<R | undefined> {
    return this.one(query, args)
  }

  /** Ends the shared transaction: the next read sees what has been committed since it began. */
  refresh(): void {
    if (!this.#open) return
    this.#open = false
    // SQLite ends it itself after some errors, such as those of the disk.
    if (!this.#db.open || !this.#db.inTransaction) return
    try {
      this.#end.run()
    } catch (error) {
      // No caller waits for it: thrown, the error would end the process.
      this.#failed(new StorageError('the end of reads', failureOf(error, isUnavailable)))
    }
  }

  close(): void {
    this.refresh()
    this.#db.close()
  }

  #answered<R>(read: () => R): R {
    // Within a transaction the connection is open, and the driver takes its time to say so.
    if (!this.#open && !this.#db.open) throw refuse('unavailable')
    try {
      this.#enter()
      return read()
    } catch (error) {
      throw reported('a read', failureOf(error, isUnavailable), this.#failed)
    }
  }

  #enter(): void {
    if (this.#open) return
    // Its end has failed.
    if (this.#db.inTransaction) this.#undo.run()
    this.#begin.run()
    this.#open = true
    setImmediate(() => this.refresh())
  }
}
