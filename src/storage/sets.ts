import { PostgresAdapter, type RawBuilder, type SqlBool, sql } from 'kysely'
import type { Tables } from './schema.ts'
import type { Builder } from './shapes.ts'

/** Returns the subquery for the elements of an argument that is a JSON array of texts, to compare a column with: `where(column, 'in', …)`. */
export function elementsOf(db: Builder, texts: string): RawBuilder<string> {
  return isPostgres(db)
    ? sql<string>`(select value from json_array_elements_text(${texts}::json))`
    : sql<string>`(select value from json_each(${texts}))`
}

/**
 * Returns the number that SQLite keeps a row of this table under, for a column of that name: by it, a row is found without an index. Null on
 * PostgreSQL.
 */
export function placeIn(db: Builder, table: keyof Tables & string): RawBuilder<number | null> {
  return isPostgres(db) ? sql<null>`null::bigint` : sql<number>`${sql.ref(`${table}.rowid`)}`
}

/** Selects the rows of a table whose `placeIn` is among the elements of an argument that is a JSON array of them; on PostgreSQL, whose SIDs are. */
export function isAmong(db: Builder, table: keyof Tables & string, names: string): RawBuilder<SqlBool> {
  return sql<SqlBool>`${sql.ref(`${table}.${isPostgres(db) ? 'sid' : 'rowid'}`)} in ${elementsOf(db, names)}`
}

/**
 * Returns the columns of a primary key in the order of its index, in which rows can be gone through. On SQLite that of messages begins with
 * the SID (`0030-messages-by-sid-additive`).
 */
export function indexOrder(db: Pick<Builder, 'getExecutor'>, table: string, key: readonly string[]): readonly string[] {
  if (table !== 'messages' || isPostgres(db)) return key
  return ['sid', ...key.filter((column) => column !== 'sid')]
}

/**
 * Returns a column to compare with, which SQLite then looks up in no index: without statistics it prefers an index of which it sorts
 * the result to one that it would read for each value of a set. PostgreSQL decides by what it has counted.
 */
export function checkedOnly(db: Builder, column: string): RawBuilder<string> {
  return isPostgres(db) ? sql<string>`${sql.ref(column)}` : sql<string>`+${sql.ref(column)}`
}

/** Whether the queries of this builder are for PostgreSQL. */
export function isPostgres(db: Pick<Builder, 'getExecutor'>): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter
}
