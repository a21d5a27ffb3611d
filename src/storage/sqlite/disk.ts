import { statfsSync } from 'node:fs'
import { dirname } from 'node:path'

/**
 * Less than this, 8 MiB, is a full disk. Small writes still find room then, in a write-ahead log that is long enough already: trying one would
 * not tell, and larger ones fail.
 */
const minFreeBytes = 8_388_608

/** Whether the disk of a file has no room to speak of. One that does not say so has: some file systems say that they have no blocks at all. */
export function isNearlyFull(file: string): boolean {
  try {
    const { blocks, bavail, bsize } = statfsSync(dirname(file))
    return blocks > 0 && bavail * bsize < minFreeBytes
  } catch {
    return false
  }
}
