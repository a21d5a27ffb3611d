import { refuse } from '../../errors.ts'
import type { Reader } from '../database.ts'
import { failureOf, reported, StorageError } from '../failures.ts'
import type { Shape } from '../shapes.ts'
import { type Connection, Statements } from './connection.ts'
import { isUnavailable } from './failures.ts'

/**
 * Reads on the main thread's own connection. All reads of one turn of the event loop share a transaction:
 * a lone read pays for six system calls, twice the query itself.
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
    return this.#answered(() => this.#statements.one(query, args))
  }

  async all<A extends object, R>(query: Shape<A, R>, args: A): Promise<R[]> {
    return this.#answered(() => this.#statements.all(query, args))
  }

  async hold<A extends object, R>(query: Shape<A, R>, args: A): Promise<R | undefined> {
    return this.one(query, args)
  }

  /** Ends the shared transaction, so that the next read sees what has been committed meanwhile. */
  refresh(): void {
    if (!this.#open) return
    this.#open = false
    // A read that failed for want of memory, or of a readable disk, may have ended it already.
    if (!this.#db.open || !this.#db.inTransaction) return
    try {
      this.#end.run()
    } catch (error) {
      // Nobody waits for it, and an error thrown here would end the process.
      this.#failed(new StorageError('the end of reads', failureOf(error, isUnavailable)))
    }
  }

  close(): void {
    this.refresh()
    this.#db.close()
  }

  #answered<R>(read: () => R): R {
    if (!this.#db.open) throw refuse('unavailable')
    try {
      this.#enter()
      return read()
    } catch (error) {
      throw reported('a read', failureOf(error, isUnavailable), this.#failed)
    }
  }

  #enter(): void {
    if (this.#open) return
    // Left by an end that failed.
    if (this.#db.inTransaction) this.#undo.run()
    this.#begin.run()
    this.#open = true
    setImmediate(() => this.refresh())
  }
}
