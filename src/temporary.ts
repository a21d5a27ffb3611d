import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const folders = new Set<string>()

/** Makes a folder in the temporary folder of the system. It goes with this process, unless it is removed before. */
export function makeTemporaryFolder(prefix: string): string {
  // One listener for all: a test runner may start many servers, and ends without closing them.
  if (!process.listeners('exit').includes(removeAll)) process.on('exit', removeAll)
  const folder = mkdtempSync(join(tmpdir(), prefix))
  folders.add(folder)
  return folder
}

/** Removes a folder that `makeTemporaryFolder` has made. */
export function removeTemporaryFolder(folder: string): void {
  folders.delete(folder)
  rmSync(folder, { recursive: true, force: true })
}

function removeAll(): void {
  for (const folder of folders) {
    try {
      removeTemporaryFolder(folder)
    } catch {
      // The process ends: there is nobody to tell, and the others are still to be removed.
    }
  }
}
