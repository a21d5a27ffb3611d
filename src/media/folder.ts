import { randomUUID } from 'node:crypto'
import { type Dirent, existsSync } from 'node:fs'
import { access, type FileHandle, link, mkdir, open, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { codeOf } from '../errors.ts'
import { makeTemporaryFolder, removeTemporaryFolder } from '../temporary.ts'
import type { ByteRange, Content, Contents, Kept } from './contents.ts'
import { contentFile, incomingFile, incomingFolder, syncToDisk } from './files.ts'

/** Contents in files named by their SHA-256: `ab/cd/abcd…`. */
export class FolderContents implements Contents {
  readonly incoming: string
  readonly label: string
  readonly #folder: string
  /** The folder is temporary: no fsync. */
  readonly #ephemeral: boolean

  private constructor(folder: string, ephemeral: boolean) {
    this.#folder = folder
    this.label = folder
    this.incoming = incomingFolder(folder)
    this.#ephemeral = ephemeral
  }

  /** The folder is created if it does not exist. Null: a temporary folder, deleted on close. */
  static async open(folder: string | null): Promise<FolderContents> {
    const contents = new FolderContents(folder ?? makeTemporaryFolder('parley-media-'), folder === null)
    await contents.#makeFolder(contents.incoming)
    return contents
  }

  async close(): Promise<void> {
    if (this.#ephemeral) removeTemporaryFolder(this.#folder)
  }

  /** Links the file, which lies in `incoming`, under its final name. An existing one has the same content unless a crash has damaged it. */
  async put(file: string, { sha256 }: Pick<Content, 'sha256'>): Promise<void> {
    if (!this.#ephemeral) await syncToDisk(file)
    const final = this.#file(sha256)
    await this.#makeFolder(dirname(final))
    const linked = `${file}.${randomUUID()}`
    await link(file, linked)
    await rename(linked, final)
    await this.#sync(dirname(final))
  }

  has(sha256: string): Promise<boolean> {
    return exists(this.#file(sha256))
  }

  isLeft(sha256: string): Promise<boolean> {
    return this.has(sha256)
  }

  async open({ sha256 }: Pick<Content, 'sha256'>, range?: ByteRange): Promise<Readable | null> {
    let file: FileHandle
    try {
      file = await open(this.#file(sha256))
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return null
      throw error
    }
    return file.createReadStream(range)
  }

  async remove(sha256: string, isUsed: () => Promise<boolean>): Promise<void> {
    const file = this.#file(sha256)
    if (!(await exists(file))) return
    const aside = incomingFile(this.#folder)
    await rename(file, aside)
    if (await isUsed()) await rename(aside, file)
    else await rm(aside)
  }

  /** Reads every folder. */
  async *list(): AsyncIterable<Kept> {
    for (const outer of await foldersIn(this.#folder)) {
      for (const inner of await foldersIn(join(this.#folder, outer))) {
        for await (const { name, parentPath } of filesIn(join(this.#folder, outer, inner))) {
          const found = await stat(join(parentPath, name)).catch(() => undefined)
          if (found) yield { sha256: name, size: found.size, put_at: found.mtimeMs }
        }
      }
    }
  }

  async link(): Promise<null> {
    return null
  }

  async removeIncomplete(before: number): Promise<void> {
    await removeOld(this.incoming, before)
  }

  #file(sha256: string): string {
    return contentFile(this.#folder, sha256)
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

/** Removes the files of a folder that are older than `before`, in epoch ms. */
export async function removeOld(folder: string, before: number): Promise<void> {
  for await (const { name, parentPath } of filesIn(folder)) {
    const file = join(parentPath, name)
    if (((await stat(file).catch(() => undefined))?.mtimeMs ?? before) < before) await rm(file, { force: true })
  }
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  )
}

/** Returns the folders with two hex digits as name: the others hold no content. */
async function foldersIn(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => /^[0-9a-f]{2}$/.test(name))
}

async function* filesIn(folder: string): AsyncIterable<Dirent> {
  for (const entry of await readdir(folder, { withFileTypes: true })) if (entry.isFile()) yield entry
}

/** Whether a folder of media has any content in it. */
export async function holdsContents(folder: string): Promise<boolean> {
  return existsSync(folder) && (await foldersIn(folder)).length > 0
}

/** Removes the folders, of a folder of media, that no content is left in. */
export async function removeEmptyFolders(folder: string): Promise<void> {
  const ignore = () => {}
  for (const outer of await foldersIn(folder)) {
    for (const inner of await foldersIn(join(folder, outer))) await rmdir(join(folder, outer, inner)).catch(ignore)
    await rmdir(join(folder, outer)).catch(ignore)
  }
}
