import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Clock } from '../../clock.ts'
import { packageVersion } from '../../package.ts'
import { formatVersion } from '../../records/format.ts'
import type { Batch } from './batch.ts'
import type { Checkpoint } from './checkpoint.ts'

/** Written to the disk at least this often, in bytes: what an interruption makes the next run read again. */
const flushBytes = 256 * 1024
const flushBatches = 20

/** What people have written is for the owner of the folder alone. */
const ownerOnly = 0o600

/** Returns the name of the file of a pass. */
export function recordsFile(pass: number): string {
  return pass === 1 ? 'records.jsonl' : `records-${pass}.jsonl`
}

/** A file of records that is written batch by batch. After an interruption it is cut where the checkpoint says that it was whole. */
export class Spool {
  readonly path: string
  readonly #file: FileHandle
  readonly #checkpoint: Checkpoint
  /** Lines of each kind. */
  readonly #counts: Record<string, number>
  #size: number
  #unsaved: Batch[] = []
  #unsavedBytes = 0

  private constructor(path: string, file: FileHandle, checkpoint: Checkpoint, size: number) {
    this.path = path
    this.#file = file
    this.#checkpoint = checkpoint
    this.#size = size
    this.#counts = { ...checkpoint.note<Record<string, number>>('lines') }
  }

  /** Opens the file of the pass that is under way. */
  static async open(folder: string, checkpoint: Checkpoint, clock: Clock): Promise<Spool> {
    const path = join(folder, recordsFile(checkpoint.pass))
    const size = checkpoint.note<number>('size') ?? 0
    const file = await open(path, size === 0 ? 'w' : 'r+', ownerOnly)
    await file.truncate(size)
    const spool = new Spool(path, file, checkpoint, size)
    if (size === 0) {
      const exportedAt = new Date(clock.now()).toISOString()
      await spool.#write([{ kind: 'header', format: formatVersion, parley: packageVersion(), exported_at: exportedAt }])
    }
    return spool
  }

  /** Appends the records of a batch. It is said to be stored once they are on disk. */
  async append(batch: Batch): Promise<void> {
    await this.#write(batch.records)
    for (const { kind } of batch.records) this.#counts[kind] = (this.#counts[kind] ?? 0) + 1
    this.#unsaved.push(batch)
    if (batch.isBoundary || this.#unsavedBytes >= flushBytes || this.#unsaved.length >= flushBatches) await this.flush()
  }

  async flush(): Promise<void> {
    await this.#file.datasync()
    const batches = this.#unsaved
    this.#unsaved = []
    this.#unsavedBytes = 0
    this.#checkpoint.transaction(() => {
      for (const batch of batches) batch.stored()
      this.#checkpoint.setNote('size', this.#size)
      this.#checkpoint.setNote('lines', this.#counts)
    })
  }

  /** Writes the last line, by which whoever reads the file knows that it is whole. The pass is finished then. */
  async end(): Promise<void> {
    await this.flush()
    await this.#write([{ kind: 'end', counts: this.#counts }])
    await this.#file.datasync()
    this.#checkpoint.finish()
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  async #write(lines: readonly object[]): Promise<void> {
    if (lines.length === 0) return
    const bytes = Buffer.from(lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
    // At its place: what an earlier attempt may have left behind it is written over. A disk that is almost full takes a part.
    for (let at = 0; at < bytes.length; ) {
      at += (await this.#file.write(bytes, at, bytes.length - at, this.#size + at)).bytesWritten
    }
    this.#size += bytes.length
    this.#unsavedBytes += bytes.length
  }
}
