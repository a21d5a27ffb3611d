import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { connectionSettings, createPool } from '../../src/storage/postgres/connection.ts'
import { slots } from '../../src/storage/postgres/leases.ts'
import { PostgresReader } from '../../src/storage/postgres/reader.ts'
import type { AccountRow, ServiceRow } from '../../src/storage/schema.ts'
import { type Deadline, deadlines, deliveryRow, dueRow } from '../added-rows.ts'
import type { Contents, Filling, Persisted } from '../contents.ts'
import type { Owner } from '../population.ts'

const failed = (error: Error) => console.error(error)
/** Rows per statement. */
const chunk = 1000

/** Direct access to a Parley database on PostgreSQL, past the nodes. */
export class SharedContents implements Contents {
  /** Measured: 100 to 200 µs each, on a machine with other load. */
  readonly row_ms = 0.3
  readonly #pool: pg.Pool
  readonly #url: string

  constructor(url: string) {
    this.#url = url
    // Vacuuming a large table takes longer than the time limit of the server's queries.
    this.#pool = new pg.Pool({ ...connectionSettings(url), max: 1, statement_timeout: 0, query_timeout: 0, lock_timeout: 0 })
    this.#pool.on('error', failed)
  }

  close(): Promise<void> {
    return this.#pool.end()
  }

  async owner(): Promise<Owner> {
    const [account] = await this.#all<AccountRow>('select * from accounts')
    const { sid, default_service_sid, default_messaging_service_sid } = account as AccountRow
    return { account_sid: sid, service_sid: default_service_sid, messaging_service_sid: default_messaging_service_sid }
  }

  async service(sid: string): Promise<ServiceRow> {
    return (await this.#all<ServiceRow>('select * from services where sid = $1', [sid]))[0] as ServiceRow
  }

  /** Fills empty tables and vacuums them, as autovacuum would. */
  async fill(work: Filling): Promise<void> {
    const tables: [string, number, (i: number) => object][] = []
    work((...table) => tables.push(table), await this.owner())
    for (const [table, count, row] of tables) {
      await this.#insert(table, count, row)
      await this.#all(`vacuum analyze ${table}`)
    }
  }

  async addDue(count: number, dueAt: (i: number) => number, owner: Owner, nowMs: number): Promise<Deadline[]> {
    const rows = Array.from({ length: count }, (_, i) => dueRow(i, dueAt(i), owner, nowMs))
    await this.#insert('conversations', count, (i) => rows[i] as object)
    return deadlines(rows)
  }

  async firstPending(): Promise<Deadline | undefined> {
    const first = `select sid, next_due as due from conversations
      where next_due is not null order by next_due, service_sid, sid limit 1`
    return (await this.#all<Deadline>(first, [], 'first'))[0]
  }

  /** Returns those of these conversations that still have a deadline. */
  async pendingOf(sids: readonly string[]): Promise<ReadonlySet<string>> {
    // There are few services: the conversations are found by their primary key.
    const pending = `select sid from conversations
      where service_sid = any(array(select sid from services)) and sid = any($1) and next_due is not null`
    return new Set((await this.#all<{ sid: string }>(pending, [sids], 'pending of')).map(({ sid }) => sid))
  }

  /** Notifies the nodes of the deliveries, as another node would. */
  async addDeliveries(count: number, target: { service_sid: string; url: string }, account_sid: string, nowMs: number) {
    await this.#insert('deliveries', count, (i) => deliveryRow(i, target, account_sid, slots, nowMs))
    const notices = Array.from({ length: slots }, (_, slot) => ({ topic: 'deliveries', target_sid: target.service_sid, slot }))
    await this.#all("select pg_notify('parley', $1)", [randomUUID() + JSON.stringify(notices)])
  }

  async hasPendingDeliveries(service_sid: string): Promise<boolean> {
    // One slot after the other, in the order of the index.
    const pending = `select 1 from generate_series(0, ${slots - 1}) as n
      where exists (select 1 from deliveries where status = 'pending' and slot = n and target_sid = $1) limit 1`
    return (await this.#all(pending, [service_sid], 'pending')).length > 0
  }

  deleteDeliveries(): Promise<void> {
    return this.forget('deliveries')
  }

  async forget(...tables: readonly string[]): Promise<void> {
    await this.#all(`truncate ${tables.join(', ')}`)
  }

  async persisted(): Promise<Persisted> {
    const names = await this.#all<{ sid: string; name: string }>('select sid, friendly_name as name from conversations')
    const events = await this.#all<{ sid: string; count: number }>(
      'select subject_sid as sid, count(*) as count from deliveries group by subject_sid',
    )
    return {
      names: new Map(names.map(({ sid, name }) => [sid, name])),
      events: new Map(events.map(({ sid, count }) => [sid, count])),
    }
  }

  /** Returns how many nodes hold leases of deliveries. */
  async owners(): Promise<number> {
    const owners = "select count(distinct owner) as owners from leases where name like 'slot:%' and until > 0"
    return (await this.#all<{ owners: number }>(owners))[0]?.owners ?? 0
  }

  /** Returns how many clients with this name are connected to this database. */
  async clients(name: string): Promise<number> {
    const clients = `select count(*) as clients from pg_stat_activity
      where datname = current_database() and application_name = $1`
    return (await this.#all<{ clients: number }>(clients, [name], 'clients'))[0]?.clients ?? 0
  }

  reader() {
    const pool = createPool(this.#url, { max: 1, failed })
    return { read: new PostgresReader(pool, { failed, coalesce: true }), refresh: () => {}, close: () => pool.end() }
  }

  async #insert(table: string, count: number, row: (i: number) => object): Promise<void> {
    for (let from = 0; from < count; from += chunk) {
      const rows = Array.from({ length: Math.min(chunk, count - from) }, (_, i) => row(from + i))
      const text = `insert into ${table} select * from json_populate_recordset(null::${table}, $1)`
      await this.#all(text, [JSON.stringify(rows)], `insert ${table}`)
    }
  }

  async #all<R extends object>(text: string, values: unknown[] = [], name?: string): Promise<R[]> {
    return (await this.#pool.query<R>({ text, values, ...(name !== undefined && { name }) })).rows
  }
}
