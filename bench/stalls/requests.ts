import { randomBytes } from 'node:crypto'
import { encode, encodePairs, type Value } from '../../fuzz/encoding.ts'
import { isKey, type Target, targets } from '../../fuzz/operations.ts'
import { Random } from '../../fuzz/random.ts'
import { goodValue } from '../../fuzz/values.ts'
import type { Shape } from '../../test/support/contract.ts'
import { busy, type Landmarks, largest_attributes, largest_body, largest_name, largest_small_attributes } from './rows.ts'

export interface StallRequest {
  readonly name: string
  readonly method: string
  /** Made anew for each try: names must be new. */
  readonly path: () => string
  readonly body: () => string | Buffer | null
  readonly type: string
  /** Once: what it deletes is there only once. */
  readonly once: boolean
}

export interface Places {
  readonly landmarks: Landmarks
  readonly service: string
  /** Services without anything in them, to be deleted. */
  readonly services: readonly string[]
  readonly credentials: readonly string[]
  readonly addresses: readonly string[]
  /** A conversation without anything in it, another one each time. */
  readonly empty: () => string
}

const form = 'application/x-www-form-urlencoded'
const sizes = ['small', 'largest'] as const
type Size = (typeof sizes)[number]

/** Every official operation with small and with the largest values that are accepted, and what else takes large inputs. */
export function stallRequests(places: Places): StallRequest[] {
  const official = targets.flatMap((at) => sizes.map((size) => requestOf(at, size, places)))
  const [kept, removing] = [official.filter(({ once }) => !once), official.filter(({ once }) => once)]
  // What deletes comes last: the others need what is there.
  return [...kept, ...others(places), ...removing]
}

function requestOf(at: Target, size: Size, places: Places): StallRequest {
  const { method, operationId, parameters } = at.operation
  const random = new Random(1, 1)
  const query = () => encodePairs(valuesOf(parameters.query, at, size, random, places))
  return {
    ...{ name: `${operationId}, ${size}`, method, type: form, once: method === 'DELETE' },
    path: () => `${pathOf(at, size, places)}?${query()}`,
    body: () => (method === 'POST' ? encodePairs(valuesOf(parameters.form, at, size, random, places)) : null),
  }
}

function pathOf(at: Target, size: Size, places: Places): string {
  const keys = keysOf(at, size, places)
  const segments = at.segments.map((segment, i) => (isKey(segment) ? encode(keys(at.segments[i - 1] ?? '')) : segment))
  return `/v1/${at.family === 'service' ? `Services/${places.service}/` : ''}${segments.join('/')}`
}

/** The key that follows the name of a collection. What deletes has a row of its own in each family and of each size. */
function keysOf(at: Target, size: Size, places: Places): (collection: string) => string {
  const { landmarks, service, services, credentials, addresses, empty } = places
  const removes = at.operation.method === 'DELETE'
  const own = (at.family === 'service' ? 3 : 1) + (size === 'largest' ? 1 : 0)
  const nth = (sids: readonly string[], collection: string) =>
    sids[removes && at.collection.endsWith(collection) && at.collection !== 'Users/Conversations' ? own % sids.length : 0] ?? ''
  // What has a limit of its own is added where there is none yet.
  const fresh = at.operation.method === 'POST' && /^Conversations\/(?:Participants|Webhooks)$/.test(at.collection) && !at.instance
  const small = size === 'small' && at.collection === 'Conversations'
  const rows: Readonly<Record<string, readonly string[]>> = {
    ...{ Conversations: landmarks.conversation, Participants: landmarks.participant, Messages: landmarks.message },
    ...{ Webhooks: landmarks.webhook, Receipts: landmarks.receipt, Roles: landmarks.role, Users: landmarks.user.slice(0, 5) },
    ...{ Bindings: landmarks.binding, Credentials: credentials, Addresses: addresses, Services: removes ? services : [service] },
  }
  // Who leaves must still be there.
  const leaves = removes && at.collection === 'Users/Conversations'
  return (collection) => {
    if (collection === 'Conversations' && (fresh || small)) return empty()
    if (collection === 'Users' && leaves) return landmarks.user[10 + own] ?? ''
    return nth(rows[collection] ?? [], collection)
  }
}

type Shapes = Readonly<Record<string, Shape>>

/** Those that may go together, each at its limit or as short as can be. */
function valuesOf(shapes: Shapes, at: Target, size: Size, random: Random, { landmarks, service }: Places): [Value, Value][] {
  const sidOf = (name: string) => (name === 'Services' ? service : (landmarks.role[0] ?? ''))
  const around = { marker: 'bench', secret: 'secret', hook: 'http://127.0.0.1:1/', sidOf }
  const { method } = at.operation
  const needed =
    method === 'GET' ? filters : at.instance || !/^Create/.test(at.operation.operationId) ? /^(?:Permission)$/ : makers
  return Object.entries(shapes)
    .filter(([name, shape]) => shape.required || needed.test(name) || (size === 'largest' && largestOf(name, at) !== undefined))
    .map(([name, shape]) => {
      const value = (size === 'largest' ? largestOf(name, at) : undefined) ?? fixedOf(name, method, shape)
      return [name, value ?? goodValue(random, name, shape, around)]
    })
}

const filters = /^(?:PageSize|Identity)$/
/** Without these nothing is made. */
const makers = /^(?:Body|Identity|Configuration\.(?:Url|Filters)|Participant)$/

function fixedOf(name: string, method: string, { enum: values }: Shape): Value | undefined {
  if (name === 'PageSize') return '1'
  if (name === 'Permission') return 'sendMessage'
  if (name === 'Type') return values?.includes('fcm') ? 'fcm' : values?.[0]
  if (name === 'Target') return 'webhook'
  if (name === 'Address') return `+1555${String(Math.floor(Math.random() * 1e7)).padStart(7, '0')}`
  if (name === 'Identity' && method === 'GET') return busy
  return name === 'Identity' ? `new-${randomBytes(8).toString('hex')}` : undefined
}

function largestOf(name: string, { collection }: Target): Value | undefined {
  if (name === 'PageSize') return '1000'
  if (name === 'Attributes')
    return /^Conversations\/(?:Messages|Participants)/.test(collection) ? largest_small_attributes : largest_attributes
  if (name === 'Body') return largest_body
  if (name === 'UniqueName') return `${randomBytes(8).toString('hex')}${'"'.repeat(240)}`
  if (/^(?:FriendlyName|Author)$/.test(name)) return largest_name
  if (name === 'Participant')
    return JSON.stringify({ identity: randomBytes(8).toString('hex'), attributes: largest_small_attributes })
  if (name === 'Configuration.Url') return `http://127.0.0.1:1/${'a'.repeat(480)}`
  return undefined
}

/** Inputs that no description has, files, and what operators ask for. */
function others({ landmarks, service }: Places): StallRequest[] {
  const get = (name: string, path: string): StallRequest => ({
    name,
    method: 'GET',
    path: () => path,
    body: () => null,
    type: form,
    once: false,
  })
  const post = (name: string, path: string, body: string | Buffer, type = form): StallRequest => ({
    ...{ name, method: 'POST', path: () => path, body: () => body, type, once: false },
  })
  const mib = 1_048_576
  return [
    get('conversations of a state that few have', '/v1/Conversations?State=closed&PageSize=1000'),
    get(
      'conversations of a state and dates that none has',
      '/v1/Conversations?State=inactive&StartDate=2001-01-01&EndDate=2001-12-31',
    ),
    get('conversations by dates', '/v1/Conversations?StartDate=2001-01-01&EndDate=2099-12-31&PageSize=1000'),
    get('memberships of one who is in a thousand', `/v1/ParticipantConversations?Identity=${busy}&PageSize=1000`),
    get('memberships of nobody', '/v1/ParticipantConversations?Identity=nobody'),
    get('messages from the end', `/v1/Conversations/${landmarks.conversation[0]}/Messages?Order=desc&PageSize=1000`),
    get('deliveries', '/admin/v1/deliveries?limit=1000'),
    get('deliveries that failed', '/admin/v1/deliveries?status=failed&limit=1000'),
    get('accounts', '/admin/v1/accounts'),
    get('metrics', '/metrics'),
    post('a form of 1 MiB of plus signs', '/v1/Conversations', `x=${'+'.repeat(mib - 2)}`),
    post('a form of 1 MiB of empty names', '/v1/Conversations', '&'.repeat(mib)),
    post('a form of 1 MiB of percent signs', '/v1/Conversations', `x=${'%41'.repeat(mib / 3 - 2)}`),
    post('a form of 100,000 names', '/v1/Conversations', Array.from({ length: 100_000 }, (_, i) => `p${i}=1`).join('&')),
    post('attributes nested 8,000 deep', '/v1/Conversations', `Attributes=${'%5B'.repeat(8_000)}${'%5D'.repeat(8_000)}`),
    post('JSON of 1 MiB', '/admin/v1/accounts', `{"friendly_name":[${'[],'.repeat(mib / 3 - 20)}1]}`, 'application/json'),
    post('a file of 20 MB', `/v1/Services/${service}/Media`, Buffer.alloc(20_000_000, 1), 'image/png'),
  ]
}
