import { ApiError } from '../errors.ts'
import type { AnyResource, BaseRow } from '../model/declare.ts'
import { saveDocument } from '../model/search.ts'
import { registry } from '../resources/index.ts'
import { long, type Tx } from '../storage/database.ts'
import { factCommands } from '../storage/facts.ts'
import { conversationBySid, serviceOfAccount } from '../storage/lookups.ts'
import { insertRow, rowsByNames, updateNames } from '../storage/rows.ts'
import type { AccountRow, ServiceRow } from '../storage/schema.ts'
import type { Shape } from '../storage/shapes.ts'
import { armTimers } from './arm.ts'
import { Counters } from './counters.ts'
import { kinds, RecordError } from './format.ts'
import type { Loaded } from './loaded.ts'
import { assign, attach, placeOf } from './media.ts'
import { removePlaceholder } from './placeholder.ts'
import { keyColumns, loadFor, namesOf, placed } from './places.ts'
import { type PreparedPlain, plainTables } from './plain.ts'
import { type Prepared, type PreparedRow, type PreparedSetting, resourceOf } from './prepare.ts'
import type { Columns, StoredRow } from './values.ts'

/** What became of a record. `kept`: what is here is newer. */
export type Outcome = 'created' | 'updated' | 'unchanged' | 'kept'

export type Applied = { readonly outcome: Outcome } | { readonly refused: string }

export interface ApplyRequest {
  readonly records: readonly Prepared[]
  /** Epoch ms. */
  readonly now: number
  /** The records are true whatever their dates say: nobody writes here but who reads them in their order. */
  readonly follows?: boolean
  /** A fact that is true from then on; null: it is no more. */
  readonly progress?: { readonly name: string; readonly value: string | null }
}

/**
 * Commands that write records as they are: with their SIDs, dates and indexes, without webhooks, and with timers that stand until
 * `armTimers`. A record that is refused leaves nothing. Repeated they change nothing more.
 */
export const recordCommands = {
  /** Returns what became of each, in order. Kinds are applied one after the other, so that each record finds what it refers to. */
  applyRecords: long(async (tx: Tx, { records, now, follows = false, progress }: ApplyRequest): Promise<Applied[]> => {
    const applied: Applied[] = records.map(() => ({ refused: 'it was not applied' }))
    const counters = new Counters(tx)
    const numbered = records.map((record, i) => ({ record, i }))
    for (const kind of kinds) {
      const run = numbered.filter(({ record }) => record.kind === kind)
      const loaded = await Promise.all(run.map(({ record }) => loadFor(tx, counters, record)))
      const batch = new Batch(tx, counters, now, follows)
      for (const [n, { record, i }] of run.entries()) {
        const found = loaded[n]
        if (found) applied[i] = await outcomeOf(() => batch.apply(record, found))
      }
      await batch.written()
    }
    await counters.save()
    if (progress) await factCommands.setFacts(tx, { [progress.name]: progress.value })
    return applied
  }),

  armTimers: long(armTimers),
}

async function outcomeOf(apply: () => Promise<Outcome>): Promise<Applied> {
  try {
    return { outcome: await apply() }
  } catch (error) {
    if (error instanceof RecordError || (error instanceof ApiError && error.entry.status < 500)) return { refused: error.message }
    throw error
  }
}

/** Records of one kind. What refers to the database has been read for all of them at once, and they are written at once. */
class Batch {
  readonly #tx: Tx
  readonly #counters: Counters
  readonly #now: number
  readonly #follows: boolean
  readonly #writes: Promise<unknown>[] = []
  /** Rows by key as this batch has left them: a record may be there twice. */
  readonly #left = new Map<string, StoredRow>()
  /** Names that records of this batch have taken, with the SIDs. */
  readonly #taken = new Map<string, string>()

  constructor(tx: Tx, counters: Counters, now: number, follows: boolean) {
    this.#tx = tx
    this.#counters = counters
    this.#now = now
    this.#follows = follows
  }

  async written(): Promise<void> {
    await Promise.all(this.#writes)
  }

  /** Throws RecordError, or a refusal of the API. */
  async apply(record: Prepared, loaded: Loaded): Promise<Outcome> {
    const { account } = loaded
    if (!account) throw new RecordError(`there is no account ${record.account_sid}: create it with parley accounts create --sid`)
    if (record.kind !== 'service' && record.service_sid !== null && !loaded.service) {
      throw new RecordError(`there is no service ${record.service_sid} in the account`)
    }
    if ('row' in record) return this.#plain(record)
    if ('setting' in record) return this.#setting(record, account, loaded.service ?? null)
    if (loaded.foreign) throw new RecordError(loaded.foreign)
    if (loaded.removed) throw new RecordError('it is being deleted here: import it again when that is done')
    return this.#row(record, account, loaded)
  }

  async #row(record: PreparedRow, account: AccountRow, loaded: Loaded): Promise<Outcome> {
    const resource = resourceOf({ kind: record.kind, chat_service_sid: record.service_sid })
    const key = keyColumns(record)
    const name = Object.values(key).join(' ')
    const before = this.#left.get(name) ?? loaded.before
    const columns = { ...record.columns, ...placed(record, loaded, before ?? null) }
    if (before) {
      if (!this.#follows && isOlder(columns, before)) return 'kept'
      const merged = this.#counters.merged(record, columns, before)
      const changed = Object.keys(merged).filter((column) => merged[column] !== before[column])
      if (changed.length === 0) return this.#media(record, loaded, 'unchanged')
      this.#claim(record, loaded)
      const after: StoredRow = {
        ...before,
        ...merged,
        ...this.#counters.ofUpdate(record, loaded),
        revision: Number(before.revision) + 1,
      }
      const written = Object.keys(after).filter((column) => after[column] !== before[column])
      this.#write(this.#save(resource, updateNames(resource.table, Object.keys(key), written), before, { ...after, ...key }))
      this.#write(this.#counters.afterUpdate(record, before, after))
      this.#left.set(name, after)
      this.#notify(resource, after)
      return this.#media(record, loaded, 'updated')
    }
    this.#claim(record, loaded)
    const row: StoredRow = {
      ...record.fallback,
      ...columns,
      ...key,
      account_sid: account.sid,
      ...this.#counters.ofNew(record, columns, loaded),
      revision: 1,
    }
    this.#write(this.#save(resource, insertRow(resource.table, Object.keys(row)), null, row))
    this.#left.set(name, row)
    this.#counters.created(record, row)
    this.#notify(resource, row)
    return this.#media(record, loaded, 'created')
  }

  /** Throws when somebody else has a name of the record that only one may have. */
  #claim(record: PreparedRow, loaded: Loaded): void {
    for (const { column, name } of namesOf(record)) {
      const holder = this.#taken.get(name) ?? loaded.holders.get(column)
      if (holder !== undefined && holder !== record.sid) throw new RecordError(`its ${column} is that of ${holder}`)
    }
    for (const { name } of namesOf(record)) this.#taken.set(name, record.sid)
  }

  #media(record: PreparedRow, loaded: Loaded, outcome: Outcome): Outcome {
    for (const file of record.media ?? []) {
      const stored = loaded.media.get(file.sid)
      if (!stored) this.#write(attach(this.#tx, record, file))
      else if (stored.message_sid === null) this.#write(this.#tx.run(assign, { ...stored, ...placeOf(record) }))
    }
    return outcome
  }

  /** Writes a row, and then what it is found by. */
  async #save(
    resource: AnyResource,
    query: Shape<StoredRow, unknown>,
    before: StoredRow | null,
    after: StoredRow,
  ): Promise<void> {
    await this.#tx.run(query, after)
    // Rows of resources have these columns.
    await saveDocument(this.#tx, resource, before as BaseRow | null, after as unknown as BaseRow)
  }

  /** Whether it fails is found out by `written`. */
  #write(write: Promise<unknown>): void {
    write.catch(() => {})
    this.#writes.push(write)
  }

  #notify(resource: AnyResource, row: StoredRow): void {
    this.#tx.notify({ topic: 'changed', table: resource.table, sid: String(row.sid), revision: Number(row.revision) })
  }

  /** A row of its own account: its key says so. A block stays as it is, and so does what a carrier calls a message. */
  async #plain({ kind, key, row }: PreparedPlain): Promise<Outcome> {
    const { table } = plainTables[kind]
    if (kind === 'external_id') await this.#refuseDangling(row)
    const before = await this.#tx.hold(rowsByNames<StoredRow>(table, key), { ...row }, 'change')
    if (!before) {
      await this.#tx.run(insertRow(table, Object.keys(row)), row)
      return 'created'
    }
    const changed = Object.keys(row).filter((column) => row[column] !== before[column])
    if (changed.length === 0) return 'unchanged'
    if (kind !== 'content' || isOlder(row, before)) return 'kept'
    await this.#tx.run(updateNames(table, key, changed), row)
    return 'updated'
  }

  /** Throws RecordError when a row names a conversation that is not of its account. */
  async #refuseDangling({ account_sid, service_sid, conversation_sid }: StoredRow): Promise<void> {
    if (service_sid === null || conversation_sid === null) return
    const service = await this.#tx.one(serviceOfAccount, { sid: String(service_sid), account_sid: String(account_sid) })
    const place = { service_sid: String(service_sid), sid: String(conversation_sid) }
    if (!service || !(await this.#tx.one(conversationBySid, place)))
      throw new RecordError(`there is no conversation ${conversation_sid}`)
  }

  /** Settings are updated by the rule of a request, on the row as it is. */
  async #setting(record: PreparedSetting, account: AccountRow, service: ServiceRow | null): Promise<Outcome> {
    const resource = registry.named(record.setting)
    const facts = { now: this.#now, account, service, parents: [] }
    const query = rowsByNames<StoredRow>(resource.table, ['sid'])
    const before = await this.#tx.hold(query, { sid: resource.row?.(facts) ?? '' }, 'change')
    if (!before) throw new RecordError('it is of an account or service that is not there')
    const loaded: unknown = await resource.load?.(this.#tx, record.params, facts, before)
    const after: StoredRow = { ...before, ...resource.update?.(before, record.params, facts, loaded) }
    const changed = Object.keys(after).filter((column) => after[column] !== before[column])
    if (changed.length === 0) return 'unchanged'
    const revised = { ...after, revision: Number(before.revision) + 1 }
    await this.#tx.run(updateNames(resource.table, ['sid'], [...changed, 'revision']), revised)
    this.#notify(resource, revised)
    if (resource.table === 'accounts') await removePlaceholder(this.#tx, account, String(after.default_service_sid), this.#now)
    return 'updated'
  }
}

/** Whether what is here has been changed since the record was written. Activity does not count as a change of a conversation. */
function isOlder(columns: Columns, before: StoredRow): boolean {
  const isLess = (column: string) => Number(columns[column] ?? before[column]) < Number(before[column])
  return isLess('date_updated') || ('date_activity' in columns && isLess('date_activity'))
}
