/** Writes what is published into `dist/`: the bundle, the types of what programs import, and the licences of what is bundled. */
import { rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type OutputOptions, type RolldownOutput, rolldown } from 'rolldown'
import { writeDeclarations } from './declarations.ts'
import { licenceTexts } from './licences.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const dist = `${root}dist`

/** What programs import, as `exports` of package.json says: these have types. */
const libraries = ['index', 'client']

/** What the writer thread loads. */
const thread = ['commands', 'storage/sqlite/writer-thread']

const entries = ['cli/program', ...libraries, ...thread]

/** Installed beside the package: a native part cannot be bundled, `pg` works without its own, and the host brings its SDK. */
const external = ['better-sqlite3', 'pg-native', 'twilio']

async function bundle(entries: readonly string[], output: OutputOptions): Promise<RolldownOutput> {
  const build = await rolldown({
    cwd: root,
    input: Object.fromEntries(entries.map((entry) => [entry, `src/${entry}.ts`])),
    platform: 'node',
    external,
  })
  const result = await build.write({ dir: dist, format: 'esm', ...output })
  await build.close()
  return result
}

function modulesOf({ output }: RolldownOutput): string[] {
  return output.flatMap((file) => (file.type === 'chunk' ? file.moduleIds : []))
}

/** An entry runs when it is imported: it stays in its own file. */
function isEntry(module: string): boolean {
  return entries.some((entry) => module === `${root}src/${entry}.ts`)
}

rmSync(dist, { recursive: true, force: true })
// What the thread loads becomes one chunk with nothing else in it: a thread is started with every server.
const ofThread = new Set(modulesOf(await bundle(thread, {})))
rmSync(dist, { recursive: true, force: true })
const bundled = await bundle(entries, {
  chunkFileNames: '[name].js',
  codeSplitting: {
    groups: [
      { name: 'thread', test: (id) => ofThread.has(id) && !isEntry(id) },
      { name: 'migrations', test: /\/storage\/migrations\/\d/ },
    ],
  },
})
writeDeclarations({ root, entries: ['index'], target: dist })
// Whoever imports this has the SDK.
writeDeclarations({ root, entries: ['client'], target: dist, packages: ['twilio'] })
writeFileSync(`${dist}/THIRD-PARTY-LICENSES`, licenceTexts(modulesOf(bundled)))
for (const file of bundled.output) {
  if (file.type === 'chunk') console.log(`${String(Math.ceil(file.code.length / 1024)).padStart(6)} KB  ${file.fileName}`)
}
