import type { Clock } from '../clock.ts'
import { slotOf } from '../events/queue.ts'
import { Loop, type Worker } from '../loop.ts'
import type { Database } from '../storage/database.ts'
import { accountBySid } from '../storage/lookups.ts'
import { rowsBy } from '../storage/rows.ts'
import type { ChannelRow } from '../storage/schema.ts'
import type { ChannelEvent, ChannelIo, Listening } from './adapter.ts'
import type { Carrier, Carriers } from './carrier.ts'
import { allKinds } from './kinds.ts'

/** Changes of other nodes are looked for so often, and whether the lease is still held. */
const intervalMs = 1000

/** Between the end of one attempt to listen and the next: 1 s, 4 s, 16 s … up to so long. */
const maxPauseMs = 300_000

/** What has listened for so long begins with the shortest pause again. */
const steadyMs = 60_000

const channelsOfKind = rowsBy('channels', ['kind'])

export interface ListenersOptions {
  readonly database: Pick<Database, 'read' | 'slots' | 'subscribe'>
  readonly clock: Clock
  readonly carriers: Carriers
  readonly apply: (channel: ChannelIo['channel'], event: ChannelEvent) => Promise<void>
  readonly warn: (facts: object, text: string) => void
  readonly failed: (error: unknown) => void
}

/** One channel that listens, is about to, or waits after a failure. */
interface Listener {
  /** What it was begun with: another text begins it anew. */
  readonly version: string
  readonly over: AbortController
  /** Resolves when it has ended. */
  running: Promise<void> | null
  failures: number
  /** When it is begun again, by the clock of its account. */
  next: number
}

/**
 * Keeps the sockets of channels that listen: each on the node that holds the lease of its slot, begun anew when the settings change
 * and, later and later, when it fails.
 */
export class Listeners implements Worker {
  readonly #options: ListenersOptions
  readonly #loop: Loop
  readonly #listeners = new Map<string, Listener>()

  constructor(options: ListenersOptions) {
    this.#options = options
    this.#loop = new Loop(async () => {
      await this.#once()
      return intervalMs
    }, options.failed)
    options.database.subscribe((notices) => {
      const concerns = notices.some(
        (notice) =>
          (notice.topic === 'changed' && (notice.table === 'channels' || notice.table === 'accounts')) ||
          ['clock', 'missed', 'emptied', 'slots'].includes(notice.topic),
      )
      if (concerns) this.#loop.nudge()
    })
  }

  start(): void {
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
    await Promise.all([...this.#listeners.keys()].map((sid) => this.#end(sid)))
  }

  async #once(): Promise<void> {
    const wanted = await this.#wanted()
    const ended = [...this.#listeners].filter(([sid, { version }]) => wanted.get(sid)?.version !== version)
    await Promise.all(ended.map(([sid]) => this.#end(sid)))
    for (const [sid, { version, row }] of wanted) {
      const listener = this.#listeners.get(sid) ?? { version, over: new AbortController(), running: null, failures: 0, next: 0 }
      this.#listeners.set(sid, listener)
      if (listener.running || this.#options.clock.now(row.account_sid) < listener.next) continue
      listener.running = this.#listen(row, listener).finally(() => {
        listener.running = null
      })
    }
  }

  /** Returns the channels that listen on this node, by SID. */
  async #wanted(): Promise<Map<string, { readonly version: string; readonly row: ChannelRow }>> {
    const { read, slots } = this.#options.database
    const names = allKinds().flatMap(({ name, listen }) => (listen ? [name] : []))
    const wanted = new Map<string, { version: string; row: ChannelRow }>()
    for (const kind of names) {
      for (const row of await read.all(channelsOfKind, { kind })) {
        if (!slots.mine(slotOf(row.sid, slots.count), intervalMs)) continue
        const account = await read.one(accountBySid, { sid: row.account_sid })
        if (account?.status === 'active') wanted.set(row.sid, { version: `${row.kind} ${row.settings}`, row })
      }
    }
    return wanted
  }

  /** Listens until it ends, by itself or because it is not wanted any more. Never throws. */
  async #listen(row: ChannelRow, listener: Listener): Promise<void> {
    const { clock, carriers, warn } = this.#options
    const begun = clock.now(row.account_sid)
    try {
      const carrier = carriers.of(row)
      if (carrier) await this.#untilOver(carrier, listener.over.signal)
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown error'
      if (!listener.over.signal.aborted) warn({ channel: row.sid, why: why.slice(0, 300) }, 'a channel has stopped listening')
    }
    const now = clock.now(row.account_sid)
    if (now - begun >= steadyMs) listener.failures = 0
    listener.next = now + Math.min(1000 * 4 ** listener.failures, maxPauseMs)
    listener.failures++
  }

  async #untilOver({ kind, settings, channel }: Carrier, signal: AbortSignal): Promise<void> {
    const { carriers, apply } = this.#options
    const listening: Listening | undefined = await kind.listen?.(settings, carriers.io(channel, signal), (event) =>
      signal.aborted ? Promise.reject(new Error('the channel is closing')) : apply(channel, event),
    )
    if (!listening) return
    try {
      const over = new Promise<void>((resolve) => {
        if (signal.aborted) resolve()
        else signal.addEventListener('abort', () => resolve(), { once: true })
      })
      const reason = await Promise.race([over, listening.failed])
      if (!signal.aborted) throw reason instanceof Error ? reason : new Error('it ended')
    } finally {
      await listening[Symbol.asyncDispose]()
    }
  }

  async #end(sid: string): Promise<void> {
    const listener = this.#listeners.get(sid)
    listener?.over.abort()
    await listener?.running
    this.#listeners.delete(sid)
  }
}
