import type { Outcome } from '../records/apply.ts'
import type { Kind } from '../records/format.ts'
import type { Conversation } from './choice.ts'

/** `skipped`: not chosen. */
export type Counts = Record<Outcome | 'refused' | 'read' | 'skipped', number>

/** A line that was not taken, or not wholly, and why. */
export interface Fault {
  readonly line: number
  readonly kind: string
  readonly fault: string
}

/** An import with more faults is not gone on with from behind them: the database would have to keep them all. */
export const maxKeptFaults = 100

/** Of a state as an installation keeps it. */
export const maxStateChars = 262_144

/** How far an import was: everything before `offset` is stored, and this is what was said of it. */
export interface ImportState {
  /** Of the lines before. */
  readonly line: number
  /** In bytes. */
  readonly offset: number
  /** Of the bytes before: others are another file. */
  readonly sha256: string
  readonly counts: readonly (readonly [Kind, Counts])[]
  readonly faults: readonly Fault[]
  readonly services: readonly string[]
  readonly conversation: Conversation
}
