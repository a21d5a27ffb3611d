import { eventTypes, scopedEventTypes } from '../src/events/names.ts'
import type { Shape } from '../test/support/contract.ts'
import type { Value } from './encoding.ts'
import type { Random } from './random.ts'

/** What a value may refer to. */
export interface Surroundings {
  /** Of the account that asks: stands in every text that it stores. */
  readonly marker: string
  /** Stands in every value that no answer and no log line may show. */
  readonly secret: string
  /** An endpoint on this machine that answers webhooks in many ways. */
  readonly hook: string
  /** The key of a live row below this collection. */
  sidOf(collection: string): string
}

const numbers = [
  ...['0', '1', '2', '5', '50', '51', '100', '101', '1000', '1001', '-1', '-0', '+1', ' 1', '1 ', '007', '1.5', '1e3', '1e999'],
  ...['2147483647', '2147483648', '4294967296', '9007199254740991', '9007199254740993', '9223372036854775807'],
  ...['9223372036854775808', '99999999999999999999999999', 'NaN', 'Infinity', '0x10', '٣', '', 'null', 'true', '1,000'],
]
const dates = [
  ...['2026-01-01T00:00:00Z', '2026-01-01', '2024-02-29T12:00:00Z', '2026-02-30T00:00:00Z', '2026-12-31T23:59:60Z'],
  ...['2026-01-01T24:00:00Z', '2026-01-01T00:00:00+14:00', '2026-01-01T00:00:00.123456789Z', '2026-W01-1', '2026-001'],
  ...[
    '0000-01-01T00:00:00Z',
    '0001-01-01T00:00:00Z',
    '1969-12-31T23:59:59Z',
    '9999-12-31T23:59:59.999Z',
    '10000-01-01T00:00:00Z',
  ],
  ...['+275760-09-13T00:00:00Z', '+275760-09-13T00:00:01Z', '-271821-04-20T00:00:00Z', 'yesterday', '0', '1767225600', ''],
]
const durations = [
  ...['PT1M', 'PT10M', 'PT1H', 'P1D', 'P30D', 'P1W', 'P1Y2M3DT4H5M6S', 'PT0S', 'PT59S', 'PT599S', 'PT600S', 'PT1.5M'],
  ...['P1000Y', 'P99999999999D', 'PT9007199254740993S', 'P-1D', '-PT1M', '+PT1M', 'PT', 'P', 'pt1m', 'PT1M1M', 'P1DT', '60', ''],
]
const texts: readonly Value[] = [
  ...['', ' ', '\t', '.', '..', '-', '0', 'null', 'undefined', 'true', '[object Object]', '__proto__', 'constructor', 'toString'],
  ...["'; drop table conversations; --", '" or 1=1 --', '%', '_', '\\', '\\0', '$1', '?', ':name', '`', '{{7*7}}', '<script>'],
  ...['\r\nX-Injected: 1\r\n\r\n', '../../../../etc/hostname', 'system', 'SYSTEM', 'CON', '🙂'.repeat(128), '🙂'.repeat(129)],
  ...[
    'a'.repeat(255),
    'a'.repeat(256),
    'a'.repeat(257),
    'ü'.repeat(257),
    'e\u0301'.repeat(200),
    '\u202eabc',
    '\ufeffx',
    '\uffff',
  ],
  ...[
    '\u0000',
    'a\u0000b',
    '\u0001\u001f\u007f',
    '\ud800',
    'a\udc00b',
    '\u2028\u2029',
    'İıſK',
    '﷽'.repeat(50),
    'a\u0300'.repeat(16),
  ],
  ...['a'.repeat(1024), 'a'.repeat(16_384), 'a'.repeat(16_385), 'é'.repeat(16_384), 'a'.repeat(32_768), 'a'.repeat(32_769)],
  ...[
    '%',
    '%z',
    '%zz',
    '%u0041',
    '%ff',
    '%ff%fe',
    '%c0%80',
    '%ed%a0%80',
    '%f4%90%80%80',
    '%e2%82',
    '+',
    '%2',
    'a%',
    '%00',
    '=',
    '==',
    '%0d%0a',
  ].map((encoded) => ({ encoded })),
]
/** Deeper than most parsers may recurse, in less than attributes may have. */
const nested = (depth: number) => `${'['.repeat(depth)}${']'.repeat(depth)}`
const jsons = [
  ...[
    '{}',
    '[]',
    'null',
    '0',
    '-0',
    '1e999',
    '"text"',
    'true',
    '{"a":1}',
    '{"a":1,"a":2}',
    '{"__proto__":{"polluted":1}}',
    '{',
    '{"a"',
  ],
  ...[
    'NaN',
    "{'a':1}",
    '{"a":1,}',
    ' {} ',
    '\ufeff{}',
    '{"a":"\\ud800"}',
    '{"\\u0000":"\\u0000"}',
    '{"constructor":{"prototype":{}}}',
    '',
  ],
  ...[nested(100), nested(8_000), nested(8_193), '{"a":'.repeat(2_000) + '1'.padEnd(2_001, '}'), `"${'a'.repeat(16_382)}"`],
  ...[`"${'a'.repeat(16_383)}"`, `[${'1,'.repeat(8_000)}1]`, `{"n":${'9'.repeat(1_000)}}`, `"${'é'.repeat(8_191)}"`, '"\\u0000"'],
]
const addresses = [
  ...[
    '+15550100001',
    '+15550100002',
    '+4915550100003',
    'whatsapp:+15550100004',
    'messenger:1234567',
    'rcs:agent_7',
    'a@example.org',
  ],
  ...[
    '+1',
    '+',
    '15550100001',
    'whatsapp:',
    'messenger:',
    'rcs:',
    'tel:+15550100001',
    '+15550100001 ',
    '+155501000010000000',
    'a@b',
    '',
  ],
]
const permissions = [
  ...['sendMessage', 'leaveConversation', 'deleteOwnMessage', 'addParticipant', 'editOwnMessage', 'joinConversation'],
  ...['createConversation', 'editOwnUserInfo', 'sendmessage', '', 'everything'],
]
const participants = [
  ...[
    '{"identity":"pia"}',
    '{"messaging_binding":{"address":"+15550100007","proxy_address":"+15550100008"}}',
    '{}',
    '[]',
    'null',
    '{"identity":7}',
  ],
  ...[
    '{"identity":null}',
    '{"messaging_binding":[]}',
    '{"__proto__":{"identity":"x"}}',
    '{"identity":"x","unknown":1}',
    nested(8_000),
    '',
    '"x"',
    '{"identity":"\\ud800"}',
  ],
]
const contents = [
  '{}',
  '{"1":"x"}',
  '{"1":2}',
  '[]',
  '{"12345678901234567":"x"}',
  `{"1":"${'a'.repeat(257)}"}`,
  '{',
  '{"__proto__":"x"}',
]

/** By the end of the name, which says more than the official description does. The first that matches holds. */
const byName: readonly (readonly [RegExp, readonly Value[]])[] = [
  [/^Attributes$/, jsons],
  [/^ContentVariables$/, contents],
  [/^Participant$/, participants],
  [/Timers\.|Timer$/, durations],
  [/Date|Timestamp/, dates],
  [/Address$/, addresses],
  [/^Permission$/, permissions],
  [/Filters$/, [...eventTypes, 'onSomething', '', 'onmessageadded']],
  [/Triggers$/, ['help', 'HELP', '', ' ', 'a'.repeat(248), 'a'.repeat(249), '.*', '(a+)+$']],
  [/Method$/, ['GET', 'POST', 'get', 'post', 'PUT', '']],
]

/** A value that is not meant to be accepted: at a limit, beyond it, or of another kind altogether. */
export function hostileValue(random: Random, name: string, shape: Shape, around: Surroundings): Value {
  // Huge ones are rare, or they would be all that a run is about.
  if (random.chance(0.002)) return 'a'.repeat(random.pick([100_000, 500_000, 1_048_576, 1_100_000]))
  const own = shape.type === 'integer' ? numbers : byName.find(([pattern]) => pattern.test(name))?.[1]
  if (own && random.chance(0.7)) return random.pick(own)
  if (/Url$/.test(name) && random.chance(0.7)) return random.pick(hostileUrls(around.hook))
  if (/Sid$/.test(name) && random.chance(0.7)) return hostileSid(random, around.sidOf('Conversations'))
  const pools = [numbers, dates, durations, texts, texts, texts, jsons, addresses]
  return random.pick(random.pick(pools))
}

export function hostileText(random: Random): Value {
  return random.pick(texts)
}

export function hostileJson(random: Random): string {
  return random.pick(jsons)
}

export function hostileSid(random: Random, live: string): Value {
  return random.pick<Value>([
    `${live.slice(0, 2)}${random.hex(32)}`,
    live.toUpperCase(),
    live.toLowerCase(),
    `${live} `,
    live.slice(0, -1),
    `${live}0`,
    `XX${live.slice(2)}`,
    `${live}\u0000`,
    { encoded: `${live}%00` },
    { encoded: `${live}%2f..` },
    'CH',
    '',
    '*',
    '__proto__',
    '../Services',
    { encoded: '%2e%2e' },
  ])
}

/** The server that is tested reaches only this machine: `only-this-machine.ts`. */
function hostileUrls(hook: string): readonly string[] {
  return [
    ...[
      '',
      'http://',
      'http:///x',
      'ftp://127.0.0.1/',
      'file:///etc/hostname',
      'javascript:alert(1)',
      'http://127.0.0.1:1/refused',
    ],
    ...[
      'http://127.0.0.1:99999/',
      'http://[::1]:1/',
      'http://0x7f000001:1/',
      'http://user:password@127.0.0.1:1/',
      `${hook}?a=b#c`,
    ],
    ...[
      'http://a b/',
      `${hook}/${'a'.repeat(600)}`,
      `${hook}/\u0000`,
      `${hook}/%`,
      'HTTP://LOCALHOST:1',
      '//127.0.0.1/x',
      `${hook}/🙂`,
    ],
    ...['http://169.254.169.254/latest', 'http://name.invalid/', 'http://127.0.0.1:1\r\nX-Injected: 1'],
  ]
}

/** A value that the operation accepts, most of the time. */
export function goodValue(random: Random, name: string, shape: Shape, around: Surroundings): Value {
  const [first] = Object.entries(good).filter(([ending]) => name.endsWith(ending))
  if (first) return first[1](random, around)
  if (shape.enum) return random.pick(shape.enum)
  if (shape.type === 'boolean') return random.pick(['true', 'false'])
  if (shape.type === 'integer') return String(random.below(20))
  return `${around.marker} ${random.hex(4)}`
}

type Maker = (random: Random, around: Surroundings) => Value

/** By the end of the name, in this order. */
const good: Readonly<Record<string, Maker>> = {
  ContentVariables: (random) => JSON.stringify({ 1: random.hex(4) }),
  Attributes: (random, { marker }) => JSON.stringify({ marker, n: random.below(9) }),
  UniqueName: (random, { marker }) => `${marker}-${random.hex(8)}`,
  Identity: (random, { marker }) => `${marker}-${random.below(200)}`,
  Author: (random, { marker }) => random.pick(['system', `${marker}-${random.below(200)}`]),
  'Timers.Inactive': (random) => random.pick(['PT1M', 'PT1H', 'P1D', 'P30D']),
  'Timers.Closed': (random) => random.pick(['PT10M', 'PT2H', 'P2D', 'P60D']),
  Timer: (random) => random.pick(['PT10M', 'PT2H', 'P2D', '']),
  DateCreated: (random) => `202${random.below(6)}-0${1 + random.below(9)}-1${random.below(9)}T00:00:00Z`,
  DateUpdated: (random) => `2026-0${1 + random.below(9)}-1${random.below(9)}T00:00:00Z`,
  StartDate: (random) => `202${random.below(7)}-01-01`,
  EndDate: (random) => `202${random.below(7)}-12-31`,
  LastReadTimestamp: () => '2026-01-02T03:04:05Z',
  State: (random) => random.pick(['active', 'active', 'inactive', 'active', 'closed']),
  AddressCountry: (random) => random.pick(['US', 'DE', '']),
  ProxyAddress: (random) => `+15550200${String(random.below(50)).padStart(3, '0')}`,
  ProjectedAddress: (random) => `+1555030${String(random.below(10_000)).padStart(4, '0')}`,
  'Bindings.Email.Address': (random) => `${random.hex(4)}@example.org`,
  Address: (random) => `+1555010${String(random.below(10_000)).padStart(4, '0')}`,
  Participant: (random, { marker }) => JSON.stringify({ identity: `${marker}-${random.below(200)}` }),
  Permission: (random) => random.pick(['addParticipant', 'editOwnMessage', 'sendMessage', 'leaveConversation']),
  'Configuration.Filters': (random) => random.pick(scopedEventTypes),
  'AutoCreation.WebhookFilters': (random) => random.pick(scopedEventTypes),
  Filters: (random) => random.pick(eventTypes),
  Triggers: (random) => random.pick(['help', 'stop', 'order']),
  Method: (random) => random.pick(['GET', 'POST']),
  Url: (_random, { hook }) => hook,
  // Small ones mostly: so there are next pages, and tokens for them.
  PageSize: (random) => random.pick(['1', '2', '3', String(1 + random.below(100))]),
  Page: (random) => String(random.below(3)),
  RoleSid: (_random, { sidOf }) => sidOf('Roles'),
  MediaSid: (_random, { sidOf }) => sidOf('Media'),
  ConversationServiceSid: (_random, { sidOf }) => sidOf('Services'),
  DefaultChatServiceSid: (_random, { sidOf }) => sidOf('Services'),
  DefaultMessagingServiceSid: (random) => `MG${random.hex(32)}`,
  MessagingServiceSid: (random) => `MG${random.hex(32)}`,
  FlowSid: (random) => `FW${random.hex(32)}`,
  ContentSid: (random) => `HX${random.hex(32)}`,
  PrivateKey: (random, { secret }) => `${secret}-${random.hex(4)}`,
  Certificate: (random, { secret }) => `${secret}-${random.hex(4)}`,
  ApiKey: (random, { secret }) => `${secret}-${random.hex(4)}`,
  Secret: (random, { secret }) => `${secret}-${random.hex(4)}`,
}
