import { closeSync, fdatasyncSync, mkdirSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { median } from '../reports/figures.ts'

const in_memory = [0x01021994, 0x858458f6]

/** Creates a folder on a disk: in memory, fsync and so durable writes would cost nothing. Removed when the process ends. */
export function benchFolder(folder: string | null): string {
  const standard = in_memory.includes(statfsSync(tmpdir()).type)
    ? fileURLToPath(new URL('../node_modules/.cache', import.meta.url))
    : tmpdir()
  const base = folder ?? standard
  mkdirSync(base, { recursive: true })
  const created = mkdtempSync(join(base, 'parley-bench-'))
  process.on('exit', () => rmSync(created, { recursive: true, force: true }))
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => process.exit(130))
  return created
}

/** Returns the time in which this disk writes and syncs 8 KiB: the minimum for a single durable write. */
export function fsyncMs(folder: string): number {
  const path = join(folder, 'fsync')
  const file = openSync(path, 'w')
  const block = Buffer.alloc(8192, 1)
  const times = Array.from({ length: 200 }, () => {
    const startMs = performance.now()
    writeSync(file, block)
    fdatasyncSync(file)
    return performance.now() - startMs
  })
  closeSync(file)
  rmSync(path)
  return median(times)
}
