import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative } from 'node:path'

/**
 * Writes the types of `entries`, and of the modules that these mention, in both forms: `.d.ts` for programs that import, `.d.cts`
 * for those that require. Throws when they mention a package: the host may not have it.
 */
export function writeDeclarations(options: {
  readonly root: string
  readonly entries: readonly string[]
  readonly target: string
  /** Packages that may be mentioned. */
  readonly packages?: readonly string[]
}): void {
  const { root, entries, target, packages = [] } = options
  const folder = mkdtempSync(join(tmpdir(), 'parley-types-'))
  try {
    const errors = emit(root, folder)
    const pending = entries.map((entry) => `${entry}.ts`)
    for (const module of pending) {
      // Of what nobody sees the types, nobody minds that some have no name.
      const error = errors.find((line) => line.startsWith(`src/${module}(`))
      if (error) throw new Error(error)
      const text = readFileSync(join(folder, module.replace(/\.ts$/, '.d.ts')), 'utf8')
      for (const specifier of specifiersOf(text)) {
        const path = relative('.', join(dirname(module), specifier))
        if (specifier.startsWith('.')) !pending.includes(path) && pending.push(path)
        else if (!specifier.startsWith('node:') && !packages.includes(specifier))
          throw new Error(`the types of ${entries} mention ${specifier}, in ${module}`)
      }
      for (const [types, script] of [
        ['.d.ts', '.js'],
        ['.d.cts', '.cjs'],
      ] as const) {
        const file = join(target, module.replace(/\.ts$/, types))
        mkdirSync(dirname(file), { recursive: true })
        writeFileSync(file, text.replaceAll(/(["'])(\.[^"']*)\.ts\1/g, `$1$2${script}$1`))
      }
    }
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Emits the types of all sources; returns what the compiler says about them. */
function emit(root: string, folder: string): string[] {
  const args = ['-p', 'tsconfig.build.json', '--outDir', folder]
  const { stdout } = spawnSync(join(root, 'node_modules/.bin/tsc'), args, { cwd: root, encoding: 'utf8' })
  return stdout.split('\n')
}

function specifiersOf(text: string): string[] {
  return [...text.matchAll(/(?:from|import\(|import) *["']([^"']+)["']/g)].map(([, specifier = '']) => specifier)
}
