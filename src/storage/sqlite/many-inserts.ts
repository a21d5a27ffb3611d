import type { Statement } from 'better-sqlite3'
import { boundValue, type PlainWrite } from '../shapes.ts'
import type { Connection } from './connection.ts'

type PlainInsert = PlainWrite & { readonly verb: 'insert' }

/**
 * Inserts many rows of one table in one statement. What all of them have in a column is bound once, the other columns come from one JSON text:
 * crossing into the database with twenty values takes as long as to store them. The slow twin is a statement for each row:
 * `test/storage/sqlite/many-inserts.test.ts` compares the two.
 *
 * Measured, CPU time of the writer for each of 1,000 deliveries of an event, without the commit: a statement for each row 7.2 µs; with what they
 * share as literals of its text 4.4; this 4.4, without a text for each set of literals; ten rows in a statement 6.2.
 */
export class ManyInserts {
  readonly #db: Connection
  /** By table, columns, and which of them differ. */
  readonly #statements = new Map<string, Statement<unknown[]>>()

  constructor(db: Connection) {
    this.#db = db
  }

  /** Runs a plain insert for each of these arguments, in their order. Returns false where JSON would change a value: nothing is inserted then. */
  run({ table, columns }: PlainInsert, all: readonly object[]): boolean {
    const [first] = all
    if (!first) return true
    const placeholders = columns.map((argument) => ({ argument }))
    const isShared = placeholders.map((each) => {
      const value = boundValue(each, first)
      return all.every((args) => boundValue(each, args) === value)
    })
    const differing = placeholders.filter((_, i) => !isShared[i])
    const json = JSON.stringify(all.map((args) => differing.map((each) => boundValue(each, args))))
    // A character that JSON names by its number may be half of one, or one that ends a text in SQLite.
    if (json.includes('\\u')) return false
    const key = `${table} ${columns} ${isShared}`
    let statement = this.#statements.get(key)
    if (!statement) {
      statement = this.#db.prepare(textOf(table, columns, isShared))
      this.#statements.set(key, statement)
    }
    const shared = placeholders.filter((_, i) => isShared[i])
    statement.run(...shared.map((each) => boundValue(each, first)), json)
    return true
  }
}

function textOf(table: string, columns: readonly string[], isShared: readonly boolean[]): string {
  let next = 0
  const values = isShared.map((shared) => (shared ? '?' : `value ->> ${next++}`))
  return `insert into "${table}" (${columns.map((column) => `"${column}"`)}) select ${values} from json_each(?)`
}
