import { createHash, randomUUID } from 'node:crypto'
import { type Dirent, mkdtempSync } from 'node:fs'
import { access, type FileHandle, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { ApiError, codeOf, refuse } from '../errors.ts'
import type { Notice, Reader } from '../storage/database.ts'
import { rowsBy } from '../storage/rows.ts'
import { contentFile, incomingFile, incomingFolder, syncToDisk } from './files.ts'

const hour_ms = 3_600_000
const mediaByHash = rowsBy('media', ['sha256'])

/** What arrived. */
interface Content {
  /** Hex. */
  readonly sha256: string
  /** In bytes. */
  readonly size: number
}

interface StoreOptions {
  /** Made when it is not there. Null: one in the temporary folder, gone on close. */
  readonly folder: string | null
  /** Which files are referred to. */
  readonly read: Reader
  readonly report: (error: unknown) => void
}

/**
 * The bytes of media, a file for each content, named by its SHA-256: `ab/cd/abcd…`. A file is on disk before the row that
 * refers to it and goes after the last one, so whatever is cut short leaves a file too many, never one too few.
 */
export class MediaStore {
  readonly #folder: string
  readonly #incoming: string
  /** Files are as lasting as the database: no fsync for what is thrown away. */
  readonly #ephemeral: boolean
  readonly #read: Reader
  readonly #report: (error: unknown) => void
  /** The last of what is done or waits to be done with each content. */
  readonly #busy = new Map<string, Promise<unknown>>()

  private constructor(folder: string, { folder: given, read, report }: StoreOptions) {
    this.#folder = folder
    this.#incoming = incomingFolder(folder)
    this.#ephemeral = given === null
    this.#read = read
    this.#report = report
  }

  static async open(options: StoreOptions): Promise<MediaStore> {
    const store = new MediaStore(options.folder ?? mkdtempSync(join(tmpdir(), 'parley-media-')), options)
    await store.#makeFolder(store.#incoming)
    return store
  }

  /** Resolves once nothing is under way any more. */
  async close(): Promise<void> {
    await Promise.all(this.#busy.values())
    if (this.#ephemeral) await rm(this.#folder, { recursive: true, force: true })
  }

  /**
   * Takes in what the sender sends, whatever its size, and commits the row that refers to it. Throws a refusal when it is
   * empty or too large; the sender is not cut off then, so that it can read the answer.
   */
  async add<T>(source: Readable, max_bytes: number, commit: (content: Content) => Promise<T>): Promise<T> {
    const arriving = incomingFile(this.#folder)
    try {
      const content = await this.#receive(source, arriving, max_bytes)
      return await this.#alone(content.sha256, async () => {
        await this.#publish(arriving, content.sha256)
        try {
          const committed = await commit(content)
          // Another process may have taken it for unused just before; from now on it sees the row.
          if (!(await exists(this.#file(content.sha256)))) await this.#publish(arriving, content.sha256)
          return committed
        } catch (error) {
          // When nobody can say whether the row is there, the file stays until that is certain: see `removeLeftovers`.
          if (!isUnavailable(error)) await this.#removeUnused(content.sha256).catch(this.#report)
          throw error
        }
      })
    } catch (error) {
      if (!isOutOfSpace(error)) throw error
      this.#report(error)
      throw refuse('unavailable')
    } finally {
      await rm(arriving, { force: true })
    }
  }

  /** Throws ENOENT when there is no such file. */
  open(sha256: string): Promise<FileHandle> {
    return open(this.#file(sha256))
  }

  /** Deletes files that have lost their last row. */
  notified(notices: readonly Notice[]): void {
    for (const notice of notices) {
      if (notice.topic === 'unused_file') this.#alone(notice.sha256, () => this.#removeUnused(notice.sha256)).catch(this.#report)
    }
  }

  /**
   * Removes what a crash has left: an upload cut short, or a file whose row was not committed or whose removal was not done.
   * Not the young ones, which may be on their way. It reads every folder, so it can be told to stop on its way.
   */
  async removeLeftovers(stop: AbortSignal): Promise<void> {
    // File times are the machine's, whatever the clock of the server says.
    const before_ms = Date.now() - hour_ms
    const isOld = async (file: string) => ((await stat(file).catch(() => undefined))?.mtimeMs ?? before_ms) < before_ms
    for await (const { name, parentPath } of filesIn(this.#incoming)) {
      const file = join(parentPath, name)
      if (await isOld(file)) await rm(file, { force: true })
    }
    for await (const { name, parentPath } of this.#contents()) {
      if (stop.aborted) return
      if (await this.#isUsed(name)) continue
      await this.#alone(name, async () => {
        if (await isOld(join(parentPath, name))) await this.#removeUnused(name)
      })
    }
  }

  async #receive(source: Readable, file: string, max_bytes: number): Promise<Content> {
    const handle = await open(file, 'wx', 0o600)
    try {
      const hash = createHash('sha256')
      let size = 0
      await handle.writeFile(
        (async function* measured() {
          const chunks: AsyncIterable<Buffer> = source.iterator({ destroyOnReturn: false })
          for await (const chunk of chunks) {
            size += chunk.length
            if (size > max_bytes) throw refuse('mediaTooLarge')
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
   * Also where there is one of that name already: it holds the same bytes, and what a crash may have done to it is mended.
   * What arrived keeps its own name until its row is committed.
   */
  async #publish(arriving: string, sha256: string): Promise<void> {
    const file = this.#file(sha256)
    await this.#makeFolder(dirname(file))
    const second = `${arriving}.${randomUUID()}`
    await link(arriving, second)
    await rename(second, file)
    await this.#sync(dirname(file))
  }

  /** Put aside, looked for once more, then deleted: another process may be committing a row that refers to it. */
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

  /** One after the other for each content: else a file could be deleted between its arrival and its row. */
  async #alone<T>(sha256: string, work: () => Promise<T>): Promise<T> {
    const mine = (this.#busy.get(sha256) ?? Promise.resolve()).then(work)
    const done = mine.then(nothing, nothing)
    this.#busy.set(sha256, done)
    try {
      return await mine
    } finally {
      await done
      if (this.#busy.get(sha256) === done) this.#busy.delete(sha256)
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

  /** Makes a folder and those above it; each new name is on disk before this resolves. */
  async #makeFolder(folder: string): Promise<void> {
    const first = await mkdir(folder, { recursive: true, mode: 0o700 })
    if (first === undefined) return
    for (let made = folder; made.length >= first.length; made = dirname(made)) await this.#sync(dirname(made))
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

/** Only folders that hold contents: two hex digits. */
async function foldersIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => /^[0-9a-f]{2}$/.test(name))
}

async function* filesIn(folder: string): AsyncIterable<Dirent> {
  for (const entry of await readdir(folder, { withFileTypes: true })) if (entry.isFile()) yield entry
}

/** A full disk is no defect: the upload may be tried again later. */
function isOutOfSpace(error: unknown): boolean {
  const code = codeOf(error)
  return code === 'ENOSPC' || code === 'EDQUOT'
}
