import { operationOf, otherOperationOf } from '../src/api/operations.ts'
import type { Operation } from '../src/api/requests.ts'
import type { AnyResource, ChangeVerb } from '../src/model/declare.ts'
import { type Params, snakeCase } from '../src/model/params.ts'
import { ancestorsOf, familyOf } from '../src/model/scope.ts'
import { operations, resources } from '../src/resources/index.ts'
import { officialOperations } from '../test/support/contract.ts'
import { mono, page, table } from './markdown.ts'

type Verb = 'list' | 'create' | 'fetch' | 'update' | 'remove'

interface Route {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Below `/v1`, with `*` for each SID or name. */
  readonly path: string
  readonly verb: Verb
  readonly resource: AnyResource
}

/** A parameter of the form, or of the query of a list. */
export interface Parameter {
  readonly name: string
  readonly kind: string
  readonly verbs: readonly Verb[]
  readonly required: readonly Verb[]
}

/** First words of the names of operations. */
const words = { list: 'List', create: 'Create', fetch: 'Fetch', update: 'Update', remove: 'Delete' } as const

const methods = { list: 'GET', create: 'POST', fetch: 'GET', update: 'POST', remove: 'DELETE' } as const

export function referencePage(): string {
  return page('Reference', 'src/resources', [
    'What each resource takes and returns. Paths are below `/v1`. Where a resource has two paths, the short one means the ' +
      "account's default service. `{key}` is a sid, or a name where the resource says so. A restricted API key needs the permission, or " +
      'the same with `*` as its last word.',
    ...resources.map(referenceOf),
    ...operations.map(operationReference),
  ])
}

function referenceOf(resource: AnyResource): string {
  return [
    `## ${resource.name}`,
    table(
      ['Verb', 'Path', 'Permission'],
      routesOf(resource).map(({ method, path, verb }) => [
        verb,
        mono(`${method} ${named(path, resource)}`),
        mono(operationOf(words[verb], resource, 'default').permission),
      ]),
    ),
    ...(resource.alsoFoundBy ? [`\`{key}\` may also be the \`${resource.alsoFoundBy}\`.`] : []),
    ...parametersPart(resource),
    ...listPart(resource),
    ...eventsPart(resource),
  ].join('\n\n')
}

/** An operation parses its form itself; its parameters come from the official description and its resource. */
function operationReference(operation: Operation): string {
  const { name, method, path, resource } = operation
  const paths = prefixesOf(resource).map((prefix) => prefix + path)
  const official = officialOperations().find((known) => known.method === method && starred(known.path) === paths[0])
  if (!official) throw new Error(`${method} ${path} is not an official operation`)
  const kinds = new Map(formOf(resource).map((parameter) => [parameter.name, parameter.kind]))
  const rows = Object.entries(official.parameters.form).map(([name, { type, required }]) => [
    mono(name),
    kinds.get(name) ?? (type === 'array' ? 'may be repeated' : type),
    required ? 'create' : '',
  ])
  return [
    `## ${name}`,
    table(
      ['Verb', 'Path', 'Permission'],
      paths.map((each) => [
        'create',
        mono(`${method} ${each.replace('*', '{Service}')}`),
        mono(otherOperationOf(operation, 'default').permission),
      ]),
    ),
    `Creates a ${resource.name} and more, all or nothing. Parameters:`,
    table(['Name', 'Kind', 'Required on'], rows),
  ].join('\n\n')
}

/** Returns the form parameters of a resource, with the verbs that accept them. */
export function formOf(resource: AnyResource): Parameter[] {
  return Object.entries(resource.params as Params).map(([name, { kind, verbs, required }]) => {
    const read = verbs.filter((verb) => resource[verb])
    return { name, kind, verbs: read, required: required.filter((verb) => read.includes(verb)) }
  })
}

/** Returns the query parameters of its list, except those of pages. */
export function filtersOf({ list }: AnyResource): Parameter[] {
  const params = Object.entries((list?.params ?? {}) as Params)
  return params.map(([name, { kind }]) => ({ name, kind, verbs: ['list'], required: [] }))
}

function parametersPart(resource: AnyResource): string[] {
  const rows = formOf(resource).map(({ name, kind, verbs, required }) => [
    mono(name),
    kind,
    verbs.join(', '),
    required.join(', '),
  ])
  return rows.length > 0 ? ['Parameters:', table(['Name', 'Kind', 'Read on', 'Required on'], rows)] : []
}

function listPart(resource: AnyResource): string[] {
  const { list } = resource
  if (!list) return []
  const rows = filtersOf(resource).map(({ name, kind }) => [mono(name), kind])
  const pages = `List: key \`${list.key}\`, page of ${list.size} unless \`PageSize\` says otherwise, at most ${list.max}.`
  return rows.length > 0 ? [`${pages} Filters:`, table(['Name', 'Kind'], rows)] : [`${pages} No filters.`]
}

function eventsPart({ events }: AnyResource): string[] {
  if (!events) return []
  const rows = Object.entries(events.preAction).map(([verb, event]) => {
    const keys = (events.amendable[verb as ChangeVerb] ?? []).map((name: string) => snakeCase(name))
    return [verb, mono(String(event)), keys.map(mono).join(', ') || 'nothing']
  })
  const pre = [
    'Pre-action webhooks, sent when the request has `X-Twilio-Webhook-Enabled: true`:',
    table(['Verb', 'Event', 'The response may change'], rows),
  ]
  return [...(rows.length > 0 ? pre : []), `Post-action webhooks: ${events.emits.map(mono).join(', ')}.`]
}

/** Returns every path and verb of a resource, the short path family first. */
export function routesOf(resource: AnyResource): Route[] {
  const tail = `${ancestorsOf(resource)
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

/** Returns the prefix of each path family of a resource, the short one first. */
export function prefixesOf(resource: AnyResource): string[] {
  const family = familyOf(resource)
  return [...(family === 'only service' ? [] : ['']), ...(family === 'account' ? [] : ['/Services/*'])]
}

/** Replaces the stars by names: the service, the parents, the instance. */
function named(path: string, resource: AnyResource): string {
  const parents = ancestorsOf(resource).map((parent) => `{${parent.name}}`)
  const services = path.startsWith('/Services/*/') ? ['{Service}'] : []
  const names = [...services, ...parents, '{key}']
  return path.replace(/\*/g, () => names.shift() ?? '*')
}

export function starred(path: string): string {
  return path.replace(/^\/v1/, '').replace(/\{\w+\}/g, '*')
}
