import type { Clock } from '../clock.ts'
import { Loop, type Worker } from '../loop.ts'
import type { Commands, Database } from '../storage/database.ts'
import type { Checkpoint, Signer } from './checkpoints.ts'
import { type AuditCommands, checkpointId, readHead } from './commands.ts'
import { type AuditLog, systemAct } from './log.ts'
import { firstSeqSince, readChain, readLastCheckpoint } from './pages.ts'

/** A checkpoint comes after so many entries, or so long after the last one when there are new entries. */
const checkpointEntries = 1000
const checkpointMs = 5 * 60_000

/** Refused credentials have their entry after so long at most. */
const flushMs = 60_000

/** Entries that are removed in a transaction. */
const batch = 500

export interface KeeperOptions<C extends Commands> {
  readonly audit: Pick<AuditLog<C>, 'flush' | 'onAdded' | 'record'>
  readonly database: Database<AuditCommands>
  readonly clock: Clock
  readonly signer: () => Promise<Signer>
  readonly retentionMs: number
  /** Called with a checkpoint that has been stored, for the log of the process. */
  readonly signed: (checkpoint: Checkpoint, note: string) => void
  readonly onError: (error: unknown) => void
}

/** Looks after the log: writes what waits in memory, signs checkpoints and removes what is too old. */
export class AuditKeeper<C extends Commands> implements Worker {
  readonly #options: KeeperOptions<C>
  readonly #loop: Loop
  /** The entry of the last checkpoint that is known here. */
  #signed = 0

  constructor(options: KeeperOptions<C>) {
    this.#options = options
    this.#loop = new Loop(async () => {
      await options.audit.flush()
      await this.#removeOld()
      await this.#checkpointIfDue()
      return flushMs
    }, options.onError)
    options.audit.onAdded(({ seq }) => {
      if (seq - this.#signed >= checkpointEntries) this.#loop.nudge()
    })
    options.database.subscribe((notices) => {
      if (notices.some(({ topic }) => topic === 'clock')) this.#loop.nudge()
    })
  }

  start(): void {
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
    await this.#options.audit.flush().catch(this.#options.onError)
  }

  async #checkpointIfDue(): Promise<void> {
    const { database, clock } = this.#options
    const [head, last] = [await readHead(database.read), await readLastCheckpoint(database.read)]
    this.#signed = last?.seq ?? head.removed_seq
    const entries = head.seq - this.#signed
    if (entries <= 0) return
    if (entries < checkpointEntries && clock.now() - (last?.at ?? 0) < checkpointMs) return
    await makeCheckpoint(this.#options)
    this.#signed = head.seq
  }

  async #removeOld(): Promise<void> {
    const { audit, database, clock, retentionMs } = this.#options
    const { read } = database
    const begun = await readHead(read)
    const now = clock.now()
    const firstKept = await firstSeqSince(read, now - retentionMs)
    const last = (firstKept ?? begun.seq + 1) - 1
    let removed = 0
    for (let { removed_seq } = begun; removed_seq < last; ) {
      const [row] = await readChain(read, Math.min(last, removed_seq + batch) - 1, 1)
      if (!row || row.seq > last) break
      const anchor = (await this.#options.signer()).signAnchor({ seq: row.seq, hash: row.hash, at: now })
      const count = await database.write('removeAudit', { first: removed_seq + 1, seq: row.seq, hash: row.hash, anchor })
      if (count === 0) break
      removed += count
      removed_seq = row.seq
    }
    if (removed === 0) return
    const target = { type: 'audit', sid: null, table: null }
    const act = { ...systemAct, action: 'audit.expired', target, account_sid: null, input: JSON.stringify({ removed }) }
    await audit.record(act, { outcome: 'success', code: null })
  }
}

/** Signs where the chain stands now and stores it. Returns the checkpoint as text; null when there is no entry. */
export async function makeCheckpoint({
  database,
  clock,
  signer,
  signed,
}: Pick<KeeperOptions<Commands>, 'database' | 'clock' | 'signer' | 'signed'>): Promise<string | null> {
  const { seq, hash } = await readHead(database.read)
  if (seq === 0) return null
  const checkpoint = { seq, hash, at: clock.now() }
  const note = (await signer()).signCheckpoint(checkpoint)
  await database.write('storeCheckpoint', { ...checkpoint, id: checkpointId(seq), note })
  signed(checkpoint, note)
  return note
}
