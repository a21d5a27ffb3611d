import { type AnyShape, type PlainRead, tablesOf } from '../shapes.ts'
import { GreatestValues } from './greatest-values.ts'
import { keyOf } from './statements.ts'

type Values = Readonly<Record<string, unknown>>

/** A row, the table it is in, and the round in which it was locked. */
interface KnownRow {
  readonly table: string
  readonly locked: number
  row: object
}

/** What a query has found, and in which round. */
interface Found {
  readonly rows: readonly unknown[]
  readonly round: number
}

/** What a plain query asks for, and when. */
interface Question {
  readonly shape: AnyShape
  readonly plain: PlainRead
  readonly args: object
  /** The round in which the command has last locked a row: it must not be told what was read until then. */
  readonly after: number
  /** The round in which the database would be asked. */
  readonly round: number
}

/**
 * What a transaction knows without asking the database: the rows that it has locked against all others, as its own writes leave them, and what
 * plain queries have found, until it writes to their tables.
 */
export class KnownRows {
  /** By name. */
  readonly #rows = new Map<string, KnownRow>()
  /** By each table that is read, then by the query and its arguments. */
  readonly #found = new Map<string, Map<string, Found>>()
  readonly #greatest = new GreatestValues()
  #forgotten = 0

  /** How often all was forgotten: a row that was read before is not known after. */
  get forgotten(): number {
    return this.#forgotten
  }

  /** Returns the row of this name, if it is known and the query would find it. */
  row(name: string | undefined, { plain }: AnyShape, args: object): KnownRow | undefined {
    const known = name === undefined ? undefined : this.#rows.get(name)
    if (!known || plain?.verb !== 'select' || !plain.columns || plain.table !== known.table) return undefined
    return plain.columns.every((column) => Reflect.get(known.row, column) === Reflect.get(args, column)) ? known : undefined
  }

  /** Keeps a row that is locked for a change, and was read by this query. */
  keep(name: string, { plain }: AnyShape, row: object, locked: number): void {
    if (plain?.verb === 'select' && plain.columns) this.#rows.set(name, { table: plain.table, row, locked })
  }

  /** Returns what a plain query finds: as it is known, or else what `ask` returns. */
  async read(question: Question, ask: () => Promise<readonly unknown[]>): Promise<readonly unknown[]> {
    const { shape, plain, args, after, round } = question
    const { table, greatest } = plain
    if (greatest) return this.#greatest.read(shape.id, { table, greatest, args, after, round }, ask)
    const ofTables = tablesOf(plain).map((table) => this.#ofTable(table))
    const key = keyOf(shape, args)
    const known = ofTables[0]?.get(key)
    if (known && known.round > after && ofTables.every((found) => found.get(key) === known)) return known.rows
    const found: Found = { rows: await ask(), round }
    // What is written meanwhile makes the map of its table another one.
    for (const ofTable of ofTables) ofTable.set(key, found)
    return found.rows
  }

  #ofTable(table: string): Map<string, Found> {
    const found = this.#found.get(table) ?? new Map<string, Found>()
    this.#found.set(table, found)
    return found
  }

  /** Takes a write into account. What cannot be told in advance is forgotten. */
  learn({ plain }: AnyShape, args: object): void {
    if (!plain || plain.verb === 'select') {
      this.forget()
      return
    }
    this.#found.delete(plain.table)
    const values: Values = { ...args }
    if (plain.verb === 'insert') {
      this.#greatest.learn(plain.table, values)
      return
    }
    this.#greatest.forget(plain.table)
    const known = this.#rows.get(String(values.sid))
    if (!plain.key.some(({ column }) => column === 'sid')) this.#rows.clear()
    else if (known?.table === plain.table) {
      const changed = plain.changed.map((column) => [column, values[column] ?? null])
      known.row = { ...known.row, ...Object.fromEntries(changed) }
    }
  }

  forget(): void {
    this.#forgotten++
    this.#rows.clear()
    this.#found.clear()
    this.#greatest.clear()
  }
}
