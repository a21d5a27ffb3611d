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
  #open = false

  constructor(db: Connection) {
    this.#db = db
    this.#statements = new Statements(db)
    this.#begin = db.prepare('BEGIN')
    this.#end = db.prepare('COMMIT')
  }

  async one<A extends object, R>(query: Shape<A, R>, args: A): Promise<R | undefined> {
    this.#enter()
    return this.#statements.one(query, args)
  }

  async all<A extends object, R>(query: Shape<A, R>, args: A): Promise<R[]> {
    this.#enter()
    return this.#statements.all(query, args)
  }

  /** Ends the shared transaction, so that the next read sees what has been committed meanwhile. */
  refresh(): void {
    if (!this.#open) return
    this.#open = false
    this.#end.run()
  }

  close(): void {
    this.refresh()
    this.#db.close()
  }

  #enter(): void {
    if (this.#open) return
    this.#begin.run()
    this.#open = true
    setImmediate(() => this.refresh())
  }
}
