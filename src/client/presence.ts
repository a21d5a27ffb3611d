import type { Clock } from '../clock.ts'
import { Loop, type Worker } from '../loop.ts'
import type { Database } from '../storage/database.ts'
import { rowsBy } from '../storage/rows.ts'
import type { PresenceRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import type { PresenceChange, presenceCommands } from './presence-commands.ts'

/** A user of a client SDK. */
export type PresentUser = Omit<PresenceRow, 'node'>

export interface PresenceOptions {
  readonly clock: Clock
  readonly database: Database<typeof presenceCommands>
  /** How long a user whose connection was lost, and a node that has died, may take to come back. */
  readonly offlineAfterMs: number
  readonly onError: (error: unknown) => void
}

/** Users whose presence is stored in one transaction. */
const batch = 50
/** Between two looks at the other nodes. */
const lookMs = 5000
const idleMs = 3_600_000

const ofNode = rowsBy('presence', ['node'])
const countOfNode = shape<{ node: string }>()((db, a) =>
  db
    .selectFrom('presence')
    .select((eb) => eb.fn.countAll<number>().as('users'))
    .where('node', '=', a.node),
)
/** Steps from node to node without reading what each has. */
const nextNode = shape<{ after: string }>()((db, a) =>
  db.selectFrom('presence').select('node').where('node', '>', a.after).orderBy('node').limit(1),
)

/** Of what was stored without this process. */
const unknownEpoch = -1

interface Entry extends PresentUser {
  connected: boolean
  /** The epoch of the service in which they are stored as connected; null when they are not. */
  stored: number | null
  epoch: number
  /** Set while a lost connection may still come back. */
  timer?: NodeJS.Timeout
  /** When one of several was lost, as `performance.now()`; the next that opens is taken to be it again. */
  lostAt?: number | undefined
}

/**
 * Stores which users are connected to this node, when the first connection of one opens and after the last has closed: no
 * connection costs a write while it lasts. Only users of services with reachability on are given here. A node that dies keeps its
 * users online until its lease is over and they have had the time to come back; then any other ends them.
 */
export class Presence implements Worker {
  readonly #options: PresenceOptions
  readonly #entries = new Map<string, Entry>()
  readonly #changed = new Set<Entry>()
  /** Nodes that are not alive, and since when they have been seen so. */
  readonly #dead = new Map<string, number>()
  readonly #loop: Loop
  /** Whether the stored rows may differ from what this node has stored. */
  #doubtful = false
  /** Whether there may be users of other nodes. */
  #strangers = true
  /** When to look at the other nodes again, as `performance.now()`. */
  #look = 0

  constructor(options: PresenceOptions) {
    this.#options = options
    this.#loop = new Loop((signal) => this.#once(signal), options.onError)
    options.database.subscribe((notices) => {
      if (!notices.some(({ topic }) => topic === 'emptied')) return
      this.#doubtful = true
      this.#strangers = true
      this.#look = 0
      this.#loop.nudge()
    })
  }

  start(): void {
    this.#loop.start()
  }

  /** What is stored stays: whoever is connected comes back to another node, or to the next process. */
  async stop(): Promise<void> {
    for (const { timer } of this.#entries.values()) clearTimeout(timer)
    await this.#loop.stop()
  }

  /** A connection of a user has been admitted. `epoch`: of the service. */
  connected(user: PresentUser, epoch: number): void {
    const { account_sid, service_sid, user_sid } = user
    const entry = this.#entries.get(user_sid) ?? { account_sid, service_sid, user_sid, connected: true, stored: null, epoch }
    clearTimeout(entry.timer)
    Object.assign(entry, { connected: true, epoch, lostAt: undefined })
    this.#entries.set(user_sid, entry)
    this.#mark(entry)
  }

  /** A connection of a user was lost, and there are others. */
  lost(user_sid: string): void {
    const entry = this.#entries.get(user_sid)
    if (entry) entry.lostAt = performance.now()
  }

  /** The last connection of a user has closed. `meant`: by the client, which will not come back by itself. */
  disconnected(user_sid: string, meant: boolean): void {
    const entry = this.#entries.get(user_sid)
    if (!entry) return
    const end = () => {
      entry.connected = false
      this.#mark(entry)
    }
    clearTimeout(entry.timer)
    const lostAt = meant ? entry.lostAt : performance.now()
    const waitMs = lostAt === undefined ? 0 : lostAt + this.#options.offlineAfterMs - performance.now()
    if (waitMs <= 0) end()
    else entry.timer = setTimeout(end, waitMs).unref()
  }

  #mark(entry: Entry): void {
    if (entry.connected && entry.stored === entry.epoch) return
    this.#changed.add(entry)
    this.#loop.nudge()
  }

  async #once(signal: AbortSignal): Promise<number> {
    while (this.#changed.size > 0 && !signal.aborted) await this.#store([...this.#changed].slice(0, batch))
    if (performance.now() >= this.#look) this.#look = performance.now() + (await this.#lookAround(signal))
    return this.#changed.size > 0 ? 0 : Math.max(0, this.#look - performance.now())
  }

  /** Compares what is stored with what is so. Returns after how many ms to do it again. */
  async #lookAround(signal: AbortSignal): Promise<number> {
    const { database, offlineAfterMs } = this.#options
    const { soleOwner } = database.capabilities
    if (this.#doubtful || (!soleOwner && this.#entries.size > 0)) await this.#compare(database.nodes.id)
    if (this.#strangers || !soleOwner) await this.#endDead(signal)
    if (this.#dead.size > 0) return Math.min(lookMs, offlineAfterMs)
    // Nobody but this process stores anything.
    return soleOwner ? idleMs : lookMs
  }

  async #store(entries: readonly Entry[]): Promise<void> {
    const { clock, database } = this.#options
    for (const entry of entries) this.#changed.delete(entry)
    const sent = entries.map((entry) => ({ entry, connected: entry.connected, epoch: entry.epoch }))
    const changes = sent.map(({ entry: { account_sid, service_sid, user_sid }, connected }): PresenceChange => {
      return { account_sid, service_sid, user_sid, connected, now: clock.now(account_sid) }
    })
    try {
      await database.write('setPresence', { node: database.nodes.id, changes })
    } catch (error) {
      for (const entry of entries) this.#changed.add(entry)
      throw error
    }
    for (const { entry, connected, epoch } of sent) {
      entry.stored = connected ? epoch : null
      if (!entry.connected && !connected) this.#entries.delete(entry.user_sid)
    }
  }

  /** Others may have taken this node for dead: what they have removed is stored once more. */
  async #compare(node: string): Promise<void> {
    const { read } = this.#options.database
    const stored = [...this.#entries.values()].filter((entry) => entry.stored !== null)
    const counted = await read.one(countOfNode, { node })
    if (!this.#doubtful && counted?.users === stored.length) return
    this.#doubtful = false
    const rows = new Map((await read.all(ofNode, { node })).map((row) => [row.user_sid, row]))
    for (const entry of stored) {
      if (rows.delete(entry.user_sid)) continue
      entry.stored = null
      this.#changed.add(entry)
    }
    for (const { account_sid, service_sid, user_sid } of rows.values()) {
      if (this.#entries.has(user_sid)) continue
      const entry: Entry = { account_sid, service_sid, user_sid, connected: false, stored: unknownEpoch, epoch: unknownEpoch }
      this.#entries.set(user_sid, entry)
      this.#changed.add(entry)
    }
  }

  async #endDead(signal: AbortSignal): Promise<void> {
    const { clock, database, offlineAfterMs } = this.#options
    const others = await this.#otherNodes()
    this.#strangers = others.length > 0
    const live = others.length > 0 ? await database.nodes.live() : none
    for (const node of this.#dead.keys()) if (live.has(node) || !others.includes(node)) this.#dead.delete(node)
    for (const node of others) {
      if (live.has(node)) continue
      const since = this.#dead.get(node) ?? performance.now()
      this.#dead.set(node, since)
      if (performance.now() - since < offlineAfterMs) continue
      const drop = () => database.write('dropPresence', { node, now: clock.now(), limit: batch })
      while (!signal.aborted && (await drop()) === batch);
    }
  }

  async #otherNodes(): Promise<string[]> {
    const { read, nodes } = this.#options.database
    const found: string[] = []
    let next = await read.one(nextNode, { after: '' })
    while (next) {
      if (next.node !== nodes.id) found.push(next.node)
      next = await read.one(nextNode, { after: next.node })
    }
    return found
  }
}

const none: ReadonlySet<string> = new Set()
