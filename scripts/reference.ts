import type { Operation } from '../src/api/requests.ts'
import type { AnyResource } from '../src/model/declare.ts'
import type { Param } from '../src/model/params.ts'
import { chainAbove, familyOf } from '../src/model/scope.ts'
import { operations, resources } from '../src/resources/index.ts'
import { officialOperations } from '../test/support/contract.ts'
import { mono, page, table } from './markdown.ts'

type Verb = 'list' | 'create' | 'fetch' | 'update' | 'remove'

interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Below `/v1`, `*` for each sid or name. */
  readonly path: string
  readonly verb: Verb
  readonly resource: AnyResource
}

const methods = { list: 'GET', create: 'POST', fetch: 'GET', update: 'POST', remove: 'DELETE' } as const

export function referencePage(): string {
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

export function starred(path: string): string {
  return path.replace(/^\/v1/, '').replace(/\{\w+\}/g, '*')
}
