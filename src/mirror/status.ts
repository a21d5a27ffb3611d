import type { MirrorRow } from '../storage/schema.ts'
import type { Difference } from './compare.ts'
import type { ReadReport } from './read-comparison.ts'

/** What `status` says. Epoch ms. */
export interface MirrorStatus {
  readonly account_sid: string
  readonly url: string
  readonly state: MirrorRow['state']
  /** Writes whose outcome is not known yet. */
  readonly open_writes: number
  /** What is still to be read. */
  readonly to_read: number
  /** What could not be read or stored, and why. */
  readonly failing: readonly { readonly target: string; readonly attempts: number; readonly error: string | null }[]
  /** For how long the oldest of them waits, in ms; 0 when there is none. */
  readonly lag_ms: number
  readonly date_passed: number | null
  readonly date_switched: number | null
  readonly report: Report | null
  /** What reads of programs have shown; null where they are not compared. */
  readonly reads: ReadReport | null
  /** What it is busy with besides; null: nothing. */
  readonly job: string | null
  /** Why the last job has ended in vain. */
  readonly job_error: string | null
}

/** What a comparison has found. */
export interface Report {
  readonly date: number
  readonly rows: number
  readonly count: number
  /** The first of them. */
  readonly differences: readonly Difference[]
}
