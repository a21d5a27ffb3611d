/**
 * Builds the console into `dist/console`, where the server looks for it. `--if-possible`: as `npm ci` does it, which must not fail
 * where only what production needs is installed.
 */
import { readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { brotliCompressSync, gzipSync } from 'node:zlib'

const root = fileURLToPath(new URL('./', import.meta.url))
const target = fileURLToPath(new URL('../dist/console', import.meta.url))

/** Builds it; whoever serves the one before does so until the new one is complete. Returns the modules that are in it. */
export async function buildConsole(): Promise<string[]> {
  // React has a slower build for development, which an environment could choose.
  process.env.NODE_ENV = 'production'
  const { build } = await import('vite')
  const folder = `${target}.${process.pid}`
  const built = await build({ root, configFile: `${root}vite.config.ts`, logLevel: 'warn', build: { outDir: folder } })
  compressAll(`${folder}/assets`)
  replace(target, folder)
  const outputs = Array.isArray(built) ? built : 'output' in built ? [built] : []
  return outputs.flatMap(({ output }) => output).flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []))
}

/** Once and for all: no response waits for it. */
function compressAll(folder: string): void {
  for (const name of readdirSync(folder)) {
    const bytes = readFileSync(`${folder}/${name}`)
    writeFileSync(`${folder}/${name}.br`, brotliCompressSync(bytes))
    writeFileSync(`${folder}/${name}.gz`, gzipSync(bytes, { level: 9 }))
  }
}

if (import.meta.main) {
  await buildConsole().catch((error: Error) => {
    if (!process.argv.includes('--if-possible')) throw error
    console.error(`The console was not built (${error.message}). The server runs without it; npm run build:console builds it.`)
  })
}

/** Puts a folder in the place of another one. Of two builds at once the later one stays. */
function replace(target: string, folder: string): void {
  rmSync(target, { recursive: true, force: true })
  try {
    renameSync(folder, target)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOTEMPTY')) throw error
    replace(target, folder)
  }
}
