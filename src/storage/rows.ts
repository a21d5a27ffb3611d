import type { Kysely } from 'kysely'
import type { Tables } from './schema.ts'
import { type PlainWrite, type Shape, shape } from './shapes.ts'

/**
 * The plain queries that any resource needs, built from table and column names. Each distinct one is compiled once and kept.
 */

// Column names come from declarations; what they select is typed by the caller.
// biome-ignore lint/suspicious/noExplicitAny: a builder over names known only at run time
type Untyped = Kysely<any>
type Args = Record<string, unknown>
export type Table = keyof Tables & string

const kept = new Map<string, Shape<Args, unknown>>()

function keep(
  key: string,
  build: (db: Untyped, a: Args) => { compile(): { sql: string; parameters: readonly unknown[] } },
  plain?: PlainWrite,
) {
  let query = kept.get(key)
  if (!query) {
    query = shape<Args>()((db, a) => build(db as unknown as Untyped, a) as never, plain) as Shape<Args, unknown>
    kept.set(key, query)
  }
  return query
}

/** Rows whose `columns` equal the arguments of the same names. */
export function rowsBy<T extends Table>(table: T, columns: readonly string[]): Shape<Args, Tables[T]> {
  return keep(`rows ${table} ${columns}`, (db, a) =>
    columns.reduce((query, column) => query.where(column, '=', a[column]), db.selectFrom(table).selectAll()),
  ) as Shape<Args, Tables[T]>
}

export function insertRow(table: Table, columns: readonly string[]): Shape<Args, unknown> {
  return keep(
    `insert ${table} ${columns}`,
    (db, a) => db.insertInto(table).values(Object.fromEntries(columns.map((column) => [column, a[column]]))),
    { verb: 'insert', table, columns },
  )
}

/**
 * Sets only `changed`: an index whose columns stay is not touched. A column that is part of the key and changes is looked for
 * by the argument `was_…`.
 */
export function updateRow(table: Table, key: readonly string[], changed: readonly string[]): Shape<Args, unknown> {
  const named = key.map((column) => ({ column, argument: changed.includes(column) ? `was_${column}` : column }))
  return keep(
    `update ${table} ${key} ${changed}`,
    (db, a) =>
      named.reduce(
        (query, { column, argument }) => query.where(column, '=', a[argument]),
        db.updateTable(table).set(Object.fromEntries(changed.map((column) => [column, a[column]]))),
      ),
    { verb: 'update', table, key: named, changed },
  )
}

export function deleteRow(table: Table, key: readonly string[]): Shape<Args, unknown> {
  return keep(`delete ${table} ${key}`, (db, a) =>
    key.reduce((query, column) => query.where(column, '=', a[column]), db.deleteFrom(table)),
  )
}

/** Sids of at most `most` rows whose `column` equals the argument of that name. */
export function someSids(table: Table, column: string): Shape<Args, { sid: string }> {
  return keep(`some ${table} ${column}`, (db, a) =>
    db
      .selectFrom(table)
      .select('sid')
      .where(column, '=', a[column])
      .limit(a.most as number),
  ) as Shape<Args, { sid: string }>
}

export interface PageQuery {
  readonly table: Table
  /** Arguments are named `where0`, `where1` …; those of an `in` with `places` values `where0_0`, `where0_1` … */
  readonly where: readonly (
    | { readonly column: string; readonly operator: '=' | '>=' | '<=' }
    | { readonly column: string; readonly operator: 'in'; readonly places: number }
  )[]
  /** Keyset columns: the order, then the sid. */
  readonly by: string
  readonly direction: 'asc' | 'desc'
  /** With arguments `after_key`, `after_sid`: rows behind that key, or from it on. */
  readonly after: 'behind' | 'from' | null
}

/** One page in keyset order; also takes `limit`. */
export function pageOf<R>(query: PageQuery): Shape<Args, R> {
  const { table, where, by, direction, after } = query
  const conditions = where.map((w) => w.column + w.operator + (w.operator === 'in' ? w.places : ''))
  const key = `page ${table} ${conditions} ${by} ${direction} ${after}`
  return keep(key, (db, a) => {
    let select = db.selectFrom(table).selectAll()
    for (const [i, w] of where.entries()) {
      const several = (places: number) => Array.from({ length: places }, (_, j) => a[`where${i}_${j}`])
      select = select.where(w.column, w.operator, w.operator === 'in' ? several(w.places) : a[`where${i}`])
    }
    if (after) {
      // A row value comparison walks the index from the key on; the two-step form with OR would not.
      select = select.where(({ eb, refTuple, tuple }) =>
        eb(
          refTuple(by, 'sid'),
          `${direction === 'asc' ? '>' : '<'}${after === 'from' ? '=' : ''}` as '>',
          tuple(a.after_key, a.after_sid) as never,
        ),
      )
    }
    return select
      .orderBy(by, direction)
      .orderBy('sid', direction)
      .limit(a.limit as number)
  }) as Shape<Args, R>
}

/** Rows with a deadline at or before `now`, the earliest first; also takes `limit`. */
export function dueRows<R>(table: Table): Shape<Args, R> {
  return keep(`due ${table}`, (db, a) =>
    db
      .selectFrom(table)
      .selectAll()
      .where('next_due', '<=', a.now)
      .orderBy('next_due')
      .limit(a.limit as number),
  ) as Shape<Args, R>
}

/** The earliest deadline of all. */
export function firstDue(table: Table): Shape<Args, { next_due: number }> {
  return keep(`first due ${table}`, (db) =>
    db.selectFrom(table).select('next_due').where('next_due', 'is not', null).orderBy('next_due').limit(1),
  ) as Shape<Args, { next_due: number }>
}
