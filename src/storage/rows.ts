import { type Kysely, type RawBuilder, type SelectQueryBuilder, sql } from 'kysely'
import type { Tx } from './database.ts'
import { type Division, divided, mergedPage } from './merged.ts'
import type { Tables } from './schema.ts'
import { indexOrder } from './sets.ts'
import { type Plain, type Shape, shape } from './shapes.ts'

/**
 * The plain queries that any resource needs, built from table and column names. Each distinct one is compiled once and kept.
 */

// Column names come from declarations; what they select is typed by the caller.
// biome-ignore lint/suspicious/noExplicitAny: a builder over names known only at run time
type AnyNames = any
type Untyped = Kysely<AnyNames>
type AnySelect = SelectQueryBuilder<AnyNames, AnyNames, AnyNames>
/** Arguments by name. What each is, the query that uses it knows: limits are numbers, keys what their columns hold. */
type Args = Record<string, unknown>
export type Table = keyof Tables & string

/** Names of columns of a table. */
export type Column<T extends Table> = keyof Tables[T] & string

const compiled = new Map<string, Shape<Args, unknown>>()

/** The query under a key, built at its first use. Each key is used with one type of rows. */
function once<R>(
  key: string,
  build: (db: Untyped, a: Args) => { compile(): { sql: string; parameters: readonly unknown[] } },
  plain?: Plain,
): Shape<Args, R> {
  const known = compiled.get(key)
  // The caller's types say what the names select, here and below.
  if (known) return known as Shape<Args, R>
  const query = shape<Args>()<R>((db, a) => build(db as unknown as Untyped, a) as never, plain)
  compiled.set(key, query)
  return query
}

/** Selects the rows whose `columns` equal the arguments of the same names. A misspelt column does not compile. */
export function rowsBy<T extends Table, const C extends readonly Column<T>[]>(
  table: T,
  columns: C,
): Shape<Pick<Tables[T], C[number]>, Tables[T]> {
  return rowsByNames<Tables[T]>(table, columns)
}

/** As `rowsBy`, for columns that are known only at run time: scope columns of a declared resource. `selected`: by default all. */
export function rowsByNames<R>(
  table: Table,
  columns: readonly string[],
  selected: readonly string[] | null = null,
): Shape<Args, R> {
  const build = (db: Untyped, a: Args) => {
    const from = db.selectFrom(table)
    return columns.reduce(
      (query, column) => query.where(column, '=', a[column]),
      selected ? from.select(selected) : from.selectAll(),
    )
  }
  if (selected) return once(`some of ${table} ${columns} ${selected}`, build)
  return once(`rows ${table} ${columns}`, build, { verb: 'select', table, columns })
}

/** An insertion that has been compiled, and the names that it was asked for by. */
interface Insertion {
  readonly columns: readonly string[]
  readonly query: Shape<Args, unknown>
}

const insertions = new Map<Table, Insertion[]>()

/**
 * Inserts a row with these columns, each from the argument of the same name. Known ones are found by comparing names, which are the same
 * strings for rows of one origin: with `Object.keys`, 0.6 µs for the 28 columns of a conversation, against 1.4 for a key made of them all.
 */
export function insertRow(table: Table, columns: readonly string[]): Shape<Args, unknown> {
  const known = insertions.get(table) ?? []
  const found = known.find((one) => isSame(one.columns, columns))
  if (found) return found.query
  const query: Shape<Args, unknown> = once(
    `insert ${table} ${columns}`,
    (db, a) => db.insertInto(table).values(Object.fromEntries(columns.map((column) => [column, a[column]]))),
    { verb: 'insert', table, columns },
  )
  insertions.set(table, [...known, { columns, query }])
  return query
}

function isSame(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every((name, i) => name === others[i])
}

/** Inserts a whole row. Throws ConflictError when a row with one of its keys exists. */
export async function insert<T extends Table>(tx: Pick<Tx, 'must'>, table: T, row: Tables[T]): Promise<void> {
  await tx.must(insertRow(table, Object.keys(row)), { ...row })
}

/** As `insert`, for rows with the same columns, in their order. */
export async function insertAll<T extends Table>(tx: Pick<Tx, 'mustAll'>, table: T, rows: readonly Tables[T][]): Promise<void> {
  const [first] = rows
  if (!first) return
  const all = rows.map((row): Args => ({ ...row }))
  await tx.mustAll(insertRow(table, Object.keys(first)), all)
}

/** Arguments of an update: values of the key and of what changes; `was_<column>` for a key column that itself changes. */
type UpdateArgs<T extends Table, K extends Column<T>, C extends Column<T>> = Pick<Tables[T], K | C> & {
  readonly [Name in K & C as `was_${Name}`]: Tables[T][Name]
}

/**
 * Updates only `changed`, so that an index on other columns is not touched. A column that is part of the key and changes is
 * matched by the argument `was_<column>`.
 */
export function updateRow<T extends Table, const K extends readonly Column<T>[], const C extends readonly Column<T>[]>(
  table: T,
  key: K,
  changed: C,
): Shape<UpdateArgs<T, K[number], C[number]>, unknown> {
  return updateNames(table, key, changed)
}

/** As `updateRow`, for columns that are known only at run time. */
export function updateNames(table: Table, key: readonly string[], changed: readonly string[]): Shape<Args, unknown> {
  const named = key.map((column) => ({ column, argument: keyArgument(column, changed) }))
  return once(
    `update ${table} ${key} ${changed}`,
    (db, a) =>
      named.reduce(
        (query, { column, argument }) => query.where(column, '=', a[argument]),
        db.updateTable(table).set(Object.fromEntries(changed.map((column) => [column, a[column]]))),
      ),
    { verb: 'update', table, key: named, changed },
  )
}

/** Returns the argument of an update of the columns `changed` that a column of its key is matched by. */
export function keyArgument(column: string, changed: readonly string[]): string {
  return changed.includes(column) ? `was_${column}` : column
}

/** Deletes the rows whose key columns equal the arguments of the same names. */
export function deleteRow<T extends Table, const K extends readonly Column<T>[]>(
  table: T,
  key: K,
): Shape<Pick<Tables[T], K[number]>, unknown> {
  return deleteNames(table, key)
}

/** As `deleteRow`, for columns that are known only at run time. */
export function deleteNames(table: Table, key: readonly string[]): Shape<Args, unknown> {
  return once(`delete ${table} ${key}`, (db, a) =>
    key.reduce((query, column) => query.where(column, '=', a[column]), db.deleteFrom(table)),
  )
}

/** Selects the sids of at most `max` rows whose `column` equals the argument of that name. */
export function someSids(table: Table, column: string): Shape<Args, { sid: string }> {
  return once(`some ${table} ${column}`, (db, a) =>
    db
      .selectFrom(table)
      .select('sid')
      .where(column, '=', a[column])
      .limit(a.max as number),
  )
}

/** Deletes at most `max` of the rows whose `column` equals the argument of that name. */
export function deleteSome(table: Table, column: string): Shape<Args, unknown> {
  return once(`delete some ${table} ${column}`, (db, a) =>
    db
      .deleteFrom(table)
      .where(column, '=', a[column])
      .where(
        'sid',
        'in',
        db
          .selectFrom(table)
          .select('sid')
          .where(column, '=', a[column])
          .limit(a.max as number),
      ),
  )
}

export interface PageQuery {
  readonly table: Table
  /** By default all. Each value that is read costs 0.07 µs on SQLite: of 28 columns they were more than a third of a page. */
  readonly columns?: readonly string[] | null
  /** Arguments are named `where0`, `where1` …; those of an `in` with `places` values `where0_0`, `where0_1` … */
  readonly where: readonly (
    | { readonly column: string; readonly operator: '=' | '>=' | '<=' }
    | { readonly column: string; readonly operator: 'in'; readonly places: number }
  )[]
  /** A column that the only index of this order may lead with. */
  readonly division?: Division | undefined
  /** Rows are left out when the removal of the row that this column refers to is recorded. */
  readonly goneWith?: string | null
  /** Keyset columns: the order, then the sid. */
  readonly by: string
  readonly direction: 'asc' | 'desc'
  /** With arguments `after_key`, `after_sid`: rows behind that key, or from it on. */
  readonly after: 'behind' | 'from' | null
}

/**
 * Alternatives of `in` conditions that are asked for one by one: each is read in the order of an index and no further than the
 * page, while all in one condition would have to be read and sorted. Beyond so many they are one condition.
 */
export const maxAlternatives = 8

/** One page in keyset order; also takes `limit`. */
export function pageOf<R>(query: PageQuery): Shape<Args, R> {
  const { table, columns, where, division, goneWith, by, direction, after } = query
  const conditions = where.map((w) => w.column + w.operator + (w.operator === 'in' ? w.places : ''))
  const key = `page ${table} ${columns ?? '*'} ${conditions} ${division && [division.column, ...division.values]} ${by} ${direction} ${after} ${goneWith}`
  return once(key, (db, a) => {
    const lists = alternatives(query).map((chosen) => selectPage(db, a, query, chosen))
    return mergedPage(db, division ? lists.flatMap((list) => divided(db, list, division)) : lists, (select) =>
      select
        .orderBy(by, direction)
        .orderBy('sid', direction)
        .limit(a.limit as number),
    )
  })
}

/** For each way to choose one value of each `in` condition, which one is chosen; null where the condition is asked as a whole. */
function alternatives({ where }: PageQuery): readonly (readonly (number | null)[])[] {
  const product = where.reduce((all, w) => all * (w.operator === 'in' ? w.places : 1), 1)
  if (product > maxAlternatives) return [where.map(() => null)]
  return where.reduce<(number | null)[][]>(
    (chosen, w) =>
      chosen.flatMap((one) => (w.operator === 'in' ? Array.from({ length: w.places }, (_, j) => [...one, j]) : [[...one, null]])),
    [[]],
  )
}

function selectPage(db: Untyped, a: Args, query: PageQuery, chosen: readonly (number | null)[]): AnySelect {
  const { table, columns, where, goneWith, by, direction, after } = query
  const from = db.selectFrom(table)
  let select = columns ? from.select(columns.map((column) => `${table}.${column}`)) : from.selectAll(table)
  for (const [i, w] of where.entries()) {
    const several = (places: number) => Array.from({ length: places }, (_, j) => a[`where${i}_${j}`])
    const one = chosen[i] ?? null
    if (w.operator !== 'in') select = select.where(w.column, w.operator, a[`where${i}`])
    else if (one === null) select = select.where(w.column, 'in', several(w.places))
    else select = select.where(w.column, '=', a[`where${i}_${one}`])
  }
  if (goneWith) {
    const removal = db.selectFrom('removals').select('removals.sid').whereRef('removals.sid', '=', `${table}.${goneWith}`)
    select = select.where(({ exists, not }) => not(exists(removal)))
  }
  if (!after) return select
  // A row value comparison walks the index from the key on; the two-step form with OR would not.
  return select.where(({ eb, refTuple, tuple }) =>
    eb(
      refTuple(by, 'sid'),
      `${direction === 'asc' ? '>' : '<'}${after === 'from' ? '=' : ''}` as '>',
      tuple(a.after_key, a.after_sid) as never,
    ),
  )
}

/**
 * Selects `columns` and the key of rows, or all columns, in the order of the index of their primary key, after the one that the arguments
 * `after_<column>` name; also takes `limit`. All columns of the key are texts: empty ones come before all others.
 */
export function rowsAfter(table: Table, key: readonly string[], columns: readonly string[] | 'all'): Shape<Args, Args> {
  return once(`after ${table} ${key} ${columns}`, (db, a) => {
    const from = columns === 'all' ? db.selectFrom(table).selectAll() : db.selectFrom(table).select([...key, ...columns])
    const ordered = indexOrder(db, table, key)
    return ordered
      .reduce((query, column) => query.orderBy(column), from)
      .where(sql<boolean>`${tupleOf(ordered.map(sql.ref))} > ${tupleOf(ordered.map((column) => a[`after_${column}`]))}`)
      .limit(a.limit as number)
  })
}

/** As `rowsAfter`, in the reverse order, for the key alone: before the one that the arguments `before_<column>` name. */
export function rowsBefore(table: Table, key: readonly string[]): Shape<Args, Args> {
  return once(`before ${table} ${key}`, (db, a) => {
    const ordered = indexOrder(db, table, key)
    return ordered
      .reduce((query, column) => query.orderBy(column, 'desc'), db.selectFrom(table).select([...key]))
      .where(sql<boolean>`${tupleOf(ordered.map(sql.ref))} < ${tupleOf(ordered.map((column) => a[`before_${column}`]))}`)
      .limit(a.limit as number)
  })
}

function tupleOf(values: readonly unknown[]): RawBuilder<unknown> {
  return sql`(${sql.join(values)})`
}

/**
 * Rows with a deadline at or before `now`, the earliest first; also takes `limit`. With `ofAccount`, those of `account_sid`, which
 * walks the rows of the others: for tests.
 */
export function dueRows<R>(table: Table, { ofAccount = false } = {}): Shape<Args, R> {
  return once(`due ${table} ${ofAccount}`, (db, a) => {
    const due = db.selectFrom(table).selectAll().where('next_due', '<=', a.now)
    const chosen = ofAccount ? due.where('account_sid', '=', a.account_sid) : due
    return chosen.orderBy('next_due').limit(a.limit as number)
  })
}

/** The earliest deadline of all, or of an account, as in `dueRows`. */
export function firstDue(table: Table, { ofAccount = false } = {}): Shape<Args, { next_due: number }> {
  return once(`first due ${table} ${ofAccount}`, (db, a) => {
    const all = db.selectFrom(table).select('next_due').where('next_due', 'is not', null)
    const chosen = ofAccount ? all.where('account_sid', '=', a.account_sid) : all
    return chosen.orderBy('next_due').limit(1)
  })
}
