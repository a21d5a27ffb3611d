import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { Logger } from 'pino'
import type { Clock } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import { ConfigError } from '../config-error.ts'
import { isFailure } from '../errors.ts'
import { parseStored } from '../json.ts'
import { Loop, type Worker } from '../loop.ts'
import type { Database } from '../storage/database.ts'
import type { HeldTurn } from '../storage/facts.ts'

/** A turn that nobody has renewed for so long is left. */
export const turnMs = 10_000
const renewEveryMs = 2000
const lookEveryMs = 250

/** Which process it is, for people who look for it. `since`: epoch ms. */
interface Whose {
  readonly host: string
  readonly pid: number
  readonly since: number
}

/** As it is stored; `beats` counts, so that a renewal can be seen. */
type Stored = readonly [owner: string, beats: number, whose: Whose]

export interface TurnOptions {
  readonly database: Database<ParleyCommands>
  readonly clock: Clock
  readonly log: Logger
  readonly account_sid: string
  /** From any start on. */
  readonly monotonicMs: () => number
}

/**
 * Lets one process at a time follow a hosted account, where several have the database:
 *
 *   free → taken → renewed … → ended → free
 *                     └ not renewed for ten seconds → taken by another process
 *
 * Nobody's clock is compared with another's: whoever wants it watches for ten seconds by its own whether it is renewed, and whoever has it
 * counts from before its last renewal. What is stored and sent is checked once more in its transaction (`HeldTurn`).
 */
export class Turn implements Worker {
  readonly held: HeldTurn
  readonly #options: TurnOptions
  readonly #since: number
  readonly #loop: Loop
  #beats = 0
  /** Until when it is this process's. */
  #until = Number.NEGATIVE_INFINITY
  /** What another has, and since when it has been seen so. */
  #seen: { readonly value: string; readonly at: number } | null = null
  #wasLost = false

  private constructor(options: TurnOptions) {
    const { account_sid, database, clock, log } = options
    this.#options = options
    this.#since = clock.now()
    this.held = { name: `mirror ${account_sid}`, owner: database.nodes.id }
    this.#loop = new Loop(
      async () => {
        this.#report(await this.#renew())
        return renewEveryMs
      },
      (err) => {
        if (!isFailure(err)) log.error({ err }, 'the turn of the mirror was not renewed')
      },
    )
  }

  /**
   * Takes the turn of an account, and renews it from then on. One that was left is waited for, for ten seconds at most. Returns null where no
   * other process can have the database. Throws ConfigError when another process has it.
   */
  static async take(options: TurnOptions): Promise<Turn | null> {
    const { database, log, account_sid } = options
    if (database.capabilities.soleOwner) return null
    const turn = new Turn(options)
    for (let first: string | null = null; ; await delay(lookEveryMs)) {
      const other = await turn.#renew()
      if (other === null) break
      // Whoever renews it is alive.
      if (first !== null && other !== first) throw new ConfigError(refusal(account_sid, other))
      if (first === null) log.info(whoseOf(other), 'another process has followed this account: waiting whether it still does')
      first = other
    }
    turn.start()
    return turn
  }

  /** Whether it is this process's now. */
  get isHeld(): boolean {
    return this.#options.monotonicMs() < this.#until
  }

  start(): void {
    this.#loop.start()
  }

  /** Leaves it to others. */
  async stop(): Promise<void> {
    await this.#loop.stop()
    this.#until = Number.NEGATIVE_INFINITY
    // If it cannot be ended now it ends by itself.
    await this.#options.database.write('endTurn', this.held).catch((err: unknown) => {
      this.#options.log.warn({ err }, 'the turn of the mirror was not ended: it ends by itself')
    })
  }

  /** Takes or renews it. Returns what another has; null: it is this process's. */
  async #renew(): Promise<string | null> {
    const { database, monotonicMs } = this.#options
    const askedAt = monotonicMs()
    const whose: Whose = { host: hostname(), pid: process.pid, since: this.#since }
    const stored: Stored = [this.held.owner, ++this.#beats, whose]
    const value = JSON.stringify(stored)
    const abandoned = this.#seen !== null && askedAt - this.#seen.at >= turnMs ? this.#seen.value : null
    const now = await database.write('keepTurn', { ...this.held, value, abandoned })
    if (now === value) {
      this.#until = askedAt + turnMs
      this.#seen = null
      return null
    }
    this.#until = Number.NEGATIVE_INFINITY
    if (this.#seen?.value !== now) this.#seen = { value: now, at: monotonicMs() }
    return now
  }

  #report(other: string | null): void {
    const { log, account_sid } = this.#options
    if (other !== null && !this.#wasLost) log.error(whoseOf(other), `${refusal(account_sid, other)} This one sends no writes.`)
    if (other === null && this.#wasLost) log.info('this process follows the account again')
    this.#wasLost = other !== null
  }
}

function whoseOf(value: string): Whose {
  return parseStored<Stored>(value)[2]
}

function refusal(account_sid: string, value: string): string {
  const { host, pid, since } = whoseOf(value)
  const at = new Date(since).toISOString()
  return (
    `the account ${account_sid} is followed by another process already (host ${host}, process ${pid}, since ${at}): ` +
    'one process mirrors an account. Stop that one, or do not start this one.'
  )
}
