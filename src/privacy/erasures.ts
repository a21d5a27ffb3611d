import { sql } from 'kysely'
import { parseStored } from '../json.ts'
import { long, type Tx } from '../storage/database.ts'
import { insert, rowsBy, updateRow } from '../storage/rows.ts'
import type { ErasureFileRow, ErasureRow } from '../storage/schema.ts'
import { type Dialect, shape } from '../storage/shapes.ts'
import { belongings, type Key } from './belongings.ts'
import { eraseRows } from './erase.ts'
import type { Person } from './person.ts'

export const erasureOfAccount = rowsBy('erasures', ['account_sid', 'id'])
/** Of an erasure on which nobody has worked. */
export const notBegun = {
  step: null,
  counts: '{}',
  storage: null,
  owner: null,
  failures: 0,
  date_retry: null,
  date_started: null,
} as const satisfies Partial<ErasureRow>

export const erasureById = rowsBy('erasures', ['id'])

/** Between which values a status lies, and `dry_run`. */
interface Bounds {
  readonly from_status: string
  readonly to_status: string
  readonly from_dry_run: number
  readonly to_dry_run: number
}

/** Returns what selects a status and those that only count or only erase; undefined: whichever. One query serves them all. */
export function boundsOf(status?: ErasureRow['status'], dryRun?: boolean): Bounds {
  return {
    from_status: status ?? '',
    to_status: status ?? '~',
    from_dry_run: Number(dryRun ?? 0),
    to_dry_run: Number(dryRun ?? 1),
  }
}

/** A bound need be no status. */
const anyText = sql<string>`status`

/** Newest first, those before an id. */
export const erasuresOfAccount = shape<Bounds & { account_sid: string; before: string; limit: number }>()((db, a) =>
  db
    .selectFrom('erasures')
    .selectAll()
    .where('account_sid', '=', a.account_sid)
    .where(anyText, '>=', a.from_status)
    .where(anyText, '<=', a.to_status)
    .where('dry_run', '>=', a.from_dry_run)
    .where('dry_run', '<=', a.to_dry_run)
    .where('id', '<', a.before)
    .orderBy('id', 'desc')
    .limit(a.limit),
)

/** Those with work left, oldest first, from behind an id on. */
export const openErasures = shape<{ after: string; limit: number }>()((db, a) =>
  db.selectFrom('erasures').selectAll().where('date_finished', 'is', null).where('id', '>', a.after).orderBy('id').limit(a.limit),
)

/** Contents of files that an erasure has left, in order. */
export const filesOfErasure = shape<{ erasure_id: string; limit: number }>()((db, a) =>
  db.selectFrom('erasure_files').select('sha256').where('erasure_id', '=', a.erasure_id).orderBy('sha256').limit(a.limit),
)

/** The same content may be that of many messages. */
const addFile = shape<ErasureFileRow>()((db, a) =>
  db
    .insertInto('erasure_files')
    .values({ erasure_id: a.erasure_id, sha256: a.sha256 })
    .onConflict((on) => on.doNothing()),
)

const deleteFiles = shape<{ erasure_id: string; last: string }>()((db, a) =>
  db.deleteFrom('erasure_files').where('erasure_id', '=', a.erasure_id).where('sha256', '<=', a.last),
)

const claimed = updateRow('erasures', ['id'], ['status', 'owner', 'date_started', 'date_retry'])
const advanced = updateRow('erasures', ['id'], ['sealed', 'step', 'counts'])
const failed = updateRow('erasures', ['id'], ['status', 'owner', 'failures', 'date_retry'])
const finished = updateRow('erasures', ['id'], ['status', 'sealed', 'step', 'storage', 'owner', 'date_finished'])

/** How long one that has failed waits, in ms: doubled each time, up to an hour. What is wrong with it is rarely over in a second. */
export function retryDelayMs(failures: number): number {
  return Math.min(3_600_000, 5000 * 2 ** (failures - 1))
}

/** Where the work goes on. Stored sealed. */
export interface Progress {
  readonly person: Person
  readonly pass: number
  /** How many rows the pass has found. */
  readonly rows: number
  /** Index of the table; -1 while the person is looked for. */
  readonly table: number
  /** Null while the person is looked for. */
  readonly place: Place | null
}

/** How far a table has been walked over, and in which walk. */
interface Place {
  readonly engine: Dialect
  readonly pass: number
  readonly table: number
  /** Null at the start of the table. */
  readonly key: Key | null
}

/** Returns where the work on a person begins. */
export function startOf(person: Person): Progress {
  return { person, pass: 0, rows: 0, table: -1, place: null }
}

/** Returns the progress of a walk that has come to a key of a table. */
export function at(engine: Dialect, { person, pass, rows }: Progress, table: number, key: Key | null): Progress {
  return { person, pass, rows, table, place: { engine, pass, table, key } }
}

/**
 * Returns where an erasure goes on. Behind a place of another engine there are other rows, as there are behind one that an older program has left, which
 * carries on what it does not know: the table is walked over from its start, and a dry run, which is to count no row twice, begins anew.
 */
export function resumed(engine: Dialect, stored: Progress, dryRun: boolean): Progress {
  const { pass, table, place } = stored
  if (table < 0) return stored
  if (place?.engine === engine && place.pass === pass && place.table === table) return stored
  return dryRun ? startOf(stored.person) : at(engine, stored, table, null)
}

/** What the writer is handed of a step of the work. */
interface Advance {
  readonly id: string
  readonly owner: string
  /** Where the work goes on afterwards. */
  readonly sealed: string
  /** The table that is walked over. */
  readonly step: ErasureRow['step']
  /** What a dry run has counted. */
  readonly counted: Readonly<Record<string, number>>
  /** Forgets what was counted before. */
  readonly anew: boolean
  readonly erase: { readonly table: string; readonly keys: readonly Key[]; readonly person: Person } | null
  readonly now: number
}

/** The commands of erasures. Sealed texts, ids and time are part of the input. */
export const erasureCommands = {
  /** An id that is there already stays as it is: several nodes may find the same erasure in the ledger. */
  async createErasure(tx: Tx, row: ErasureRow): Promise<void> {
    if (await tx.one(erasureById, { id: row.id })) return
    await insert(tx, 'erasures', row)
    tx.notify({ topic: 'erasure' })
  },

  /**
   * Takes an erasure over from `previous`, the owner that the caller knows to be gone, or nobody. Returns it as it is now; null when
   * somebody else has been quicker.
   */
  async claimErasure(
    tx: Tx,
    input: { readonly id: string; readonly owner: string; readonly previous: string | null; readonly now: number },
  ): Promise<ErasureRow | null> {
    const { id, owner, previous, now } = input
    const row = await tx.hold(erasureById, { id }, 'change')
    if (!row || row.status === 'done' || (row.owner !== previous && row.owner !== owner)) return null
    const taken: ErasureRow = { ...row, status: 'running', owner, date_started: row.date_started ?? now, date_retry: null }
    await tx.run(claimed, taken)
    return taken
  },

  /**
   * Erases rows and records how far the work has come, both or nothing: after an interruption it goes on where it was, and no row counts
   * twice. Returns how many rows were erased; null when another node works on it.
   */
  advanceErasure: long(async (tx: Tx, input: Advance): Promise<number | null> => {
    const { id, owner, sealed, step, counted, anew, erase, now } = input
    const row = await tx.hold(erasureById, { id }, 'change')
    if (row?.status !== 'running' || row.owner !== owner) return null
    const belonging = erase && belongings.find(({ table }) => table === erase.table)
    const { pseudonym, messages } = row
    const erased = belonging && (await eraseRows(tx, belonging, erase.keys, { person: erase.person, pseudonym, messages, now }))
    const counts = anew ? {} : { ...parseStored<Record<string, number>>(row.counts) }
    const news = Object.entries(erased ? erased.counts : counted)
    for (const [name, count] of news) counts[name] = (counts[name] ?? 0) + count
    for (const sha256 of new Set(erased?.files)) await tx.run(addFile, { erasure_id: id, sha256 })
    await tx.run(advanced, { id, sealed, step, counts: JSON.stringify(counts) })
    return news.reduce((sum, [, count]) => sum + count, 0)
  }),

  /** Forgets contents whose files are deleted, up to one. */
  async forgetErasureFiles(tx: Tx, input: { readonly id: string; readonly last: string }): Promise<void> {
    await tx.run(deleteFiles, { erasure_id: input.id, last: input.last })
  },

  /** Leaves an erasure that has failed for later. Returns it as it is then; null when another node works on it. */
  async failErasure(
    tx: Tx,
    input: { readonly id: string; readonly owner: string; readonly now: number },
  ): Promise<ErasureRow | null> {
    const { id, owner, now } = input
    const row = await tx.hold(erasureById, { id }, 'change')
    if (row?.status !== 'running' || row.owner !== owner) return null
    const failures = row.failures + 1
    const left: ErasureRow = { ...row, status: 'failed', owner: null, failures, date_retry: now + retryDelayMs(failures) }
    await tx.run(failed, left)
    return left
  },

  /** Ends an erasure: what is left of it does not say who it was. Returns false when another node works on it. */
  async finishErasure(
    tx: Tx,
    input: { readonly id: string; readonly owner: string; readonly storage: ErasureRow['storage']; readonly now: number },
  ): Promise<boolean> {
    const { id, owner, storage, now } = input
    const row = await tx.hold(erasureById, { id }, 'change')
    if (row?.status !== 'running' || row.owner !== owner) return false
    const ended = { sealed: null, step: null, owner: null, storage, date_finished: now }
    await tx.run(finished, { id, status: 'done', ...ended })
    return true
  },
}
