import type { Random } from '../random.ts'
import type { Account, World } from '../surroundings.ts'

export type Headers = readonly (readonly [string, string])[]

export interface RequestParts {
  readonly method: string
  readonly target: string
  readonly headers: Headers
  readonly body?: string | Buffer
}

/** The bytes of a request, whatever its parts are: no client would send most of them. */
export function bytesOf({ method, target, headers, body }: RequestParts): Buffer {
  const content = Buffer.from(body ?? '')
  const length: Headers = body === undefined ? [] : [['Content-Length', String(content.length)]]
  const lines = [...headers, ...length].map(([name, value]) => `${name}: ${value}\r\n`)
  return Buffer.concat([Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('')}\r\n`, 'utf8'), content])
}

export function basic(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

/** Valid credentials of an account, in one of their forms. */
export function goodAuthorization(random: Random, { sid, auth_token, key_sid, key_secret }: Account): string {
  const value = random.chance(0.2) ? basic(key_sid, key_secret) : basic(sid, auth_token)
  return random.chance(0.05) ? value.replace('Basic', random.pick(['basic', 'BASIC', 'Basic '])) : value
}

/** Nothing may be served for these. Undefined: no header. */
export function badAuthorization(random: Random, world: World, { sid, auth_token, key_sid }: Account): string | undefined {
  const { victim } = world
  return random.pick<string | undefined>([
    undefined,
    '',
    'Basic',
    'Basic ',
    'Basic !!!!',
    'Basic \u0000',
    `Bearer ${random.hex(32)}`,
    basic(sid, random.hex(32)),
    basic(sid, ''),
    basic(sid, `${auth_token} `),
    basic(`${sid} `, auth_token),
    basic(victim.account.sid, auth_token),
    basic(key_sid, auth_token),
    basic(`AC${random.hex(32)}`, auth_token),
    basic('__proto__', 'x'),
    basic('', ''),
    `Basic ${Buffer.from(sid).toString('base64')}`,
    `Digest username="${sid}"`,
    `Basic ${'A'.repeat(8_000)}`,
    `${basic(sid, random.hex(32))}, ${basic(sid, random.hex(32))}`,
  ])
}

const odd_hosts = [
  '',
  'localhost',
  '127.0.0.1',
  '[::1]',
  'a"b',
  'a b',
  'evil.example',
  'evil.example:99999',
  '🙂',
  '\u0001',
  "a'<b>",
  'x'.repeat(300),
]

/** Mostly the right one. */
export function hostOf(random: Random, { host }: World): string {
  return random.chance(0.02) ? random.pick(odd_hosts) : host
}

const odd_headers: readonly (readonly [string, string])[] = [
  ['X-Forwarded-Host', 'evil.example'],
  ['X-Forwarded-For', '169.254.169.254'],
  ['X-HTTP-Method-Override', 'DELETE'],
  ['Origin', 'https://evil.example'],
  ['Accept', 'text/html'],
  ['Accept-Encoding', 'gzip, br, deflate, zstd, *;q=0'],
  ['Content-Encoding', 'gzip'],
  ['If-Match', '*'],
  ['If-None-Match', '"a", W/"b", *'],
  ['If-Modified-Since', 'yesterday'],
  ['Range', 'bytes=0-0,5-,-1'],
  ['Cookie', 'a=b; __proto__=c'],
  ['Connection', 'close'],
  ['Connection', 'keep-alive, X-Twilio-Webhook-Enabled'],
  ['Keep-Alive', 'timeout=99999999999'],
  ['Idempotency-Key', 'x'.repeat(1_000)],
  ['X-Twilio-Webhook-Enabled', 'true'],
  ['X-Long', 'x'.repeat(4_000)],
  ['__proto__', 'x'],
  ['constructor', 'x'],
  ['X-Bytes', '\u0080\u00ff🙂'],
  ['Expect', 'nothing'],
  ['TE', 'trailers'],
  ['Via', '1.1 evil'],
  ['Date', 'yesterday'],
  ['Accept-Version', '99.0.0'],
  ['Version', '2'],
]

/** Mostly none. */
export function extraHeaders(random: Random): Headers {
  return random.chance(0.06) ? Array.from({ length: 1 + random.below(3) }, () => random.pick(odd_headers)) : []
}
