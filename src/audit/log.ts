import { AsyncLocalStorage } from 'node:async_hooks'
import { hash } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { packageVersion } from '../package.ts'
import { newSid } from '../sids.ts'
import type { Commands, Database } from '../storage/database.ts'
import type { AuditEntryRow, AuditOutcome } from '../storage/schema.ts'
import type { Vault } from '../vault.ts'
import type { AuditCommands, Audited, AuditedCommand } from './commands.ts'
import type { NewEntry } from './entry.ts'
import { sidOrMasked } from './masking.ts'
import { type Refusal, Refusals } from './refusals.ts'

/** Who has acted. */
export interface Actor {
  readonly type: AuditEntryRow['actor_type']
  readonly id: string
  readonly name: string
}

/** An act, before it is known what becomes of it. */
export interface Act {
  readonly actor: Actor
  readonly from: { readonly address: string | null; readonly agent: string | null; readonly interface: string }
  /** Such as `api_key.created`. */
  readonly action: string
  /** `sid`: a SID, or masked. `table`: that of its rows, of which the log shows what has changed. */
  readonly target: { readonly type: string | null; readonly sid: string | null; readonly table: string | null }
  readonly account_sid: string | null
  readonly request_id: string | null
  /** What was asked for, masked, as JSON: shown where no row is. */
  readonly input: string | null
}

/** What acts of the server itself have in common. */
export const systemAct = {
  actor: { type: 'system', id: 'system', name: 'system' },
  from: { address: null, agent: null, interface: 'system' },
  request_id: null,
} as const satisfies Partial<Act>

/** What became of an act. `code`: of the error. */
export interface Result {
  readonly outcome: AuditOutcome
  readonly code: number | null
}

/** An act in progress. `act`: more of it becomes known. */
export interface Acting {
  act: Act
  /** What became of it, where the status of the response does not say it. */
  result: Result | null
  /** Whether an entry of it is written, or being written. */
  recorded: boolean
}

/** Called when entries have been added: how many of an action and outcome, and the greatest `seq`. */
export type AuditListener = (added: { readonly action: string; readonly outcome: AuditOutcome; readonly seq: number }) => void

/** Commands that are no act of whoever made the request in which they run. */
const notActs: ReadonlySet<string> = new Set([
  'sweep',
  'recordDeliveries',
  'takeTurn',
  'keepTurn',
  'endTurn',
  'claimFact',
  'appendAudit',
  'touchOperatorToken',
])

const hourMs = 3_600_000

/** Views that have an entry already: at most so many, the oldest are forgotten. */
const maxViews = 10_000

/**
 * Writes the log of what operators do. While an act is in progress (`within`), the first command that changes something adds the
 * entry in its own transaction: neither is there without the other, and no caller of the database has to know of it.
 */
export class AuditLog<C extends Commands> {
  /** The database, whose writes are acts where one is in progress. */
  readonly database: Database<C>
  /** By which texts are masked, in hex. */
  readonly key: string
  /** Writes by names that are known only at run time. */
  readonly #database: Pick<Database<Commands>, 'write'>
  readonly #clock: Clock
  readonly #version = packageVersion()
  readonly #acting = new AsyncLocalStorage<Acting>()
  readonly #refusals = new Refusals()
  readonly #views = new Set<string>()
  readonly #listeners: AuditListener[] = []

  constructor({
    database,
    clock,
    vault,
  }: { readonly database: Database<C & AuditCommands>; readonly clock: Clock; readonly vault: Vault }) {
    this.#clock = clock
    this.key = vault.derive('audit log').export().toString('hex')
    this.#database = database
    const write = (name: string, input: unknown) => {
      const acting = this.#acting.getStore()
      if (!acting || acting.recorded || notActs.has(name)) return this.#database.write(name, input)
      return this.#write(acting, name, input)
    }
    // What a command returns is passed on as it is.
    this.database = { ...database, write: write as Database<C>['write'] }
  }

  /** Begins an act: `within` runs what belongs to it, `finish` sees to it that there is an entry. */
  begin(act: Act): Acting {
    return { act, result: null, recorded: false }
  }

  /** Runs what belongs to an act: whatever it writes is recorded with it. */
  within<T>(acting: Acting, run: () => T): T {
    return this.#acting.run(acting, run)
  }

  /** Adds the entry of an act that has none: it has written nothing, or did not succeed. Throws `unavailable`: then it has not happened. */
  async finish(acting: Acting, result: Result): Promise<void> {
    const concluded = acting.result ?? result
    if (acting.recorded && concluded.outcome === 'success') return
    acting.recorded = true
    await this.record(acting.act, concluded)
  }

  /** Says what became of the act in progress, where the response is a success all the same. */
  conclude(result: Result): void {
    const acting = this.#acting.getStore()
    if (acting) acting.result = result
  }

  /** Adds an entry. */
  async record(act: Act, result: Result): Promise<void> {
    await this.#add([this.#entryOf(act, result)])
  }

  /** Counts refused credentials, which get their entry within a minute. */
  refused(refusal: Omit<Refusal, 'name'> & { readonly name: string | null }): void {
    const name = refusal.name === null ? 'unknown' : sidOrMasked(this.key, refusal.name)
    this.#refusals.add({ ...refusal, name }, this.#clock.now())
  }

  /** Adds the entries of refused credentials. */
  async flush(): Promise<void> {
    const refusals = this.#refusals.take()
    if (refusals.length === 0) return
    const entries = refusals.map(({ at, count, address, agent, interface: where, kind, name, code }): NewEntry => {
      const target = { type: null, sid: null, table: null }
      const act: Act = {
        actor: { type: kind, id: name, name: 'not proven' },
        from: { address, agent, interface: where },
        action: 'credentials.refused',
        target,
        account_sid: null,
        request_id: null,
        input: null,
      }
      return { ...this.#entryOf(act, { outcome: 'refused', code }), at, count }
    })
    await this.#add(entries).catch((error: unknown) => {
      for (const { at, count, ...refusal } of refusals) this.#refusals.add(refusal, at, count)
      throw error
    })
  }

  /** Adds an entry of what somebody has read, once for each reader, thing and hour, on all nodes together. */
  async viewed(act: Act): Promise<void> {
    const hour = Math.floor(this.#clock.now() / hourMs)
    const view = JSON.stringify([act.action, act.actor.type, act.actor.id, act.target.sid, hour])
    if (this.#views.has(view)) return
    await this.#add([{ ...this.#entryOf(act, { outcome: 'success', code: null }), id: `AU${hash('sha256', view).slice(0, 32)}` }])
    this.#views.add(view)
    const [oldest] = this.#views
    if (this.#views.size > maxViews && oldest !== undefined) this.#views.delete(oldest)
  }

  /** Registers a listener. */
  onAdded(listener: AuditListener): void {
    this.#listeners.push(listener)
  }

  async #write(acting: Acting, name: string, input: unknown): Promise<unknown> {
    const { act } = acting
    const entry = this.#entryOf(act, { outcome: 'success', code: null })
    const command: AuditedCommand = { name, input, entry, table: act.target.table, key: this.key }
    // What else it writes at the same time belongs to it.
    acting.recorded = true
    try {
      // As its command returns it, and so below.
      const { value, seq } = (await this.#database.write('audited', command)) as Audited
      acting.recorded = seq !== null
      if (seq !== null) this.#added(entry, seq)
      return value
    } catch (error) {
      acting.recorded = false
      throw error
    }
  }

  async #add(entries: readonly NewEntry[]): Promise<void> {
    const seq = (await this.#database.write('appendAudit', entries)) as number | null
    if (seq !== null) for (const entry of entries) this.#added(entry, seq)
  }

  #added({ action, outcome }: NewEntry, seq: number): void {
    for (const listener of this.#listeners) listener({ action, outcome, seq })
  }

  #entryOf({ actor, from, action, target, account_sid, request_id, input }: Act, result: Result): NewEntry {
    const now = this.#clock.now()
    return {
      id: newSid('auditEntry', now),
      at: now,
      actor_type: actor.type,
      actor_id: actor.id,
      actor_name: actor.name,
      address: from.address,
      agent: from.agent === null ? null : printable(from.agent),
      interface: from.interface,
      action,
      target_type: target.type,
      target_sid: target.sid,
      account_sid,
      outcome: result.outcome,
      code: result.code,
      before: null,
      after: input,
      count: 1,
      request_id,
      node: this.database.nodes.id,
      version: this.#version,
    }
  }
}

/** Headers are what the caller wants them to be. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, 200)
}
