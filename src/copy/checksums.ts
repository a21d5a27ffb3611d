import { createHash } from 'node:crypto'
import { type ColumnMetadata, type RawBuilder, sql } from 'kysely'
import { copyUnderWay } from '../installation/copy-marker.ts'
import type { Endpoint } from './endpoint.ts'
import { allTables, type Copied, type Db, recomputed } from './tables.ts'

export interface TableChecksum {
  readonly rows: number
  /** The same for the same rows on either engine. */
  readonly check: string
}
export type Checksums = ReadonlyMap<string, TableChecksum>

/**
 * Computes, for every table, the number of rows and for each column how many values are not null and the sum of the numbers or of
 * the lengths of the texts. Each engine does that in one pass, where a hash would have to fetch every row. A changed row differs in
 * `revision` and `date_updated`.
 */
export async function checksumsOf({ db }: Endpoint): Promise<Checksums> {
  const columns = new Map((await db.introspection.getTables()).map((table) => [table.name, table.columns]))
  const checksums = new Map<string, TableChecksum>()
  for (const table of allTables) checksums.set(table, await tableChecksum(db, table, columns.get(table) ?? []))
  return checksums
}

async function tableChecksum(db: Db, table: Copied, columns: readonly ColumnMetadata[]): Promise<TableChecksum> {
  const leftOut: readonly string[] = recomputed[table] ?? []
  const summed = columns.filter(({ name }) => !leftOut.includes(name)).sort((a, b) => (a.name < b.name ? -1 : 1))
  // The marker exists in the target only.
  const where = table === 'installation' ? sql`where name != ${copyUnderWay}` : sql``
  const { rows } = await sql<Record<string, string>>`
    select ${sql.join([sql`cast(count(*) as text) as row_count`, ...summed.flatMap(columnChecksums)])}
    from ${sql.table(table)} ${where}`.execute(db)
  const [found] = rows
  if (!found) throw new Error('an aggregate returned no row')
  return { rows: Number(found.row_count), check: JSON.stringify(Object.entries(found).sort()) }
}

/** Cast to text, because sums may exceed 2^53. The remainder keeps the sums of times below 64 bits. */
function columnChecksums({ name, dataType }: ColumnMetadata): RawBuilder<unknown>[] {
  const column = sql.ref(name)
  const sum = /int/i.test(dataType) ? sql`sum(${column} % 2147483647)` : sql`sum(length(${column}))`
  return [
    sql`cast(count(${column}) as text) as ${sql.ref(`${name}_count`)}`,
    sql`cast(coalesce(${sum}, 0) as text) as ${sql.ref(`${name}_sum`)}`,
  ]
}

/** A short text that differs when the rows of a database differ. */
export function digestOf(checksums: Checksums): string {
  return createHash('sha256')
    .update(JSON.stringify([...checksums]))
    .digest('hex')
    .slice(0, 32)
}
