import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../../', import.meta.url))
const nodes = join(root, 'tools/nodes')

/** An empty project in which the package is installed, as somebody who has only the package would have it. */
export interface Project extends AsyncDisposable {
  readonly path: string
  /** The paths in the package. */
  readonly files: readonly string[]
  /** Writes a file into the project; returns its path. */
  write(name: string, text: string): string
}

/** Packs what git knows of this checkout, in a folder of its own, and installs that. */
export async function installPackage(): Promise<Project> {
  const folder = mkdtempSync(join(tmpdir(), 'parley-package-'))
  const [checkout, path] = [join(folder, 'checkout'), join(folder, 'project')]
  const known = await run('git', ['ls-files', '--cached', '--others', '--exclude-standard'], { cwd: root })
  for (const file of known.stdout.split('\n')) {
    if (file === '' || !existsSync(join(root, file))) continue
    mkdirSync(dirname(join(checkout, file)), { recursive: true })
    cpSync(join(root, file), join(checkout, file))
  }
  symlinkSync(join(root, 'node_modules'), join(checkout, 'node_modules'))
  await run('npm', ['pack', '--pack-destination', folder], { cwd: checkout })
  const tarball = readdirSync(folder).find((name) => name.endsWith('.tgz')) ?? ''
  const listed = await run('tar', ['-tf', join(folder, tarball)])
  mkdirSync(path)
  writeFileSync(join(path, 'package.json'), JSON.stringify({ name: 'project', private: true }))
  await run('npm', ['install', '--no-audit', '--no-fund', join(folder, tarball)], { cwd: path })
  return {
    path,
    files: listed.stdout.split('\n').filter((name) => name !== ''),
    write(name, text) {
      writeFileSync(join(path, name), text)
      return join(path, name)
    },
    [Symbol.asyncDispose]: async () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** Returns the path of another Node, installed at the first call: a key of `tools/nodes/package.json` without the processor. */
export async function otherNode(name: string): Promise<string> {
  const file = join(nodes, 'node_modules', `${name}-${process.arch}`, 'bin/node')
  if (!existsSync(file)) await installNodes()
  return file
}

/** Two workers may do so at once: each installs into a folder of its own, and the first one's is kept. */
async function installNodes(): Promise<void> {
  const own = mkdtempSync(join(nodes, 'node_modules-'))
  try {
    for (const name of ['package.json', 'package-lock.json']) cpSync(join(nodes, name), join(own, name))
    await run('npm', ['ci', '--ignore-scripts'], { cwd: own })
    if (!existsSync(join(nodes, 'node_modules'))) renameSync(join(own, 'node_modules'), join(nodes, 'node_modules'))
  } finally {
    rmSync(own, { recursive: true })
  }
}
