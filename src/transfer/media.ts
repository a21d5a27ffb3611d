import { createHash, randomUUID } from 'node:crypto'
import { createReadStream, createWriteStream, existsSync } from 'node:fs'
import { lstat, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { codeOf } from '../errors.ts'
import { makeFolder } from '../folders.ts'
import { type Content, type Contents, MediaDamagedError } from '../media/contents.ts'
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

/** A folder of media, or where else an installation keeps them. */
export type Media = string | Contents

/**
 * Copies a file of media from one place to another, where it is not there yet. Returns false when the source has no such file, or one
 * with other bytes. It gets its name once it is complete and on disk. `size`: of what is not in a folder.
 */
export async function copyContent({ sha256, size }: Content, from: Media, to: Media): Promise<boolean> {
  if (typeof to === 'string' ? existsSync(contentFile(to, sha256)) : await to.has(sha256)) return true
  const arriving = typeof to === 'string' ? incomingFile(to) : join(to.incoming, randomUUID())
  makeFolder(dirname(arriving))
  const measured = { hash: createHash('sha256'), size: 0 }
  try {
    const source = await sourceOf({ sha256, size }, from)
    if (!source) return false
    await pipeline(
      source,
      async function* measure(chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          measured.hash.update(chunk)
          measured.size += chunk.length
          yield chunk
        }
      },
      createWriteStream(arriving, { flags: 'wx', mode: 0o600 }),
    )
    if (measured.hash.digest('hex') !== sha256) return false
    if (typeof to === 'string') await publish(arriving, contentFile(to, sha256))
    else await to.put(arriving, { sha256, size: measured.size })
    return true
  } catch (error) {
    if (codeOf(error) !== 'ENOENT' && !(error instanceof MediaDamagedError)) throw error
    return false
  } finally {
    await rm(arriving, { force: true })
  }
}

async function sourceOf(content: Content, from: Media): Promise<Readable | null> {
  if (typeof from !== 'string') return from.open(content)
  const file = contentFile(from, content.sha256)
  return (await isFile(file)) ? createReadStream(file) : null
}

async function publish(arriving: string, target: string): Promise<void> {
  await syncToDisk(arriving)
  makeFolder(dirname(target))
  await rename(arriving, target)
  await syncToDisk(dirname(target))
}
