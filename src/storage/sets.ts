import { PostgresAdapter, type RawBuilder, sql } from 'kysely'
import type { Builder } from './shapes.ts'

/** Returns the subquery for the elements of an argument that is a JSON array of texts, to compare a column with: `where(column, 'in', …)`. */
export function elementsOf(db: Builder, texts: string): RawBuilder<string> {
  return db.getExecutor().adapter instanceof PostgresAdapter
    ? sql<string>`(select value from json_array_elements_text(${texts}::json))`
    : sql<string>`(select value from json_each(${texts}))`
}
