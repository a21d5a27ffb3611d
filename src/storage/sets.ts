import { PostgresAdapter, type RawBuilder, sql } from 'kysely'
import type { Builder } from './shapes.ts'

/** Returns the subquery for the elements of an argument that is a JSON array of texts, to compare a column with: `where(column, 'in', …)`. */
export function elementsOf(db: Builder, texts: string): RawBuilder<string> {
  return isPostgres(db)
    ? sql<string>`(select value from json_array_elements_text(${texts}::json))`
    : sql<string>`(select value from json_each(${texts}))`
}

/**
 * Returns a column to compare with, which SQLite then looks up in no index: without statistics it prefers an index of which it sorts
 * the result to one that it would read for each value of a set. PostgreSQL decides by what it has counted.
 */
export function checkedOnly(db: Builder, column: string): RawBuilder<string> {
  return isPostgres(db) ? sql<string>`${sql.ref(column)}` : sql<string>`+${sql.ref(column)}`
}

function isPostgres(db: Builder): boolean {
  return db.getExecutor().adapter instanceof PostgresAdapter
}
