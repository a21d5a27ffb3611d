import type { Keys } from '../../test/support/contract.ts'
import { encode, encodePairs, type Pairs, type Value } from '../encoding.ts'
import { isKey, keysIn, type Target, targets } from '../operations.ts'
import type { AccountName, Asked, Plan } from '../plan.ts'
import { type Random, Weighted } from '../random.ts'
import type { Account, World } from '../surroundings.ts'
import { goodValue, hostileJson, hostileSid, hostileText, hostileValue, type Surroundings } from '../values.ts'
import { badAuthorization, bytesOf, extraHeaders, goodAuthorization, type Headers, hostOf } from './head.ts'

/** Rows are made more often than they are deleted, and services seldom: they hold the rest. */
function weightOf({ operation: { method, operationId, list } }: Target): number {
  if (operationId === 'DeleteService') return 0.05
  if (operationId === 'CreateService') return 0.2
  if (operationId === 'UpdateConfiguration') return 0.3
  if (method === 'DELETE') return 0.3
  return /^Create/.test(operationId) ? 2 : list === undefined ? 1 : 0.8
}

const operations = new Weighted(targets.map((target) => [target, weightOf(target)]))

/** Any official operation, its parameters mostly good, its credentials mostly the caller's. */
export function apiPlan(random: Random, index: number, world: World): Plan {
  const at = operations.pick(random)
  const as: AccountName = random.chance(0.5) ? 'a' : 'b'
  const account = world.accounts[as]
  const { asked, path } = pathOf(random, at, as, world)
  const around = surroundings(random, as, asked.service, world)
  const target = path + queryOf(random, at, as, around, world)
  const denied = random.chance(0.04)
  const authorization = denied ? badAuthorization(random, world, account) : goodAuthorization(random, account)
  const method = random.chance(0.985) ? at.operation.method : random.pick(odd_methods)
  const body = method === 'POST' || random.chance(0.01) ? bodyOf(random, at, around) : undefined
  const headers: Headers = [
    ['Host', hostOf(random, world)],
    ...(authorization === undefined ? [] : [['Authorization', authorization] as const]),
    ...webhookHeader(random),
    ...(body === undefined ? [] : contentType(random)),
    ...extraHeaders(random),
  ]
  const usual = method === at.operation.method
  return {
    ...{ index, as, denied, method, target, alone: false },
    label: usual ? at.operation.operationId : `${method} on a path of the API`,
    steps: [bytesOf({ method, target, headers, ...(body !== undefined && { body }) })],
    answers: 1,
    asked: usual ? asked : null,
  }
}

const odd_methods = [
  'PUT',
  'PATCH',
  'HEAD',
  'OPTIONS',
  'TRACE',
  'PROPFIND',
  'M-SEARCH',
  'DELETE',
  'GET',
  'POST',
  'QUERY',
] as const

function pathOf(random: Random, at: Target, as: AccountName, world: World): { asked: Asked; path: string } {
  const rows = world.rows[as]
  const service = at.family === 'account' ? '' : at.family === 'default' ? rows.default_service : rows.service(random)
  const row = rows.pick(at.instance ? at.collection : at.parent, service, random)
  const live = row?.keys ?? []
  const keys: Value[] = Array.from({ length: keysIn(at) }, (_, i) => keyOf(random, live[i], as, world))
  const of = at.family === 'service' ? `Services/${encode(keyOf(random, service, as, world))}/` : ''
  let taken = 0
  const segments = at.segments.map((segment) => (isKey(segment) ? encode(keys[taken++] ?? '') : segment))
  const texts = keys.map((key) => (typeof key === 'string' ? key : key.encoded))
  return { asked: { at, service, keys: texts }, path: `/v1/${of}${segments.join('/')}` }
}

/** Mostly that of the live row. */
function keyOf(random: Random, live: string | undefined, as: AccountName, world: World): Value {
  const some = live ?? `CH${random.hex(32)}`
  if (random.chance(0.97)) return some
  const rows = world.rows[as]
  const value = random.pick<() => Value>([
    () => rows.deleted(random) ?? some,
    () => random.pick(world.victim.sids),
    () => world.rows[as === 'a' ? 'b' : 'a'].service(random),
    () => hostileSid(random, some),
    () => hostileText(random),
  ])()
  // A path of megabytes is refused by the framework at once: nothing is learned from many of them.
  // An empty key is the path of the collection.
  return typeof value === 'string' ? value.slice(0, 4_000) || '-' : value
}

function surroundings(random: Random, as: AccountName, service: string, world: World): Surroundings {
  const account: Account = world.accounts[as]
  const rows = world.rows[as]
  const of = service || rows.default_service
  return {
    marker: account.marker,
    secret: world.secret,
    hook: `${world.hook}/${as}`,
    sidOf(collection) {
      if (random.chance(0.1)) return random.pick(world.victim.sids)
      const at = collection === 'Services' ? '' : of
      return rows.pick(collection, at, random)?.keys.at(-1) ?? `CH${random.hex(32)}`
    },
  }
}

function queryOf(random: Random, at: Target, as: AccountName, around: Surroundings, world: World): string {
  const pairs = valuesOf(random, at.operation.parameters.query, around, 0.4).filter(([name]) => name !== 'PageToken')
  const all = 'PageToken' in at.operation.parameters.query ? [...pairs, ...pageToken(random, at, as, world)] : pairs
  if (random.chance(0.01))
    return `?${random.pick(['?', '&', '=', '&&==', '%', '#', 'a', '%00=%00', '[]=1', `x=${'+'.repeat(5_000)}`])}`
  return all.length === 0 ? '' : `?${encodePairs(all)}`
}

/** Issued by this list, by another one, or by nobody. */
function pageToken(random: Random, at: Target, as: AccountName, world: World): Pairs {
  if (random.chance(0.6)) return []
  const issued = world.rows[as].token(at.collection, random) ?? random.hex(40)
  const cut = random.below(Math.max(1, issued.length))
  return [
    [
      'PageToken',
      random.pick<Value>([
        issued,
        issued,
        issued.slice(0, cut),
        `${issued.slice(0, cut)}${random.hex(1)}${issued.slice(cut + 1)}`,
        `${issued}A`,
        Buffer.from(hostileJson(random).slice(0, 500)).toString('base64url'),
        Buffer.from(JSON.stringify(['f', 'x', false, random.below(9), random.hex(8)])).toString('base64url'),
        random.bytes(30).toString('base64url'),
        hostileText(random),
      ]),
    ],
  ]
}

function bodyOf(random: Random, at: Target, around: Surroundings): string {
  if (random.chance(0.01))
    return random.pick([hostileJson(random), '&'.repeat(10_000), '=', '%', 'a=b=c&&=', '\u0000', '+'.repeat(20_000)])
  return encodePairs(valuesOf(random, at.operation.parameters.form, around, 0.35))
}

/** Each parameter with a good value, a hostile one or none; some twice, and some that do not exist. */
function valuesOf(random: Random, given: Keys, around: Surroundings, often: number): Pairs {
  const shapes = random.chance(0.1) ? given : coherent(random, given)
  // In most requests all values are good: one bad value hides what the others would have done.
  const hostility = random.chance(0.55) ? 0 : random.pick([0.1, 0.3, 1])
  const pairs = Object.entries(shapes).flatMap(([name, shape]) => {
    if (!shape.required && !random.chance(often)) return []
    if (shape.required && random.chance(0.02)) return []
    const item = shape.items ?? shape
    const times = shape.type === 'array' ? 1 + random.below(6) : random.chance(0.01) ? 2 : 1
    return Array.from({ length: times }, () => {
      const value = random.chance(hostility) ? hostileValue(random, name, item, around) : goodValue(random, name, item, around)
      return [nameOf(random, name), value] as const
    })
  })
  return random.chance(0.03) ? [...pairs, [random.pick(odd_names), hostileText(random)]] : pairs
}

/** Of parameters that exclude each other, one group; what the group has is wanted together. */
function coherent(random: Random, given: Keys): Keys {
  const groups = alternatives.find(([name, groups]) => name in given && groups.flat().every((each) => each in given))?.[1] ?? []
  if (groups.length === 0) return given
  const [chosen, all] = [random.pick(groups), groups.flat()]
  const kept = Object.entries(given).filter(([name]) => !all.includes(name) || chosen.includes(name))
  return Object.fromEntries(
    kept.map(([name, shape]) => [name, chosen.includes(name) ? { ...shape, required: true as const } : shape]),
  )
}

/** By a parameter that only these operations have. */
const alternatives: readonly (readonly [string, readonly (readonly string[])[]])[] = [
  [
    'MessagingBinding.Address',
    [
      ['Identity'],
      ['Identity'],
      ['MessagingBinding.Address', 'MessagingBinding.ProxyAddress'],
      ['Identity', 'MessagingBinding.ProjectedAddress'],
    ],
  ],
  ['LastReadTimestamp', [['LastReadMessageIndex'], ['Attributes'], ['Identity'], ['MessagingBinding.ProxyAddress']]],
  [
    'Configuration.ReplayAfter',
    [['Configuration.Url', 'Configuration.Filters', 'Configuration.Triggers'], ['Configuration.FlowSid']],
  ],
  ['ContentSid', [['Body'], ['Body'], ['MediaSid'], ['ContentSid', 'ContentVariables']]],
  ['Address', [['Identity'], ['Address']]],
]

const odd_names: readonly Value[] = [
  ...[
    '__proto__',
    'constructor',
    'toString',
    'hasOwnProperty',
    '',
    'Unknown',
    'Body[]',
    'Attributes.a',
    'x'.repeat(5_000),
    '\u0000',
  ],
  ...['%', '%zz', '%ff', 'Body%00'].map((encoded) => ({ encoded })),
]

function nameOf(random: Random, name: string): Value {
  if (random.chance(0.995)) return name
  return random.pick([name.toLowerCase(), `${name}\u0000`, `${name} `, `${name}[]`, `${name}[__proto__]`])
}

function webhookHeader(random: Random): Headers {
  if (random.chance(0.5)) return []
  return [
    ['X-Twilio-Webhook-Enabled', random.chance(0.9) ? 'true' : random.pick(['false', 'TRUE', '1', '', 'true, true', 'null'])],
  ]
}

const form = 'application/x-www-form-urlencoded'
const odd_types = [
  ...[
    'application/json',
    'text/plain',
    'multipart/form-data; boundary=x',
    'multipart/form-data',
    '',
    ';',
    'x',
    '*/*',
    `${form};charset=utf-16`,
  ],
  ...[
    `${form}; charset=\u0000`,
    `${form}\u000b`,
    'application/json; charset=utf-7',
    'a/'.repeat(500),
    `${form}, ${form}`,
    '__proto__',
  ],
]

function contentType(random: Random): Headers {
  const type = random.chance(0.96) ? form : random.pick(odd_types)
  return random.chance(0.99) ? [['Content-Type', type]] : []
}
