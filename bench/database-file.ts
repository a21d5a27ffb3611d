import { closeSync, fsyncSync, openSync } from 'node:fs'
import Sqlite, { type Database } from 'better-sqlite3'
import type { AccountRow, ServiceRow } from '../src/storage/schema.ts'
import { openConnection } from '../src/storage/sqlite/connection.ts'
import { SqliteReader } from '../src/storage/sqlite/reader.ts'
import { type Deadline, deadlines, deliveryRow, dueRow } from './added-rows.ts'
import type { Contents, Filling, Persisted } from './contents.ts'
import type { Owner } from './population.ts'

/**
 * A Parley database as the bench sees it, straight through the driver: filled and looked into while its server runs beside
 * (the file is in WAL mode), or while none does.
 */
export class DatabaseFile implements Contents {
  /** Measured: 15 to 30 µs each. */
  readonly row_ms = 0.08
  readonly #db: Database
  readonly #path: string

  constructor(path: string) {
    this.#path = path
    this.#db = new Sqlite(path, { timeout: 30_000 })
    // What is put in or taken out is on disk before the clock starts: else the server's next fsync pays for it.
    this.#db.pragma('synchronous = FULL')
    this.#db.pragma('cache_size = -65536')
  }

  close(): void {
    this.#db.close()
  }

  owner(): Owner {
    const account = this.#db.prepare<[], AccountRow>('select * from accounts').get() as AccountRow
    const { sid, default_service_sid, default_messaging_service_sid } = account
    return { account_sid: sid, service_sid: default_service_sid, messaging_service_sid: default_messaging_service_sid }
  }

  /**
   * Fills empty tables: a million rows in well under a minute, because indexes are built at the end. On disk when it returns,
   * or the system would write it back while others are measured. No server may be running.
   */
  fill(work: Filling): void {
    const owner = this.owner()
    this.#db.pragma('journal_mode = OFF')
    this.#db.pragma('synchronous = OFF')
    this.#db.pragma('cache_size = -1048576')
    work((table, count, row) => this.#fillTable(table, count, row), owner)
    // Its words: a trigger has noted each document, as for a commit of the server.
    this.#db.exec(
      'insert into search_words (rowid, words) select id, words from search_documents order by id; delete from search_waiting',
    )
    this.#db.pragma('journal_mode = WAL')
    this.#db.pragma('synchronous = FULL')
    this.#db.pragma('cache_size = -65536')
    const file = openSync(this.#path, 'r+')
    fsyncSync(file)
    closeSync(file)
  }

  #fillTable(table: string, count: number, row: (i: number) => object): void {
    const indexes = this.#db
      .prepare<[string], { name: string; sql: string }>(
        "select name, sql from sqlite_master where type = 'index' and tbl_name = ? and sql is not null",
      )
      .all(table)
    for (const { name } of indexes) this.#db.exec(`drop index ${name}`)
    this.#insert(table, count, row)
    for (const { sql } of indexes) this.#db.exec(sql)
  }

  addDue(count: number, dueAt: (i: number) => number, owner: Owner, nowMs: number): Deadline[] {
    const rows = Array.from({ length: count }, (_, i) => dueRow(i, dueAt(i), owner, nowMs))
    this.#insert('conversations', count, (i) => rows[i] as object)
    this.#db.pragma('wal_checkpoint')
    return deadlines(rows)
  }

  readonly firstPending = (): Deadline | undefined => {
    this.#first ??= this.#db.prepare(
      'select sid, next_due as due from conversations where next_due is not null order by next_due, service_sid, sid limit 1',
    )
    return this.#first.get()
  }
  #first: Sqlite.Statement<[], Deadline> | undefined

  addDeliveries(count: number, target: { service_sid: string; url: string }, account_sid: string, nowMs: number): void {
    this.#insert('deliveries', count, (i) => deliveryRow(i, target, account_sid, 1, nowMs))
    this.#db.pragma('wal_checkpoint')
  }

  persisted(): Persisted {
    const names = this.all<{ sid: string; name: string }>('select sid, friendly_name as name from conversations')
    const events = this.all<{ sid: string; count: number }>(
      'select subject_sid as sid, count(*) as count from deliveries group by subject_sid',
    )
    return {
      names: new Map(names.map(({ sid, name }) => [sid, name])),
      events: new Map(events.map(({ sid, count }) => [sid, count])),
    }
  }

  reader() {
    const read = new SqliteReader(openConnection(this.#path, { readonly: true, durable: true }))
    return { read, refresh: () => read.refresh(), close: () => read.close() }
  }

  service(sid: string): ServiceRow {
    return this.#db.prepare<[string], ServiceRow>('select * from services where sid = ?').get(sid) as ServiceRow
  }

  hasPendingDeliveries(service_sid: string): boolean {
    this.#pending ??= this.#db.prepare("select 1 from deliveries where status = 'pending' and target_sid = ? limit 1")
    return this.#pending.get(service_sid) !== undefined
  }
  #pending: Sqlite.Statement<[string]> | undefined

  /** Deletes all conversations after the first `rows`. */
  deleteConversationsAfter(rows: number): void {
    this.#db.prepare('delete from conversations where rowid > ?').run(rows)
    this.#db.pragma('wal_checkpoint')
  }

  /** Returns a function that deletes what has been added to these tables since this call. */
  snapshot(tables: readonly string[]): () => void {
    const deletions = tables.map((table) => {
      const [last] = this.all<{ last: number | null }>(`select max(rowid) as last from ${table}`)
      const added = this.#db.prepare(`delete from ${table} where rowid > ${last?.last ?? 0}`)
      return () => added.run()
    })
    return () => {
      for (const run of deletions) run()
      this.#db.pragma('wal_checkpoint')
    }
  }

  deleteDeliveries(): void {
    this.#db.prepare('delete from deliveries').run()
    this.#db.pragma('wal_checkpoint')
  }

  all<R>(sql: string): R[] {
    return this.#db.prepare<[], R>(sql).all()
  }

  #insert(table: string, count: number, row: (i: number) => object): void {
    if (count === 0) return
    const columns = Object.keys(row(0))
    const insert = this.#db.prepare(`insert into ${table} (${columns}) values (${columns.map((column) => `@${column}`)})`)
    this.#db.transaction(() => {
      for (let i = 0; i < count; i++) insert.run(row(i))
    })()
  }
}
