import { closeSync, existsSync, openSync, readFileSync, readSync, statSync, writeFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { Kysely, SqliteDialect } from 'kysely'
import { codeOf } from '../../errors.ts'
import { makeFolder } from '../../folders.ts'
import { makeTemporaryFolder, removeTemporaryFolder } from '../../temporary.ts'
import { type Commands, type Database, type Listener, type OpenOptions, onlyNode, onlySlot } from '../database.ts'
import { DatabaseInUseError } from '../errors.ts'
import { isCurrent, migrate } from '../migrations/index.ts'
import { type Connection, openConnection } from './connection.ts'
import { isNearlyFull } from './disk.ts'
import { SqliteReader } from './reader.ts'
import { inlineRunner, threadRunner } from './runners.ts'
import { Writer } from './writer.ts'

export interface SqliteOptions extends OpenOptions {
  /** The path of a file, or `:memory:` for a database in the temporary folder that is deleted on close. */
  readonly file: string
}

/**
 * Opens the embedded database: migrates it, then one writer thread and a read connection on this thread.
 * Throws when the folder cannot be used or another process has the file.
 */
export async function openSqlite<C extends Commands>(options: SqliteOptions): Promise<Database<C>> {
  const ephemeral = options.file === ':memory:'
  const folder = ephemeral ? makeTemporaryFolder('parley-') : dirname(options.file)
  const file = ephemeral ? join(folder, 'parley.db') : options.file
  // What is deleted on close needs no fsync.
  const durable = !ephemeral
  makeFolder(folder)
  refuseForeign(file)
  // Readable by its owner alone, as the secrets beside it are.
  if (!existsSync(file)) closeSync(openSync(file, 'a', 0o600))

  const lock = takeLock(file)
  const dispose = () => {
    lock.close()
    if (ephemeral) removeTemporaryFolder(folder)
  }
  try {
    if (ephemeral) await makeEphemeral(file)
    else await migrateFile(file, durable)
    return await openLocked<C>({ ...options, file }, durable, dispose)
  } catch (error) {
    dispose()
    throw error
  }
}

/** An empty database with the tables of this version: the migrations need not run again for each one in this process. */
let emptyDatabase: Buffer | undefined

async function makeEphemeral(file: string): Promise<void> {
  if (emptyDatabase) return writeFileSync(file, emptyDatabase)
  await migrateFile(file, false)
  emptyDatabase = readFileSync(file)
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
  // Asked without Kysely, which would describe every table first: nearly every start finds nothing to do.
  if (isCurrent(appliedTo(connection))) return
  connection.exec('BEGIN IMMEDIATE')
  try {
    await migrate(new Kysely<unknown>({ dialect: new SqliteDialect({ database: connection }) }))
    connection.exec('COMMIT')
  } catch (error) {
    if (connection.inTransaction) connection.exec('ROLLBACK')
    throw error
  }
}

/** Returns the names of the migrations that the database has. */
function appliedTo(connection: Connection): string[] {
  const there = connection.prepare("select 1 from sqlite_master where type = 'table' and name = 'kysely_migration'").get()
  if (!there) return []
  return connection
    .prepare<[], { name: string }>('select name from kysely_migration')
    .all()
    .map(({ name }) => name)
}

async function openLocked<C extends Commands>(
  options: SqliteOptions,
  durable: boolean,
  dispose: () => void,
): Promise<Database<C>> {
  const { file } = options
  const listeners: Listener[] = []
  const reader = new SqliteReader(openConnection(file, { readonly: true, durable }), options.failed)
  const writer = new Writer({
    runner: (durable ? threadRunner : inlineRunner)({ ...options, durable }),
    largestBatch: options.largestBatch ?? 1000,
    failed: options.failed,
    dead: options.dead ?? options.failed,
    committed(notices, at) {
      // The next read must see the commit: a stale row that is rendered now would stay cached.
      reader.refresh()
      if (notices.length > 0) for (const listener of listeners) listener(notices, at)
    },
  })
  try {
    await writer.ready
  } catch (error) {
    reader.close()
    throw error
  }
  const opened = identityOf(file)
  return {
    capabilities: { engine: 'sqlite', soleOwner: true, cacheLeaseMs: Number.POSITIVE_INFINITY, file },
    read: reader,
    slots: onlySlot,
    nodes: onlyNode(),
    write: (name, input) => writer.write({ name, input }),
    publish: (notices) => {
      for (const listener of listeners) listener(notices, Date.now())
    },
    subscribe: (listener) => {
      listeners.push(listener)
    },
    // A file that was deleted or replaced takes writes for nobody.
    failing: () => identityOf(file) !== opened || isNearlyFull(file),
    // By table only by reading every page.
    sizes: async () => ({ bytes: bytesOf(file) + bytesOf(`${file}-wal`), tables: [] }),
    waiting: () => writer.waiting,
    scrub: () => writer.scrub(),
    usage: async () => {
      const sizes = await Promise.all([sizeOf(file), sizeOf(`${file}-wal`)])
      return { bytes: sizes[0] + sizes[1], pool: null }
    },
    async close() {
      await writer.drained()
      // The last connection to close checkpoints the write-ahead log, which a read-only one cannot.
      reader.close()
      await writer.close()
      dispose()
    },
  }
}

function bytesOf(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.size ?? 0
}

/** Throws when the file is no SQLite database, before anything is written to it or beside it. */
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
 * Excludes other processes from the file: caches rely on it, and a second writer would slow both down. The lock is SQLite's own,
 * on a second file, so the operating system releases it however the process ends. Throws DatabaseInUseError.
 */
export function takeLock(file: string): { close(): void } {
  const lock = new Sqlite(`${file}.lock`, { timeout: 0 })
  try {
    lock.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    lock.close()
    // Other errors, such as a full disk, do not mean that another process has it.
    throw codeOf(error)?.startsWith('SQLITE_BUSY') ? new DatabaseInUseError(file, { cause: error }) : error
  }
  return lock
}

/** Which file has this name now: its device and inode; undefined when there is none. */
function identityOf(file: string): string | undefined {
  const stats = statSync(file, { throwIfNoEntry: false })
  return stats && `${stats.dev} ${stats.ino}`
}

/** 0 for a file that is not there. */
async function sizeOf(file: string): Promise<number> {
  const found = await stat(file).catch((error: unknown) => {
    if (codeOf(error) !== 'ENOENT') throw error
  })
  return found?.size ?? 0
}
