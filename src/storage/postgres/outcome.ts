import type { ApiError } from '../../errors.ts'
import type { Notice } from '../database.ts'

/** What became of a job. `undone`: nothing of it is stored, and it may be run again. `unknown`: see CommitUnknownError. */
export type Outcome =
  | { readonly kind: 'done'; readonly value: unknown; readonly notices: readonly Notice[] }
  | { readonly kind: 'refused'; readonly error: ApiError }
  | { readonly kind: 'undone'; readonly error: Error }
  | { readonly kind: 'unknown'; readonly error: CommitUnknownError }

/** Names a transaction. After a crash of the database the number of one that was not committed may be given to another one. */
export interface TransactionId {
  readonly xid: string
  /** The `databaseRun` in which the number was given. */
  readonly run: string
}

/** The commit was sent and no answer came: the transaction may be committed or not. The database knows it by `id`. */
export class CommitUnknownError extends Error {
  override readonly name = 'CommitUnknownError'
  readonly code = 'PARLEY_COMMIT_UNKNOWN'
  /** Undefined when not even the number of the transaction was received. */
  readonly id: TransactionId | undefined
  /** What became of its jobs if it is committed. */
  readonly ifCommitted: readonly Outcome[]

  constructor(message: string, cause: unknown, id: TransactionId | undefined, ifCommitted: readonly Outcome[]) {
    super(message, { cause })
    this.id = id
    this.ifCommitted = ifCommitted
  }
}
