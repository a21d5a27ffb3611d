import type { Kysely, SelectQueryBuilder } from 'kysely'
import { isPostgres } from './sets.ts'

// biome-ignore lint/suspicious/noExplicitAny: what the lists select from is up to them
type Select<R> = SelectQueryBuilder<any, any, R>
// biome-ignore lint/suspicious/noExplicitAny: any tables
type Untyped = Kysely<any>

/** A column with few values, and all of them. */
export interface Division {
  readonly column: string
  readonly values: readonly string[]
}

/**
 * Returns what a list is merged from. On SQLite the only index in its order leads with the column of the division: a list for each value. A
 * second index without that column is one more for which a page is changed by each row that moves. PostgreSQL has it: there an entry
 * that moves costs little, being added at the end, and left where it was.
 */
export function divided<R>(db: Untyped, list: Select<R>, { column, values }: Division): readonly Select<R>[] {
  return isPostgres(db) ? [list] : values.map((value) => list.where(column, '=', value))
}

/**
 * One page of several lists, each of which an index has in the order of the page. `page` gives a query order and limit. Both engines merge row
 * by row, but each wants to be asked in its own way.
 *
 * SQLite hands the order of a union down to its parts, and reads no more of them than the page needs and a row of each besides; a part with
 * a limit of its own it reads to that limit, and then sorts what it has read. PostgreSQL does not hand it down, and would read and sort all.
 * Measured with SQLite, CPU time of 51 of 100,000 conversations in four states: 99 µs, with limits 295; 85 by an index of all states.
 */
export function mergedPage<R>(db: Untyped, lists: readonly Select<R>[], page: (select: Select<R>) => Select<R>): Select<R> {
  const [first, ...others] = lists
  if (!first) throw new Error('no list to read')
  if (others.length === 0) return page(first)
  const part = (list: Select<R>, i: number): Select<R> =>
    isPostgres(db)
      ? db
          .selectFrom(page(list).as(`part${i}`))
          .selectAll()
          .$castTo<R>()
      : list
  return page(others.reduce((all, other, i) => all.unionAll(part(other, i + 1)), part(first, 0)))
}
