import Sqlite, { type Database as Connection, type Statement } from 'better-sqlite3'
import { type AnyShape, boundValue, type Placeholder, type Shape } from '../shapes.ts'
import { isUnavailable } from './failures.ts'

export type { Connection }

/**
 * Memory for pages of the database in the connection that writes: it fills as the database grows. Not more, as SQLite walks through all of
 * them at each commit of a file below 1 GiB (it numbers a page beyond the end for a moment when it splits one, and then drops what lies beyond
 * the end): among 1,000,000 rows a create took 76.6 µs of the writer with 128 MiB, 63.4 with 32. What is not here is in the system's cache.
 */
export const maxCacheBytes = 33_554_432

/**
 * Pages in the write-ahead log, 16 MiB, after which they are moved into the file. A page that many commits change is moved once for all of
 * them. Measured, changes spread over 20,000 rows: 66 µs each at 1,000 pages (SQLite's default), 41 at 4,000, 41 at 10,000, while a read of a
 * row that is not in memory takes 9.4, 10.3 and 11.3 µs, because it looks for its pages in the log first.
 */
export const logPages = 4000

/**
 * `synchronous=FULL`: a commit returns when it is on disk. `secure_delete`: what is deleted is overwritten, or it would stay in the file
 * where nobody finds it. No ANALYZE anywhere: stat4 makes point reads four times slower.
 */
export function openConnection(file: string, options: { readonly: boolean; durable: boolean }): Connection {
  const db = new Sqlite(file, { readonly: options.readonly, timeout: 5000 })
  db.pragma('journal_mode = WAL')
  db.pragma(`synchronous = ${options.durable ? 'FULL' : 'OFF'}`)
  db.pragma('foreign_keys = ON')
  if (options.readonly) db.pragma('mmap_size = 2000000000')
  else {
    db.pragma(`cache_size = -${maxCacheBytes / 1024}`)
    db.pragma('secure_delete = ON')
    db.pragma(`wal_autocheckpoint = ${logPages}`)
  }
  return db
}

/**
 * Has what a statement over many rows would need to undo itself kept in memory, not in a file that each such statement writes: commands bound how
 * many rows they change. Not while indexes are made, which sort all rows there are. Measured: 2,000 conversations changed in one statement, 5.8 µs
 * of the writer each instead of 6.7.
 */
export function keepUndoInMemory(db: Connection): void {
  db.pragma('temp_store = MEMORY')
}

/**
 * Moves all of the write-ahead log into the file and empties it: earlier versions of pages are in neither from then on. Returns whether
 * it is done: somebody who reads for longer than the timeout of the connection keeps the log.
 */
export function emptyLog(db: Connection): boolean {
  try {
    return db.pragma('wal_checkpoint(TRUNCATE)', { simple: true }) === 0
  } catch (error) {
    if (isUnavailable(error)) return false
    throw error
  }
}

interface Prepared {
  readonly statement: Statement<unknown[], unknown>
  readonly placeholders: readonly Placeholder[]
}

/** The prepared statements of a connection, by the id of their shape. */
export class Statements {
  readonly #db: Connection
  readonly #prepared: (Prepared | undefined)[] = []

  constructor(db: Connection) {
    this.#db = db
  }

  one<A extends object, R>(query: Shape<A, R>, args: A): R | undefined {
    const { statement, placeholders } = this.#prepare(query)
    // The shape was declared with the type of its rows, here and below.
    return statement.get(...bind(placeholders, args)) as R | undefined
  }

  all<A extends object, R>(query: Shape<A, R>, args: A): R[] {
    const { statement, placeholders } = this.#prepare(query)
    return statement.all(...bind(placeholders, args)) as R[]
  }

  run<A extends object>(query: Shape<A, unknown>, args: A): number {
    const { statement, placeholders } = this.#prepare(query)
    return statement.run(...bind(placeholders, args)).changes
  }

  #prepare(query: AnyShape): Prepared {
    let prepared = this.#prepared[query.id]
    if (!prepared) {
      const { sql, placeholders } = query.compile('sqlite')
      prepared = { statement: this.#db.prepare(sql), placeholders }
      this.#prepared[query.id] = prepared
    }
    return prepared
  }
}

function bind(placeholders: readonly Placeholder[], args: object): unknown[] {
  const values = new Array<unknown>(placeholders.length)
  let next = 0
  for (const placeholder of placeholders) values[next++] = boundValue(placeholder, args)
  return values
}
