import { type AnyShape, boundValue, type Shape } from '../shapes.ts'
import type { Connection, Statements } from './connection.ts'

/** Tables of which nearly each command reads a row, and hardly any writes one. */
const tables: readonly string[] = ['accounts', 'services']

/** Rows in memory; beyond so many all are read again. */
const most = 2000

/**
 * Rows of accounts and services that the connection that writes has read: it knows what it changes itself, and a row that nobody has changed
 * need not be read for each of a thousand commands. All of them are forgotten before a statement that may write such a table, and when
 * something is undone. What others write to the file shows in its `data_version`, which is
 * asked for at the start of each transaction. The slow twin is `Statements.one`: `test/storage/sqlite/kept-rows.test.ts` compares with it.
 *
 * Measured, CPU time of the writer for a conversation with its webhook row, batches of 32: 0.92 of what it was; for a message, 0.91.
 */
export class KeptRows {
  readonly #statements: Statements
  readonly #dataVersion
  readonly #rows = new Map<string, object>()
  /** By the id of a shape. */
  readonly #elsewhere: (boolean | undefined)[] = []
  #seen: unknown

  constructor(db: Connection, statements: Statements) {
    this.#statements = statements
    this.#dataVersion = db.prepare('PRAGMA data_version').pluck()
  }

  /** To be called inside each transaction, before it reads anything. */
  begin(): void {
    const version = this.#dataVersion.get()
    if (version !== this.#seen) this.forget()
    this.#seen = version
  }

  /** Returns what the statement returns. Rows of these tables are frozen: whoever is given one is not the only one. */
  one<A extends object, R>(query: Shape<A, R>, args: A): R | undefined {
    const key = keyOf(query, args)
    if (key === null) return this.#statements.one(query, args)
    const kept = this.#rows.get(key)
    // The key names the shape, which was declared with the type of its rows.
    if (kept) return kept as R
    const row = this.#statements.one(query, args)
    if (typeof row === 'object' && row !== null) {
      if (this.#rows.size >= most) this.forget()
      this.#rows.set(key, Object.freeze(row))
    }
    return row
  }

  /** To be called before a statement runs that writes. */
  beforeWrite(query: AnyShape): void {
    if (this.#rows.size === 0) return
    this.#elsewhere[query.id] ??= writesElsewhere(query)
    if (!this.#elsewhere[query.id]) this.forget()
  }

  forget(): void {
    this.#rows.clear()
  }
}

/** Whether a statement writes a table that is none of these. No trigger and no foreign key of the schema reaches them. */
function writesElsewhere(query: AnyShape): boolean {
  const table = /^(?:insert into|update|delete from) "(\w+)"/.exec(query.compile('sqlite').sql)?.[1]
  return table !== undefined && !tables.includes(table)
}

/** Names a row of these tables that is asked for by the values of columns; null for any other query. */
function keyOf({ id, plain }: AnyShape, args: object): string | null {
  if (plain?.verb !== 'select' || !plain.columns || !tables.includes(plain.table)) return null
  return JSON.stringify([id, ...plain.columns.map((argument) => boundValue({ argument }, args))])
}
