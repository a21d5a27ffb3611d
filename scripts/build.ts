/** Writes what is published into `dist/`: the bundle, the types of what programs import, and the licences of what is bundled. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { type OutputOptions, type RolldownOutput, rolldown } from 'rolldown'
import { buildConsole } from '../console/build.ts'
import { writeDeclarations } from './declarations.ts'
import { licenceTexts } from './licences.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const dist = `${root}dist`
const manifest: { peerDependencies: Record<string, string> } = JSON.parse(readFileSync(`${root}package.json`, 'utf8'))

/** What programs import, as `exports` of package.json says: these have types. */
const libraries = ['index', 'testing', 'client']

/** What the writer thread loads. */
const thread = ['commands', 'storage/sqlite/writer-thread']

/** Reads large mails: a thread as well, started when the first one comes. */
const mailThread = 'channels/email/read-thread'

/** What `src/temporal.ts` reads on a Node that has no Temporal of its own. */
const polyfill = 'temporal-polyfill'

/** Reads pages: started where a setting wants it. */
const readerThread = 'readers/reader-thread'

const entries = ['cli/program', ...libraries, ...thread, mailThread, readerThread, polyfill]

/** Installed beside the package: a native part cannot be bundled, and `pg` works without its own. */
const external = ['better-sqlite3', 'pg-native']

/** What Fastify would load to compile schemas by itself, which it is told not to do (src/api/compilers.ts). */
function isUnused(id: string, importer: string | undefined): boolean {
  const compilers = ['@fastify/ajv-compiler', '@fastify/fast-json-stringify-compiler']
  return compilers.includes(id) && (importer?.includes('/node_modules/fastify/') ?? false)
}

async function bundle(entries: readonly string[], output: OutputOptions): Promise<RolldownOutput> {
  const build = await rolldown({
    cwd: root,
    input: Object.fromEntries(entries.map((entry) => [entry, entry === polyfill ? entry : `src/${entry}.ts`])),
    platform: 'node',
    external: (id, importer) => external.includes(id) || isUnused(id, importer),
  })
  const result = await build.write({
    dir: dist,
    format: 'cjs',
    comments: false,
    entryFileNames: '[name].cjs',
    chunkFileNames: '[name].cjs',
    ...output,
  })
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
  codeSplitting: {
    groups: [
      { name: 'thread', test: (id) => ofThread.has(id) && !isEntry(id) },
      { name: 'migrations', test: /\/storage\/migrations\/\d/ },
    ],
  },
})
for (const file of bundled.output) {
  // Programs that import get the same code as those that require: a second copy would be a second server's worth of memory.
  if (file.type !== 'chunk' || !libraries.includes(file.name)) continue
  writeFileSync(
    `${dist}/${file.name}.js`,
    `import all from './${file.fileName}'\nexport const { ${file.exports.join(', ')} } = all\n`,
  )
}
writeDeclarations({ root, entries: libraries, target: dist, packages: Object.keys(manifest.peerDependencies) })
const ofConsole = await buildConsole()
writeFileSync(`${dist}/THIRD-PARTY-LICENSES`, licenceTexts([...modulesOf(bundled), ...ofConsole]))
for (const file of bundled.output) {
  if (file.type === 'chunk') console.log(`${String(Math.ceil(file.code.length / 1024)).padStart(6)} KB  ${file.fileName}`)
}
