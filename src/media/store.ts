import { createHash, randomUUID } from 'node:crypto'
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { ApiError, isDiskFull, refuse } from '../errors.ts'
import type { Notice, Reader } from '../storage/database.ts'
import { mediaByHash } from '../storage/lookups.ts'
import { type ByteRange, type Content, type Contents, type Link, MediaStoreError } from './contents.ts'

const hourMs = 3_600_000

/** Of a caller that is refused while the store does not work. */
const retryAfterS = '5'

interface StoreOptions {
  readonly contents: Contents
  /** Finds out which contents are used. */
  readonly read: Reader
  readonly report: (error: unknown) => void
}

/**
 * Stores the content of media. It is kept before the first row that refers to it is committed and deleted after the last one, so an
 * interruption may leave an unused content but never loses a used one.
 */
export class MediaStore {
  readonly #contents: Contents
  readonly #read: Reader
  readonly #report: (error: unknown) => void
  /** By content: the last operation that runs or waits. */
  readonly #operations = new Map<string, Promise<unknown>>()

  constructor({ contents, read, report }: StoreOptions) {
    this.#contents = contents
    this.#read = read
    this.#report = report
  }

  /** Resolves when all operations have ended. */
  async close(): Promise<void> {
    await Promise.all(this.#operations.values())
    await this.#contents.close()
  }

  /**
   * Receives a file of any size and commits the row that refers to it. Throws a refusal when it is empty or too large; the source
   * is not destroyed then, so that the sender can read the response.
   */
  async add<T>(source: Readable, maxBytes: number, commit: (content: Content) => Promise<T>): Promise<T> {
    const upload = join(this.#contents.incoming, randomUUID())
    try {
      const content = await receive(source, upload, maxBytes)
      return await this.#exclusively(content.sha256, async () => {
        await this.#contents.put(upload, content)
        try {
          const committed = await commit(content)
          // Another process may have deleted the content as unused before the commit; from now on it sees the row.
          if (!(await this.#contents.has(content.sha256))) await this.#contents.put(upload, content)
          return committed
        } catch (error) {
          // If it is unknown whether the row is committed, the content is left to `removeLeftovers`.
          if (!isUnavailable(error)) await this.#removeUnused(content.sha256).catch(this.#report)
          throw error
        }
      })
    } catch (error) {
      throw this.#refusal(error)
    } finally {
      await rm(upload, { force: true })
    }
  }

  /** Resolves once the first bytes can be read. Throws if there is no such content, and a refusal while the store does not work. */
  async open(content: Content, range?: ByteRange): Promise<Readable> {
    const opened = await this.#contents.open(content, range).catch((error: unknown) => {
      throw this.#refusal(error)
    })
    if (!opened) throw new Error(`the content ${content.sha256} is missing`)
    return opened
  }

  /** Returns a URL of the store itself. Null where it has none. Throws a refusal while it cannot sign any. */
  async link(sha256: string, link: Link): Promise<string | null> {
    return this.#contents.link(sha256, link).catch((error: unknown) => {
      throw this.#refusal(error)
    })
  }

  /** Deletes the contents that the notices report as unused. */
  notified(notices: readonly Notice[]): void {
    for (const notice of notices) {
      if (notice.topic === 'unused_file')
        this.#exclusively(notice.sha256, () => this.#removeUnused(notice.sha256)).catch(this.#report)
    }
  }

  /**
   * Deletes the contents that no row refers to, now: as `notified` does, which nobody waits for. Throws MediaStoreError when anything
   * may be left of one.
   */
  async removeUnused(contents: readonly string[]): Promise<void> {
    for (const sha256 of contents) {
      await this.#exclusively(sha256, async () => {
        if (!(await this.#isLeftUnused(sha256))) return
        await this.#removeUnused(sha256)
        if (!(await this.#isLeftUnused(sha256))) return
        throw new MediaStoreError(`versions of ${sha256} are left in ${this.#contents.label}: delete them there`, {
          lasting: true,
        })
      })
    }
  }

  async #isLeftUnused(sha256: string): Promise<boolean> {
    return (await this.#contents.isLeft(sha256)) && !(await this.#isUsed(sha256))
  }

  /**
   * Removes what a crash has left: incomplete uploads, and contents without a row. Keeps what is younger than an hour, whose row
   * may still be committed. Goes through all contents, so it can be aborted.
   */
  async removeLeftovers(stop: AbortSignal): Promise<void> {
    // The times of contents are in machine time, which the server's clock may differ from.
    const before = Date.now() - hourMs
    await this.#contents.removeIncomplete(before, (sha256) => this.#isUsed(sha256))
    for await (const { sha256, put_at } of this.#contents.list()) {
      if (stop.aborted) return
      if (put_at >= before || (await this.#isUsed(sha256))) continue
      await this.#exclusively(sha256, () => this.#removeUnused(sha256))
    }
  }

  /** Returns what the caller is told: it may try again when the disk is full or the store does not work. The cause is reported. */
  #refusal(error: unknown): unknown {
    if (!(error instanceof MediaStoreError) && !isDiskFull(error)) return error
    this.#report(error)
    return refuse('unavailable', { seconds: retryAfterS })
  }

  async #removeUnused(sha256: string): Promise<void> {
    const isUsed = () => this.#isUsed(sha256)
    if (!(await isUsed())) await this.#contents.remove(sha256, isUsed)
  }

  async #isUsed(sha256: string): Promise<boolean> {
    return (await this.#read.one(mediaByHash, { sha256 })) !== undefined
  }

  /** Runs the operations on one content one after another: else it could be deleted before its row is committed. */
  async #exclusively<T>(sha256: string, work: () => Promise<T>): Promise<T> {
    const result = (this.#operations.get(sha256) ?? Promise.resolve()).then(work)
    const done = result.then(nothing, nothing)
    this.#operations.set(sha256, done)
    try {
      return await result
    } finally {
      await done
      if (this.#operations.get(sha256) === done) this.#operations.delete(sha256)
    }
  }
}

async function receive(source: Readable, file: string, maxBytes: number): Promise<Content> {
  const handle = await open(file, 'wx', 0o600)
  try {
    const hash = createHash('sha256')
    let size = 0
    await handle.writeFile(
      (async function* measured() {
        const chunks: AsyncIterable<Buffer> = source.iterator({ destroyOnReturn: false })
        for await (const chunk of chunks) {
          size += chunk.length
          if (size > maxBytes) throw refuse('mediaTooLarge')
          hash.update(chunk)
          yield chunk
        }
      })(),
    )
    if (size === 0) throw refuse('invalidParameter', { text: 'The body is empty' })
    return { sha256: hash.digest('hex'), size }
  } finally {
    await handle.close()
  }
}

function nothing(): void {}

function isUnavailable(error: unknown): boolean {
  return error instanceof ApiError && error.kind === 'unavailable'
}
