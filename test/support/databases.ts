import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { escapeIdentifier, Pool, types } from 'pg'
import type { Config } from '../../src/config.ts'
import type { DatabaseLocation } from '../../src/setting-values.ts'
import type { Table } from '../../src/storage/rows.ts'
import type { Tables } from '../../src/storage/schema.ts'
import { createDatabase, dropDatabase } from './postgres.ts'

type Place = Pick<Config, 'database' | 'dataDir'>

/** The engine of this run. */
export const engine = process.env.PARLEY_TEST_ENGINE === 'postgres' ? 'postgres' : 'sqlite'

/** A database, and a folder for what is kept beside it, for a server, one after the other or several. */
export interface TestDatabase extends AsyncDisposable {
  /** For a server in this process. */
  readonly config: Place
  /** For one in a process of its own. */
  readonly env: Readonly<Record<'PARLEY_DATABASE_URL' | 'PARLEY_DATA_DIR', string>>
  /** Everything is gone; whoever is still connected is cut off. */
  dispose(): Promise<void>
}

/** An empty database of the engine of this run. `untouched`: nobody has ever opened it, its tables are not made either. */
export async function newDatabase({ untouched = false } = {}): Promise<TestDatabase> {
  const dataDir = mkdtempSync(join(tmpdir(), 'parley-test-'))
  const { database, drop } = engine === 'postgres' ? await newPostgres(untouched) : newFile(dataDir)
  const dispose = async () => {
    await drop()
    rmSync(dataDir, { recursive: true, force: true })
  }
  return {
    config: { database, dataDir },
    env: { PARLEY_DATABASE_URL: urlOf(database), PARLEY_DATA_DIR: dataDir },
    dispose,
    [Symbol.asyncDispose]: dispose,
  }
}

/** For one server: what need not outlive it is cheaper in memory, where there is such a thing. */
export async function passingDatabase(): Promise<Pick<TestDatabase, 'config' | 'dispose'>> {
  if (engine === 'postgres') return newDatabase()
  return { config: { database: { engine, file: ':memory:' }, dataDir: null }, dispose: async () => {} }
}

function newFile(folder: string) {
  return { database: { engine: 'sqlite', file: join(folder, 'parley.db') } as const, drop: async () => {} }
}

/** Copied from one that is migrated already, which is quicker than to make the tables. */
async function newPostgres(untouched: boolean) {
  const { PARLEY_TEST_POSTGRES_URL: url, PARLEY_TEST_POSTGRES_TEMPLATE: template } = process.env
  if (!url || !template) throw new Error('there is no PostgreSQL: run the tests by `vitest run --project "postgres*"`')
  const name = `${template}_${randomBytes(6).toString('hex')}`
  const database = await createDatabase(url, name, untouched ? undefined : template)
  return { database: { engine: 'postgres', url: database } as const, drop: () => dropDatabase(url, database) }
}

function urlOf(database: DatabaseLocation): string {
  return database.engine === 'postgres' ? database.url : `sqlite:${database.file}`
}

/** A look behind the server's back. */
export interface Inspection extends AsyncDisposable {
  /** For what no request makes. Nothing that is kept in memory learns of it. */
  insert<T extends Table>(table: T, row: Tables[T]): Promise<void>
  /** What the database holds. */
  rows<T extends Table>(table: T): Promise<Tables[T][]>
  /** A statement of a kind that both engines know. */
  query(sql: string): Promise<unknown[]>
  /** Whether the database, or a file beside it, has this text in the open. */
  holds(text: string): Promise<boolean>
  close(): Promise<void>
}

/** What differs between the engines when one looks into them directly. */
interface Connection {
  query(sql: string, values: unknown[]): Promise<unknown[]>
  /** How the value of this index is spelt in a statement. */
  place(index: number): string
  /** Whether the database has this text in the open somewhere else than in its files in the folder. */
  holds(text: string): Promise<boolean>
  close(): Promise<void>
}

/** The database has to be there already. */
export function inspect({ database, dataDir }: Place): Inspection {
  const { query, place, holds, close } = database.engine === 'postgres' ? connect(database.url) : openFile(database.file)
  return {
    async insert(table, row) {
      const names = Object.keys(row)
      await query(`insert into ${table} (${names}) values (${names.map((_, i) => place(i))})`, Object.values(row))
    },
    query: (sql) => query(sql, []),
    rows: async (table) => (await query(`select * from ${table}`, [])) as never,
    holds: async (text) => (dataDir !== null && filesHold(dataDir, text)) || holds(text),
    close,
    [Symbol.asyncDispose]: close,
  }
}

function openFile(file: string): Connection {
  const db = new Sqlite(file)
  return {
    query: async (sql, values) => {
      const statement = db.prepare(sql)
      return statement.reader ? statement.all(...values) : [statement.run(...values)]
    },
    place: () => '?',
    holds: async () => false,
    close: async () => void db.close(),
  }
}

function connect(url: string): Connection {
  const int8 = 20
  const getTypeParser = ((oid: number, format?: 'text') =>
    oid === int8 ? Number : types.getTypeParser(oid, format)) as typeof types.getTypeParser
  const pool = new Pool({ connectionString: url, max: 2, types: { getTypeParser } })
  const query = async (sql: string, values: unknown[]) => (await pool.query(sql, values)).rows as unknown[]
  return {
    query,
    place: (index) => `$${index + 1}`,
    async holds(text) {
      const tables =
        "select table_name from information_schema.tables where table_schema not in ('pg_catalog', 'information_schema')"
      const found = (await query(tables, [])) as { table_name: string }[]
      const looks = found.map(({ table_name }) => {
        const table = escapeIdentifier(table_name)
        return query(`select 1 from ${table} where position($1 in ${table}::text) > 0 limit 1`, [text])
      })
      return (await Promise.all(looks)).some((rows) => rows.length > 0)
    },
    close: () => pool.end(),
  }
}

function filesHold(folder: string, text: string): boolean {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .some(({ name }) => readFileSync(join(folder, name)).includes(text))
}
