import { randomUUID } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * The layout of a folder of media, for the server and for `parley copy`: each content in a file named by its SHA-256,
 * `ab/cd/abcd…`, and in `incoming` what is not complete.
 */
export function contentFile(folder: string, sha256: string): string {
  return join(folder, sha256.slice(0, 2), sha256.slice(2, 4), sha256)
}

export function incomingFolder(folder: string): string {
  return join(folder, 'incoming')
}

/** A new name for a file that arrives, or that is about to be deleted. */
export function incomingFile(folder: string): string {
  return join(incomingFolder(folder), randomUUID())
}

/** Writes a file or the names in a folder to disk. */
export async function syncToDisk(path: string): Promise<void> {
  const handle = await open(path)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
