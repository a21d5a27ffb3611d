import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { program } from './process.ts'

/** Whether disks of a few megabytes can be had here: without rights, but with namespaces of users and mounts. */
export const hasSmallDisks =
  spawnSync('unshare', ['--map-root-user', '--mount', 'mount', '-t', 'tmpfs', 'none', '/mnt']).status === 0

/** A disk of a few megabytes, which `parley` finds at `path` when it is started with `program`. */
export interface SmallDisk extends AsyncDisposable {
  readonly path: string
  readonly program: readonly string[]
  /** Where this process finds it. */
  readonly seen: string
  /** Leaves so many bytes. */
  fill(left: number): void
  /** Gives back what `fill` has taken. */
  free(): void
}

/** `size`: bytes. */
export async function smallDisk(size: number): Promise<SmallDisk> {
  const path = mkdtempSync(join(tmpdir(), 'parley-disk-'))
  const mounted = `mount -t tmpfs -o size=${size} none "$0" && echo mounted && exec cat`
  // Only it and what joins it sees the disk, which is gone with the last of them.
  const holder = spawn('unshare', ['--map-root-user', '--mount', 'sh', '-c', mounted, path], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await Promise.race([
    once(holder.stdout, 'data'),
    once(holder, 'exit').then(([code]) => Promise.reject(new Error(`the disk could not be mounted: ${code}`))),
  ])
  const seen = `/proc/${holder.pid}/root${path}`
  const ballast = join(seen, 'ballast')
  return {
    path,
    seen,
    program: ['nsenter', `--target=${holder.pid}`, '--user', '--preserve-credentials', '--mount', process.execPath, program],
    fill: (left) => {
      const { bavail, bsize } = statfsSync(seen)
      writeFileSync(ballast, Buffer.alloc(Math.max(0, bavail * bsize - left)))
    },
    free: () => rmSync(ballast),
    [Symbol.asyncDispose]: async () => {
      const ended = once(holder, 'exit')
      holder.stdin.end()
      await ended
      if (existsSync(path)) rmSync(path, { recursive: true })
    },
  }
}
