import { setTimeout as delay } from 'node:timers/promises'
import { ApiError } from '../errors.ts'
import { Loop, type Worker } from '../loop.ts'
import type { Database } from '../storage/database.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import { webhookTimeoutMs } from './client.ts'
import type { DeliveryHandler } from './handler.ts'
import { firstTarget, nextTarget, pendingOf } from './pending.ts'
import { addCommitted, addRow, emptyQueue, forgetSubject, forgetWaiting, type Queue, type Written } from './queue.ts'
import { Recorder, type RecorderOptions } from './recorder.ts'
import { attemptDelivery, backoffMs, type SenderOptions, withFailure } from './sender.ts'
import { Sleepers } from './sleepers.ts'

/** Deliveries in flight to one target at a time. */
const maxInFlight = 64
/** Rows of one queue loaded at a time; the others stay in the database. */
const window = 512
/** More rows are loaded when at most this many wait: with a slow endpoint, every read would return the same rows again. */
const lowWater = 64
/** Deliveries written by other processes are polled for: a notice can be lost. */
const pollMs = 1000
/** For recording an attempt: so much longer than it takes the process must own the slot. */
const recordMs = 1000
/** After a read that has failed. */
const rereadMs = 1000
/** Between two attempts to extend a slot. */
const extendMs = 1000

export interface DeliveriesOptions<Report> extends SenderOptions<Report>, Pick<RecorderOptions<Report>, 'record' | 'failed'> {
  readonly database: Pick<Database, 'capabilities' | 'read' | 'slots' | 'subscribe'>
}

/**
 * Sends the deliveries in the outbox: prepare → send → record. Their targets were determined when they were written.
 * Each slot is processed by the node that owns it. Rows are loaded in windows per target and sent in order per subject, so a slow
 * or dead endpoint delays only its own deliveries.
 */
export class Deliveries<Report> implements Worker {
  readonly #options: DeliveriesOptions<Report>
  /** By slot, then by target. */
  readonly #slots = new Map<number, Map<string, Queue>>()
  /** Slots that are being released. */
  readonly #releasing = new Set<number>()
  readonly #inFlight = new Map<string, number>()
  readonly #sending = new Map<Promise<void>, number>()
  readonly #sleepers: Sleepers
  readonly #recorder: Recorder<Report>
  /** What the slot is needed for at least: longer work extends it. */
  readonly #minMs: number
  readonly #poll: Loop
  #stopped = true
  /** How many callers of `whileQuiet` and `whileGivenUp` there are. */
  #paused = 0
  /** Gives up what is under way. */
  #givingUp = new AbortController()

  constructor(options: DeliveriesOptions<Report>) {
    this.#options = options
    const { clock, database, handlers, record, failed } = options
    this.#minMs = Math.min(...Object.values(handlers).map(({ maxSendMs }) => maxSendMs)) + recordMs
    const sleepers = new Sleepers(clock)
    this.#sleepers = sleepers
    this.#recorder = new Recorder({ record, failed, clock, sleepers, isStopped: () => this.#stopped })
    this.#poll = new Loop(async () => {
      await Promise.all([...this.#slots.keys()].map((slot) => this.#findTargets(slot)))
      // Another node may have moved the clock, and its notice may be lost.
      this.#sleepers.wake()
      // Deliveries wait here while the owner of their slot is unknown.
      for (const queues of this.#slots.values()) for (const queue of queues.values()) this.#send(queue)
      return pollMs
    }, options.failed)
    database.subscribe((notices) => {
      const written = new Map<string, [Written, ...Written[]]>()
      for (const notice of notices) {
        if (notice.topic === 'deliveries') {
          const key = `${notice.slot} ${notice.target_sid}`
          const others = written.get(key)
          if (others) others.push(notice)
          else written.set(key, [notice])
        }
        if (notice.topic === 'clock') this.#sleepers.wake()
        if (notice.topic === 'dropped') this.#reload(notice.slot, notice.target_sid)
        if (notice.topic === 'missed') this.#poll.nudge()
        if (notice.topic === 'emptied') this.#reloadAll()
      }
      for (const all of written.values()) this.#take(all)
    })
  }

  start(): void {
    this.#stopped = false
    if (this.#givingUp.signal.aborted) this.#givingUp = new AbortController()
    this.#options.database.slots
      .start({ gained: (slot) => this.#gained(slot), lost: (slot) => this.#lost(slot) })
      .catch(this.#options.failed)
    // A sole owner of the database receives every notice.
    if (!this.#options.database.capabilities.soleOwner) this.#poll.start()
  }

  /**
   * Stops sending; resolves when the deliveries in flight are finished and recorded. Those that take long are given up, and sent again
   * by whoever comes next.
   */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#poll.stop()
    this.#sleepers.wake()
    await within(Promise.all(this.#sending.keys()), webhookTimeoutMs)
    this.#givingUp.abort()
    await Promise.all(this.#sending.keys())
    await this.#recorder.recording
    await this.#options.database.slots.stop()
  }

  #gained(slot: number): void {
    this.#slots.set(slot, new Map())
    this.#findTargets(slot).catch(this.#options.failed)
  }

  /** Finishes the deliveries in flight; those that wait are left to the slot's next owner. */
  async #lost(slot: number): Promise<void> {
    this.#releasing.add(slot)
    this.#sleepers.wake()
    await Promise.all([...this.#sending].flatMap(([sending, of]) => (of === slot ? [sending] : [])))
    await this.#recorder.recording
    this.#slots.delete(slot)
    this.#releasing.delete(slot)
  }

  async #findTargets(slot: number): Promise<void> {
    const { read } = this.#options.database
    let found = await read.one(firstTarget, { slot })
    while (found && !this.#stopped) {
      this.#loadTarget(slot, found.target_sid)
      found = await read.one(nextTarget, { slot, after: found.target_sid })
    }
  }

  #loadTarget(slot: number, target_sid: string): void {
    const queues = this.#slots.get(slot)
    if (this.#stopped || !queues) return
    let queue = queues.get(target_sid)
    if (!queue) {
      queue = emptyQueue(slot, target_sid)
      queues.set(target_sid, queue)
    }
    queue.more = true
    this.#load(queue)
  }

  /** Takes what a commit says of one target's new deliveries: adds the rows themselves where it may, or has them read. */
  #take(written: readonly [Written, ...Written[]]): void {
    const [{ slot, target_sid }] = written
    const queue = this.#slots.get(slot)?.get(target_sid)
    // Other nodes have rows that come before these, and their notices are later.
    const { soleOwner } = this.#options.database.capabilities
    if (!queue || !soleOwner || this.#isStopped(slot) || !addCommitted(queue, written, window)) {
      this.#loadTarget(slot, target_sid)
      return
    }
    this.#send(queue)
  }

  /** Drops what is in memory, but for what is in flight, and loads what is pending now. */
  #reload(slot: number, target_sid: string): void {
    const queue = this.#slots.get(slot)?.get(target_sid)
    if (!queue) return
    forgetWaiting(queue)
    this.#sleepers.wake()
    this.#load(queue)
  }

  #reloadAll(): void {
    for (const [slot, queues] of this.#slots) {
      for (const target_sid of queues.keys()) this.#reload(slot, target_sid)
      this.#findTargets(slot).catch(this.#options.failed)
    }
  }

  /** Runs `act` while this process begins no delivery: those under way have so long to be finished and recorded first. */
  whileQuiet<T>(act: () => Promise<T>, patienceMs: number): Promise<T> {
    return this.#whilePaused(act, (finished) => within(finished, patienceMs))
  }

  /** Runs `act`, which replaces all rows, while this process sends nothing: deliveries under way are given up. */
  whileGivenUp<T>(act: () => Promise<T>): Promise<T> {
    return this.#whilePaused(act, (finished) => {
      this.#givingUp.abort()
      return finished
    })
  }

  async #whilePaused<T>(act: () => Promise<T>, settle: (finished: Promise<unknown>) => Promise<unknown>): Promise<T> {
    this.#paused++
    this.#sleepers.wake()
    try {
      await settle(Promise.all(this.#sending.keys()).then(() => this.#recorder.recording))
      return await act()
    } finally {
      this.#paused--
      if (this.#paused === 0 && this.#givingUp.signal.aborted) this.#givingUp = new AbortController()
      for (const queue of [...this.#slots.values()].flatMap((queues) => [...queues.values()])) {
        this.#load(queue)
        this.#send(queue)
      }
    }
  }

  /** Whether deliveries of the slot may no longer be started. */
  #isStopped(slot: number): boolean {
    return this.#isHeld(slot) || !this.#options.database.slots.mine(slot, this.#minMs)
  }

  #isHeld(slot: number): boolean {
    return this.#stopped || this.#paused > 0 || this.#releasing.has(slot)
  }

  /** Loads rows until the window is full. */
  #load(queue: Queue): void {
    const { slot, target_sid, loaded, generation } = queue
    if (queue.loading || !queue.more || queue.waiting > lowWater || this.#isStopped(slot)) return
    queue.more = false
    // The read returns the loaded rows again, before others.
    const limit = loaded.size + window
    queue.loading = this.#options.database.read
      .all(pendingOf, { slot, target_sid, limit })
      .then(
        (rows) => {
          if (rows.length === limit || queue.generation !== generation) queue.more = true
          if (queue.generation !== generation) return
          for (const row of rows) addRow(queue, row)
        },
        (error: unknown) => {
          this.#options.failed(error)
          queue.more = true
          return this.#sleepers.until(this.#options.clock.now() + rereadMs, () => this.#isHeld(slot))
        },
      )
      .finally(() => {
        queue.loading = null
        for (const id of queue.recorded.splice(0)) loaded.delete(id)
        this.#send(queue)
        this.#load(queue)
        this.#removeIdle(queue)
      })
  }

  #removeIdle(queue: Queue): void {
    const queues = this.#slots.get(queue.slot)
    const idle = queue.loaded.size === 0 && !queue.more && !queue.loading
    if (idle && queues?.get(queue.target_sid) === queue) queues.delete(queue.target_sid)
  }

  /** Several slots may have deliveries to one target: when one has left, the next of any slot may be sent. */
  #sendNext(target_sid: string): void {
    for (const queues of this.#slots.values()) {
      const queue = queues.get(target_sid)
      if (queue) this.#send(queue)
    }
  }

  #send(queue: Queue): void {
    const { slot, target_sid } = queue
    while (!this.#isStopped(slot) && (this.#inFlight.get(target_sid) ?? 0) < maxInFlight) {
      const subject = queue.ready.shift()
      if (subject === undefined) break
      const lane = queue.lanes.get(subject)
      const row = lane?.queue.shift()
      if (!lane || !row) continue
      lane.sending = true
      queue.waiting--
      this.#countInFlight(target_sid, 1)
      const sending = this.#deliver(queue, row)
        .catch(this.#options.failed)
        .finally(() => {
          this.#sending.delete(sending)
          lane.sending = false
          if (lane.queue.length > 0) queue.ready.push(subject)
          else queue.lanes.delete(subject)
          this.#sendNext(target_sid)
          this.#load(queue)
        })
      this.#sending.set(sending, slot)
    }
  }

  #countInFlight(target_sid: string, by: 1 | -1): void {
    const count = (this.#inFlight.get(target_sid) ?? 0) + by
    if (count > 0) this.#inFlight.set(target_sid, count)
    else this.#inFlight.delete(target_sid)
  }

  /** Attempts a delivery until it is finished. Does not count as in flight while it waits for the next attempt. */
  async #deliver(queue: Queue, row: DeliveryRow): Promise<void> {
    const { generation } = queue
    const isReplaced = () => queue.generation !== generation
    let current = row
    let next = this.#nextAttempt(row)
    while (current.status === 'pending' && !this.#isStopped(queue.slot) && !isReplaced()) {
      if (next > this.#now(row)) {
        this.#countInFlight(queue.target_sid, -1)
        this.#sendNext(queue.target_sid)
        await this.#sleepers.until(next, () => this.#isHeld(queue.slot) || isReplaced(), row.account_sid)
        this.#countInFlight(queue.target_sid, 1)
        next = 0
        continue
      }
      try {
        const forMs = this.#options.handlers[current.kind].maxSendMs + recordMs
        const { slots } = this.#options.database
        if (!slots.mine(queue.slot, forMs)) {
          if (!(await slots.extend(queue.slot, forMs))) next = this.#now(current) + extendMs
          // Meanwhile it may have been lost, or what is to be sent replaced.
          continue
        }
        const attempted = await attemptDelivery(this.#options, current, this.#givingUp.signal)
        if (!attempted) break
        const { row, report } = attempted
        const before = current
        current = row
        next = this.#nextAttempt(row)
        this.#record(queue, row, before, report)
      } catch (error) {
        this.#options.failed(error)
        if (error instanceof ApiError && error.kind === 'unavailable') {
          // The database is away, which is not the endpoint's fault: the attempt does not count.
          next = this.#now(row) + 1000
        } else {
          // A defect would only be met again. Of a kind that this version does not have there is no handler.
          const handler: DeliveryHandler<Report> | undefined = this.#options.handlers[current.kind]
          current = withFailure(current, 'internal error', this.#now(row))
          this.#record(queue, current, current, handler?.failure)
        }
      }
    }
    this.#countInFlight(queue.target_sid, -1)
    if (current.status !== 'pending') return
    if (isReplaced()) await this.#forget(queue, current)
    else this.#putBack(queue, current)
  }

  /** What has become of it is read from the database, once its attempt is recorded there. */
  async #forget(queue: Queue, row: DeliveryRow): Promise<void> {
    await this.#recorder.recording
    while (queue.loading) await queue.loading
    forgetSubject(queue, row)
  }

  /** No later than its back-off from now: `due` lies in a time to come when the clock was set back since. */
  #nextAttempt(row: DeliveryRow): number {
    return Math.min(row.due, this.#now(row) + backoffMs(row))
  }

  /** The time of the account that a delivery belongs to. */
  #now({ account_sid }: DeliveryRow): number {
    return this.#options.clock.now(account_sid)
  }

  /** Puts a delivery back first in its lane: the slot is being released, or its owner is unknown. */
  #putBack(queue: Queue, row: DeliveryRow): void {
    queue.lanes.get(row.subject_sid)?.queue.unshift(row)
    queue.waiting++
  }

  #record(queue: Queue, row: DeliveryRow, before: DeliveryRow, report?: Report): void {
    this.#recorder.add(row, before, report, () => {
      if (row.status === 'pending') return
      if (queue.loading) queue.recorded.push(row.id)
      else queue.loaded.delete(row.id)
      this.#load(queue)
      this.#removeIdle(queue)
    })
  }
}

/** Resolves with the work, or when the time is over. */
async function within(work: Promise<unknown>, timeMs: number): Promise<void> {
  const over = new AbortController()
  await Promise.race([work, delay(timeMs, undefined, { signal: over.signal }).catch(() => {})])
  over.abort()
}
