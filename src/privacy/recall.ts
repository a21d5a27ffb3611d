import type { KeyObject } from 'node:crypto'
import type { Reader } from '../storage/database.ts'
import { rowsAfter, type Table } from '../storage/rows.ts'
import { belongings, type Key, keyOf } from './belongings.ts'
import type { Entry } from './ledger.ts'
import { type Person, personOf, subjectHash } from './person.ts'

/** Rows of a read: the event loop waits for it. */
const batch = 500

/** The columns that name a person. */
const naming: readonly { readonly table: Table; readonly columns: readonly string[] }[] = [
  { table: 'users', columns: ['identity'] },
  { table: 'participants', columns: ['identity', 'address'] },
  { table: 'bindings', columns: ['identity'] },
  { table: 'messages', columns: ['author', 'last_updated_by'] },
  { table: 'media', columns: ['author'] },
  { table: 'conversations', columns: ['created_by'] },
  { table: 'mail_blocks', columns: ['address'] },
]

/**
 * Returns the persons that entries are about, by the id of the entry, as far as any row names them. An entry has a hash alone: whoever is
 * named in a row is hashed, and compared.
 */
export async function recalled(
  read: Reader,
  keys: readonly KeyObject[],
  entries: readonly Entry[],
): Promise<ReadonlyMap<string, Person>> {
  // A person may have been erased more than once, each time in another way.
  const left = Map.groupBy(entries, (entry) => `${entry.account_sid} ${entry.subject_hash}`)
  const accounts = new Set(entries.map(({ account_sid }) => account_sid))
  const found = new Map<string, Person>()
  for await (const { account_sid, name } of names(read)) {
    if (left.size === 0) break
    if (!accounts.has(account_sid)) continue
    for (const subject of [{ identity: name }, { address: name }]) {
      const person = personOf(account_sid, subject)
      for (const key of keys) {
        const place = `${account_sid} ${subjectHash(key, person)}`
        for (const { id } of left.get(place) ?? []) found.set(id, person)
        left.delete(place)
      }
    }
  }
  return found
}

async function* names(read: Reader): AsyncGenerator<{ readonly account_sid: string; readonly name: string }> {
  for (const { table, columns } of naming) {
    const belonging = belongings.find((one) => one.table === table)
    if (!belonging) throw new Error(`${table} is not walked over`)
    const isKey = (column: string) => belonging.key.some((one) => one === column)
    // Without the texts of messages, which may be long.
    const query = rowsAfter(
      table,
      belonging.key,
      ['account_sid', ...columns].filter((column) => !isKey(column)),
    )
    for (let after: Key | null = null; ; ) {
      const start = belonging.key.map((column) => [`after_${column}`, after?.[column] ?? ''])
      const rows: readonly Readonly<Record<string, unknown>>[] = await read.all(query, {
        ...Object.fromEntries(start),
        limit: batch,
      })
      for (const row of rows) {
        for (const column of columns) {
          const name = row[column]
          if (typeof name === 'string' && name !== '') yield { account_sid: String(row.account_sid), name }
        }
      }
      const last = rows.at(-1)
      if (!last || rows.length < batch) break
      after = keyOf(belonging, last)
    }
  }
}
