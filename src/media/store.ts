import { createHash, randomUUID } from 'node:crypto'
import type { Dirent } from 'node:fs'
import { access, type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { ApiError, codeOf, refuse } from '../errors.ts'
import type { Notice, Reader } from '../storage/database.ts'
import { mediaByHash } from '../storage/lookups.ts'
import { makeTemporaryFolder, removeTemporaryFolder } from '../temporary.ts'
import { contentFile, incomingFile, incomingFolder, syncToDisk } from './files.ts'

const hourMs = 3_600_000

/** A received file. */
interface Content {
  /** Hex. */
  readonly sha256: string
  /** In bytes. */
  readonly size: number
}

interface StoreOptions {
  /** Created if it does not exist. Null: a temporary folder, deleted on close. */
  readonly folder: string | null
  /** Finds out which files are used. */
  readonly read: Reader
  readonly report: (error: unknown) => void
}

/**
 * Stores the content of media in files named by their SHA-256: `ab/cd/abcd…`. A file is on disk before the first row that refers
 * to it and is deleted after the last one, so an interruption may leave an unused file but never loses a used one.
 */
export class MediaStore {
  readonly #folder: string
  readonly #incoming: string
  /** The folder is temporary: no fsync. */
  readonly #ephemeral: boolean
  readonly #read: Reader
  readonly #report: (error: unknown) => void
  /** By content: the last operation that runs or waits. */
  readonly #operations = new Map<string, Promise<unknown>>()

  private constructor(folder: string, { folder: given, read, report }: StoreOptions) {
    this.#folder = folder
    this.#incoming = incomingFolder(folder)
    this.#ephemeral = given === null
    this.#read = read
    this.#report = report
  }

  static async open(options: StoreOptions): Promise<MediaStore> {
    const store = new MediaStore(options.folder ?? makeTemporaryFolder('parley-media-'), options)
    await store.#makeFolder(store.#incoming)
    return store
  }

  /** Resolves when all operations have ended. */
  async close(): Promise<void> {
    await Promise.all(this.#operations.values())
    if (this.#ephemeral) removeTemporaryFolder(this.#folder)
  }

  /**
   * Receives a file of any size and commits the row that refers to it. Throws a refusal when it is empty or too large; the source
   * is not destroyed then, so that the sender can read the response.
   */
  async add<T>(source: Readable, maxBytes: number, commit: (content: Content) => Promise<T>): Promise<T> {
    const upload = incomingFile(this.#folder)
    try {
      const content = await this.#receive(source, upload, maxBytes)
      return await this.#exclusively(content.sha256, async () => {
        await this.#publish(upload, content.sha256)
        try {
          const committed = await commit(content)
          // Another process may have deleted the file as unused before the commit; from now on it sees the row.
          if (!(await exists(this.#file(content.sha256)))) await this.#publish(upload, content.sha256)
          return committed
        } catch (error) {
          // If it is unknown whether the row is committed, the file is left to `removeLeftovers`.
          if (!isUnavailable(error)) await this.#removeUnused(content.sha256).catch(this.#report)
          throw error
        }
      })
    } catch (error) {
      if (!isOutOfSpace(error)) throw error
      this.#report(error)
      throw refuse('unavailable')
    } finally {
      await rm(upload, { force: true })
    }
  }

  /** Throws ENOENT if there is no such file. */
  open(sha256: string): Promise<FileHandle> {
    return open(this.#file(sha256))
  }

  /** Deletes the files that the notices report as unused. */
  notified(notices: readonly Notice[]): void {
    for (const notice of notices) {
      if (notice.topic === 'unused_file')
        this.#exclusively(notice.sha256, () => this.#removeUnused(notice.sha256)).catch(this.#report)
    }
  }

  /** Deletes the files of contents that no row refers to, now: as `notified` does, which nobody waits for. */
  async removeUnused(contents: readonly string[]): Promise<void> {
    for (const sha256 of contents) await this.#exclusively(sha256, () => this.#removeUnused(sha256))
  }

  /**
   * Removes files that a crash has left: incomplete uploads, and files without a row. Keeps files younger than an hour, whose row
   * may still be committed. Reads every folder, so it can be aborted.
   */
  async removeLeftovers(stop: AbortSignal): Promise<void> {
    // File times are in machine time, which the server's clock may differ from.
    const beforeMs = Date.now() - hourMs
    const isOld = async (file: string) => ((await stat(file).catch(() => undefined))?.mtimeMs ?? beforeMs) < beforeMs
    for await (const { name, parentPath } of filesIn(this.#incoming)) {
      const file = join(parentPath, name)
      if (await isOld(file)) await rm(file, { force: true })
    }
    for await (const { name, parentPath } of this.#contents()) {
      if (stop.aborted) return
      if (await this.#isUsed(name)) continue
      await this.#exclusively(name, async () => {
        if (await isOld(join(parentPath, name))) await this.#removeUnused(name)
      })
    }
  }

  async #receive(source: Readable, file: string, maxBytes: number): Promise<Content> {
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
      if (!this.#ephemeral) await handle.sync()
      return { sha256: hash.digest('hex'), size }
    } finally {
      await handle.close()
    }
  }

  /**
   * Links an upload under its final name. An existing file is replaced: it has the same content unless a crash has damaged it. The
   * upload also keeps its own name until its row is committed.
   */
  async #publish(upload: string, sha256: string): Promise<void> {
    const file = this.#file(sha256)
    await this.#makeFolder(dirname(file))
    const linked = `${upload}.${randomUUID()}`
    await link(upload, linked)
    await rename(linked, file)
    await this.#sync(dirname(file))
  }

  /** Moves the file aside, checks again and then deletes it: another process may be committing a row that refers to it. */
  async #removeUnused(sha256: string): Promise<void> {
    const file = this.#file(sha256)
    if ((await this.#isUsed(sha256)) || !(await exists(file))) return
    const aside = incomingFile(this.#folder)
    await rename(file, aside)
    if (await this.#isUsed(sha256)) await rename(aside, file)
    else await rm(aside)
  }

  async #isUsed(sha256: string): Promise<boolean> {
    return (await this.#read.one(mediaByHash, { sha256 })) !== undefined
  }

  /** Runs the operations on one content one after another: else a file could be deleted before its row is committed. */
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

  #file(sha256: string): string {
    return contentFile(this.#folder, sha256)
  }

  async *#contents(): AsyncIterable<Dirent> {
    for (const outer of await foldersIn(this.#folder)) {
      for (const inner of await foldersIn(join(this.#folder, outer))) yield* filesIn(join(this.#folder, outer, inner))
    }
  }

  /** Creates a folder and its parents, and syncs each to disk. */
  async #makeFolder(folder: string): Promise<void> {
    const first = await mkdir(folder, { recursive: true, mode: 0o700 })
    if (first === undefined) return
    for (let created = folder; created.length >= first.length; created = dirname(created)) await this.#sync(dirname(created))
  }

  async #sync(folder: string): Promise<void> {
    if (!this.#ephemeral) await syncToDisk(folder)
  }
}

function nothing(): void {}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}

function isUnavailable(error: unknown): boolean {
  return error instanceof ApiError && error.kind === 'unavailable'
}

/** Returns the folders with two hex digits as name: the others hold no content. */
async function foldersIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => /^[0-9a-f]{2}$/.test(name))
}

async function* filesIn(folder: string): AsyncIterable<Dirent> {
  for (const entry of await readdir(folder, { withFileTypes: true })) if (entry.isFile()) yield entry
}

/** A full disk is no defect: the upload may be retried later. */
function isOutOfSpace(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'ENOSPC' || code === 'EDQUOT'
}
