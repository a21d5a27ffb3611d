import { closeSync, existsSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { Kysely, SqliteDialect } from 'kysely'
import { codeOf } from '../../errors.ts'
import { type Commands, type Database, type Notice, type OpenOptions, only_slot } from '../database.ts'
import { DatabaseInUseError } from '../errors.ts'
import { migrate } from '../migrations/index.ts'
import { type Connection, openConnection } from './connection.ts'
import { SqliteReader } from './reader.ts'
import { Writer } from './writer.ts'

export interface SqliteOptions extends OpenOptions {
  /** A file's path, or `:memory:` for one that lives in the temporary folder and is removed on close. */
  readonly file: string
}

/**
 * Opens the embedded database: migrates it, then one writer thread and a read connection on this thread.
 * Throws when the folder cannot be used or another process has the file.
 */
export async function openSqlite<C extends Commands>(options: SqliteOptions): Promise<Database<C>> {
  const passing = options.file === ':memory:'
  const folder = passing ? mkdtempSync(join(tmpdir(), 'parley-')) : dirname(options.file)
  const file = passing ? join(folder, 'parley.db') : options.file
  // No fsync for what is thrown away.
  const durable = !passing
  // One level: making a whole path out of a mistyped one helps nobody.
  if (!existsSync(folder)) mkdirSync(folder, { mode: 0o700 })
  refuseForeign(file)
  // Its owner's alone, as the secrets beside it are.
  if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600))

  const lock = takeLock(file)
  const dispose = () => {
    lock.close()
    if (passing) rmSync(folder, { recursive: true, force: true })
  }
  try {
    await migrateFile(file, durable)
    return await openLocked<C>({ ...options, file }, durable, dispose)
  } catch (error) {
    dispose()
    throw error
  }
}

async function migrateFile(file: string, durable: boolean): Promise<void> {
  const connection = openConnection(file, { readonly: false, durable })
  try {
    await migrateSqlite(connection)
  } finally {
    connection.close()
  }
}

/** All or nothing: the migrator has no transaction on this engine, and a kill between two tables would leave what none can mend. */
export async function migrateSqlite(connection: Connection): Promise<void> {
  connection.exec('BEGIN IMMEDIATE')
  try {
    await migrate(new Kysely<unknown>({ dialect: new SqliteDialect({ database: connection }) }))
    connection.exec('COMMIT')
  } catch (error) {
    if (connection.inTransaction) connection.exec('ROLLBACK')
    throw error
  }
}

async function openLocked<C extends Commands>(
  options: SqliteOptions,
  durable: boolean,
  dispose: () => void,
): Promise<Database<C>> {
  const { file } = options
  const listeners: ((notices: readonly Notice[]) => void)[] = []
  const reader = new SqliteReader(openConnection(file, { readonly: true, durable }), options.failed)
  const writer = new Writer({
    file,
    durable,
    commands: options.commands,
    largest_batch: options.largest_batch ?? 1000,
    failed: options.failed,
    dead: options.dead ?? options.failed,
    committed(notices) {
      // The next read must see the commit: a stale row rendered now would stay in a cache for ever.
      reader.refresh()
      if (notices.length > 0) for (const listener of listeners) listener(notices)
    },
  })
  try {
    await writer.ready
  } catch (error) {
    reader.close()
    throw error
  }
  return {
    capabilities: { sole_owner: true },
    read: reader,
    slots: only_slot,
    write: (name, input) => writer.write({ name, input }) as never,
    subscribe: (listener) => {
      listeners.push(listener)
    },
    // A full disk refuses any write: whoever tries one knows.
    failing: () => false,
    waiting: () => writer.waiting,
    async close() {
      await writer.drained()
      // The last to close folds the log into the database, which a read-only connection cannot.
      reader.close()
      await writer.close()
      dispose()
    },
  }
}

/** A file that is something else is left alone, and no lock put beside it. */
export function refuseForeign(file: string): void {
  if (!existsSync(file) || statSync(file).size === 0) return
  const head = Buffer.alloc(16)
  const opened = openSync(file, 'r')
  try {
    readSync(opened, head, 0, 16, 0)
  } finally {
    closeSync(opened)
  }
  if (head.toString('latin1') !== 'SQLite format 3\0')
    throw Object.assign(new Error('file is not a database'), { code: 'SQLITE_NOTADB' })
}

/**
 * One process per file: caches rely on it, and a second writer only makes both slower. The lock is SQLite's own on a
 * file beside, so the system drops it when the process dies, however it dies. Throws DatabaseInUseError.
 */
export function takeLock(file: string): { close(): void } {
  const lock = new Sqlite(`${file}.lock`, { timeout: 0 })
  try {
    lock.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    // A full disk, say, is no other process.
    throw codeOf(error)?.startsWith('SQLITE_BUSY') ? new DatabaseInUseError(file, { cause: error }) : error
  }
  return lock
}
