/**
 * Runs one scenario with the official SDKs as their registries have them, none of them changed, through `parley exec`. Each program
 * prints what it has seen as JSON, and all must have seen the same. A language whose tools are not on this machine is skipped.
 *
 *     npm run sdks [-- node-6 python go java]
 */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { isDeepStrictEqual } from 'node:util'

interface Sdk {
  readonly name: string
  /** The program whose absence means that the language is not on this machine. */
  readonly tool: readonly string[]
  /** Installs the SDK into a folder and returns the command that runs the scenario. */
  readonly install: (folder: string) => readonly string[]
  /** What it sees differently, with the reason. */
  readonly differs?: Readonly<Record<string, unknown>>
}

const sources = fileURLToPath(new URL('.', import.meta.url))
const cache = fileURLToPath(new URL('../node_modules/.cache/sdks/', import.meta.url))
const parley = fileURLToPath(new URL('../src/cli/parley.ts', import.meta.url))

const name = 'Ördér 50% + 1 & ; 😀'
const installTimeoutMs = 15 * 60_000
const scenarioTimeoutMs = 5 * 60_000

const expected: Readonly<Record<string, unknown>> = {
  created: [name, name, JSON.stringify({ name }), 'inactive', 'MG0123456789abcdef0123456789abcdef'],
  dates: '2026-01-02T03:04:05.000Z',
  timers: ['date_closed'],
  bindings: name,
  byName: true,
  updated: [`${name} again`, 'active'],
  pages: [2, 2, 2, 1],
  listed: 7,
  closed: 1,
  early: 1,
  filters: ['onConversationAdded', 'onConversationUpdated'],
  webhook: ['onConversationAdded', name, true],
  notFound: [404, 20404],
  refused: [400, 50377],
}

function node(version: string, differs: Sdk['differs'] = {}): Sdk {
  return {
    name: `node-${version.split('.')[0]}`,
    tool: ['npm', '--version'],
    differs,
    install: (folder) => {
      writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: { twilio: version } }))
      run(['npm', 'install', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error'], folder)
      copyFileSync(join(sources, 'node/scenario.mjs'), join(folder, 'scenario.mjs'))
      return [process.execPath, join(folder, 'scenario.mjs')]
    },
  }
}

const sdks: readonly Sdk[] = [
  // It has neither these parameters nor these filters.
  node('3.84.1', { bindings: null, closed: 7, early: 7 }),
  node('4.23.0'),
  node('5.13.1'),
  node('6.2.0'),
  {
    name: 'python',
    tool: ['python3', '-c', 'import venv, ensurepip'],
    install: (folder) => {
      run(['python3', '-m', 'venv', folder])
      run([join(folder, 'bin/pip'), 'install', '--quiet', '--disable-pip-version-check', 'twilio==9.13.0'])
      return [join(folder, 'bin/python'), join(sources, 'python/scenario.py')]
    },
  },
  {
    name: 'go',
    tool: ['go', 'version'],
    // It has no pages, only lists.
    differs: { pages: undefined, bindings: undefined },
    install: (folder) => {
      run(['go', 'build', '-o', join(folder, 'scenario'), '.'], join(sources, 'go'))
      return [join(folder, 'scenario')]
    },
  },
  {
    name: 'java',
    tool: ['mvn', '--version'],
    install: (folder) => {
      const path = join(folder, 'libraries')
      const copy = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies'
      run(['mvn', '-q', '-B', '-f', join(sources, 'java/pom.xml'), copy, `-DoutputDirectory=${path}`])
      return ['java', '-cp', join(path, '*'), join(sources, 'java/Scenario.java')]
    },
  },
]

/** Runs a program. Throws with what it has written when it fails. */
function run([program = '', ...args]: readonly string[], cwd?: string): void {
  const { status, error, stdout, stderr } = spawnSync(program, args, {
    cwd,
    encoding: 'utf8',
    timeout: installTimeoutMs,
    env: { ...process.env, GOFLAGS: '-mod=mod' },
  })
  if (status !== 0) throw new Error(`${[program, ...args].join(' ')} failed: ${error?.message ?? `${stdout}${stderr}`}`)
}

function isInstalled([program = '', ...args]: readonly string[]): boolean {
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0
}

/** Runs the scenario of an SDK; returns what it has seen differently from what is expected. Throws when it fails. */
function differencesOf({ name: sdk, install, differs = {} }: Sdk): string[] {
  const folder = join(cache, sdk)
  mkdirSync(folder, { recursive: true })
  const command = install(folder)
  const { status, error, stdout, stderr } = spawnSync(process.execPath, [parley, 'exec', '--memory', '--', ...command], {
    encoding: 'utf8',
    timeout: scenarioTimeoutMs,
    env: { ...process.env, SCENARIO_NAME: name, LC_ALL: 'C.UTF-8' },
  })
  if (status !== 0) throw new Error(`it ended with ${status}: ${error?.message ?? `${stdout}${stderr}`}`)
  const seen: Record<string, unknown> = JSON.parse(stdout)
  return Object.entries({ ...expected, ...differs })
    .filter(([key, value]) => !isDeepStrictEqual(seen[key], value))
    .map(([key, value]) => `${key}: saw ${JSON.stringify(seen[key])}, expected ${JSON.stringify(value)}`)
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !sdks.some((sdk) => sdk.name === name))
if (unknown.length > 0) {
  console.error(`there is no ${unknown.join(', ')}: choose among ${sdks.map((sdk) => sdk.name).join(', ')}`)
  process.exit(1)
}
const counts = { passed: 0, failed: 0, skipped: 0 }
for (const sdk of sdks) {
  if (wanted.length > 0 && !wanted.includes(sdk.name)) continue
  if (!isInstalled(sdk.tool)) {
    console.log(`${sdk.name}: skipped, because ${sdk.tool[0]} is not on this machine`)
    counts.skipped++
    continue
  }
  try {
    const differences = differencesOf(sdk)
    console.log(differences.length === 0 ? `${sdk.name}: ok` : `${sdk.name}: failed\n  ${differences.join('\n  ')}`)
    counts[differences.length === 0 ? 'passed' : 'failed']++
  } catch (error) {
    console.log(`${sdk.name}: failed\n  ${error instanceof Error ? error.message : error}`)
    counts.failed++
  }
}
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`)
process.exitCode = counts.failed === 0 ? 0 : 1
