import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Clock } from '../clock.ts'
import type { Database } from '../storage/database.ts'
import { shape } from '../storage/shapes.ts'

/** Between two looks for what other nodes have recorded. */
const pollMs = 50

/** For each account with pending deliveries: when the first of them is due. Reads all that are pending: for tests. */
const pendingByAccount = shape<{ none?: null }>()((db) =>
  db
    .selectFrom('deliveries')
    .select((eb) => ['account_sid', eb.fn.min('due').as('due')])
    .where('status', '=', sql.lit<'pending'>('pending'))
    .groupBy('account_sid'),
)

interface IdleOptions {
  /** The deliveries of this account only, by its clock; by default all, by the server's. */
  readonly account_sid?: string | undefined
  /** Ends the wait. */
  readonly signal?: AbortSignal | undefined
}

/** Waits until the deliveries that are due have been made: their results are on disk, and so is what follows from them. */
export class DeliveryIdle {
  readonly #clock: Clock
  readonly #database: Pick<Database, 'read'>
  #recorded = Promise.withResolvers<void>()
  #recordings = 0

  constructor({ clock, database }: { readonly clock: Clock; readonly database: Pick<Database, 'read'> }) {
    this.#clock = clock
    this.#database = database
  }

  /** To be called when results of this process have been recorded. */
  recorded(): void {
    this.#recordings++
    this.#recorded.resolve()
    this.#recorded = Promise.withResolvers()
  }

  /** How often results of this process have been recorded. */
  get recordings(): number {
    return this.#recordings
  }

  /** Resolves when none is due. Returns when the first that waits for another attempt will be, in epoch ms, if there is one. */
  async wait({ account_sid, signal }: IdleOptions = {}): Promise<number | undefined> {
    for (;;) {
      const { promise } = this.#recorded
      const next = await this.#next(account_sid)
      if (next === undefined || next > this.#clock.now(account_sid) || signal?.aborted) return next
      const timer = new AbortController()
      await Promise.race([promise, delay(pollMs, undefined, { signal: timer.signal }).catch(() => {})])
      timer.abort()
    }
  }

  async #next(account_sid: string | undefined): Promise<number | undefined> {
    const rows = await this.#database.read.all(pendingByAccount, {})
    if (account_sid !== undefined) return rows.find((row) => row.account_sid === account_sid)?.due
    const dues = rows.map(({ account_sid, due }) => due - this.#clock.offset(account_sid) + this.#clock.offset())
    return dues.length === 0 ? undefined : Math.min(...dues)
  }
}
