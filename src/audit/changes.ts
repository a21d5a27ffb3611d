import { isSid } from '../sids.ts'
import type { Tx } from '../storage/database.ts'
import { rowsByNames, type Table } from '../storage/rows.ts'
import type { Plain, PlainWrite } from '../storage/shapes.ts'
import { canonicalJson } from './entry.ts'
import { maskedValue } from './masking.ts'

/** What an act has changed: of one row, as an act is about one thing. */
export interface Changes {
  /** Whether it has changed any row. */
  written: boolean
  row: ChangedRow | null
}

interface ChangedRow {
  /** Null: it is new. */
  readonly before: Values | null
  readonly after: Values
}

type Values = Readonly<Record<string, unknown>>

/** They say where a row is and how often it was changed; the entry has a place for what of it matters. */
const unsaid: ReadonlySet<string> = new Set([
  'sid',
  'id',
  'account_sid',
  'service_sid',
  'date_created',
  'date_updated',
  'revision',
])

/** Returns a transaction that notes what is changed in it, of the first row of `table` that is. */
export function observed(tx: Tx, table: string | null): { readonly tx: Tx; readonly changes: Changes } {
  const changes: Changes = { written: false, row: null }
  /** `write` returns how many rows it has changed. */
  const noting = async (plain: Plain | undefined, args: object, write: () => Promise<number>): Promise<number> => {
    const isWanted = plain?.table === table && plain?.verb !== 'select' && changes.row === null
    const after: Values = { ...args }
    const before = isWanted && plain?.verb === 'update' ? await rowBefore(tx, plain, after) : null
    const changed = await write()
    changes.written ||= changed > 0
    if (isWanted && changed > 0) changes.row ??= { before, after }
    return changed
  }
  const run: Tx['run'] = (query, args) => noting(query.plain, args, () => tx.run(query, args))
  const must: Tx['must'] = async (query, args) => {
    await noting(query.plain, args, async () => {
      await tx.must(query, args)
      return 1
    })
  }
  const mustAll: Tx['mustAll'] = async (query, all) => {
    for (const args of all) await must(query, args)
  }
  return { tx: { ...tx, run, must, mustAll }, changes }
}

async function rowBefore(tx: Tx, plain: PlainWrite & { readonly verb: 'update' }, args: Values): Promise<Values | null> {
  const key = plain.key.map(({ column, argument }) => [column, args[argument]] as const)
  // The names of plain writes are names of tables and their columns.
  const query = rowsByNames<Values>(
    plain.table as Table,
    key.map(([column]) => column),
  )
  return (await tx.one(query, Object.fromEntries(key))) ?? null
}

/** Returns the `before` and `after` of an entry: canonical JSON of the values that differ, masked; null where there are none. */
export function difference(
  { before, after }: ChangedRow,
  key: string,
): { readonly before: string | null; readonly after: string | null } {
  const columns = Object.keys(after).filter((column) => {
    if (unsaid.has(column) || column.startsWith('was_')) return false
    return before === null ? after[column] !== null : before[column] !== after[column]
  })
  if (columns.length === 0) return { before: null, after: null }
  const shown = (values: Values) =>
    canonicalJson(Object.fromEntries(columns.map((column) => [column, maskedValue(key, column, values[column])])))
  return { before: before && shown(before), after: shown(after) }
}

/** Returns the SID or id of the row that was changed, and the account that it belongs to. */
export function whereIs({ before, after }: ChangedRow): { readonly sid: string | null; readonly account_sid: string | null } {
  const values = { ...before, ...after }
  const sid = textOf(values.sid ?? values.id)
  return { sid, account_sid: textOf(values.account_sid) ?? (sid !== null && isSid('account', sid) ? sid : null) }
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
