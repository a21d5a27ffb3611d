/**
 * Writes the pages of docs/generated and the compatibility summary of README.md from what the program declares.
 * `--check` only compares, and exits 1 when something is stale.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Operation } from '../src/api/requests.ts'
import { settings } from '../src/config.ts'
import { catalogue } from '../src/errors.ts'
import type { AnyResource } from '../src/model/declare.ts'
import type { Param } from '../src/model/params.ts'
import { chainAbove, familyOf } from '../src/model/scope.ts'
import { operations, resources } from '../src/resources/index.ts'
import { officialOperations } from '../test/support/contract.ts'
import { startFileServer } from '../test/support/file-server.ts'
import { tour } from '../test/support/tour.ts'
import { describeAdmin } from './admin-openapi.ts'

type Verb = 'list' | 'create' | 'fetch' | 'update' | 'remove'

interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Below `/v1`, `*` for each sid or name. */
  readonly path: string
  readonly verb: Verb
  readonly resource: AnyResource
}

/** Whether Parley has an official operation. */
interface Coverage {
  readonly method: string
  readonly path: string
  readonly answered: boolean
}

const root = new URL('../', import.meta.url)
const note = '<!-- Written by `npm run docs`; edit the source it names instead. -->'
const [summary_start, summary_end] = ['<!-- compatibility -->', '<!-- /compatibility -->']
const methods = { list: 'GET', create: 'POST', fetch: 'GET', update: 'POST', remove: 'DELETE' } as const

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
    'Every error that `/v1` can answer. The body is `{"code", "message", "more_info", "status"}`, in this order. ' +
      'A place such as `{name}` in a message is filled in when the error is raised.',
    table(['Code', 'Status', 'Message', 'When'], rows),
  ])
}

function settingsPage(): string {
  const rows = settings.map(({ env, flag, standard, meaning }) => [mono(env), mono(`--${flag}`), standard, meaning])
  return page('Settings', 'src/config.ts', [
    'A setting is an environment variable, or the flag of the same name of any `parley` command. A flag wins over the ' +
      'environment. An empty value counts as not set. Parley reads them once, when it starts.',
    table(['Variable', 'Flag', 'Default', 'Meaning'], rows),
  ])
}

function referencePage(): string {
  return page('Reference', 'src/resources', [
    'What each resource takes and answers. Paths are below `/v1`. Where a resource has two paths, the short one means the ' +
      "account's default service. `{key}` is a sid, or a name where the resource says so.",
    ...resources.map(referenceOf),
    ...operations.map(operationReference),
  ])
}

function referenceOf(resource: AnyResource): string {
  return [
    `## ${resource.name}`,
    table(
      ['Verb', 'Path'],
      routesOf(resource).map(({ method, path, verb }) => [verb, mono(`${method} ${named(path, resource)}`)]),
    ),
    ...(resource.alsoFoundBy ? [`\`{key}\` may also be the \`${resource.alsoFoundBy}\`.`] : []),
    ...paramsOf(resource),
    ...listOf(resource),
    ...eventsOf(resource),
  ].join('\n\n')
}

/** An operation that no resource declares reads its form itself: its parameters are those of the official description. */
function operationReference({ name, method, path, resource }: Operation): string {
  const paths = prefixesOf(resource).map((prefix) => prefix + path)
  const official = officialOperations().find((known) => known.method === method && starred(known.path) === paths[0])
  if (!official) throw new Error(`${method} ${path} is no official operation`)
  const rows = Object.entries(official.parameters.form).map(([name, { type }]) => [mono(name), type === 'array' ? 'several' : ''])
  return [
    `## ${name}`,
    table(
      ['Verb', 'Path'],
      paths.map((each) => ['create', mono(`${method} ${each.replace('*', '{Service}')}`)]),
    ),
    `Makes a ${resource.name} and more, all or nothing. Parameters:`,
    table(['Name', 'Kind'], rows),
  ].join('\n\n')
}

function paramsOf(resource: AnyResource): string[] {
  const params = Object.entries(resource.params as Record<string, Param<unknown>>)
  if (params.length === 0) return []
  const rows = params.map(([name, param]) => [
    mono(name),
    param.kind,
    param.verbs.filter((verb) => resource[verb]).join(', '),
    param.required ? 'yes' : '',
  ])
  return ['Parameters:', table(['Name', 'Kind', 'Read by', 'Required'], rows)]
}

function listOf({ list }: AnyResource): string[] {
  if (!list) return []
  const filters = Object.entries(list.params as Record<string, Param<unknown>>).map(([name, { kind }]) => [mono(name), kind])
  const pages = `List: key \`${list.key}\`, page of ${list.size} unless \`PageSize\` says otherwise, at most ${list.max}.`
  return filters.length > 0 ? [`${pages} Filters:`, table(['Name', 'Kind'], filters)] : [`${pages} No filters.`]
}

function eventsOf({ events }: AnyResource): string[] {
  const before = Object.entries(events?.before ?? {}).map(([verb, event]) => {
    const keys = Object.keys(events?.amendable[verb as 'create'] ?? {})
    return [verb, mono(event as string), keys.map(mono).join(', ') || 'nothing']
  })
  if (before.length === 0) return []
  return [
    'Pre-action webhooks, asked when the request has `X-Twilio-Webhook-Enabled: true`:',
    table(['Verb', 'Event', 'Its answer may amend'], before),
  ]
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

function starred(path: string): string {
  return path.replace(/^\/v1/, '').replace(/\{\w+\}/g, '*')
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

/** Every place and verb at which a resource is mounted, the short family first. */
function routesOf(resource: AnyResource): Route[] {
  const tail = `${chainAbove(resource)
    .map((parent) => `/${parent.path}/*`)
    .join('')}/${resource.path}`
  const instance = resource.sid === null ? tail : `${tail}/*`
  const places: [Verb, unknown, string][] = [
    ['list', resource.list, tail],
    ['create', resource.create, tail],
    ['fetch', !resource.view || resource.view.find, instance],
    ['update', resource.update, instance],
    ['remove', resource.remove, instance],
  ]
  return places
    .filter(([, declared]) => declared)
    .flatMap(([verb, , path]) =>
      prefixesOf(resource).map((prefix) => ({ method: methods[verb], path: prefix + path, verb, resource })),
    )
}

/** What goes before a path, for each family that has it, the short one first. */
function prefixesOf(resource: AnyResource): string[] {
  const family = familyOf(resource)
  return [...(family === 'only service' ? [] : ['']), ...(family === 'account' ? [] : ['/Services/*'])]
}

/** Names for the stars: the service, the parents, the instance. */
function named(path: string, resource: AnyResource): string {
  const parents = chainAbove(resource).map((parent) => `{${parent.name}}`)
  const services = path.startsWith('/Services/*/') ? ['{Service}'] : []
  const names = [...services, ...parents, '{key}']
  return path.replace(/\*/g, () => names.shift() ?? '*')
}

function page(title: string, source: string, parts: readonly string[]): string {
  return `${note}\n<!-- Source: ${source} -->\n\n# ${title}\n\n${parts.join('\n\n')}\n`
}

/** Padded as the formatter has it, which also looks after README.md. */
function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const cells = [head, ...rows].map((row) => row.map(cellText))
  const widths = head.map((_, i) => Math.max(3, ...cells.map((row) => row[i]?.length ?? 0)))
  const line = (row: readonly string[]) => `| ${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |`
  const [first = [], ...others] = cells
  return [line(first), line(widths.map((width) => '-'.repeat(width))), ...others.map(line)].join('\n')
}

function cellText(cell: string | number): string {
  const text = String(cell).replaceAll('|', '\\|')
  return text.startsWith('`') ? text : text.replaceAll('<', '&lt;')
}

function mono(text: string): string {
  return `\`${text}\``
}
