import { randomUUID } from 'node:crypto'
import type { Pool } from 'pg'
import { errorOf } from '../../errors.ts'
import { packageVersion } from '../../package.ts'
import type { Nodes, Slots, SlotWorker } from '../database.ts'
import { writeOnce } from './connection.ts'

/** The number of parts, and so the most nodes that can share the deliveries. */
export const slots = 16
const leaseMs = 10_000
const beatMs = 2000
/** After a gap nodes only renew for so long: while the database was away, all leases have expired. */
const graceMs = 2 * beatMs

/** By the clock of the database: those of the nodes may differ. */
const now = '(extract(epoch from clock_timestamp()) * 1000)::bigint'

/** The name says whose it is; its owner says which version that is. */
const beat = `insert into leases (name, owner, until) values ('node:' || $1, $2, ${now} + ${leaseMs})
  on conflict (name) do update set until = excluded.until`

/** Not shortened: work may be in progress for which it was extended. */
const renew = `update leases set until = greatest(until, ${now} + ${leaseMs}) where owner = $1 and name like 'slot:%' returning name`

/** Selects the ids of the nodes whose lease is valid. */
export const liveNodesQuery = `select substr(name, 6) as node from leases where name like 'node:%' and until > ${now} order by name`

const make = `insert into leases (name, owner, until) select 'slot:' || n, '', 0 from generate_series(0, ${slots - 1}) as n
  on conflict do nothing`

const lengthen = `update leases set until = greatest(until, ${now} + $3::bigint) where owner = $1 and name = $2`

/** Takes released slots and, when $3, expired ones. Rows that another node is taking are skipped, not waited for. */
const take = `update leases set owner = $1, until = ${now} + ${leaseMs}
  where name in (
    select name from leases where name like 'slot:%' and (until = 0 or ($3 and until < ${now}))
    limit $2 for update skip locked)
  returning name`

const release = "update leases set until = 0, owner = '' where owner = $1 and name = any($2)"

const leave = "delete from leases where name = 'node:' || $1"

const forget = `delete from leases where name like 'node:%' and until < ${now} - 60000`

export interface LeasesOptions {
  readonly pool: Pool
  readonly failed: (error: Error) => void
  /** Called when slots were released, so that other nodes take them at once. */
  readonly freed: () => void
}

/**
 * Divides the slots among the live nodes. Each slot is leased to one node, for ten seconds, and renewed every two; it is extended
 * before work that takes longer:
 *
 *   free → taken → renewed … → leaving (work in progress ends) → released → free
 *                     └ not renewed in time ─────────→ expired → taken by another node
 *
 * A node measures its lease from before it sends the statement that takes or renews it, by its own monotonic clock: so it stops
 * using a slot before the database lets another node have it.
 */
export class Leases implements Slots, Nodes {
  readonly count = slots
  readonly #options: LeasesOptions
  readonly id = randomUUID()
  /** Until when, by this process's own clock. */
  readonly #until = new Map<number, number>()
  /** Slots that are leaving, and those of them whose work has ended. */
  readonly #leaving = new Map<number, Promise<void>>()
  readonly #left = new Set<number>()
  readonly #extending = new Map<number, Promise<void>>()
  #size = 1
  #made = false
  #worker: SlotWorker | undefined
  #beating: Promise<void> = Promise.resolve()
  #timer: NodeJS.Timeout | undefined
  #since = Number.POSITIVE_INFINITY
  #stopped = true

  constructor(options: LeasesOptions) {
    this.#options = options
  }

  mine(slot: number, forMs: number): boolean {
    return !this.#leaving.has(slot) && (this.#until.get(slot) ?? 0) - performance.now() > forMs
  }

  async extend(slot: number, forMs: number): Promise<boolean> {
    // Those who ask at one time share a statement.
    const extending = this.#extending.get(slot) ?? this.#lengthen(slot, forMs)
    this.#extending.set(slot, extending)
    await extending
    return this.mine(slot, forMs)
  }

  /** Looked up at each beat. */
  get size(): number {
    return this.#size
  }

  async live(): Promise<ReadonlySet<string>> {
    const { rows } = await this.#options.pool.query<{ node: string }>({ name: 'nodes', text: liveNodesQuery })
    this.#size = Math.max(1, rows.length)
    return new Set(rows.map(({ node }) => node))
  }

  async start(worker: SlotWorker): Promise<void> {
    this.#worker = worker
    this.#stopped = false
    await this.#beat()
  }

  /** Beats now instead of at the next interval: slots may have been released. */
  beatNow(): void {
    if (!this.#stopped) void this.#beat()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    clearTimeout(this.#timer)
    await this.#beating
    await Promise.all([...this.#until.keys()].map((slot) => this.#leave(slot)))
    await this.#release().catch(this.#options.failed)
    await writeOnce(this.#options.pool, { text: leave, values: [this.id] }).catch(this.#options.failed)
  }

  /** Beats never overlap. */
  #beat(): Promise<void> {
    clearTimeout(this.#timer)
    this.#beating = this.#beating.then(async () => {
      if (this.#stopped) return
      try {
        await this.#renew()
      } catch (error) {
        this.#options.failed(errorOf(error))
        this.#since = Number.POSITIVE_INFINITY
      }
      this.#dropExpired()
      clearTimeout(this.#timer)
      if (!this.#stopped) this.#timer = setTimeout(() => void this.#beat(), beatMs)
    })
    return this.#beating
  }

  async #renew(): Promise<void> {
    const askedAt = performance.now()
    const { pool } = this.#options
    if (!this.#made) await writeOnce(pool, { text: make })
    this.#made = true
    await this.#release()
    await writeOnce(pool, { name: 'beat', text: beat, values: [this.id, packageVersion()] })
    const renewed = await writeOnce<{ name: string }>(pool, { name: 'renew', text: renew, values: [this.id] })
    const kept = new Set(renewed.rows.map(({ name }) => numberOf(name)))
    for (const slot of this.#until.keys()) if (!kept.has(slot)) void this.#leave(slot)
    for (const slot of kept) this.#hold(slot, askedAt)
    this.#since = Math.min(this.#since, askedAt)
    const live = await this.live()
    const share = Math.ceil(slots / Math.max(1, live.size))
    const staying = [...this.#until.keys()].filter((slot) => !this.#leaving.has(slot))
    // Not awaited: work in progress may take as long as an endpoint does.
    for (const slot of staying.slice(share)) void this.#leave(slot)
    if (this.#until.size < share) await this.#take(share - this.#until.size)
    await writeOnce(pool, { name: 'forget', text: forget })
  }

  async #take(max: number): Promise<void> {
    const askedAt = performance.now()
    const values = [this.id, max, askedAt - this.#since >= graceMs]
    const taken = await writeOnce<{ name: string }>(this.#options.pool, { name: 'take', text: take, values })
    for (const { name } of taken.rows) this.#hold(numberOf(name), askedAt)
  }

  /** By a lease more than asked, which serves those who ask next. */
  async #lengthen(slot: number, forMs: number): Promise<void> {
    const lengthMs = forMs + leaseMs
    const askedAt = performance.now()
    try {
      const values = [this.id, `slot:${slot}`, lengthMs]
      const { rowCount } = await writeOnce(this.#options.pool, { name: 'lengthen', text: lengthen, values })
      if (rowCount === 1 && this.#until.has(slot)) this.#hold(slot, askedAt, lengthMs)
    } catch (error) {
      this.#options.failed(errorOf(error))
    } finally {
      this.#extending.delete(slot)
    }
  }

  #hold(slot: number, askedAt: number, lengthMs = leaseMs): void {
    const had = this.#until.has(slot)
    this.#until.set(slot, Math.max(this.#until.get(slot) ?? 0, askedAt + lengthMs))
    if (!had) this.#worker?.gained(slot)
  }

  /** Never concurrent with a renewal, whose result would bring back what has just been released. */
  async #release(): Promise<void> {
    const ended = [...this.#left]
    if (ended.length === 0) return
    await writeOnce(this.#options.pool, { text: release, values: [this.id, ended.map((slot) => `slot:${slot}`)] })
    for (const slot of ended) {
      this.#left.delete(slot)
      this.#leaving.delete(slot)
      this.#until.delete(slot)
    }
    this.#options.freed()
  }

  /** The next beat releases it. */
  #leave(slot: number): Promise<void> {
    const leaving =
      this.#leaving.get(slot) ??
      Promise.resolve(this.#worker?.lost(slot)).then(() => {
        this.#left.add(slot)
        this.beatNow()
      })
    this.#leaving.set(slot, leaving)
    return leaving
  }

  #dropExpired(): void {
    for (const [slot, until] of this.#until) if (until < performance.now()) void this.#leave(slot)
  }
}

function numberOf(name: string): number {
  return Number(name.slice('slot:'.length))
}
