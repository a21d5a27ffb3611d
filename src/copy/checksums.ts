import { createHash } from 'node:crypto'
import { type ColumnMetadata, type RawBuilder, sql } from 'kysely'
import { copyUnderWay } from '../installation/copy-marker.ts'
import type { Side } from './endpoint.ts'
import { all_tables, type Db, recomputed } from './tables.ts'

export interface Sums {
  readonly rows: number
  /** The same for the same rows on either engine. */
  readonly check: string
}
export type AllSums = ReadonlyMap<string, Sums>

/**
 * Rows of every table, and what tells whether they are the same: of each column how many values are not null, and the sum of
 * the numbers or of the lengths. Each engine computes that in one pass, where a hash of the rows would have to fetch them all;
 * a changed row shows in its `revision` and `date_updated`.
 */
export async function sumsOf({ db }: Side): Promise<AllSums> {
  const columns = new Map((await db.introspection.getTables()).map((table) => [table.name, table.columns]))
  const sums = new Map<string, Sums>()
  for (const table of all_tables) sums.set(table, await tableSums(db, table, columns.get(table) ?? []))
  return sums
}

async function tableSums(db: Db, table: string, columns: readonly ColumnMetadata[]): Promise<Sums> {
  const left_out: readonly string[] = recomputed[table as keyof typeof recomputed] ?? []
  const summed = columns.filter(({ name }) => !left_out.includes(name)).sort((a, b) => (a.name < b.name ? -1 : 1))
  // A row that is only in one of the two.
  const where = table === 'installation' ? sql`where name != ${copyUnderWay}` : sql``
  const { rows } = await sql<Record<string, string>>`
    select ${sql.join([sql`cast(count(*) as text) as row_count`, ...summed.flatMap(sumsOfColumn)])}
    from ${sql.table(table)} ${where}`.execute(db)
  const found = rows[0] as Record<string, string>
  return { rows: Number(found.row_count), check: JSON.stringify(Object.entries(found).sort()) }
}

/** As texts: sums may exceed what a number of the program holds. The remainder keeps those of times below 64 bits. */
function sumsOfColumn({ name, dataType }: ColumnMetadata): RawBuilder<unknown>[] {
  const column = sql.ref(name)
  const sum = /int/i.test(dataType) ? sql`sum(${column} % 2147483647)` : sql`sum(length(${column}))`
  return [
    sql`cast(count(${column}) as text) as ${sql.ref(`${name}_count`)}`,
    sql`cast(coalesce(${sum}, 0) as text) as ${sql.ref(`${name}_sum`)}`,
  ]
}

/** Tells one state of a database from another. */
export function digestOf(sums: AllSums): string {
  return createHash('sha256')
    .update(JSON.stringify([...sums]))
    .digest('hex')
    .slice(0, 32)
}
