import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import type { Table } from '../../src/storage/rows.ts'
import type { Tables } from '../../src/storage/schema.ts'
import { startServer, type TestServer } from './server.ts'

export const secret_key = '0123456789abcdef'.repeat(4)

export interface FileServer extends TestServer {
  /** Writes a row behind the server's back: for what no request makes. Nothing that is kept in memory learns of it. */
  insert<T extends Table>(table: T, row: Tables[T]): void
  /** What the database holds. */
  rows<T extends Table>(table: T): Tables[T][]
  /** Whether any file of the database has this text in the open. */
  holds(text: string): boolean
}

/** A server on a database file that a test can look into. */
export async function startFileServer(): Promise<FileServer> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-test-'))
  const file = join(folder, 'parley.db')
  const server = await startServer({ sqlite_file: file, secret_key })
  const db = new Sqlite(file)
  const stop = async () => {
    db.close()
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  }
  return {
    ...server,
    insert(table, row) {
      const columns = Object.keys(row)
      db.prepare(`INSERT INTO ${table} (${columns}) VALUES (${columns.map((column) => `@${column}`)})`).run(row)
    },
    rows: (table) => db.prepare(`SELECT * FROM ${table}`).all() as never,
    holds: (text) =>
      readdirSync(folder, { withFileTypes: true })
        .filter((entry) => entry.isFile())
        .some(({ name }) => readFileSync(join(folder, name)).includes(text)),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
