import type { Clock } from '../clock.ts'
import { parseStored } from '../json.ts'
import { Loop, type Worker } from '../loop.ts'
import type { MediaStore } from '../media/store.ts'
import { type Batch, belongings, countedAs, type Found, keyOf, walk } from '../privacy/belongings.ts'
import {
  at,
  erasureById,
  type erasureCommands,
  filesOfErasure,
  notBegun,
  openErasures,
  type Progress,
  resumed,
  retryDelayMs,
  startOf,
} from '../privacy/erasures.ts'
import { found } from '../privacy/find.ts'
import type { Entry, Ledger } from '../privacy/ledger.ts'
import { hashPurpose, type Person } from '../privacy/person.ts'
import { recalled } from '../privacy/recall.ts'
import type { Database } from '../storage/database.ts'
import { accountBySid } from '../storage/lookups.ts'
import type { ErasureRow } from '../storage/schema.ts'
import type { Vault } from '../vault.ts'

const hourMs = 3_600_000

/** Where several nodes share the database: one of them may have ended in the middle. */
const pollMs = 5000

/** Rows per transaction: requests wait at most for one batch. */
const batch = 100

/** Batches without a row of the person between two records of how far the work has come. */
const silent = 20

/** Files that are deleted between two records of it. */
const filesAtOnce = 500

/** The tables are walked over again until a walk finds nothing: what was written meanwhile may lie behind it. But not for ever. */
const maxPasses = 3

/** How often a reader may keep the files from being overwritten. */
const maxScrubs = 3

export interface ErasuresOptions {
  readonly clock: Clock
  readonly database: Database<typeof erasureCommands>
  readonly vault: Vault
  /** Null in test mode: a snapshot may still refer to a file that no row refers to. */
  readonly store: Pick<MediaStore, 'removeUnused'> | null
  /** Null for a database in memory and in test mode, where data come and go. */
  readonly ledger: Ledger | null
  /** Forgets what of the person is in the memory of this server. */
  readonly forget: (person: Person) => void
  readonly onError: (error: unknown) => void
}

/** Erases persons in batches, one person at a time. Each erasure is the work of one node; when that ends, another one goes on. */
export class Erasures implements Worker {
  readonly #options: ErasuresOptions
  readonly #loop: Loop

  constructor(options: ErasuresOptions) {
    this.#options = options
    const { database, onError } = options
    this.#loop = new Loop((signal) => this.#once(signal), onError)
    database.subscribe((notices) => {
      if (notices.some(({ topic }) => topic === 'erasure' || topic === 'clock' || topic === 'missed')) this.#loop.nudge()
    })
  }

  /**
   * Does erasures once more that the ledger has and the database has not: a backup from before them was restored. To be called before the
   * server is reached. Returns how many persons were there again.
   */
  async recall(): Promise<number> {
    const { database, vault, ledger, clock } = this.#options
    const missing: Entry[] = []
    for (const entry of (await ledger?.entries()) ?? []) {
      const isThere = await database.read.one(erasureById, { id: entry.id })
      if (!isThere && (await database.read.one(accountBySid, { sid: entry.account_sid }))) missing.push(entry)
    }
    if (missing.length === 0) return 0
    const persons = await recalled(database.read, vault.deriveAll(hashPurpose), missing)
    for (const entry of missing) {
      const person = persons.get(entry.id)
      const now = clock.now(entry.account_sid)
      await database.write('createErasure', {
        ...entry,
        status: person ? 'waiting' : 'done',
        dry_run: 0,
        requested_by: 'ledger',
        reference: null,
        sealed: person ? vault.seal(JSON.stringify(startOf(person))) : null,
        ...notBegun,
        date_created: now,
        date_finished: person ? null : now,
      })
    }
    if (persons.size > 0) await this.#once(new AbortController().signal)
    return persons.size
  }

  start(): void {
    this.#loop.start()
  }

  stop(): Promise<void> {
    return this.#loop.stop()
  }

  async #once(signal: AbortSignal): Promise<number> {
    const { database, clock } = this.#options
    let waitMs = database.capabilities.soleOwner ? hourMs : pollMs
    const live = await database.nodes.live()
    const owner = database.nodes.id
    let after: string | null = ''
    while (after !== null && !signal.aborted) {
      const open: readonly ErasureRow[] = await database.read.all(openErasures, { after, limit: batch })
      for (const { id, owner: previous, date_retry } of open) {
        if (signal.aborted) break
        if (previous !== null && previous !== owner && live.has(previous)) continue
        if (date_retry !== null && date_retry > clock.now()) {
          waitMs = Math.min(waitMs, date_retry - clock.now())
          continue
        }
        const taken = await database.write('claimErasure', { id, owner, previous, now: clock.now() })
        if (taken) waitMs = Math.min(waitMs, await this.#attempt(taken, signal))
      }
      after = open.at(-1)?.id ?? null
    }
    return waitMs
  }

  /** Works on an erasure. One that fails must not keep the others from being done. Returns when it is tried again, in ms. */
  async #attempt(erasure: ErasureRow, signal: AbortSignal): Promise<number> {
    const { database, clock, onError } = this.#options
    try {
      await this.#work(erasure, signal)
    } catch (error) {
      onError(error)
      const left = await database.write('failErasure', { id: erasure.id, owner: database.nodes.id, now: clock.now() })
      if (left) return retryDelayMs(left.failures)
    }
    return hourMs
  }

  /** Works on an erasure until it is done, until `signal` aborts or until another node has it. */
  async #work(erasure: ErasureRow, signal: AbortSignal): Promise<void> {
    const { database, vault } = this.#options
    const stored = parseStored<Progress>(vault.open(erasure.sealed ?? ''))
    let progress: Progress | null = resumed(database.capabilities.engine, stored, erasure.dry_run === 1)
    while (progress && !signal.aborted) {
      const next: Progress | 'lost' | null = await this.#pass(erasure, progress, signal)
      if (next === 'lost') return
      progress = next
    }
    if (!signal.aborted) await this.#finish(erasure)
  }

  /** Walks over the tables from where the work has come to. Returns where it goes on; null when the walk has found nothing more. */
  async #pass(erasure: ErasureRow, from: Progress, signal: AbortSignal): Promise<Progress | 'lost' | null> {
    const { database, vault, forget } = this.#options
    const { engine } = database.capabilities
    let progress = from
    // A dry run has one walk: what it counted before it began that was of another.
    let anew = erasure.dry_run === 1 && from.table < 0
    let walked = 0
    if (progress.table < 0) progress = at(engine, { ...progress, person: await found(database.read, progress.person) }, 0, null)
    for (;;) {
      const belonging = belongings[progress.table]
      if (!belonging || signal.aborted) break
      const looked = await walk(database.read, belonging, progress.person, progress.place?.key ?? null)
      const chunks = chunksOf(looked)
      for (const { rows, after } of chunks) {
        const table = progress.table + (after === null ? 1 : 0)
        const next = at(engine, { ...progress, rows: progress.rows + rows.length }, table, after)
        if (rows.length > 0 || after === null || ++walked % silent === 0) {
          const done = await database.write('advanceErasure', {
            id: erasure.id,
            owner: database.nodes.id,
            sealed: vault.seal(JSON.stringify(next)),
            step: belonging.table,
            anew,
            ...this.#change(erasure, belonging.table, rows, looked, progress.person),
          })
          if (done === null) return 'lost'
          anew = false
        }
        progress = next
      }
    }
    if (erasure.dry_run === 0) forget(progress.person)
    if (signal.aborted || erasure.dry_run === 1 || progress.rows === 0 || progress.pass + 1 >= maxPasses) return null
    return { ...progress, pass: progress.pass + 1, rows: 0, table: -1, place: null }
  }

  #change(erasure: ErasureRow, table: string, rows: readonly Found[], { belonging }: Batch, person: Person) {
    const now = this.#options.clock.now(erasure.account_sid)
    if (erasure.dry_run === 0) {
      const erase = rows.length === 0 ? null : { table, keys: rows.map(({ row }) => keyOf(belonging, row)), person }
      return { counted: {}, erase, now }
    }
    const counted: Record<string, number> = {}
    for (const one of rows) {
      const name = countedAs(belonging, one, erasure.messages)
      counted[name] = (counted[name] ?? 0) + 1
    }
    return { counted, erase: null, now }
  }

  async #finish(erasure: ErasureRow): Promise<void> {
    const { id, dry_run, account_sid } = erasure
    const { database, clock, ledger } = this.#options
    const owner = database.nodes.id
    let storage: ErasureRow['storage'] = null
    if (dry_run === 0) {
      await this.#deleteFiles(id)
      storage = await this.#scrub()
      // Before it is done: what is done is in the ledger.
      if (erasure.requested_by !== 'ledger') await ledger?.add(erasure)
    }
    await database.write('finishErasure', { id, owner, storage, now: clock.now(account_sid) })
  }

  async #deleteFiles(erasureId: string): Promise<void> {
    const { database, store } = this.#options
    for (;;) {
      // Those that are deleted are not listed any more.
      const files = await database.read.all(filesOfErasure, { erasure_id: erasureId, limit: filesAtOnce })
      const last = files.at(-1)?.sha256
      if (last === undefined) return
      await store?.removeUnused(files.map(({ sha256 }) => sha256))
      await database.write('forgetErasureFiles', { id: erasureId, last })
    }
  }

  async #scrub(): Promise<ErasureRow['storage']> {
    for (let i = 0; i < maxScrubs; i++) {
      const done = await this.#options.database.scrub()
      if (done === null) return 'not overwritten'
      if (done) return 'overwritten'
    }
    return 'in use'
  }
}

/** Divides a batch into parts of bounded transactions, each with the key behind which the work goes on. */
function chunksOf({ belonging, rows, after }: Batch): readonly Pick<Batch, 'rows' | 'after'>[] {
  const chunks: Pick<Batch, 'rows' | 'after'>[] = []
  for (let i = 0; i + batch < rows.length; i += batch) {
    const part = rows.slice(i, i + batch)
    const last = part.at(-1)
    if (last) chunks.push({ rows: part, after: keyOf(belonging, last.row) })
  }
  return [...chunks, { rows: rows.slice(chunks.length * batch), after }]
}
