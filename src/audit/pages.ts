import type { Reader } from '../storage/database.ts'
import type { AuditCheckpointRow, AuditEntryRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'

const inOrder = shape<{ after: number; limit: number }>()((db, a) =>
  db.selectFrom('audit_entries').selectAll().where('seq', '>', a.after).orderBy('seq').limit(a.limit),
)
const firstSince = shape<{ at: number }>()((db, a) =>
  db.selectFrom('audit_entries').select('seq').where('at', '>=', a.at).orderBy('at').orderBy('seq').limit(1),
)
const checkpointsAfter = shape<{ after: string; limit: number }>()((db, a) =>
  db.selectFrom('audit_checkpoints').selectAll().where('id', '>', a.after).orderBy('id').limit(a.limit),
)
const lastCheckpoint = shape<{ before: string }>()((db, a) =>
  db.selectFrom('audit_checkpoints').selectAll().where('id', '<', a.before).orderBy('id', 'desc').limit(1),
)

/** Returns the entries after one of the chain, in order. */
export function readChain(read: Reader, after: number, limit: number): Promise<AuditEntryRow[]> {
  return read.all(inOrder, { after, limit })
}

/** Returns the checkpoints after one, by its id, in order. */
export function readCheckpoints(read: Reader, after: string, limit: number): Promise<AuditCheckpointRow[]> {
  return read.all(checkpointsAfter, { after, limit })
}

export function readLastCheckpoint(read: Reader): Promise<AuditCheckpointRow | undefined> {
  return read.one(lastCheckpoint, { before: '~' })
}

/** Returns the `seq` of the earliest entry that is from this instant on, in epoch ms; undefined when there is none. */
export async function firstSeqSince(read: Reader, at: number): Promise<number | undefined> {
  return (await read.one(firstSince, { at }))?.seq
}
