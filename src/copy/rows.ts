import { CompiledQuery, sql } from 'kysely'
import { copyUnderWay } from '../installation/copy-marker.ts'
import { indexOrder } from '../storage/sets.ts'
import type { Source, Target } from './endpoint.ts'
import { type Db, keys, type Row, transform, type Value } from './tables.ts'

/** Rows of a batch. More makes neither engine faster, and a row may be large. */
const batchRows = 1000

/**
 * Copies the rows that the target lacks, in the order of the source's primary key. Batches are inserted in that order, so a copy that was
 * killed continues behind the greatest key of the target. Calls `copied` with the size of each batch.
 */
export async function copyTable(from: Source, to: Target, table: keyof typeof keys, copied: (rows: number) => void) {
  const insert = inserter(to, table)
  const ordered = indexOrder(from.db, table, keys[table])
  let rows = await readAfter(from.db, table, ordered, await greatestKey(to.db, table, ordered))
  while (rows.length > 0) {
    const [next] = await Promise.all([readAfter(from.db, table, ordered, keyOf(rows.at(-1), ordered)), insert(rows)])
    copied(rows.length)
    rows = next
  }
}

function keyOf(row: Row | undefined, key: readonly string[]): Value[] | null {
  return row ? key.map((column) => row[column] ?? null) : null
}

async function greatestKey(db: Db, table: string, key: readonly string[]): Promise<Value[] | null> {
  let query = db.selectFrom(table).select([...key])
  for (const column of key) query = query.orderBy(column, 'desc')
  return keyOf(await query.limit(1).executeTakeFirst(), key)
}

async function readAfter(db: Db, table: string, key: readonly string[], after: Value[] | null): Promise<Row[]> {
  let query = db.selectFrom(table).selectAll().limit(batchRows)
  for (const column of key) query = query.orderBy(column)
  if (after) query = query.where(sql<boolean>`(${sql.join(key.map((column) => sql.ref(column)))}) > (${sql.join(after)})`)
  return query.execute()
}

/** Returns a function that inserts rows, as many in a statement as its parameters allow. Texts are compiled once: they are long. */
function inserter(to: Target, table: string): (rows: readonly Row[]) => Promise<void> {
  const texts = new Map<number, string>()
  const textFor = (rows: readonly Row[]) => {
    const text =
      texts.get(rows.length) ??
      to.db
        .insertInto(table)
        .values([...rows])
        .compile().sql
    texts.set(rows.length, text)
    return text
  }
  return async (rows) => {
    const columns = Object.keys(rows[0] ?? {})
    const atOnce = Math.floor(to.maxParameters / columns.length)
    for (let start = 0; start < rows.length; start += atOnce) {
      const part = rows.slice(start, start + atOnce).map((row) => transform(table, row, to.engine))
      const values = part.flatMap((row) => columns.map((column) => row[column]))
      await to.db.executeQuery(CompiledQuery.raw(textFor(part), values))
    }
  }
}

/** Copies the rows that make the target an installation, in one transaction. */
export async function copyInstallation(from: Source, to: Target): Promise<void> {
  const rows = await from.db.selectFrom('installation').selectAll().execute()
  await to.db.transaction().execute(async (tx) => {
    await tx.deleteFrom('installation').where('name', '!=', copyUnderWay).execute()
    await tx.insertInto('installation').values(rows).execute()
  })
}

/** Marks the target as the unfinished copy of one installation. Throws when a server has just made another one there. */
export async function markTarget({ db }: Target, marker: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx.insertInto('installation').values({ name: copyUnderWay, value: marker }).execute()
    const others = await tx.selectFrom('installation').select('name').where('name', '!=', copyUnderWay).execute()
    if (others.length > 0) throw new Error('a server was started on the target just now')
  })
}

export async function unmarkTarget({ db }: Target): Promise<void> {
  await db.deleteFrom('installation').where('name', '=', copyUnderWay).execute()
}
