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
} from 'kysely'
import type { Tables } from './schema.ts'

export type Dialect = 'sqlite' | 'postgres'
export type Builder = Kysely<Tables>

/** A query as an engine prepares it: the text once, and which argument goes to which place. */
export interface Compiled {
  readonly sql: string
  /** In order of the places in the text: the name of an argument, or a constant of the query. */
  readonly places: readonly Place[]
}
export type Place = { readonly argument: string } | { readonly constant: unknown }

/** What a plain insert or update does, for an engine that puts many of the same kind into one statement. */
export type PlainWrite =
  | { readonly verb: 'insert'; readonly table: string; readonly columns: readonly string[] }
  | {
      readonly verb: 'update'
      readonly table: string
      readonly key: readonly { readonly column: string; readonly argument: string }[]
      readonly changed: readonly string[]
    }

/** A query built once. `id` is the index under which a connection keeps the prepared statement. */
export interface Shape<A, R> {
  readonly id: number
  compile(dialect: Dialect): Compiled
  readonly plain?: PlainWrite
  /** Only for inference: no value. */
  readonly types?: { arguments: (args: A) => void; row: R }
}

/** Of any arguments and rows. */
export type AnyShape = Pick<Shape<never, unknown>, 'id' | 'compile' | 'plain'>

class Marker {
  readonly argument: string
  constructor(argument: string) {
    this.argument = argument
  }
}

const builders: Record<Dialect, Builder> = {
  sqlite: new Kysely<Tables>({
    dialect: {
      createAdapter: () => new SqliteAdapter(),
      createDriver: () => new DummyDriver(),
      createIntrospector: (db) => new SqliteIntrospector(db),
      createQueryCompiler: () => new SqliteQueryCompiler(),
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

let shapes = 0

/**
 * Declares a query: `shape<{ sid: string }>()((db, a) => db.selectFrom('services').selectAll().where('sid', '=', a.sid))`.
 * Kysely only compiles it, once per dialect; building on every call costs twice the query itself, its stock driver fifteen times.
 */
export function shape<A extends object>(): <R>(build: (db: Builder, a: A) => Compilable<R>, plain?: PlainWrite) => Shape<A, R> {
  return <R>(build: (db: Builder, a: A) => Compilable<R>, plain?: PlainWrite) => {
    const compiled = new Map<Dialect, Compiled>()
    return {
      id: shapes++,
      ...(plain && { plain }),
      compile(dialect) {
        let result = compiled.get(dialect)
        if (!result) {
          const markers = new Proxy({}, { get: (_, name) => new Marker(String(name)) }) as A
          const query = build(builders[dialect], markers).compile()
          result = {
            sql: query.sql,
            places: query.parameters.map((p) => (p instanceof Marker ? { argument: p.argument } : { constant: p })),
          }
          compiled.set(dialect, result)
        }
        return result
      },
    }
  }
}
