import { sql } from 'kysely'
import { Loop, type Worker } from '../loop.ts'
import type { Database, Notice } from '../storage/database.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { webhook_timeout_ms } from './client.ts'
import type { DeliveryResult } from './record.ts'
import { attemptDelivery, type SenderOptions } from './sender.ts'

/** In flight to one target at a time. */
const most_in_flight = 64
/** Rows of one queue read at a time; the rest stays in the database. */
const window = 512
/** More are read when no more than so many wait in memory: with a slow endpoint, reading would show the same rows again. */
const low_water = 64
/** Looks for what other processes have written, besides being told: a notice can be lost. */
const poll_ms = 1000
/** A webhook's answer and the record of it: so long a slot must still be this process's own. */
const longest_send_ms = webhook_timeout_ms + 1000

export interface DeliveriesOptions<Report> extends SenderOptions<Report> {
  readonly database: Pick<Database, 'capabilities' | 'read' | 'slots' | 'subscribe'>
  /** Resolves once the results are on disk. */
  readonly record: (results: readonly DeliveryResult<Report>[]) => Promise<void>
  readonly failed: (error: unknown) => void
}

interface Lane {
  readonly queue: DeliveryRow[]
  busy: boolean
}

/** What one target is to be told of one slot. */
interface Queue {
  readonly slot: number
  readonly target_sid: string
  /** By subject: one at a time and in order; different subjects side by side. */
  readonly lanes: Map<string, Lane>
  /** Subjects that can go on, first come first served. */
  readonly ready: string[]
  /** Ids of the rows in memory: waiting, in flight, or sent and not yet recorded. */
  readonly held: Set<string>
  /** Of them, those that nobody sends yet. */
  waiting: number
  /** Whether there may be more in the database. */
  more: boolean
  loading: boolean
  /** Recorded while rows were read: the read may still show them as pending. */
  readonly recorded: string[]
}

/** In the text of the query: a parameter would not match the partial index. */
const pending = sql.lit<'pending'>('pending')

/** With the last target found, walks the targets that have something pending without reading all of it. */
const nextTarget = shape<{ slot: number; after: string }>()((db, a) =>
  db
    .selectFrom('deliveries')
    .select('target_sid')
    .where('status', '=', pending)
    .where('slot', '=', a.slot)
    .where('target_sid', '>', a.after)
    .orderBy('target_sid')
    .limit(1),
)
/** The target of those that are sent nowhere sorts before all others. */
const firstTarget = shape<{ slot: number }>()((db, a) =>
  db
    .selectFrom('deliveries')
    .select('target_sid')
    .where('status', '=', pending)
    .where('slot', '=', a.slot)
    .orderBy('target_sid')
    .limit(1),
)

/** From the first on: a row of another process may be committed after one with a higher id. */
const pendingOf = shape<{ slot: number; target_sid: string; limit: number }>()((db, a) =>
  db
    .selectFrom('deliveries')
    .selectAll()
    .where('status', '=', pending)
    .where('slot', '=', a.slot)
    .where('target_sid', '=', a.target_sid)
    .orderBy('id')
    .limit(a.limit),
)

/**
 * Sends what the outbox holds. Whom to tell was decided when it happened; here only: prepare → send → record.
 * Each slot is worked off by the process that has it. A target's rows are taken in windows and go out in order per subject, so a
 * slow or dead endpoint delays only itself.
 */
export class Deliveries<Report> implements Worker {
  readonly #options: DeliveriesOptions<Report>
  /** By slot, then by target. */
  readonly #slots = new Map<number, Map<string, Queue>>()
  /** Slots that are being given up. */
  readonly #leaving = new Set<number>()
  readonly #in_flight = new Map<string, number>()
  readonly #sending = new Map<Promise<void>, number>()
  readonly #waiting = new Set<() => void>()
  #results: { result: DeliveryResult<Report>; recorded: () => void }[] = []
  #recording: Promise<void> | undefined
  readonly #poll: Loop
  #stopped = true

  constructor(options: DeliveriesOptions<Report>) {
    this.#options = options
    const { database } = options
    this.#poll = new Loop(async () => {
      await Promise.all([...this.#slots.keys()].map((slot) => this.#findTargets(slot)))
      // The clock may have been moved by another node whose notice was lost.
      this.#lookAgain()
      // What was held back because nobody could say whose the slot was.
      for (const queues of this.#slots.values()) for (const queue of queues.values()) this.#send(queue)
      return poll_ms
    }, options.failed)
    database.subscribe((notices) => {
      const told = new Map<string, Extract<Notice, { topic: 'deliveries' }>>()
      for (const notice of notices) {
        if (notice.topic === 'deliveries') told.set(`${notice.slot} ${notice.target_sid}`, notice)
        if (notice.topic === 'clock') this.#lookAgain()
        if (notice.topic === 'missed') this.#poll.nudge()
      }
      for (const { slot, target_sid } of told.values()) this.#wake(slot, target_sid)
    })
  }

  start(): void {
    this.#stopped = false
    this.#options.database.slots
      .start({ gained: (slot) => this.#gained(slot), lost: (slot) => this.#lost(slot) })
      .catch(this.#options.failed)
    // A single owner is told of everything.
    if (!this.#options.database.capabilities.sole_owner) this.#poll.start()
  }

  /** Sends nothing more; resolves when what was in flight is answered and recorded. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#poll.stop()
    this.#lookAgain()
    await Promise.all(this.#sending.keys())
    await this.#recording
    await this.#options.database.slots.stop()
  }

  #gained(slot: number): void {
    this.#slots.set(slot, new Map())
    this.#findTargets(slot).catch(this.#options.failed)
  }

  /** What waits is left to whoever has the slot next; what is in flight is finished first. */
  async #lost(slot: number): Promise<void> {
    this.#leaving.add(slot)
    this.#lookAgain()
    await Promise.all([...this.#sending].flatMap(([sending, of]) => (of === slot ? [sending] : [])))
    await this.#recording
    this.#slots.delete(slot)
    this.#leaving.delete(slot)
  }

  async #findTargets(slot: number): Promise<void> {
    const { read } = this.#options.database
    let found = await read.one(firstTarget, { slot })
    while (found && !this.#stopped) {
      this.#wake(slot, found.target_sid)
      found = await read.one(nextTarget, { slot, after: found.target_sid })
    }
  }

  #wake(slot: number, target_sid: string): void {
    const queues = this.#slots.get(slot)
    if (this.#stopped || !queues) return
    let queue = queues.get(target_sid)
    if (!queue) {
      queue = {
        slot,
        target_sid,
        lanes: new Map(),
        ready: [],
        held: new Set(),
        waiting: 0,
        more: true,
        loading: false,
        recorded: [],
      }
      queues.set(target_sid, queue)
    }
    queue.more = true
    this.#load(queue)
  }

  /** Whether nothing more of the slot may begin. */
  #isOver(slot: number): boolean {
    return this.#stopped || this.#leaving.has(slot) || !this.#options.database.slots.mine(slot, longest_send_ms)
  }

  /** Fills the window. */
  #load(queue: Queue): void {
    const { slot, target_sid, held } = queue
    if (queue.loading || !queue.more || queue.waiting > low_water || this.#isOver(slot)) return
    queue.loading = true
    queue.more = false
    // Those that are held come first.
    const limit = held.size + window
    this.#options.database.read
      .all(pendingOf, { slot, target_sid, limit })
      .then((rows) => {
        if (rows.length === limit) queue.more = true
        for (const row of rows) if (!held.has(row.id)) this.#hold(queue, row)
      }, this.#options.failed)
      .finally(() => {
        queue.loading = false
        for (const id of queue.recorded.splice(0)) held.delete(id)
        this.#send(queue)
        this.#load(queue)
        this.#forgetIdle(queue)
      })
  }

  #hold(queue: Queue, row: DeliveryRow): void {
    queue.held.add(row.id)
    queue.waiting++
    let lane = queue.lanes.get(row.subject_sid)
    if (!lane) {
      lane = { queue: [], busy: false }
      queue.lanes.set(row.subject_sid, lane)
    }
    lane.queue.push(row)
    if (!lane.busy && lane.queue.length === 1) queue.ready.push(row.subject_sid)
  }

  #forgetIdle(queue: Queue): void {
    const queues = this.#slots.get(queue.slot)
    const idle = queue.held.size === 0 && !queue.more && !queue.loading
    if (idle && queues?.get(queue.target_sid) === queue) queues.delete(queue.target_sid)
  }

  /** Several slots may have something for one target: as one goes out, another may follow. */
  #sendNext(target_sid: string): void {
    for (const queues of this.#slots.values()) {
      const queue = queues.get(target_sid)
      if (queue) this.#send(queue)
    }
  }

  #send(queue: Queue): void {
    const { slot, target_sid } = queue
    while (!this.#isOver(slot) && (this.#in_flight.get(target_sid) ?? 0) < most_in_flight) {
      const subject = queue.ready.shift()
      if (subject === undefined) break
      const lane = queue.lanes.get(subject)
      const row = lane?.queue.shift()
      if (!lane || !row) continue
      lane.busy = true
      queue.waiting--
      this.#count(target_sid, 1)
      const sending = this.#work(queue, row)
        .catch(this.#options.failed)
        .finally(() => {
          this.#sending.delete(sending)
          lane.busy = false
          if (lane.queue.length > 0) queue.ready.push(subject)
          else queue.lanes.delete(subject)
          this.#sendNext(target_sid)
          this.#load(queue)
        })
      this.#sending.set(sending, slot)
    }
  }

  #count(target_sid: string, by: 1 | -1): void {
    const count = (this.#in_flight.get(target_sid) ?? 0) + by
    if (count > 0) this.#in_flight.set(target_sid, count)
    else this.#in_flight.delete(target_sid)
  }

  /** Tries a delivery until it is finished; waits for its next try without holding a place among those in flight. */
  async #work(queue: Queue, row: DeliveryRow): Promise<void> {
    let current = row
    while (current.status === 'pending' && !this.#isOver(queue.slot)) {
      if (current.due > this.#options.clock.now()) {
        this.#count(queue.target_sid, -1)
        this.#sendNext(queue.target_sid)
        await this.#until(current.due, queue.slot)
        this.#count(queue.target_sid, 1)
        continue
      }
      try {
        const { row, report } = await attemptDelivery(this.#options, current)
        current = row
        this.#record(queue, row, report)
      } catch (error) {
        // Not the endpoint's doing (the database does not answer): no try is counted.
        this.#options.failed(error)
        current = { ...current, due: this.#options.clock.now() + 1000 }
      }
    }
    this.#count(queue.target_sid, -1)
    if (current.status === 'pending') this.#putBack(queue, current)
  }

  /** The slot is being given up, or nobody can say whose it is: first in its lane once more. */
  #putBack(queue: Queue, row: DeliveryRow): void {
    queue.lanes.get(row.subject_sid)?.queue.unshift(row)
    queue.waiting++
  }

  /** Results are written in batches: all that came while the last batch was on its way. */
  #record(queue: Queue, row: DeliveryRow, report?: Report): void {
    const { service_sid, id, status, due, attempts, date_finished } = row
    const recorded = () => {
      if (status === 'pending') return
      if (queue.loading) queue.recorded.push(id)
      else queue.held.delete(id)
      this.#load(queue)
      this.#forgetIdle(queue)
    }
    const result = { service_sid, id, status, due, attempts, date_finished, ...(report !== undefined && { report }) }
    this.#results.push({ result, recorded })
    this.#recording ??= this.#writeResults().finally(() => {
      this.#recording = undefined
    })
  }

  async #writeResults(): Promise<void> {
    while (this.#results.length > 0) {
      const results = this.#results
      this.#results = []
      try {
        await this.#options.record(results.map(({ result }) => result))
        for (const { recorded } of results) recorded()
      } catch (error) {
        this.#options.failed(error)
        if (this.#stopped) return
        this.#results = [...results, ...this.#results]
        await this.#until(this.#options.clock.now() + 1000)
      }
    }
  }

  /** Until then, or until nothing more of the slot may begin. */
  async #until(instantMs: number, slot?: number): Promise<void> {
    for (;;) {
      const wait_ms = instantMs - this.#options.clock.now()
      if (wait_ms <= 0 || this.#stopped || (slot !== undefined && this.#leaving.has(slot))) return
      await new Promise<void>((resolve) => {
        const done = () => {
          clearTimeout(timer)
          this.#waiting.delete(done)
          resolve()
        }
        const timer = setTimeout(done, Math.min(wait_ms, 60_000))
        this.#waiting.add(done)
      })
    }
  }

  /** The clock was moved, or the loop stops: everyone who waits looks again. */
  #lookAgain(): void {
    for (const done of [...this.#waiting]) done()
  }
}
