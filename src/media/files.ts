import { randomUUID } from 'node:crypto'
import { open } from 'node:fs/promises'
import { join } from 'node:path'

// The layout of a media folder, shared by the server and `parley copy`.

/** Returns the path of a content: its file is named by its SHA-256, `ab/cd/abcd…`. */
export function contentFile(folder: string, sha256: string): string {
  return join(folder, sha256.slice(0, 2), sha256.slice(2, 4), sha256)
}

/** Returns the folder of files that are incomplete or about to be deleted. */
export function incomingFolder(folder: string): string {
  return join(folder, 'incoming')
}

/** Returns a new path in that folder. */
export function incomingFile(folder: string): string {
  return join(incomingFolder(folder), randomUUID())
}

/** Syncs a file, or the entries of a folder, to disk. */
export async function syncToDisk(path: string): Promise<void> {
  const handle = await open(path)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
