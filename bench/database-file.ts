import { randomUUID } from 'node:crypto'
import { closeSync, fsyncSync, openSync } from 'node:fs'
import Sqlite, { type Database } from 'better-sqlite3'
import { newSid, orderedSid } from '../src/sids.ts'
import type { AccountRow, ConversationRow, DeliveryRow, ServiceRow } from '../src/storage/schema.ts'
import { attributesOf, type Owner } from './population.ts'

/** Puts rows into tables by the function it is given. */
export type Filling = (insert: (table: string, count: number, row: (i: number) => object) => void, owner: Owner) => void

/**
 * A Parley database as the bench sees it, straight through the driver: filled and looked into while its server runs beside
 * (the file is in WAL mode), or while none does.
 */
export class DatabaseFile {
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

  /** The rows of the account's default service belong to this. */
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

  /** Conversations that fall due; answers their deadlines in the order in which a sweep takes them. */
  addDue(count: number, dueAt: (i: number) => number, owner: Owner, now_ms: number): { sid: string; due: number }[] {
    const rows = Array.from({ length: count }, (_, i): ConversationRow => {
      const due = dueAt(i)
      return {
        ...owner,
        sid: newSid('CH', now_ms),
        friendly_name: `Due ${i}`,
        unique_name: null,
        attributes: attributesOf(i),
        state: 'active',
        inactive_after: 'PT1M',
        closed_after: null,
        date_inactive: due,
        date_closed: null,
        next_due: due,
        email_address: null,
        email_name: null,
        created_by: 'system',
        last_message_index: -1,
        webhook_count: 0,
        date_activity: now_ms,
        date_created: now_ms,
        date_updated: now_ms,
        revision: 1,
      }
    })
    this.#insert('conversations', count, (i) => rows[i] as ConversationRow)
    this.#db.pragma('wal_checkpoint')
    return rows
      .map(({ sid, next_due }) => ({ sid, due: next_due as number }))
      .sort((a, b) => a.due - b.due || (a.sid < b.sid ? -1 : 1))
  }

  /** The first conversation, in the order in which a sweep takes them, whose deadline has not been applied. */
  readonly firstPending = (): { sid: string; next_due: number } | undefined => {
    this.#first ??= this.#db.prepare(
      'select sid, next_due from conversations where next_due is not null order by next_due, service_sid, sid limit 1',
    )
    return this.#first.get()
  }
  #first: Sqlite.Statement<[], { sid: string; next_due: number }> | undefined

  /** Events that wait in the outbox, each about a conversation of its own. */
  addDeliveries(count: number, target: { service_sid: string; url: string }, account_sid: string, now_ms: number): void {
    this.#insert('deliveries', count, (i): DeliveryRow => {
      const subject_sid = newSid('CH', now_ms)
      return {
        id: orderedSid('WD', now_ms),
        account_sid,
        service_sid: target.service_sid,
        target_sid: target.service_sid,
        subject_sid,
        event_type: 'onConversationAdded',
        method: 'POST',
        url: target.url,
        form: formOf(i, account_sid, target.service_sid, subject_sid),
        idempotency_token: randomUUID(),
        status: 'pending',
        due: now_ms,
        attempts: '[]',
        date_created: now_ms,
        date_finished: null,
      }
    })
    this.#db.pragma('wal_checkpoint')
  }

  service(sid: string): ServiceRow {
    return this.#db.prepare<[string], ServiceRow>('select * from services where sid = ?').get(sid) as ServiceRow
  }

  hasPendingDeliveries(service_sid: string): boolean {
    this.#pending ??= this.#db.prepare("select 1 from deliveries where status = 'pending' and target_sid = ? limit 1")
    return this.#pending.get(service_sid) !== undefined
  }
  #pending: Sqlite.Statement<[string]> | undefined

  /** Removes what was added to the first `rows` conversations. */
  forgetConversations(rows: number): void {
    this.#db.prepare('delete from conversations where rowid > ?').run(rows)
    this.#db.pragma('wal_checkpoint')
  }

  /** Answers a function that removes what these tables have gained since. */
  gained(tables: readonly string[]): () => void {
    const forget = tables.map((table) => {
      const [last] = this.all<{ last: number | null }>(`select max(rowid) as last from ${table}`)
      const gone = this.#db.prepare(`delete from ${table} where rowid > ${last?.last ?? 0}`)
      return () => gone.run()
    })
    return () => {
      for (const remove of forget) remove()
      this.#db.pragma('wal_checkpoint')
    }
  }

  forgetDeliveries(): void {
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

function formOf(i: number, account_sid: string, service_sid: string, conversation_sid: string): string {
  return JSON.stringify({
    EventType: 'onConversationAdded',
    AccountSid: account_sid,
    ChatServiceSid: service_sid,
    Source: 'API',
    ConversationSid: conversation_sid,
    FriendlyName: `Order ${i}`,
    Attributes: attributesOf(i),
    MessagingServiceSid: 'MG00000000000000000000000000000b01',
    State: 'active',
    DateCreated: '2025-01-01T00:00:00.000Z',
    DateUpdated: '2025-01-01T00:00:00.000Z',
  })
}
