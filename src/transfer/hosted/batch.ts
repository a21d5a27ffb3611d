import type { HostedRecord } from './record.ts'

/** Records that belong together. */
export class Batch {
  readonly records: HostedRecord[] = []
  /** Whether what follows depends on what it notes: it is to be stored at once. */
  readonly isBoundary: boolean
  readonly #notes: (() => void)[] = []

  constructor({ isBoundary = false }: { readonly isBoundary?: boolean } = {}) {
    this.isBoundary = isBoundary
  }
  add(record: HostedRecord): void {
    this.records.push(record)
  }

  /** Does `note` once the records are stored. */
  afterwards(note: () => void): void {
    this.#notes.push(note)
  }

  /** To be called when the records are on disk, in a transaction of the checkpoint: they are not read again. */
  stored(): void {
    for (const note of this.#notes) note()
  }
}
