/**
 * Writes the pages of docs/generated and the compatibility summary of README.md from the declarations of the program.
 * `--check` only compares, and exits with 1 when a page is stale.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import { kinds } from '../src/channels/kinds.ts'
import { settings } from '../src/config.ts'
import { catalogue } from '../src/error-catalogue.ts'
import { recordsSchema } from '../src/records/schema.ts'
import { seedSchema } from '../src/seed/schema.ts'
import { officialOperations } from '../test/support/contract.ts'
import { startFileServer } from '../test/support/file-server.ts'
import { tour } from '../test/support/tour.ts'
import { describeAdmin } from './admin-openapi.ts'
import { mono, page, table } from './markdown.ts'
import { referencePage, starred } from './reference.ts'

/** Whether Parley supports an official operation. */
interface Coverage {
  readonly method: string
  readonly path: string
  readonly supported: boolean
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

/** Returns the pages that are stale, with their new text. */
export async function stalePages(): Promise<{ path: string; text: string }[]> {
  const covered = await coverage()
  const { document } = await describeAdmin()
  const pages = [
    { path: 'docs/generated/admin-openapi.json', text: `${JSON.stringify(document, null, 2)}\n` },
    { path: 'docs/generated/seed.schema.json', text: `${JSON.stringify(seedSchema(), null, 2)}\n` },
    { path: 'docs/generated/records.schema.json', text: `${JSON.stringify(recordsSchema(), null, 2)}\n` },
    { path: 'docs/generated/errors.md', text: errorsPage() },
    { path: 'docs/generated/settings.md', text: settingsPage() },
    { path: 'docs/generated/channels.md', text: channelsPage() },
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
  return page('Errors', 'src/error-catalogue.ts', [
    'Every error that `/v1` can return. The body is `{"code", "message", "more_info", "status"}`, in this order. ' +
      'A placeholder such as `{name}` in a message is filled in when the error is raised.',
    table(['Code', 'Status', 'Message', 'When'], rows),
  ])
}

function settingsPage(): string {
  const rows = settings.map((setting) => [mono(setting.env), mono(`--${setting.flag}`), setting.default, setting.description])
  return page('Settings', 'src/config.ts', [
    'A setting is an environment variable, or the flag of the same name of any `parley` command. A flag wins over the ' +
      'environment. A setting that is true or false is a flag without a value: `--test-clock`, or `--no-test-clock` for false. ' +
      'An empty value counts as not set. Parley reads them once, when it starts.',
    'A secret can be in a file instead: `…_FILE` names it. The file has the value alone, as one line of at most 16 KiB. To set ' +
      'a secret both ways is an error.',
    table(['Variable', 'Flag', 'Default', 'Description'], rows),
  ])
}

function channelsPage(): string {
  return page('Kinds of channels', 'src/channels/kinds.ts', [
    'What `PUT /admin/v1/accounts/{sid}/channels/{address}` takes as `kind` and `settings`, see [channels](../channels.md). ' +
      'Secrets are stored encrypted and shown masked.',
    ...kinds.flatMap(({ name, description, serves, settings, can }) => {
      const rows = Object.entries(settings).map(([setting, { description, schema, secret, default: standard }]) => [
        mono(setting),
        schema.type + (secret === 'value' ? ', secret' : ''),
        standard === undefined ? 'required' : String(standard ?? 'none'),
        description,
      ])
      const sends = can.media ? `media (${can.media.types.map(mono).join(', ')})` : 'no media: their links are added to the text'
      return [
        `## ${name}`,
        `${description}. Carries addresses of the types ${serves.map(mono).join(', ')}; ${sends}.`,
        rows.length === 0 ? 'It has no settings.' : table(['Setting', 'Type', 'Default', 'Description'], rows),
      ]
    }),
  ])
}

function compatibilityPage(covered: readonly Coverage[]): string {
  const rows = covered.map(({ method, path, supported }) => [method, mono(path), supported ? 'supported' : 'not supported'])
  return page('Compatibility', 'test/support/tour.ts', [
    'Every operation of the official description of Conversations v1, and whether Parley supports it.',
    table(['Method', 'Path', 'Parley'], rows),
  ])
}

/** Calls every official operation with the official SDK on a new server. Returns which of them succeed, in official order. */
async function coverage(): Promise<Coverage[]> {
  await using server = await startFileServer()
  const succeeded = await tour(server)
  return officialOperations().map(({ operationId, method, path }) => ({ method, path, supported: succeeded.has(operationId) }))
}

/** Puts the summary between the markers: counts per resource, both path families together. */
function withSummary(readme: string, covered: readonly Coverage[]): string {
  const [start, end] = [readme.indexOf(summary_start), readme.indexOf(summary_end)]
  if (start === -1 || end < start) throw new Error(`README.md must contain ${summary_start} and ${summary_end}`)
  return `${readme.slice(0, start + summary_start.length)}\n${summary(covered)}\n${readme.slice(end)}`
}

function summary(all: readonly Coverage[]): string {
  const counts = new Map<string, { all: number; supported: number }>()
  for (const { path, supported } of all) {
    const name = resourceOf(path)
    const count = counts.get(name) ?? { all: 0, supported: 0 }
    count.all++
    if (supported) count.supported++
    counts.set(name, count)
  }
  const rows = [...counts].map(([name, { all, supported }]) => [name, all, supported])
  const supported = all.filter((operation) => operation.supported).length
  return [
    `Parley supports ${supported} of the ${all.length} official operations.`,
    table(['Resource', 'Operations', 'Supported'], rows),
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
