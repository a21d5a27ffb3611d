import { encode, type Value } from '../encoding.ts'
import type { AccountName, Plan } from '../plan.ts'
import type { Random } from '../random.ts'
import type { World } from '../surroundings.ts'
import { hostileSid, hostileText } from '../values.ts'
import { badAuthorization, bytesOf, extraHeaders, goodAuthorization, type Headers } from './head.ts'

type Verb = 'upload' | 'fetch' | 'content' | 'temporary' | 'delete'

const verbs: readonly Verb[] = ['upload', 'upload', 'upload', 'fetch', 'content', 'content', 'temporary', 'delete']

/** Files, as the vendor's media host takes them and hands them out. */
export function mediaPlan(random: Random, index: number, world: World): Plan {
  const verb = random.pick(verbs)
  const as: AccountName = random.chance(0.5) ? 'a' : 'b'
  const service = world.rows[as].service(random)
  const target = `/v1/Services/${random.chance(0.97) ? service : random.pick(world.victim.sids)}/Media${below(random, verb, as, service, world)}`
  const denied = random.chance(0.04)
  const account = world.accounts[as]
  const authorization = denied ? badAuthorization(random, world, account) : goodAuthorization(random, account)
  const body = verb === 'upload' ? file(random, account.marker) : undefined
  const headers: Headers = [
    ['Host', world.host],
    // A temporary address is signed instead.
    ...(authorization === undefined || verb === 'temporary' ? [] : [['Authorization', authorization] as const]),
    ...(body === undefined ? range(random) : [['Content-Type', contentType(random)] as const]),
    ...extraHeaders(random),
  ]
  const method = verb === 'upload' ? 'POST' : verb === 'delete' ? 'DELETE' : 'GET'
  return {
    ...{ index, label: `media ${verb}`, as, method, target, answers: 1, alone: false, asked: null },
    denied: denied || verb === 'temporary',
    steps: [bytesOf({ method, target, headers, ...(body !== undefined && { body }) })],
  }
}

function below(random: Random, verb: Verb, as: AccountName, service: string, world: World): string {
  if (verb === 'upload') return query(random)
  const live = world.rows[as].pick('Media', service, random)?.keys[0] ?? `ME${random.hex(32)}`
  const other = () =>
    random.pick<Value>([random.pick(world.victim.sids), hostileSid(random, live), world.rows[as].deleted(random) ?? ''])
  const path = `/${encode(random.chance(0.93) ? live : other())}`
  if (verb === 'content') return `${path}/Content`
  return verb === 'temporary' ? `${path}/Content/Temporary${forgedLink(random)}` : path
}

function forgedLink(random: Random): string {
  const expires = random.pick(['0', '9999999999', '99999999999999999999', '-1', 'NaN', 'Infinity', '', '1e10'])
  const signature = random.pick([random.hex(43), '', '%00', 'a'.repeat(5_000)])
  return random.pick([
    `?Expires=${expires}&Signature=${signature}`,
    `?Expires=${expires}`,
    '',
    `?Signature=${signature}&Signature=x`,
  ])
}

function query(random: Random): string {
  const filename = random.pick<Value>([
    'cat.png',
    'a/b\\c',
    '..',
    'x.svg',
    '"; filename="y',
    '\r\nX-Injected: 1',
    hostileText(random),
    'ü.txt',
  ])
  const category = random.pick<Value>(['media', 'body', 'history', 'media', hostileText(random)])
  return random.pick([
    '',
    `?Filename=${encode(filename)}`,
    `?Category=${encode(category)}&Filename=${encode(filename)}`,
    `?Filename=%`,
  ])
}

function file(random: Random, marker: string): Buffer {
  const length = random.pick([0, 1, 10, 100, 1_000, 20_000, 70_000])
  return Buffer.concat([Buffer.from(marker), Buffer.alloc(length, random.below(256))])
}

function contentType(random: Random): string {
  return random.pick([
    ...[
      'image/png',
      'text/plain; charset=utf-8',
      'text/html',
      'image/svg+xml',
      'multipart/form-data; boundary=x',
      '',
      'x',
      'a/b/c',
    ],
    ...[
      'application/x-www-form-urlencoded',
      'application/json',
      `a/${'b'.repeat(300)}`,
      'text/plain; filename="a',
      'TEXT/HTML;x=y',
      'a/🙂',
    ],
  ])
}

function range(random: Random): Headers {
  if (random.chance(0.6)) return []
  const value = [
    'bytes=0-0',
    'bytes=-1',
    'bytes=5-',
    'bytes=9999999-',
    'bytes=-',
    'bytes=0-1,3-4',
    'bytes=-99999999999999999999',
    'x',
    'bytes=3-1',
  ]
  return [['Range', random.pick(value)]]
}
