import Sqlite, { type Database as Connection, type Statement } from 'better-sqlite3'
import type { Place, Shape } from '../shapes.ts'

export type { Connection }

/** `synchronous=FULL`: a commit returns when it is on disk. No ANALYZE anywhere: stat4 makes point reads four times slower. */
export function openConnection(file: string, options: { readonly: boolean; durable: boolean }): Connection {
  const db = new Sqlite(file, { readonly: options.readonly, timeout: 5000 })
  db.pragma('journal_mode = WAL')
  db.pragma(`synchronous = ${options.durable ? 'FULL' : 'OFF'}`)
  db.pragma('foreign_keys = ON')
  if (options.readonly) db.pragma('mmap_size = 2000000000')
  else db.pragma('cache_size = -131072')
  return db
}

/** A connection's prepared statements, kept by the id of their shape. */
export class Statements {
  readonly #db: Connection
  readonly #kept: ({ statement: Statement<unknown[], unknown>; places: readonly Place[] } | undefined)[] = []

  constructor(db: Connection) {
    this.#db = db
  }

  one<A extends object, R>(query: Shape<A, R>, args: A): R | undefined {
    const { statement, places } = this.#prepared(query)
    return statement.get(...bind(places, args)) as R | undefined
  }

  all<A extends object, R>(query: Shape<A, R>, args: A): R[] {
    const { statement, places } = this.#prepared(query)
    return statement.all(...bind(places, args)) as R[]
  }

  run<A extends object>(query: Shape<A, unknown>, args: A): number {
    const { statement, places } = this.#prepared(query)
    return statement.run(...bind(places, args)).changes
  }

  #prepared(query: Shape<never, unknown> | Shape<object, unknown>) {
    let kept = this.#kept[query.id]
    if (!kept) {
      const { sql, places } = query.compile('sqlite')
      kept = { statement: this.#db.prepare(sql), places }
      this.#kept[query.id] = kept
    }
    return kept
  }
}

function bind(places: readonly Place[], args: object): unknown[] {
  const values = new Array<unknown>(places.length)
  for (let i = 0; i < places.length; i++) {
    const place = places[i] as Place
    values[i] = 'argument' in place ? (args as Record<string, unknown>)[place.argument] : place.constant
  }
  return values
}
