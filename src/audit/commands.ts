import { type Commands, long, type Tx } from '../storage/database.ts'
import { insert, rowsBy, updateRow } from '../storage/rows.ts'
import type { AuditCheckpointRow, AuditEntryRow, AuditHeadRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { difference, observed, whereIs } from './changes.ts'
import { hashOf, type NewEntry, noHash } from './entry.ts'
import { sidOrMasked } from './masking.ts'

/** An act: a command, and what the log is to have of it. Plain data. */
export interface AuditedCommand {
  readonly name: string
  readonly input: unknown
  readonly entry: NewEntry
  /** The table that the act is about; null: it changes no row that the log shows. */
  readonly table: string | null
  /** By which texts are masked, in hex. */
  readonly key: string
}

/** `seq`: that of the entry; null when the command has changed nothing, and there is none. */
export interface Audited {
  readonly value: unknown
  readonly seq: number | null
}

const headByName = rowsBy('audit_head', ['name'])
const entryById = rowsBy('audit_entries', ['id'])
const checkpointById = rowsBy('audit_checkpoints', ['id'])
const advanceHead = updateRow('audit_head', ['name'], ['seq', 'hash'])
const moveAnchor = updateRow('audit_head', ['name'], ['removed_seq', 'removed_hash', 'anchor'])
const removeEntries = shape<{ first: number; last: number }>()((db, a) =>
  db.deleteFrom('audit_entries').where('seq', '>=', a.first).where('seq', '<=', a.last),
)
const removeCheckpoints = shape<{ id: string }>()((db, a) => db.deleteFrom('audit_checkpoints').where('id', '<=', a.id))

const emptyHead: AuditHeadRow = { name: 'head', seq: 0, hash: noHash, removed_seq: 0, removed_hash: noHash, anchor: null }

/** Returns the id of the checkpoint at an entry: they sort as the entries do. */
export function checkpointId(seq: number): string {
  return String(seq).padStart(16, '0')
}

/** Returns the end of the chain. */
export async function readHead(read: Pick<Tx, 'one'>): Promise<AuditHeadRow> {
  return (await read.one(headByName, { name: 'head' })) ?? emptyHead
}

/**
 * Adds entries to the chain, but for those whose id is there already. Returns the last `seq`; null when there is nothing to add. The row
 * of the head is locked until the transaction ends: on all nodes one entry comes after the other.
 */
async function append(tx: Tx, entries: readonly NewEntry[]): Promise<number | null> {
  const head = await tx.hold(headByName, { name: 'head' }, 'change')
  const known = await Promise.all(entries.map(({ id }) => tx.one(entryById, { id })))
  let { seq, hash } = head ?? emptyHead
  const rows: AuditEntryRow[] = []
  for (const [i, entry] of entries.entries()) {
    if (known[i]) continue
    seq++
    hash = hashOf(hash, { ...entry, seq })
    rows.push({ ...entry, seq, hash })
  }
  if (rows.length === 0) return null
  await Promise.all(rows.map((row) => insert(tx, 'audit_entries', row)))
  if (head) await tx.run(advanceHead, { name: 'head', seq, hash })
  else await insert(tx, 'audit_head', { ...emptyHead, seq, hash })
  return seq
}

/** The commands of the log. All are long: none shares its transaction with others, which would wait for the head with it. */
export function auditCommands(commands: Commands) {
  return {
    /** Runs a command and adds its entry in the same transaction. An act that changes nothing has none yet. */
    audited: long(async (tx: Tx, { name, input, entry, table, key }: AuditedCommand): Promise<Audited> => {
      const command = commands[name]
      if (!command) throw new Error('there is no such command')
      const { tx: observing, changes } = observed(tx, table)
      const value = await command(observing, input)
      if (!changes.written) return { value, seq: null }
      const { row } = changes
      const where = row && whereIs(row)
      const found: NewEntry = {
        ...entry,
        account_sid: entry.account_sid ?? where?.account_sid ?? null,
        ...(where && where.sid !== null && { target_sid: sidOrMasked(key, where.sid) }),
        ...(row && difference(row, key)),
      }
      const seq = await append(tx, [found])
      return { value, seq }
    }),

    /** Adds entries of what no command has done, see `append`. */
    appendAudit: long(append),

    /** Removes the entries from `first` to `seq`, the anchor of whose last one it stores. Returns how many there were. */
    removeAudit: long(async (tx: Tx, input: { first: number; seq: number; hash: string; anchor: string }): Promise<number> => {
      const { first, seq, hash, anchor } = input
      const head = await tx.hold(headByName, { name: 'head' }, 'change')
      // Another node has been quicker.
      if (!head || head.removed_seq !== first - 1 || seq > head.seq) return 0
      await tx.run(moveAnchor, { name: 'head', removed_seq: seq, removed_hash: hash, anchor })
      await tx.run(removeCheckpoints, { id: checkpointId(seq) })
      return tx.run(removeEntries, { first, last: seq })
    }),
  }
}

/** Commands of the log that are acts themselves. */
export const checkpointCommands = {
  /** Stores a checkpoint unless there is one of that entry. */
  async storeCheckpoint(tx: Tx, checkpoint: AuditCheckpointRow): Promise<void> {
    if (!(await tx.one(checkpointById, { id: checkpoint.id }))) await insert(tx, 'audit_checkpoints', checkpoint)
  },
}

export type AuditCommands = ReturnType<typeof auditCommands> & typeof checkpointCommands
