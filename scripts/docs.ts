/**
 * Writes the pages of docs/generated and the compatibility summary of README.md from what the program declares.
 * `--check` only compares, and exits 1 when something is stale.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { settings } from '../src/config.ts'
import { catalogue } from '../src/errors.ts'
import { officialOperations } from '../test/support/contract.ts'
import { startFileServer } from '../test/support/file-server.ts'
import { tour } from '../test/support/tour.ts'
import { describeAdmin } from './admin-openapi.ts'
import { mono, page, table } from './markdown.ts'
import { referencePage, starred } from './reference.ts'

/** Whether Parley has an official operation. */
interface Coverage {
  readonly method: string
  readonly path: string
  readonly answered: boolean
}

const root = new URL('../', import.meta.url)
const [summary_start, summary_end] = ['<!-- compatibility -->', '<!-- /compatibility -->']

if (import.meta.main) process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const [mode, ...more] = args
  if (more.length > 0 || (mode !== undefined && mode !== '--check')) {
    console.error('usage: npm run docs [-- --check]')
    return 2
  }
  const stale = await stalePages()
  if (mode === '--check') {
    for (const { path } of stale) console.error(`${path} is stale: run npm run docs`)
    return stale.length > 0 ? 1 : 0
  }
  for (const { path, text } of stale) {
    const file = fileURLToPath(new URL(path, root))
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, text)
    console.log(`wrote ${path}`)
  }
  return 0
}

/** The pages that differ from what they should be, with the text they should have. */
export async function stalePages(): Promise<{ path: string; text: string }[]> {
  const covered = await coverage()
  const { document } = await describeAdmin()
  const pages = [
    { path: 'docs/generated/admin-openapi.json', text: `${JSON.stringify(document, null, 2)}\n` },
    { path: 'docs/generated/errors.md', text: errorsPage() },
    { path: 'docs/generated/settings.md', text: settingsPage() },
    { path: 'docs/generated/reference.md', text: referencePage() },
    { path: 'docs/generated/compatibility.md', text: compatibilityPage(covered) },
    { path: 'README.md', text: withSummary(read('README.md'), covered) },
  ]
  return pages.filter(({ path, text }) => read(path) !== text)
}

function read(path: string): string {
  const file = new URL(path, root)
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

function errorsPage(): string {
  const rows = Object.values(catalogue).map(({ code, status, message, when }) => [code, status, mono(message), when])
  return page('Errors', 'src/errors.ts', [
    'Every error that `/v1` can return. The body is `{"code", "message", "more_info", "status"}`, in this order. ' +
      'A placeholder such as `{name}` in a message is filled in when the error is raised.',
    table(['Code', 'Status', 'Message', 'When'], rows),
  ])
}

function settingsPage(): string {
  const rows = settings.map((setting) => [mono(setting.env), mono(`--${setting.flag}`), setting.default, setting.description])
  return page('Settings', 'src/config.ts', [
    'A setting is an environment variable, or the flag of the same name of any `parley` command. A flag wins over the ' +
      'environment. An empty value counts as not set. Parley reads them once, when it starts.',
    table(['Variable', 'Flag', 'Default', 'Description'], rows),
  ])
}

function compatibilityPage(covered: readonly Coverage[]): string {
  const rows = covered.map(({ method, path, answered }) => [method, mono(path), answered ? 'answered' : 'not answered'])
  return page('Compatibility', 'test/support/tour.ts', [
    'Every operation of the official description of Conversations v1, and what Parley does with it.',
    table(['Method', 'Path', 'Parley'], rows),
  ])
}

/** The official operations in their order, and whether the official client got through each on a server of its own just now. */
async function coverage(): Promise<Coverage[]> {
  await using server = await startFileServer()
  const succeeded = await tour(server)
  return officialOperations().map(({ operationId, method, path }) => ({ method, path, answered: succeeded.has(operationId) }))
}

/** The summary between the markers: counts per resource, both path families together. */
function withSummary(readme: string, covered: readonly Coverage[]): string {
  const [start, end] = [readme.indexOf(summary_start), readme.indexOf(summary_end)]
  if (start === -1 || end < start) throw new Error(`README.md must hold ${summary_start} and ${summary_end}`)
  return `${readme.slice(0, start + summary_start.length)}\n${summary(covered)}\n${readme.slice(end)}`
}

function summary(all: readonly Coverage[]): string {
  const counts = new Map<string, { all: number; answered: number }>()
  for (const { path, answered } of all) {
    const name = resourceOf(path)
    const count = counts.get(name) ?? { all: 0, answered: 0 }
    count.all++
    if (answered) count.answered++
    counts.set(name, count)
  }
  const rows = [...counts].map(([name, { all, answered }]) => [name, all, answered])
  const answered = all.filter((operation) => operation.answered).length
  return [
    `Parley answers ${answered} of the ${all.length} official operations.`,
    table(['Resource', 'Operations', 'Answered'], rows),
  ].join('\n\n')
}

/** `/v1/Services/{…}/Conversations/{…}/Messages/{Sid}` is an operation of Conversations/Messages. */
function resourceOf(path: string): string {
  const own = starred(path).replace(/^\/Services\/\*(?=\/)/, '')
  return own
    .split('/')
    .filter((segment) => segment !== '' && segment !== '*')
    .join('/')
}
