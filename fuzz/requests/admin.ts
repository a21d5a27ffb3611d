import { readFileSync } from 'node:fs'
import { encode, type Value } from '../encoding.ts'
import type { Plan } from '../plan.ts'
import type { Random } from '../random.ts'
import type { World } from '../surroundings.ts'
import { hostileJson, hostileSid, hostileText } from '../values.ts'
import { basic, bytesOf, extraHeaders, type Headers } from './head.ts'

/** A schema of the published description, as far as values are made from it. */
interface Schema {
  readonly $ref?: string
  readonly type?: string | readonly string[]
  readonly enum?: readonly string[]
  readonly properties?: Readonly<Record<string, Schema>>
  readonly required?: readonly string[]
  readonly items?: Schema
  readonly anyOf?: readonly Schema[]
  readonly oneOf?: readonly Schema[]
}

interface Described {
  readonly operationId: string
  /** Empty: anyone may ask. */
  readonly security?: readonly unknown[]
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[]
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: Schema } } }
}

interface Description {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Described>>>>
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> }
}

const file = new URL('../../docs/generated/admin-openapi.json', import.meta.url)
const { paths, components } = JSON.parse(readFileSync(file, 'utf8')) as Description

/** All but the stream of events, which does not end. */
const operations = Object.entries(paths)
  .flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, described]) => ({ path, method: method.toUpperCase(), described })),
  )
  .filter(({ described }) => described.operationId !== 'streamEvents')

/** Any operation of the operator's API. Accounts that it changes are those it has made itself. */
export function adminPlan(random: Random, index: number, world: World): Plan {
  const { path, method, described } = random.pick(operations)
  const live = liveKeys(random, path, world)
  const target = path.replace(/\{(\w+)\}/g, (_, name: string) => encode(keyOf(random, name, live))) + queryOf(random, described)
  const denied = described.security?.length !== 0 && random.chance(0.05)
  const schema = described.requestBody?.content['application/json'].schema
  const body = schema || random.chance(0.05) ? bodyOf(random, schema ?? {}, world) : undefined
  const token = denied ? badToken(random, world) : `Bearer ${world.adminToken}`
  const headers: Headers = [
    ['Host', world.host],
    ['Authorization', token],
    ...(body === undefined ? [] : [['Content-Type', random.chance(0.95) ? 'application/json' : random.pick(odd_types)] as const]),
    ...extraHeaders(random),
  ]
  return {
    ...{
      index,
      label: `admin ${described.operationId}`,
      as: 'operator',
      method,
      target,
      denied,
      answers: 1,
      alone: false,
      asked: null,
    },
    steps: [bytesOf({ method, target, headers, ...(body !== undefined && { body }) })],
  }
}

const odd_types = [
  'text/plain',
  '',
  'application/json; charset=utf-7',
  'application/x-www-form-urlencoded',
  'x',
  'application/jsonx',
]

function badToken(random: Random, { accounts: { a }, adminToken }: World): string {
  return random.pick([
    ...['', 'Bearer', 'Bearer ', `Bearer ${random.hex(40)}`, `Bearer ${adminToken}x`, `Basic ${adminToken}`, 'Bearer \u0000'],
    ...[basic(a.sid, a.auth_token), `Bearer ${a.auth_token}`, `Bearer ${adminToken.slice(0, -1)}`, `Bearer ${'x'.repeat(9_000)}`],
  ])
}

/** Keys of rows that the run has made, or seen, by their names in the path. */
function liveKeys(random: Random, path: string, { rows: { operator } }: World): Readonly<Record<string, string>> {
  if (path.includes('{key}')) {
    const [sid = '', key = ''] = operator.pick('keys', '', random)?.keys ?? []
    return { sid, key }
  }
  const id = operator.pick('deliveries', '', random)?.keys[0] ?? ''
  return { sid: operator.pick('accounts', '', random)?.keys[0] ?? '', id, address: '+15550200001' }
}

function keyOf(random: Random, name: string, keys: Readonly<Record<string, string>>): Value {
  const live = keys[name] || `AC${random.hex(32)}`
  if (random.chance(0.85)) return live
  const value = random.chance(0.5) ? hostileSid(random, live) : hostileText(random)
  // An empty one would be the path of the collection.
  return typeof value === 'string' ? value.slice(0, 4_000) || '-' : value
}

function queryOf(random: Random, { parameters = [] }: Described): string {
  const pairs = parameters
    .filter((parameter) => parameter.in === 'query' && random.chance(0.3))
    .map(({ name, schema }) => {
      const good = schema.enum ? random.pick(schema.enum) : String(1 + random.below(50))
      return `${name}=${encode(random.chance(0.6) ? good : hostileText(random))}`
    })
  if (random.chance(0.03))
    pairs.push(random.pick(['__proto__=1', 'limit=1&limit=2', 'unknown=1', '%', 'limit[]=1', 'limit=1e3', 'before=WD']))
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}

function bodyOf(random: Random, schema: Schema, world: World): string {
  if (random.chance(0.1))
    return random.pick([hostileJson(random), '{"__proto__":{"admin":true}}', '{"constructor":1}', '[', '\u0000'])
  return JSON.stringify(jsonOf(random, schema, world, '', random.chance(0.6) ? 0 : 0.3))
}

/** What the description allows; each part may be something else instead. */
function jsonOf(random: Random, given: Schema, world: World, name: string, hostility: number): unknown {
  if (random.chance(hostility))
    return random.pick([null, 0, -1, 1e308, true, '', [], {}, 'x'.repeat(300), 'a\u0000b', '\ud800', [[[]]], { a: {} }])
  const schema = given.$ref ? (components.schemas[given.$ref.split('/').at(-1) ?? ''] ?? {}) : given
  const alternatives = schema.anyOf ?? schema.oneOf
  if (alternatives) return jsonOf(random, random.pick(alternatives), world, name, hostility)
  if (schema.enum) return random.pick(schema.enum)
  const types = typeof schema.type === 'string' ? [schema.type] : (schema.type ?? ['string'])
  const type = random.pick(types)
  if (type === 'object') return objectOf(random, schema, world, hostility)
  if (type === 'array') return [jsonOf(random, schema.items ?? {}, world, name, hostility)]
  if (type === 'integer' || type === 'number') return random.below(100)
  if (type === 'boolean') return random.chance(0.5)
  return type === 'null' ? null : textOf(random, name, world)
}

function objectOf(random: Random, { properties = {}, required = [] }: Schema, world: World, hostility: number): object {
  const entries = Object.entries(properties)
    .filter(([name]) => (required.includes(name) ? random.chance(0.98) : random.chance(0.5)))
    .map(([name, schema]) => [name, jsonOf(random, schema, world, name, hostility)])
  return Object.fromEntries(random.chance(0.02) ? [...entries, ['unknown', 1]] : entries)
}

function textOf(random: Random, name: string, { accounts, hook }: World): string {
  const { sid, marker } = random.pick([accounts.a, accounts.b])
  if (name === 'account_sid') return sid
  if (/url/.test(name)) return hook
  if (name === 'from') return `+1555010${String(random.below(10_000)).padStart(4, '0')}`
  if (name === 'to') return `+1555020${String(random.below(50)).padStart(4, '0')}`
  // Small moves: the clock only goes forward.
  if (name === 'now') return random.pick(['2020-01-01T00:00:00Z', '+275760-09-13T00:00:01Z', 'now'])
  if (name === 'advance') return random.pick(['PT1S', 'PT1M', 'PT0S'])
  if (/_sid$/.test(name)) return `IM${random.hex(32)}`
  return `${marker} ${random.hex(4)}`
}
