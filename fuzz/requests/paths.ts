import { encode } from '../encoding.ts'
import type { AccountName, Plan } from '../plan.ts'
import type { Random } from '../random.ts'
import type { World } from '../surroundings.ts'
import { hostileText } from '../values.ts'
import { bytesOf, extraHeaders, goodAuthorization, hostOf } from './head.ts'

const methods = ['GET', 'POST', 'DELETE', 'HEAD', 'OPTIONS', 'PUT', 'PATCH', 'TRACE', 'PROPFIND', 'QUERY'] as const

/** Paths that no description has: beside the API, below it, and spelt in ways that mean another one. */
export function pathsPlan(random: Random, index: number, world: World): Plan {
  const as: AccountName = random.chance(0.5) ? 'a' : 'b'
  const target = targetOf(random, as, world)
  const method = random.chance(0.7) ? 'GET' : random.pick(methods)
  const authorized = random.chance(0.8)
  const headers = [
    ['Host', hostOf(random, world)] as const,
    ...(authorized ? [['Authorization', goodAuthorization(random, world.accounts[as])] as const] : []),
    ...extraHeaders(random),
  ]
  return {
    ...{ index, label: 'odd path', as, method, target, denied: false, answers: 1, alone: false, asked: null },
    steps: [bytesOf({ method, target, headers, ...(method === 'POST' && { body: 'a=b' }) })],
  }
}

function targetOf(random: Random, as: AccountName, world: World): string {
  const rows = world.rows[as]
  const sid = rows.pick('Conversations', rows.default_service, random)?.keys[0] ?? 'CH'
  const text = () => {
    const value = encode(hostileText(random))
    return value.slice(0, random.pick([20, 300, 9_000]))
  }
  return random.pick<() => string>([
    () =>
      random.pick([
        '/',
        '/v1',
        '/v1/',
        '/v2/Conversations',
        '/healthz',
        '/readyz',
        '/metrics',
        '/favicon.ico',
        '/.env',
        '/admin/v1',
        '/admin/',
        '*',
      ]),
    () =>
      random.pick([
        '/healthz?x=%',
        '/metrics?name[]=x',
        '/healthz/',
        '//healthz',
        '/HEALTHZ',
        '/%68ealthz',
        '/healthz%00',
        '/metrics#x',
      ]),
    () => `/v1/Conversations/${sid}/`,
    () => `/v1//Conversations/${sid}`,
    () => `/v1/Conversations/${sid}.json`,
    () => `/v1/conversations/${sid}`,
    () => `/v1/Conversations/%2e%2e/Users`,
    () => `/v1/Conversations/../../admin/v1/accounts`,
    () => `/v1/..%2fadmin/v1/accounts`,
    () => `/v1/Conversations/${sid};x=y`,
    () => `/v1/Conversations/${sid}%2fMessages`,
    () => `http://${world.host}/v1/Conversations/${sid}`,
    () => `http://evil.example/v1/Conversations/${sid}`,
    () => `/v1/Conversations/${text()}`,
    () => `/v1/${text()}`,
    () => `/admin/v1/${text()}`,
    () => `/${text()}`,
    () => `/v1/Conversations/${sid}/Messages/${text()}/Receipts/${text()}`,
    () => `/v1/Services/${text()}/Media/${text()}/Content/Temporary?Expires=9&Signature=${text()}`,
    () => `/v1/Users/${'%F0%9F%99%82'.repeat(random.below(700))}`,
    () => `/v1${'/x'.repeat(random.below(3_000))}`,
  ])()
}
