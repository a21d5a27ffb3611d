import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream, existsSync } from 'node:fs'
import { lstat, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { codeOf } from '../errors.ts'
import { makeFolder } from '../folders.ts'
import { contentFile, incomingFile, syncToDisk } from '../media/files.ts'

/** Whether it is a file itself: a pipe would be waited for, and a link may lead anywhere. */
async function isFile(path: string): Promise<boolean> {
  return (await lstat(path).catch(() => null))?.isFile() ?? false
}

/** Whether a folder has a file of media, with its bytes. */
export async function hasContent(sha256: string, folder: string): Promise<boolean> {
  const hash = createHash('sha256')
  const source = contentFile(folder, sha256)
  if (!(await isFile(source))) return false
  try {
    for await (const chunk of createReadStream(source)) hash.update(chunk)
    return hash.digest('hex') === sha256
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    return false
  }
}

/**
 * Copies a file of media from one folder to another, where it is not there yet. Returns false when the source has no such file, or one
 * with other bytes. It gets its name once it is complete and on disk.
 */
export async function copyContent(sha256: string, from: string, to: string): Promise<boolean> {
  const target = contentFile(to, sha256)
  if (existsSync(target)) return true
  const source = contentFile(from, sha256)
  if (!(await isFile(source))) return false
  const arriving = incomingFile(to)
  makeFolder(dirname(arriving))
  const hash = createHash('sha256')
  try {
    await pipeline(
      createReadStream(source),
      async function* measured(source: AsyncIterable<Buffer>) {
        for await (const chunk of source) {
          hash.update(chunk)
          yield chunk
        }
      },
      createWriteStream(arriving, { flags: 'wx', mode: 0o600 }),
    )
    if (hash.digest('hex') !== sha256) return false
    await syncToDisk(arriving)
    makeFolder(dirname(target))
    await rename(arriving, target)
    await syncToDisk(dirname(target))
    return true
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error
    return false
  } finally {
    await rm(arriving, { force: true })
  }
}
