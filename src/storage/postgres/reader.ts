import type { Pool } from 'pg'
import { type ApiError, errorOf, refuse } from '../../errors.ts'
import type { Hold, Reader } from '../database.ts'
import { failureOf, StorageError } from '../failures.ts'
import type { AnyShape, Shape } from '../shapes.ts'
import { connect, dropIdle } from './connection.ts'
import { isBroken, isContention, isLost, isUnavailable, OverdueError } from './failures.ts'
import type { PendingQuery } from './grouping.ts'
import { sendAll } from './queries.ts'

/** Flushes in flight at a time, so that one slow query does not hold up the others. */
const maxFlushes = 3
/**
 * For so long reads wait for the latest flush in flight, and are sent together when it ends: usually it does after less. Sending them at once
 * makes flushes of two or three reads, of which each has its system calls here and in PostgreSQL.
 */
const gatherMs = 2

/** How long a read waits for a connection. */
const queueTimeoutMs = 3000
/** Only a read that fails at once is repeated, so that no caller waits twice. */
const retryWithinMs = 500
/** For so long a read is repeated whose table others have locked, as a node of a newer version does: about as long as a write is. */
const contentionMs = 4000
const overdue = new OverdueError('no connection was free')

/**
 * Reads committed rows. Reads of one turn of the event loop, and those that queue while all connections are busy, are sent
 * together: with 64 concurrent requests a query for each costs three times as much.
 */
export class PostgresReader implements Reader {
  readonly #pool: Pool
  readonly #failed: (error: Error) => void
  readonly #coalesce: boolean
  readonly #logged = new WeakSet<Error>()
  #queue: { readonly query: PendingQuery; readonly since: number }[] = []
  #flushing = 0
  /** When the latest flush began, while it is in flight. */
  #latest: number | undefined
  #waiting: NodeJS.Timeout | undefined
  #lost = false
  /** Reads that have failed because their connection was lost. */
  readonly #cut = new WeakSet<PendingQuery>()
  #scheduled = false

  /** `coalesce: false`: each read is a query of its own (kept for the benchmark). */
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

  /** Whether the database was away at the last read. */
  get lost(): boolean {
    return this.#lost
  }

  /** `failed` is called with what goes wrong; the caller of a read does not learn the cause. */
  async #rows<R>(shape: AnyShape, args: object): Promise<readonly R[]> {
    const since = performance.now()
    let alone = false
    for (let again = true; ; ) {
      try {
        const rows = await this.#send<R>(shape, args, alone)
        this.#lost = false
        return rows
      } catch (error) {
        this.#lost = isLost(error)
        const sinceMs = performance.now() - since
        if (isContention(error) && sinceMs < contentionMs) continue
        // A new connection may work: a restart of the database breaks those that were open, and the pool drops them.
        const isElsewhere = isBroken(error) && sinceMs < retryWithinMs
        // An argument that the database refuses must not fail the reads that were merged with this one.
        alone = !isUnavailable(error)
        if (!again || !(isElsewhere || alone)) throw this.#refusal(errorOf(error))
        again = false
      }
    }
  }

  /** Logs the cause once for all reads that were sent together. */
  #refusal(error: Error): ApiError {
    const failure = failureOf(error, isUnavailable)
    if (!this.#logged.has(error)) this.#failed(new StorageError('a read', failure))
    this.#logged.add(error)
    return refuse(failure.kind)
  }

  #send<R>(shape: AnyShape, args: object, alone: boolean): Promise<readonly R[]> {
    return new Promise((resolve, fail) => {
      const done = (rows: readonly R[]) => resolve(rows)
      const failed = (error: Error) => {
        if (isLost(error)) this.#cut.add(query)
        fail(error)
      }
      const query: PendingQuery = { kind: 'read', shape, args, lock: '', alone, done, fail: failed }
      this.#queue.push({ query, since: performance.now() })
      this.#schedule()
    })
  }

  #schedule(): void {
    if (this.#scheduled || this.#queue.length === 0 || (this.#coalesce && this.#flushing >= maxFlushes)) return
    const waitMs = this.#coalesce && this.#latest !== undefined ? this.#latest + gatherMs - performance.now() : 0
    if (waitMs <= 0) {
      this.#flushSoon()
      return
    }
    this.#waiting ??= setTimeout(() => {
      if (!this.#scheduled) this.#flushSoon()
    }, waitMs)
  }

  #flushSoon(): void {
    clearTimeout(this.#waiting)
    this.#waiting = undefined
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      const queries = this.#takeQueue()
      for (const some of this.#coalesce ? [queries] : queries.map((query) => [query])) void this.#flush(some)
    })
  }

  /** Empties the queue. Reads that have been in it for too long fail here, instead of waiting for an answer as well. */
  #takeQueue(): PendingQuery[] {
    const oldest = performance.now() - queueTimeoutMs
    const queue = this.#queue
    this.#queue = []
    return queue
      .filter(({ query, since }) => {
        if (since < oldest) query.fail(overdue)
        return since >= oldest
      })
      .map(({ query }) => query)
  }

  async #flush(queries: readonly PendingQuery[]): Promise<void> {
    this.#flushing++
    const began = performance.now()
    this.#latest = began
    try {
      const client = await connect(this.#pool)
      try {
        await sendAll(client, queries, new Map())
      } finally {
        const isCut = queries.some((query) => this.#cut.has(query))
        // Who says that the connection is ended may do so only later: until then the pool would give it, or others that are ended as
        // well, to whoever repeats a read.
        client.release(isCut)
        if (isCut) dropIdle(this.#pool)
      }
    } catch (error) {
      for (const query of queries) query.fail(errorOf(error))
    }
    this.#flushing--
    if (this.#latest === began) this.#latest = undefined
    this.#schedule()
  }
}
