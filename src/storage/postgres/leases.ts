import { randomUUID } from 'node:crypto'
import type { Pool } from 'pg'
import type { Slots, SlotWorker } from '../database.ts'

/** As many nodes as this can share the deliveries. */
export const slots = 16
const lease_ms = 10_000
const beat_ms = 2000
/** For so long after a gap everybody renews what is theirs: a database that was away has outlived all leases. */
const grace_ms = 2 * beat_ms

/** The database's clock: those of the nodes need not agree. */
const now = '(extract(epoch from clock_timestamp()) * 1000)::bigint'

const alive = `insert into leases (name, owner, until) values ('node:' || $1, $1, ${now} + ${lease_ms})
  on conflict (name) do update set until = excluded.until`

const renew = `update leases set until = ${now} + ${lease_ms} where owner = $1 and name like 'slot:%' returning name`

const nodes = `select count(*) as nodes from leases where name like 'node:%' and until > ${now}`

const make = `insert into leases (name, owner, until) select 'slot:' || n, '', 0 from generate_series(0, ${slots - 1}) as n
  on conflict do nothing`

/** What was given back, and, when $3, what has run out. Nobody waits for a row that another node is just taking. */
const take = `update leases set owner = $1, until = ${now} + ${lease_ms}
  where name in (
    select name from leases where name like 'slot:%' and (until = 0 or ($3 and until < ${now}))
    limit $2 for update skip locked)
  returning name`

const giveBack = "update leases set until = 0, owner = '' where owner = $1 and name = any($2)"

const forget = `delete from leases where name like 'node:%' and until < ${now} - 60000`

export interface LeasesOptions {
  readonly pool: Pool
  readonly failed: (error: Error) => void
  /** Told when parts were given back: another node may have them at once. */
  readonly freed: () => void
}

/**
 * Shares the slots out among the nodes that live: each has a lease on some, renewed every two seconds and valid for ten. A node
 * that dies is succeeded when its leases have run out. A node counts its own lease from before it asked for it, so it stops
 * believing in it before any other can get it.
 */
export class Leases implements Slots {
  readonly count = slots
  readonly #options: LeasesOptions
  readonly #id = randomUUID()
  /** Until when, by this process's own clock. */
  readonly #until = new Map<number, number>()
  /** Slots that are being given up, and those of them of which nothing is under way any more. */
  readonly #leaving = new Map<number, Promise<void>>()
  readonly #left = new Set<number>()
  #made = false
  #worker: SlotWorker | undefined
  #beating: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #since = Number.POSITIVE_INFINITY
  #stopped = true

  constructor(options: LeasesOptions) {
    this.#options = options
  }

  mine(slot: number, for_ms: number): boolean {
    return !this.#leaving.has(slot) && (this.#until.get(slot) ?? 0) - performance.now() > for_ms
  }

  async start(worker: SlotWorker): Promise<void> {
    this.#worker = worker
    this.#stopped = false
    await this.#beat()
  }

  /** Looks now: somebody may have given something back. */
  look(): void {
    if (!this.#stopped) void this.#beat()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#beating
    await Promise.all([...this.#until.keys()].map((slot) => this.#lose(slot)))
    await this.#giveBack().catch(this.#options.failed)
    await this.#options.pool.query("delete from leases where name = 'node:' || $1", [this.#id]).catch(this.#options.failed)
  }

  /** One after the other. */
  #beat(): Promise<void> {
    clearTimeout(this.#timer)
    this.#beating = this.#beating.then(async () => {
      if (this.#stopped) return
      try {
        await this.#once()
      } catch (error) {
        this.#options.failed(error as Error)
        this.#since = Number.POSITIVE_INFINITY
      }
      this.#dropExpired()
      clearTimeout(this.#timer)
      if (!this.#stopped) this.#timer = setTimeout(() => void this.#beat(), beat_ms)
    })
    return this.#beating
  }

  async #once(): Promise<void> {
    const asked_at = performance.now()
    const { pool } = this.#options
    if (!this.#made) await pool.query(make)
    this.#made = true
    await this.#giveBack()
    await pool.query({ name: 'alive', text: alive, values: [this.#id] })
    const renewed = await pool.query<{ name: string }>({ name: 'renew', text: renew, values: [this.#id] })
    const kept = new Set(renewed.rows.map(({ name }) => numberOf(name)))
    for (const slot of this.#until.keys()) if (!kept.has(slot)) void this.#lose(slot)
    for (const slot of kept) this.#have(slot, asked_at)
    this.#since = Math.min(this.#since, asked_at)
    const living = (await pool.query<{ nodes: number }>({ name: 'nodes', text: nodes })).rows[0]?.nodes ?? 1
    const share = Math.ceil(slots / Math.max(1, living))
    const staying = [...this.#until.keys()].filter((slot) => !this.#leaving.has(slot))
    // Goes on beside the beats: what is under way may take as long as an endpoint does.
    for (const slot of staying.slice(share)) void this.#lose(slot)
    if (this.#until.size < share) await this.#take(share - this.#until.size)
    await pool.query({ name: 'forget', text: forget })
  }

  async #take(most: number): Promise<void> {
    const asked_at = performance.now()
    const values = [this.#id, most, asked_at - this.#since >= grace_ms]
    const taken = await this.#options.pool.query<{ name: string }>({ name: 'take', text: take, values })
    for (const { name } of taken.rows) this.#have(numberOf(name), asked_at)
  }

  #have(slot: number, asked_at: number): void {
    const had = this.#until.has(slot)
    this.#until.set(slot, asked_at + lease_ms)
    if (!had) this.#worker?.gained(slot)
  }

  /** Never beside a renewal, whose answer would bring back what has just been given away. */
  async #giveBack(): Promise<void> {
    const given = [...this.#left]
    if (given.length === 0) return
    await this.#options.pool.query(giveBack, [this.#id, given.map((slot) => `slot:${slot}`)])
    for (const slot of given) {
      this.#left.delete(slot)
      this.#leaving.delete(slot)
      this.#until.delete(slot)
    }
    this.#options.freed()
  }

  /** The next beat gives it back. */
  #lose(slot: number): Promise<void> {
    const leaving =
      this.#leaving.get(slot) ??
      Promise.resolve(this.#worker?.lost(slot)).then(() => {
        this.#left.add(slot)
        this.look()
      })
    this.#leaving.set(slot, leaving)
    return leaving
  }

  #dropExpired(): void {
    for (const [slot, until] of this.#until) if (until < performance.now()) void this.#lose(slot)
  }
}

function numberOf(name: string): number {
  return Number(name.slice('slot:'.length))
}
