import type { Database, Reader } from '../storage/database.ts'
import type { AuditCheckpointRow, AuditEntryRow, AuditHeadRow } from '../storage/schema.ts'
import type { Checkpoint, Signer } from './checkpoints.ts'
import { type AuditCommands, readHead } from './commands.ts'
import { hashOf } from './entry.ts'
import { readChain, readCheckpoints } from './pages.ts'

/** `bad`: the first entry that is not as it was written; null when none is. `entries`: how many there are. */
export interface Verified {
  readonly ok: boolean
  readonly entries: number
  readonly removed: number
  readonly checkpoints: number
  readonly bad: number | null
  /** What was found, in a sentence. */
  readonly finding: string
}

/** Entries that are read at a time. */
const window = 1000

/** Entries may go because of their age while they are read. */
const maxTries = 3

/** The checkpoint that was kept elsewhere. */
const given = 'the given checkpoint'

type Finding = { readonly bad: number | null; readonly finding: string }

/** Where a hash is known from elsewhere. */
interface Known extends Checkpoint {
  readonly source: string
}

/**
 * Walks the whole chain: that no entry was changed, removed, added or moved, that it reaches as far as each checkpoint says, and has
 * the hash there that was signed. `against`: a checkpoint that was kept elsewhere.
 */
export async function verifyLog(database: Database<AuditCommands>, signer: Signer, against: string | null): Promise<Verified> {
  const { read } = database
  // A commit: what another program has written to the files meanwhile is read, too.
  await database.write('appendAudit', [])
  for (let tries = 1; ; tries++) {
    const head = await readHead(read)
    const known = await knownOf(read, signer, against)
    const found = 'finding' in known ? known : ((await anchorFinding(head, signer)) ?? (await chainFinding(read, head, known)))
    const { removed_seq: removed } = await readHead(read)
    if (found && removed !== head.removed_seq && tries < maxTries) continue
    const entries = head.seq - head.removed_seq
    const compared = 'finding' in known ? [] : known.filter(({ seq }) => seq >= head.removed_seq)
    const counts = { entries, removed: head.removed_seq, checkpoints: compared.length }
    if (found) return { ok: false, ...counts, ...found }
    const finding = `${entries} entries are as they were written, and agree with ${counts.checkpoints} checkpoints`
    const isTooOld = against !== null && !compared.some(({ source }) => source === given)
    return { ok: true, ...counts, bad: null, finding: isTooOld ? `${finding}; ${given} is of an entry that is gone` : finding }
  }
}

/** Returns the checkpoints, in order, or what is wrong with one. */
async function knownOf(read: Reader, signer: Signer, against: string | null): Promise<readonly Known[] | Finding> {
  const known: Known[] = []
  for await (const { seq, hash, note } of checkpointsOf(read)) {
    const opened = signer.open(note)
    if ('wrong' in opened) return { bad: seq, finding: `the checkpoint at entry ${seq} is not genuine: ${opened.wrong}` }
    if (opened.seq !== seq || opened.hash !== hash) {
      return { bad: seq, finding: `the checkpoint at entry ${seq} is not the one that was signed` }
    }
    known.push({ ...opened, source: 'the checkpoint' })
  }
  if (against === null) return known
  const opened = signer.open(against)
  if ('wrong' in opened) return { bad: null, finding: `the given checkpoint does not belong to this log: ${opened.wrong}` }
  return [...known, { ...opened, source: given }].sort((a, b) => a.seq - b.seq)
}

async function* checkpointsOf(read: Reader): AsyncGenerator<AuditCheckpointRow> {
  for (let after = ''; ; ) {
    const rows = await readCheckpoints(read, after, window)
    yield* rows
    const last = rows.at(-1)
    if (!last || rows.length < window) return
    after = last.id
  }
}

async function anchorFinding({ removed_seq, removed_hash, anchor }: AuditHeadRow, signer: Signer): Promise<Finding | null> {
  if (removed_seq === 0 && anchor === null) return null
  const first = { bad: removed_seq + 1 }
  if (anchor === null) return { ...first, finding: `entries up to ${removed_seq} are missing, and no anchor stands for them` }
  const opened = signer.open(anchor, 'anchor')
  if ('wrong' in opened) return { ...first, finding: `the anchor of entry ${removed_seq} is not genuine: ${opened.wrong}` }
  if (opened.seq === removed_seq && opened.hash === removed_hash) return null
  return { ...first, finding: `the anchor stands for entries up to ${opened.seq}, but they are missing up to ${removed_seq}` }
}

async function chainFinding(read: Reader, head: AuditHeadRow, known: readonly Known[]): Promise<Finding | null> {
  let last = { seq: head.removed_seq, hash: head.removed_hash }
  // What comes before has been removed, with the hashes that it could be compared with.
  const waiting = known.filter(({ seq }) => seq >= last.seq)
  const compare = (): Finding | null => {
    for (let next = waiting[0]; next && next.seq === last.seq; next = waiting[0]) {
      if (next.hash !== last.hash) {
        const finding = `entries up to ${last.seq} were written anew: ${next.source} of entry ${next.seq} has another hash`
        return { bad: last.seq, finding }
      }
      waiting.shift()
    }
    return null
  }
  const removed = compare()
  if (removed) return removed
  while (last.seq < head.seq) {
    const rows = await readChain(read, last.seq, Math.min(window, head.seq - last.seq))
    for (const row of rows) {
      const finding = entryFinding(last, row)
      if (finding) return finding
      last = row
      const differs = compare()
      if (differs) return differs
    }
    if (rows.length === 0) break
  }
  const cut = last.seq + 1
  if (last.seq < head.seq) return { bad: cut, finding: `the end is cut off: entries ${cut} to ${head.seq} are missing` }
  if (last.hash !== head.hash) return { bad: last.seq, finding: `entry ${last.seq} is not the one that was written last` }
  const [next] = waiting
  if (next)
    return { bad: cut, finding: `the end is cut off: ${next.source} has ${next.seq} entries, the log ends with ${last.seq}` }
  const [beyond] = await readChain(read, head.seq, 1)
  if (!beyond || (await readHead(read)).seq > head.seq) return null
  return { bad: beyond.seq, finding: `entry ${beyond.seq} was added behind the end of the chain` }
}

function entryFinding(last: { readonly seq: number; readonly hash: string }, row: AuditEntryRow): Finding | null {
  const expected = last.seq + 1
  if (row.seq !== expected) return { bad: expected, finding: `entry ${expected} is missing` }
  const { hash, ...entry } = row
  if (hashOf(last.hash, entry) === hash) return null
  return { bad: row.seq, finding: `entry ${row.seq} was changed, or does not follow entry ${last.seq}` }
}
