import { refuse } from '../../errors.ts'
import type { Reader } from '../database.ts'
import type { Shape } from '../shapes.ts'
import { type Connection, Statements } from './connection.ts'

/**
 * Reads on the main thread's own connection. All reads of one turn of the event loop share a transaction:
 * a lone read pays for six system calls, twice the query itself.
 */
export class SqliteReader implements Reader {
  readonly #db: Connection
  readonly #statements: Statements
  readonly #begin
  readonly #end
  readonly #failed: (error: Error) => void
  #open = false

  /** `failed` is told of what goes wrong; the caller of a read only learns that the database does not answer. */
  constructor(db: Connection, failed: (error: Error) => void = () => {}) {
    this.#db = db
    this.#failed = failed
    this.#statements = new Statements(db)
    this.#begin = db.prepare('BEGIN')
    this.#end = db.prepare('COMMIT')
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
    if (this.#db.open) this.#end.run()
  }

  close(): void {
    this.refresh()
    this.#db.close()
  }

  #answered<R>(read: () => R): R {
    try {
      this.#enter()
      return read()
    } catch (error) {
      this.#failed(error as Error)
      throw refuse('unavailable')
    }
  }

  #enter(): void {
    if (this.#open) return
    this.#begin.run()
    this.#open = true
    setImmediate(() => this.refresh())
  }
}
