import { createWriteStream, existsSync, realpathSync } from 'node:fs'
import { copyFile, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { ConfigError } from '../config-error.ts'
import { codeOf } from '../errors.ts'
import { makeFolder } from '../folders.ts'
import type { Content, Contents } from '../media/contents.ts'
import { contentFile, incomingFile, syncToDisk } from '../media/files.ts'
import type { Db } from './tables.ts'

const filesAtOnce = 16
const filesRead = 512

type MediaFile = Content

interface Folders {
  /** A folder, or where else the source keeps its media. */
  readonly from: string | Contents
  readonly to: string
}

interface CopyFiles {
  /** Called with the number of files of each batch. */
  readonly copied: (files: number) => void
  /** A server is running and deletes files that no row needs any more: they are left out. */
  readonly mayVanish: boolean
}

export async function countFiles(db: Db): Promise<number> {
  const { files } = await db
    .selectFrom('media')
    .select((eb) => eb.fn.count<number>('sha256').distinct().as('files'))
    .executeTakeFirstOrThrow()
  return Number(files)
}

/** Whether both ends share one folder, so that no file needs to be copied. */
export function sameFolder({ from, to }: Folders): boolean {
  if (typeof from !== 'string') return false
  return from === to || (existsSync(from) && existsSync(to) && realpathSync(from) === realpathSync(to))
}

/** Counts the files that rows refer to and that are in neither folder; returns the first of them too. */
export async function missingFiles(db: Db, { from, to }: Folders): Promise<{ count: number; first: string | null }> {
  let count = 0
  let first: string | null = null
  for await (const files of filesOf(db)) {
    const there = await Promise.all(files.map(async (file) => (await holds(from, file)) || (await holds(to, file))))
    for (const [i, file] of files.entries()) {
      if (there[i]) continue
      count++
      first ??= pathIn(from, file)
    }
  }
  return { count, first }
}

/**
 * Copies the files that the target lacks. Each is renamed once it is complete and on disk, so that a kill leaves no partial file;
 * the server deletes what remains in `incoming`. Files that the source lacks were reported before.
 */
export async function copyFiles(db: Db, { from, to }: Folders, { copied, mayVanish }: CopyFiles): Promise<void> {
  for await (const files of filesOf(db)) {
    for (let start = 0; start < files.length; start += filesAtOnce) {
      const some = files.slice(start, start + filesAtOnce)
      const made = await Promise.all(some.map((file) => copyOne(file, { from, to }, mayVanish)))
      await Promise.all([...new Set(made.flat())].map(syncToDisk))
      copied(some.length)
    }
  }
}

/** Returns the folders that have a new name in them and are to be synced. */
async function copyOne(file: MediaFile, { from, to }: Folders, mayVanish: boolean): Promise<string[]> {
  if ((await holds(to, file)) || !(await holds(from, file))) return []
  const [arriving, final] = [incomingFile(to), pathIn(to, file)]
  makeFolder(dirname(arriving))
  try {
    if (!(await bring(file, from, arriving))) return []
  } catch (error) {
    if (mayVanish && codeOf(error) === 'ENOENT') return []
    throw error
  }
  await syncToDisk(arriving)
  const { size } = await stat(arriving)
  if (size !== file.size) {
    throw new ConfigError(`${pathIn(from, file)} has become ${size} bytes instead of ${file.size} while it was copied`)
  }
  makeFolder(dirname(final))
  await rename(arriving, final)
  return [dirname(final), dirname(dirname(final)), to]
}

/** Returns false if it is not there any more. */
async function bring(file: MediaFile, from: Folders['from'], arriving: string): Promise<boolean> {
  if (typeof from === 'string') await copyFile(pathIn(from, file), arriving)
  else {
    const bytes = await from.open(file)
    if (!bytes) return false
    await pipeline(bytes, createWriteStream(arriving, { mode: 0o600 }))
  }
  return true
}

/** The files that rows refer to, each once. */
async function* filesOf(db: Db): AsyncIterable<MediaFile[]> {
  for (let after = ''; ; ) {
    const rows = await db
      .selectFrom('media')
      .select((eb) => ['sha256', eb.fn.max('size').as('size')])
      .where('sha256', '>', after)
      .groupBy('sha256')
      .orderBy('sha256')
      .limit(filesRead)
      .execute()
    const last = rows.at(-1)
    if (!last) return
    yield rows.map(({ sha256, size }) => ({ sha256: String(sha256), size: Number(size) }))
    after = String(last.sha256)
  }
}

function pathIn(folder: Folders['from'], { sha256 }: MediaFile): string {
  return typeof folder === 'string' ? contentFile(folder, sha256) : `${sha256} in ${folder.label}`
}

/** A file of another size does not count: it is partial. */
async function holds(folder: Folders['from'], file: MediaFile): Promise<boolean> {
  if (typeof folder !== 'string') return folder.has(file.sha256)
  const found = await stat(pathIn(folder, file)).catch(() => null)
  return found?.size === file.size
}
