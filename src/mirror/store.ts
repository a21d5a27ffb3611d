import type { Clock } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import { refuse } from '../errors.ts'
import { type Json, type Kind, RecordError, recordOf } from '../records/format.ts'
import type { Outcome } from '../records/mirror-commands.ts'
import type { Prepared } from '../records/prepare.ts'
import type { Removal } from '../records/remove.ts'
import { prepareSealed } from '../records/sealed.ts'
import type { Database } from '../storage/database.ts'
import type { HeldTurn } from '../storage/facts.ts'
import type { Vault } from '../vault.ts'

/** A resource as the hosted side shows it, and where it is. */
export interface Line {
  readonly kind: Kind
  readonly service: string | null
  readonly conversation?: string | null
  readonly message?: string
  readonly resource: Json
  readonly extra?: Json
}

/** What the hosted side shows at once. */
export interface News {
  readonly lines?: readonly Line[]
  readonly removals?: readonly Removal[]
  /** What is to be read, too. */
  readonly targets?: readonly string[]
  /** The write that is known by it. */
  readonly intent?: string | null
  /** What is to be read if a line is refused. */
  readonly ifRefused?: readonly string[]
}

/** Why a line was not stored, by its place in the list. */
export interface Stored {
  readonly outcomes: readonly ('created' | 'updated' | 'unchanged' | 'kept' | 'refused')[]
  readonly refusals: readonly string[]
  readonly removed: number
}

export interface StoreOptions {
  readonly database: Database<ParleyCommands>
  readonly vault: Vault
  readonly clock: Clock
  readonly account_sid: string
  /** Of the process that follows; null where there is one only. */
  readonly turn: HeldTurn | null
}

/** Stores what the hosted side shows, by the rules of an import: no webhooks, no pushes, no timers, dates as given. */
export class MirrorStore {
  readonly options: StoreOptions

  constructor(options: StoreOptions) {
    this.options = options
  }

  /** Throws ApiError where another process follows now, which is left what to read. */
  async store({ lines = [], removals = [], targets = [], intent = null, ifRefused = [] }: News): Promise<Stored> {
    const { database, account_sid, clock, turn } = this.options
    const prepared = await Promise.all(lines.map((line) => this.#prepared(line)))
    const records = prepared.filter((one): one is Prepared => !('refused' in one))
    const all = records.length < prepared.length ? [...targets, ...ifRefused] : targets
    const input = { account_sid, records, removals, targets: all, intent, ifRefused, now: clock.now(), turn }
    const { isOutOfTurn, applied, removed }: Outcome = await database.write('applyShown', input)
    if (isOutOfTurn) throw refuse('unavailable')
    const next = applied.values()
    const results = prepared.map((one) => ('refused' in one ? one : (next.next().value ?? { refused: 'it was not stored' })))
    return {
      outcomes: results.map((result) => ('refused' in result ? 'refused' : result.outcome)),
      refusals: results.flatMap((result, i) =>
        'refused' in result ? [`${lines[i]?.kind} ${String(lines[i]?.resource.sid ?? '')}: ${result.refused}`] : [],
      ),
      removed,
    }
  }

  /** A removal of a row of the account, its service or something below. */
  removal(resource: string, service: string | null, parents: readonly string[], key: string): Removal {
    const { account_sid } = this.options
    return { resource, path: { account_sid, service_sid: service, parents, key, text: key } }
  }

  async #prepared({
    kind,
    service,
    conversation,
    message,
    resource,
    extra,
  }: Line): Promise<Prepared | { readonly refused: string }> {
    const { database, vault, account_sid } = this.options
    const { url: _url, links: _links, ...shown } = resource
    try {
      const record = recordOf({
        kind,
        account_sid,
        ...(service !== null && { chat_service_sid: service }),
        ...(conversation && { conversation_sid: conversation }),
        ...(message !== undefined && { message_sid: message }),
        resource: shown,
        ...(extra && { extra }),
      })
      return await prepareSealed(database.read, vault, record)
    } catch (error) {
      if (error instanceof RecordError) return { refused: error.message }
      throw error
    }
  }
}
