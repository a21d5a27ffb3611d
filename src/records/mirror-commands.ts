import { refuse } from '../errors.ts'
import { long, type Tx } from '../storage/database.ts'
import { type HeldTurn, hasTurn } from '../storage/facts.ts'
import { deleteRow, insert, rowsBy, updateRow } from '../storage/rows.ts'
import type { MirrorRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { type Applied, recordCommands } from './apply.ts'
import type { Prepared } from './prepare.ts'
import { type Removal, removeRow } from './remove.ts'

/*
 * An account that follows a hosted one (docs/decisions/0039). `mirror_work` has what is not known to be the same on both sides: a write
 * before its outcome is known, and targets, which are to be read from the hosted side.
 */

export const mirrorOfAccount = rowsBy('mirrors', ['account_sid'])
export const allMirrors = shape<{ none?: null }>()((db) => db.selectFrom('mirrors').selectAll())
const workByKey = rowsBy('mirror_work', ['account_sid', 'key'])

interface OfAccount {
  readonly account_sid: string
}

/** Targets whose time has come, the longest waiting first. */
export const dueTargets = shape<OfAccount & { now: number; limit: number }>()((db, a) =>
  db
    .selectFrom('mirror_work')
    .selectAll()
    .where('account_sid', '=', a.account_sid)
    .where('date_due', '<=', a.now)
    .where('targets', 'is', null)
    .orderBy('date_due')
    .orderBy('key')
    .limit(a.limit),
)
export const nextTarget = shape<OfAccount>()((db, a) =>
  db
    .selectFrom('mirror_work')
    .selectAll()
    .where('account_sid', '=', a.account_sid)
    .where('targets', 'is', null)
    .orderBy('date_due')
    .limit(1),
)
export const failedTargets = shape<OfAccount & { limit: number }>()((db, a) =>
  db
    .selectFrom('mirror_work')
    .selectAll()
    .where('account_sid', '=', a.account_sid)
    .where('attempts', '>', 0)
    .orderBy('attempts', 'desc')
    .orderBy('key', 'desc')
    .limit(a.limit),
)
export const intentsOfAccount = shape<OfAccount & { limit: number }>()((db, a) =>
  db
    .selectFrom('mirror_work')
    .selectAll()
    .where('account_sid', '=', a.account_sid)
    .where('targets', 'is not', null)
    .limit(a.limit),
)
/** How many there are of each sort, and since when. */
export const workCounts = shape<OfAccount>()((db, a) =>
  db
    .selectFrom('mirror_work')
    .select((eb) => [
      eb.fn.countAll<number>().as('all'),
      eb.fn.count<number>('targets').as('intents'),
      eb.fn.sum<number>(eb.case().when('attempts', '>', 0).then(1).else(0).end()).as('failing'),
      eb.fn.min('date_created').as('since'),
    ])
    .where('account_sid', '=', a.account_sid),
)

const saveMirror = updateRow(
  'mirrors',
  ['account_sid'],
  ['url', 'state', 'report', 'date_started', 'date_passed', 'date_switched'],
)
const deleteWork = deleteRow('mirror_work', ['account_sid', 'key'])
const marked = updateRow('mirror_work', ['account_sid', 'key'], ['marks', 'attempts', 'error', 'date_due'])
const waitsAnew = updateRow('mirror_work', ['account_sid', 'key'], ['date_created', 'date_due'])
const deleteSettled = deleteRow('mirror_work', ['account_sid', 'key', 'marks'])

const deleteAllWork = shape<{ none?: null }>()((db) => db.deleteFrom('mirror_work'))
const deleteAllMirrors = shape<{ none?: null }>()((db) => db.deleteFrom('mirrors'))

/** What is to be read from the hosted side. */
interface Mark extends OfAccount {
  readonly targets: readonly string[]
  /** Epoch ms. */
  readonly now: number
}

async function mark(tx: Tx, { account_sid, targets, now }: Mark): Promise<void> {
  // Always in one order: two that lock the same rows do not wait for each other.
  for (const key of [...new Set(targets)].sort()) {
    const known = await tx.hold(workByKey, { account_sid, key }, 'change')
    if (known)
      await tx.run(marked, {
        ...known,
        marks: known.marks + 1,
        attempts: 0,
        error: null,
        date_due: Math.min(known.date_due, now),
      })
    else await insert(tx, 'mirror_work', { ...emptyWork, account_sid, key, date_created: now, date_due: now })
  }
}

const emptyWork = { targets: null, marks: 1, attempts: 0, error: null }

/** What only the process that follows may do. */
interface InTurn {
  /** Null: no other process can have the database. */
  readonly turn: HeldTurn | null
}

async function isInTurn(tx: Tx, { turn }: InTurn): Promise<boolean> {
  return turn === null || (await hasTurn(tx, turn))
}

/** Throws ApiError where another process follows now. */
async function checkTurn(tx: Tx, input: InTurn): Promise<void> {
  if (!(await isInTurn(tx, input))) throw refuse('unavailable', { seconds: '5' })
}

export interface Outcome {
  /** Whether another process follows now: nothing was stored, and it is told what to read. */
  readonly isOutOfTurn: boolean
  readonly applied: readonly Applied[]
  /** How many of the removals have found their row. */
  readonly removed: number
}

/** What the hosted side has shown. */
interface Shown extends Mark, InTurn {
  readonly records: readonly Prepared[]
  readonly removals: readonly Removal[]
  /** Id of the write that is known now; null for none. */
  readonly intent: string | null
  /** What is to be read, too, if a record is refused. */
  readonly ifRefused: readonly string[]
}

export const mirrorCommands = {
  /** Begins or changes a mirror: whatever `change` has. Returns it. Throws ApiError where another process follows. */
  async setMirror(tx: Tx, { account_sid, turn, ...change }: OfAccount & InTurn & Partial<MirrorRow>): Promise<MirrorRow> {
    await checkTurn(tx, { turn })
    const before = await tx.hold(mirrorOfAccount, { account_sid }, 'change')
    const none: MirrorRow = {
      account_sid,
      url: '',
      state: 'following',
      report: null,
      date_started: 0,
      date_passed: null,
      date_switched: null,
    }
    const after = { ...(before ?? none), ...change }
    if (before) await tx.run(saveMirror, after)
    else await insert(tx, 'mirrors', after)
    return after
  },

  /** Returns how many accounts do not follow any more. */
  async forgetMirrors(tx: Tx, _input: null): Promise<number> {
    await tx.run(deleteAllWork, {})
    return tx.run(deleteAllMirrors, {})
  },

  /**
   * Notes a write before it is sent, with what is to be read if its outcome stays unknown. Throws ApiError where another process follows: two
   * that send would not know each other's order.
   */
  async openIntent(tx: Tx, { account_sid, id, targets, now, turn }: Mark & InTurn & { readonly id: string }): Promise<void> {
    await checkTurn(tx, { turn })
    const work = { ...emptyWork, account_sid, key: intentKey(id), targets: JSON.stringify(targets) }
    await insert(tx, 'mirror_work', { ...work, date_created: now, date_due: now })
  },

  /** Ends a write that has changed nothing, or of which is to be read what it may have changed. */
  async closeIntent(tx: Tx, { id, ...rest }: Mark & { readonly id: string }): Promise<void> {
    await tx.run(deleteWork, { account_sid: rest.account_sid, key: intentKey(id) })
    await mark(tx, rest)
  },

  markTargets: mark,

  /**
   * Stores what the hosted side shows, deletes what it no longer has, notes what is to be read, and ends a write: all or nothing. A write
   * whose record is refused is not forgotten if the process ends here.
   */
  applyShown: long(async (tx: Tx, { records, removals, intent, ifRefused, ...rest }: Shown): Promise<Outcome> => {
    const { account_sid, now } = rest
    if (!(await isInTurn(tx, rest))) {
      if (intent !== null) await tx.run(deleteWork, { account_sid, key: intentKey(intent) })
      await mark(tx, { ...rest, targets: [...rest.targets, ...ifRefused] })
      return { isOutOfTurn: true, applied: [], removed: 0 }
    }
    const applied = records.length === 0 ? [] : await recordCommands.applyRecords(tx, { records, now, follows: true })
    let removed = 0
    for (const removal of removals) if (await removeRow(tx, removal, now)) removed++
    if (intent !== null) await tx.run(deleteWork, { account_sid, key: intentKey(intent) })
    const isRefused = applied.some((one) => 'refused' in one)
    await mark(tx, isRefused ? { ...rest, targets: [...rest.targets, ...ifRefused] } : rest)
    return { isOutOfTurn: false, applied, removed }
  }),

  /** A target has been read, from before `now`: it is done, or waits anew where it has been asked for meanwhile. */
  async settleTarget(
    tx: Tx,
    input: OfAccount & { readonly key: string; readonly marks: number; readonly now: number },
  ): Promise<void> {
    const { account_sid, key, marks, now } = input
    if ((await tx.run(deleteSettled, { account_sid, key, marks })) > 0) return
    const work = await tx.hold(workByKey, { account_sid, key }, 'change')
    if (work) await tx.run(waitsAnew, { ...work, date_created: now, date_due: now })
  },

  /** A target could not be read: it is tried again from `date_due` on. */
  async postponeTarget(
    tx: Tx,
    input: OfAccount & { readonly key: string; readonly marks: number; readonly error: string; readonly date_due: number },
  ): Promise<void> {
    const { account_sid, key, marks, error, date_due } = input
    const work = await tx.hold(workByKey, { account_sid, key }, 'change')
    if (work?.marks === marks) await tx.run(marked, { ...work, attempts: work.attempts + 1, error, date_due })
  },
}

function intentKey(id: string): string {
  return `intent ${id}`
}
