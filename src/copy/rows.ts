import { CompiledQuery, sql } from 'kysely'
import { copyUnderWay } from '../installation/copy-marker.ts'
import type { Source, Target } from './endpoint.ts'
import { type Db, keys, onItsWay, type Row, type Value } from './tables.ts'

/** Of a batch: more makes neither engine faster, and a row may be large. */
const most_rows = 1000

/**
 * Copies what is missing in the target, in order of the primary key. What is there is all that comes before its greatest key,
 * because each batch is one statement: so a copy that was killed goes on behind it. `told` hears of each batch.
 */
export async function copyTable(from: Source, to: Target, table: keyof typeof keys, told: (rows: number) => void) {
  const insert = inserter(to, table)
  const ordered = keys[table]
  let rows = await readAfter(from.db, table, ordered, await greatestKey(to.db, table, ordered))
  while (rows.length > 0) {
    const [next] = await Promise.all([readAfter(from.db, table, ordered, keyOf(rows.at(-1), ordered)), insert(rows)])
    told(rows.length)
    rows = next
  }
}

function keyOf(row: Row | undefined, key: readonly string[]): Value[] | null {
  return row ? key.map((column) => row[column] as Value) : null
}

async function greatestKey(db: Db, table: string, key: readonly string[]): Promise<Value[] | null> {
  let query = db.selectFrom(table).select([...key])
  for (const column of key) query = query.orderBy(column, 'desc')
  return keyOf((await query.limit(1).executeTakeFirst()) as Row | undefined, key)
}

async function readAfter(db: Db, table: string, key: readonly string[], after: Value[] | null): Promise<Row[]> {
  let query = db.selectFrom(table).selectAll().limit(most_rows)
  for (const column of key) query = query.orderBy(column)
  if (after) query = query.where(sql<boolean>`(${sql.join(key.map((column) => sql.ref(column)))}) > (${sql.join(after)})`)
  return (await query.execute()) as Row[]
}

/** Inserts rows, as many in a statement as it may have parameters. The text of a full one is made once: it is long. */
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
    const columns = Object.keys(rows[0] as Row)
    const at_once = Math.floor(to.most_parameters / columns.length)
    for (let start = 0; start < rows.length; start += at_once) {
      const part = rows.slice(start, start + at_once).map((row) => onItsWay(table, row, to.engine))
      const values = part.flatMap((row) => columns.map((column) => row[column]))
      await to.db.executeQuery(CompiledQuery.raw(textFor(part), values))
    }
  }
}

/** The rows that make the target an installation, all or none. */
export async function copyInstallation(from: Source, to: Target): Promise<void> {
  const rows = await from.db.selectFrom('installation').selectAll().execute()
  await to.db.transaction().execute(async (tx) => {
    await tx.deleteFrom('installation').where('name', '!=', copyUnderWay).execute()
    await tx.insertInto('installation').values(rows).execute()
  })
}

/** From now on the target is the unfinished copy of one installation. Throws when a server has just begun one there. */
export async function markTarget({ db }: Target, mark: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await tx.insertInto('installation').values({ name: copyUnderWay, value: mark }).execute()
    const others = await tx.selectFrom('installation').select('name').where('name', '!=', copyUnderWay).execute()
    if (others.length > 0) throw new Error('a server was started on the target just now')
  })
}

export async function unmarkTarget({ db }: Target): Promise<void> {
  await db.deleteFrom('installation').where('name', '=', copyUnderWay).execute()
}
