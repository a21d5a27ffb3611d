import type { Pool } from 'pg'
import { type ApiError, errorOf, refuse } from '../../errors.ts'
import type { Hold, Reader } from '../database.ts'
import { failureOf, StorageError } from '../failures.ts'
import type { AnyShape, Shape } from '../shapes.ts'
import { connect } from './connection.ts'
import { isBroken, isLost, isUnavailable, OverdueError } from './failures.ts'
import { type Ask, answerAll } from './queries.ts'

/** Flushes under way at a time: one slow page does not hold up the others. */
const most_flushes = 3

/** How long a read waits for its turn. */
const patience_ms = 3000
/** Only what fails at once is tried again: nobody waits twice. */
const retry_within_ms = 500
const overdue = new OverdueError('no connection was free')

type Row = Record<string, unknown>

/**
 * Reads of committed rows. What is asked for in one turn of the event loop, or while all connections are busy, is answered
 * together: at 64 requests at a time one query for each costs three times as much.
 */
export class PostgresReader implements Reader {
  readonly #pool: Pool
  readonly #failed: (error: Error) => void
  readonly #coalesce: boolean
  readonly #told = new WeakSet<Error>()
  #asked: { readonly ask: Ask; readonly since: number }[] = []
  #flushing = 0
  #lost = false
  #scheduled = false

  /** `coalesce: false`: a query for each read (kept for the benchmark). */
  constructor(pool: Pool, options: { failed: (error: Error) => void; coalesce: boolean }) {
    this.#pool = pool
    this.#failed = options.failed
    this.#coalesce = options.coalesce
  }

  async one<A extends object, R>(query: Shape<A, R>, args: A): Promise<R | undefined> {
    return (await this.#rows<R>(query, args))[0]
  }

  async all<A extends object, R>(query: Shape<A, R>, args: A): Promise<R[]> {
    return [...(await this.#rows<R>(query, args))]
  }

  async hold<A extends object, R>(query: Shape<A, R>, args: A, _how: Hold): Promise<R | undefined> {
    return this.one(query, args)
  }

  /** Whether the last that was asked found no database. */
  get lost(): boolean {
    return this.#lost
  }

  /** `failed` is called with what goes wrong; the caller of a read does not learn the cause. */
  async #rows<R>(shape: AnyShape, args: object): Promise<readonly R[]> {
    const since = performance.now()
    let alone = false
    for (let again = true; ; again = false) {
      try {
        const rows = await this.#ask(shape, args as Row, alone)
        this.#lost = false
        return rows as readonly R[]
      } catch (error) {
        this.#lost = isLost(error)
        // Another connection may be whole: a restart of the database breaks all that were open.
        if (again && isBroken(error) && performance.now() - since < retry_within_ms) continue
        // An argument that the database does not take must not fail those that were asked for with it.
        alone = !isUnavailable(error)
        if (again && alone) continue
        throw this.#refusal(errorOf(error))
      }
    }
  }

  /** Logs the cause once, however many asked for what went wrong together. */
  #refusal(error: Error): ApiError {
    const failure = failureOf(error, isUnavailable)
    if (!this.#told.has(error)) this.#failed(new StorageError('a read', failure))
    this.#told.add(error)
    return refuse(failure.kind)
  }

  #ask(shape: AnyShape, args: Row, alone: boolean): Promise<readonly Row[]> {
    return new Promise((answer, fail) => {
      this.#asked.push({ ask: { kind: 'read', shape, args, lock: '', alone, answer, fail }, since: performance.now() })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#scheduled || this.#asked.length === 0 || (this.#coalesce && this.#flushing >= most_flushes)) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      const asks = this.#stillWanted()
      for (const some of this.#coalesce ? [asks] : asks.map((ask) => [ask])) void this.#flush(some)
    })
  }

  /** Who has waited for so long behind queries that get no answer is told so, and does not wait for another. */
  #stillWanted(): Ask[] {
    const latest = performance.now() - patience_ms
    const asked = this.#asked
    this.#asked = []
    return asked
      .filter(({ ask, since }) => {
        if (since < latest) ask.fail(overdue)
        return since >= latest
      })
      .map(({ ask }) => ask)
  }

  async #flush(asks: readonly Ask[]): Promise<void> {
    this.#flushing++
    try {
      const client = await connect(this.#pool)
      try {
        await answerAll(client, asks, new Map())
      } finally {
        client.release()
      }
    } catch (error) {
      for (const ask of asks) ask.fail(errorOf(error))
    }
    this.#flushing--
    this.#schedule()
  }
}
