import {
  type Compilable,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  SqliteAdapter,
  SqliteIntrospector,
  SqliteQueryCompiler,
  type ValuesNode,
} from 'kysely'
import type { Tables } from './schema.ts'

export type Dialect = 'sqlite' | 'postgres'
export type Builder = Kysely<Tables>

/** A query as an engine prepares it: its text, and what each placeholder stands for. */
export interface Compiled {
  readonly sql: string
  /** In the order of the text. */
  readonly placeholders: readonly Placeholder[]
}

/** The name of an argument, or a constant of the query. */
export type Placeholder = { readonly argument: string } | { readonly constant: unknown }

/** Returns what stands for a placeholder in one execution. */
export function boundValue(placeholder: Placeholder, args: object): unknown {
  // The names come from the shape, whose type these arguments have.
  return 'argument' in placeholder ? (args as Readonly<Record<string, unknown>>)[placeholder.argument] : placeholder.constant
}

/** A query that reads known tables. */
export interface PlainRead {
  readonly verb: 'select'
  readonly table: string
  /** The other tables that it joins. */
  readonly joined?: readonly string[]
  /** It selects whole rows by these columns, each by the argument of its name. Null: by other conditions, or something else. */
  readonly columns: readonly string[] | null
  /** What it selects where that is the greatest value of a column. */
  readonly greatest?: Greatest
}

/** Returns all tables that a query reads. */
export function tablesOf({ table, joined = [] }: PlainRead): readonly string[] {
  return [table, ...joined]
}

/** The greatest value of a text column among the rows with the same values in columns `of`, each given by the argument of its name. */
export interface Greatest {
  readonly column: string
  readonly of: readonly string[]
}

/** What a plain insert or update does, for an engine that merges many of the same kind into one statement. */
export type PlainWrite =
  | { readonly verb: 'insert'; readonly table: string; readonly columns: readonly string[] }
  | {
      readonly verb: 'update'
      readonly table: keyof Tables & string
      readonly key: readonly { readonly column: string; readonly argument: string }[]
      readonly changed: readonly string[]
    }

export type Plain = PlainRead | PlainWrite

/** A query that is built once, with arguments `A` and rows `R`. */
export interface Shape<A, R> {
  /** The index under which a connection keeps the prepared statement. */
  readonly id: number
  compile(dialect: Dialect): Compiled
  readonly plain?: Plain
  /** Only for inference: no value. */
  readonly types?: { arguments: (args: A) => void; row: R }
}

/** A shape of any arguments and rows. */
export type AnyShape = Pick<Shape<never, unknown>, 'id' | 'compile' | 'plain'>

/** Stands for an argument while a query is compiled. */
class Marker {
  readonly argument: string
  constructor(argument: string) {
    this.argument = argument
  }
}

/**
 * SQLite looks at what is bound to a parameter while it plans nearly any statement that sorts, and then prepares that statement anew for each
 * execution. It does not look into an expression, and `likely(?)` is one that costs nothing: each statement is planned once. Constants are in
 * the text, so that an index on some rows is found by them. Measured, CPU time of a read of one row, bare and so: the last delivery of a subject
 * 5.5 and 0.8 µs, a page of conversations in a state 10 and 1.2, of messages 15 and 0.6, pending deliveries 14 and 0.5.
 */
class PlannedOnce extends SqliteQueryCompiler {
  #inserted = false

  protected override appendValue(value: unknown): void {
    if (value instanceof Marker) super.appendValue(value)
    else this.appendImmediateValue(value)
  }

  protected override getCurrentParameterPlaceholder(): string {
    return this.#inserted ? '?' : 'likely(?)'
  }

  /** No plan depends on them. */
  protected override visitValues(node: ValuesNode): void {
    this.#inserted = true
    super.visitValues(node)
    this.#inserted = false
  }
}

const builders: Record<Dialect, Builder> = {
  sqlite: new Kysely<Tables>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new PlannedOnce(),
    },
  }),
  postgres: new Kysely<Tables>({
    dialect: {
      createAdapter: () => new PostgresAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new PostgresIntrospector(db),
      createQueryCompiler: () => new PostgresQueryCompiler(),
    },
  }),
}

const shapes: AnyShape[] = []

/** Every query that has been declared so far. */
export function declaredShapes(): readonly AnyShape[] {
  return shapes
}

/**
 * Declares a query: `shape<{ sid: string }>()((db, a) => db.selectFrom('services').selectAll().where('sid', '=', a.sid))`.
 * Kysely only compiles it, once per dialect; building on every call costs twice the query itself, its stock driver fifteen times.
 */
export function shape<A extends object>(): <R>(build: (db: Builder, a: A) => Compilable<R>, plain?: Plain) => Shape<A, R> {
  return <R>(build: (db: Builder, a: A) => Compilable<R>, plain?: Plain) => {
    const compiled = new Map<Dialect, Compiled>()
    const declared: Shape<A, R> = {
      id: shapes.length,
      ...(plain && { plain }),
      compile(dialect) {
        let result = compiled.get(dialect)
        if (!result) {
          // Whatever its type, an argument is a marker while the query is compiled.
          const markers = new Proxy({}, { get: (_, name) => new Marker(String(name)) }) as A
          const query = build(builders[dialect], markers).compile()
          result = {
            sql: query.sql,
            placeholders: query.parameters.map((p) => (p instanceof Marker ? { argument: p.argument } : { constant: p })),
          }
          compiled.set(dialect, result)
        }
        return result
      },
    }
    shapes.push(declared)
    return declared
  }
}
