import { expect } from 'vitest'
import { checkAnswer } from '../support/contract.ts'
import { test } from '../support/fixtures.ts'
import { newTenant, type Tenant } from '../support/tenant.ts'

type Pairs = [string, string][]
type Refused = readonly [status: number, code: number, message: string]
/** What a body holds when the request is accepted. */
type Accepted = Readonly<Record<string, unknown>>

interface Rule {
  readonly request: keyof typeof requests
  readonly params: Pairs
  readonly expected: Refused | Accepted
}

let tenant: Tenant
let foreign_service_sid: string
let service_sid: string

test.beforeAll(async ({ server }) => {
  tenant = await newTenant(server)
  const { v1 } = tenant.sdk.conversations
  service_sid = (await v1.services.create({ friendlyName: 'Support' })).sid
  await v1.conversations.create({ uniqueName: 'taken' })
  await v1.services(service_sid).conversations.create({ uniqueName: 'taken' })
  foreign_service_sid = (await server.sdk.conversations.v1.services.create({ friendlyName: 'Foreign' })).sid
})

/** Where each kind of request goes; `shows` is what must stay the same when it is refused. */
const requests = {
  'create conversation': { method: 'POST', path: '/Conversations', shows: '/Conversations', status: 201 },
  'update conversation': { method: 'POST', path: '/Conversations/{sid}', shows: '/Conversations/{sid}', status: 200 },
  'list conversations': { method: 'GET', path: '/Conversations', shows: '/Conversations', status: 200 },
  'create service': { method: 'POST', path: '/Services', shows: '/Services', status: 201 },
  'configure account': { method: 'POST', path: '/Configuration', shows: '/Configuration', status: 200 },
  'configure account webhooks': {
    method: 'POST',
    path: '/Configuration/Webhooks',
    shows: '/Configuration/Webhooks',
    status: 200,
  },
  'configure service webhooks': {
    method: 'POST',
    path: '/Services/{service}/Configuration/Webhooks',
    shows: '/Services/{service}/Configuration/Webhooks',
    status: 200,
  },
} as const

/** Everything of a conversation answers in both families. */
function rootsOf(path: string): string[] {
  return path.startsWith('/Conversations') ? ['/v1', `/v1/Services/${service_sid}`] : ['/v1']
}

const refusals = {
  generic: (text: string): Refused => [400, 20001, text],
  value: [400, 20422, 'Invalid Parameter'],
  friendlyName: [400, 50003, 'Friendly name too long'],
  uniqueName: [400, 50004, 'Unique Name too long'],
  service: [400, 50050, 'Service Instance not found'],
  webhook: [400, 50054, 'Invalid webhook format'],
  webhookMethod: [400, 50055, 'Invalid webhook method'],
  preUrl: [400, 50077, 'Invalid pre webhook URL'],
  postUrl: [400, 50078, 'Invalid post webhook URL'],
  attributesLong: [400, 50303, 'Attributes too long'],
  attributes: [400, 50304, 'Attributes not valid JSON'],
  dateCreated: [400, 50308, 'Invalid Date Created parameter'],
  dateUpdated: [400, 50309, 'Invalid Date Updated parameter'],
  messagingService: [400, 50341, 'Invalid messaging service SID'],
  taken: [409, 50353, 'Conversation with provided unique name already exists'],
  stateEmpty: [400, 50374, "'State' field can't be empty"],
  inactiveShort: [400, 50375, 'TimeToInactive should be greater or equal to 1 minute'],
  closedShort: [400, 50376, 'TimeToClosed should be greater or equal to 10 minutes'],
  state: [400, 50378, "'State' parameter value is invalid"],
  inactive: [400, 50379, 'TimeToInactive format is invalid'],
  closed: [400, 50380, 'TimeToClosed format is invalid'],
  initiallyClosed: [400, 50384, "Initial state can't be 'closed"],
  nameLikeSid: [400, 50390, 'Unique name should not match conversation sid pattern'],
} as const satisfies Record<string, Refused | ((text: string) => Refused)>

/** One rule for each value of a parameter. */
function each(request: Rule['request'], name: string, values: readonly string[], expected: Rule['expected']): Rule[] {
  return values.map((value) => ({ request, params: [[name, value]], expected }))
}

/** The same at creation and at an update. */
function both(name: string, values: readonly string[], expected: Rule['expected']): Rule[] {
  return [...each('create conversation', name, values, expected), ...each('update conversation', name, values, expected)]
}

function hex(digits: string): string {
  return digits.repeat(32).slice(0, 32)
}

const is_date = expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
const not_dates = [
  '',
  ' ',
  'now',
  'null',
  '1700000000',
  '20260101',
  '2026',
  '2026-01',
  '2026-1-1',
  '01/02/2026',
  '2026-13-01',
  '2026-00-01',
  '2026-02-30',
  '2025-02-29',
  '2026-001',
  '2026-W01-1',
  '2026-01-01Z',
  ' 2026-01-01',
  '2026-01-01 ',
  '2026-01-01T25:00:00Z',
  '2026-01-01T00:61:00Z',
  '2026-01-01T00:00:00+25:00',
  // A plus that was not encoded.
  '2026-01-01T00:00:00 05:00',
  '+002026-01-01T00:00:00Z',
  '-000001-01-01T00:00:00Z',
  '12026-01-01T00:00:00Z',
  '2026-01-01T00:00:00Z\0',
  '2026-01-01\0',
  // Not ISO 8601; whoever ignores the ending misplaces the instant by hours.
  '2026-01-01T00:00:00+05:00[Asia/Karachi]',
  '2026-01-01T00:00:00+05:00:30',
  '2026-01-01T00:00:00[Asia/Karachi]',
  // Outside the years that a body can show.
  '0000-01-01T00:00:00+14:00',
  '9999-12-31T23:59:59-01:00',
]
const not_durations = [
  '10',
  'abc',
  'P',
  'PT',
  'PTM',
  'T10M',
  '10M',
  'P10',
  'PT10',
  'P10S',
  'P1D2H',
  'PT1M1H',
  'P1.5D',
  '-PT10M',
  'PT-10M',
  '-PT0S',
  '\u2212PT10M',
  ' PT10M',
  'PT10M ',
  'PT10M\0',
  '2026-01-01',
  // Days and smaller units only.
  'P6M',
  'P1Y',
  'P1M1D',
  'P1Y2M3W4DT5H6M7.5S',
  'P0Y',
  'p1m',
  // So long that nothing can hold or show when it ends.
  'P3000000D',
  'P999999999999D',
  `PT${'9'.repeat(400)}S`,
]
/** Past every minimum. */
const durations = ['PT10M', 'PT600S', 'PT10.5M', 'P1D', 'P2W', 'P180D', 'P3W4DT5H6M7.5S', 'P36500D', 'P0DT1H']
const no_durations = ['', 'PT0S', 'P0D', 'PT0H0M0S', 'PT0.000S']
const too_short = ['PT1S', 'PT30S', 'PT59S', 'PT59.999S', 'PT0.001S', 'PT0.9M']
const too_short_to_close = [...too_short, 'PT1M', 'PT2M', 'PT5M30S', 'PT9M59S', 'PT599.999S']
const not_messaging_services = ['x', 'MG', `MG${hex('0')}0`, `MG${hex('0').slice(1)}`, `MG${hex('g')}`, `mg${hex('0')}`]
const not_messaging_services_either = [`IS${hex('0')}`, ` MG${hex('0')}`, `MG${hex('0')}\n`, `MG${hex('0')}\0`]
const no_services = ['x', `IS${hex('0')}`, `is${hex('0')}`, `CH${hex('0')}`, 'IS\0']
const not_urls = [
  'x',
  'example.com',
  '/hook',
  '//example.com',
  'http://',
  'http:// x',
  'ftp://example.com',
  'javascript:alert(1)',
]
const not_urls_either = ['file:///etc/passwd', 'http://exa\0mple.com', 'http://example.com:99999/', 'http://[::1']
const [clef, accent] = ['🎼', 'e\u0301']

const rules: Rule[] = [
  // FriendlyName: 256 code points, whatever they take in memory.
  ...both('FriendlyName', ['a'.repeat(256), clef.repeat(256), accent.repeat(128)], { friendly_name: expect.any(String) }),
  ...both('FriendlyName', ['a'.repeat(257), clef.repeat(257), `${accent.repeat(128)}a`], refusals.friendlyName),
  ...both('FriendlyName', ['\0', 'a\0', '\0b'], refusals.value),
  // UniqueName
  ...both('UniqueName', ['b'.repeat(257), `${clef.repeat(256)}b`, accent.repeat(129)], refusals.uniqueName),
  ...both('UniqueName', [`CH${hex('0')}`, `CH${hex('9af')}`, `CH${hex('AF')}`], refusals.nameLikeSid),
  ...both('UniqueName', ['\0', 'a\0b'], refusals.value),
  ...both('UniqueName', ['taken'], refusals.taken),
  ...each('create conversation', 'UniqueName', [`ch${hex('0')}`, `CH${hex('0')}0`, 'Taken', ' taken'], { state: 'active' }),
  // Dates
  ...both('DateCreated', not_dates, refusals.dateCreated),
  ...both('DateUpdated', not_dates, refusals.dateUpdated),
  ...both('DateCreated', ['2026-01-01T00:00:00+05:30'], { date_created: '2025-12-31T18:30:00Z' }),
  ...both('DateUpdated', ['2026-01-01T00:00:00.123456Z'], { date_updated: '2026-01-01T00:00:00Z' }),
  ...both('DateCreated', ['2024-02-29'], { date_created: '2024-02-29T00:00:00Z' }),
  // MessagingServiceSid
  ...both('MessagingServiceSid', [...not_messaging_services, ...not_messaging_services_either], refusals.messagingService),
  ...both('MessagingServiceSid', [`MG${hex('aF')}`], { messaging_service_sid: `MG${hex('aF')}` }),
  // Attributes
  ...both(
    'Attributes',
    ['{', '{}x', "{'a':1}", '{"a":1,}', 'undefined', 'NaN', '01', ' ', '\ufeff{}', '\u00a0{}'],
    refusals.attributes,
  ),
  ...both('Attributes', ['\0', '{}\0', '"\0"', '"\n"'], refusals.attributes),
  ...both('Attributes', [`"${'a'.repeat(16_383)}"`, `"${clef.repeat(4096)}"`], refusals.attributesLong),
  ...both('Attributes', [`"${clef.repeat(4095)}"`], { attributes: `"${clef.repeat(4095)}"` }),
  // State
  ...both('State', [''], refusals.stateEmpty),
  ...both('State', ['junk', 'initializing', 'INITIALIZING', ' active', 'active ', 'active\0', 'true'], refusals.state),
  ...both('State', ['active', 'ACTIVE', 'Active'], { state: 'active' }),
  ...both('State', ['inactive', 'INACTIVE', 'InActive'], { state: 'inactive' }),
  ...each('create conversation', 'State', ['closed', 'CLOSED', 'Closed'], refusals.initiallyClosed),
  ...each('update conversation', 'State', ['closed', 'CLOSED', 'Closed'], { state: 'closed', timers: {} }),
  // Timers
  ...both('Timers.Inactive', not_durations, refusals.inactive),
  ...both('Timers.Inactive', too_short, refusals.inactiveShort),
  ...both('Timers.Inactive', ['PT1M', 'PT60S', 'PT60.001S', ...durations], { timers: { date_inactive: is_date } }),
  ...both('Timers.Inactive', no_durations, { timers: {} }),
  ...both('Timers.Closed', not_durations, refusals.closed),
  ...both('Timers.Closed', too_short_to_close, refusals.closedShort),
  ...both('Timers.Closed', durations, { timers: { date_closed: is_date } }),
  ...both('Timers.Closed', no_durations, { timers: {} }),
  // Bindings
  ...both(
    'Bindings.Email.Address',
    ['\0', 'nobody', '@', 'a b@c.test', 'a@b@c.test', '+15550000001', 'a@b.test\r\nBcc: c@d.test'],
    refusals.value,
  ),
  ...both('Bindings.Email.Name', ['a\0'], refusals.value),
  // Of a repeated scalar the last one counts, for better or worse; names have one spelling.
  ...(['create conversation', 'update conversation'] as const).flatMap((request): Rule[] => [
    {
      request,
      params: [
        ['State', 'junk'],
        ['State', 'inactive'],
      ],
      expected: { state: 'inactive' },
    },
    {
      request,
      params: [
        ['State', 'inactive'],
        ['State', 'junk'],
      ],
      expected: refusals.state,
    },
    {
      request,
      params: [
        ['FriendlyName', 'first'],
        ['FriendlyName', '\0'],
        ['FriendlyName', 'last'],
      ],
      expected: { friendly_name: 'last' },
    },
    {
      request,
      params: [
        ['Timers.Closed', 'PT1S'],
        ['Timers.Closed', ''],
      ],
      expected: { timers: {} },
    },
    { request, params: [['state', 'junk']], expected: { state: 'active' } },
    { request, params: [['STATE', 'junk']], expected: { state: 'active' } },
    { request, params: [['State[]', 'junk']], expected: { state: 'active' } },
    { request, params: [['timers.inactive', 'junk']], expected: { timers: {} } },
    { request, params: [['Timers[Inactive]', 'junk']], expected: { timers: {} } },
    { request, params: [['__proto__', 'x']], expected: { state: 'active' } },
    {
      request,
      params: [
        ['FriendlyName', 'good'],
        ['Timers.Inactive', 'PT30S'],
      ],
      expected: refusals.inactiveShort,
    },
  ]),
  // Filters of the list
  ...each('list conversations', 'StartDate', not_dates, refusals.generic('Invalid StartDate.')),
  ...each('list conversations', 'EndDate', not_dates, refusals.generic('Invalid EndDate.')),
  ...each('list conversations', 'State', ['', 'junk', ' active', 'active\0'], refusals.state),
  ...each('list conversations', 'State', ['active', 'ACTIVE', 'iNACTIVE', 'closed', 'initializing'], {}),
  ...each('list conversations', 'StartDate', ['2026-01-01', '2026-01-01T00:00:00Z', '2026-01-01T00:00:00.5+01:00'], {}),
  ...each('list conversations', 'EndDate', ['9999-12-31', '2026-01-01T23:59:59Z'], {}),
  ...each('list conversations', 'UniqueName', ['taken', '\0'], {}),
  {
    request: 'list conversations',
    params: [
      ['State', 'junk'],
      ['State', 'Active'],
    ],
    expected: {},
  },
  {
    request: 'list conversations',
    params: [
      ['State', 'active'],
      ['State', 'junk'],
    ],
    expected: refusals.state,
  },
  // Services
  {
    request: 'create service',
    params: [],
    expected: refusals.generic('Missing required parameter FriendlyName in the post body'),
  },
  ...each('create service', 'FriendlyName', [''], refusals.generic('Missing required parameter FriendlyName in the post body')),
  ...each('create service', 'friendlyName', ['x'], refusals.generic('Missing required parameter FriendlyName in the post body')),
  ...each('create service', 'FriendlyName', ['a'.repeat(257), clef.repeat(257)], refusals.friendlyName),
  ...each('create service', 'FriendlyName', ['\0'], refusals.value),
  ...each('create service', 'FriendlyName', [clef.repeat(256)], { friendly_name: clef.repeat(256) }),
  // Configuration of the account
  ...each('configure account', 'DefaultChatServiceSid', [...no_services, '{foreign}'], refusals.service),
  ...each('configure account', 'DefaultMessagingServiceSid', not_messaging_services, refusals.messagingService),
  ...each('configure account', 'DefaultMessagingServiceSid', not_messaging_services_either, refusals.messagingService),
  ...each('configure account', 'DefaultMessagingServiceSid', [`MG${hex('7')}`, ''], {
    default_messaging_service_sid: `MG${hex('7')}`,
  }),
  ...each('configure account', 'DefaultInactiveTimer', not_durations, refusals.inactive),
  ...each('configure account', 'DefaultInactiveTimer', too_short, refusals.inactiveShort),
  ...each('configure account', 'DefaultClosedTimer', not_durations, refusals.closed),
  ...each('configure account', 'DefaultClosedTimer', too_short_to_close, refusals.closedShort),
  ...['PT1M', ...durations].flatMap((given) =>
    each('configure account', 'DefaultInactiveTimer', [given], { default_inactive_timer: given }),
  ),
  ...durations.flatMap((given) => each('configure account', 'DefaultClosedTimer', [given], { default_closed_timer: given })),
  ...each('configure account', 'DefaultInactiveTimer', no_durations, { default_inactive_timer: null }),
  ...each('configure account', 'DefaultClosedTimer', no_durations, { default_closed_timer: null }),
  {
    request: 'configure account',
    params: [
      ['DefaultMessagingServiceSid', `MG${hex('8')}`],
      ['DefaultClosedTimer', 'junk'],
    ],
    expected: refusals.closed,
  },
  // Webhooks of the account and of a service
  ...(['configure account webhooks', 'configure service webhooks'] as const).flatMap((request): Rule[] => [
    ...each(request, 'PreWebhookUrl', [...not_urls, ...not_urls_either], refusals.preUrl),
    ...each(request, 'PostWebhookUrl', [...not_urls, ...not_urls_either], refusals.postUrl),
    ...each(request, 'PreWebhookUrl', ['http://example.com/\0'], refusals.value),
    ...each(request, 'PreWebhookUrl', ['https://example.com/a?b=c'], { pre_webhook_url: 'https://example.com/a?b=c' }),
    ...each(request, 'PostWebhookUrl', ['http://user:pass@example.com:81'], {
      post_webhook_url: 'http://user:pass@example.com:81',
    }),
    ...each(request, 'PreWebhookUrl', [''], { pre_webhook_url: null }),
    ...each(request, 'PostWebhookUrl', [''], { post_webhook_url: null }),
    ...each(request, 'Method', ['', 'PUT', 'DELETE', 'HEAD', ' GET', 'GET\0'], refusals.webhookMethod),
    ...each(request, 'Method', ['get', 'Get', 'GET'], { method: 'GET' }),
    ...each(request, 'Method', ['post', 'POST'], { method: 'POST' }),
    ...each(request, 'Filters', ['junk', 'onmessageadded', 'onMessageAdded,onMessageAdd', 'onMessageAdded\0'], refusals.webhook),
    {
      request,
      params: [
        ['Filters', 'onMessageAdded'],
        ['Filters', 'junk'],
      ],
      expected: refusals.webhook,
    },
    {
      request,
      params: [
        ['Filters', 'junk'],
        ['Filters', 'onMessageAdded'],
      ],
      expected: refusals.webhook,
    },
    {
      request,
      params: [
        ['Filters', 'onMessageRemoved'],
        ['Filters', 'onConversationAdd'],
        ['Filters', 'onMessageRemoved'],
      ],
      expected: { filters: ['onMessageRemoved', 'onConversationAdd'] },
    },
    ...each(request, 'Filters', ['onConversationStateUpdated'], { filters: ['onConversationStateUpdated'] }),
    { request, params: [['Filters[]', 'junk']], expected: { filters: ['onConversationStateUpdated'] } },
    ...each(request, 'Filters', [''], { filters: [] }),
    {
      request,
      params: [
        ['PostWebhookUrl', 'https://example.com/good'],
        ['Method', 'junk'],
      ],
      expected: refusals.webhookMethod,
    },
  ]),
  ...each('configure account webhooks', 'Target', ['', 'junk', 'webhook '], refusals.webhook),
  ...each('configure account webhooks', 'Target', ['FLEX', 'flex'], { target: 'flex' }),
  ...each('configure account webhooks', 'Target', ['Webhook'], { target: 'webhook' }),
]

function short(text: string): string {
  return text.length > 40 ? `${text.slice(0, 30)}… (${[...text].length} characters)` : text
}

function told({ request, params, expected }: Rule): string {
  const given = params.map(([name, value]) => `${name}=${JSON.stringify(short(value))}`).join(' & ') || 'nothing'
  return `${request} with ${given}: ${isRefused(expected) ? expected[1] : 'accepted'}`
}

function isRefused(expected: Rule['expected']): expected is Refused {
  return Array.isArray(expected)
}

test.each(rules.map((rule) => [told(rule), rule] as const))('%s', async (_told, { request, params, expected }) => {
  const { method, path, shows, status } = requests[request]
  for (const root of rootsOf(path)) {
    await using conversation = await aConversation(root)
    const at = (where: string) => root + where.replace('{sid}', conversation.sid).replace('{service}', service_sid)
    const show = async () => (await tenant.call('GET', at(shows))).body
    const before = await show()
    const given = new URLSearchParams(
      params.map(([name, value]): [string, string] => [name, value.replace('{foreign}', foreign_service_sid)]),
    ).toString()
    const target = method === 'GET' ? `${at(path)}?${given}` : at(path)
    const answer = await tenant.call(method, target, method === 'GET' ? undefined : given, { check: false })
    await using _made = removable(`${root}/Conversations`, request === 'create conversation' ? answer.body.sid : undefined)
    checkAnswer(method, target, answer.status, answer.body)
    if (isRefused(expected)) {
      const [refused, code, message] = expected
      expect(answer).toMatchObject({ status: refused, body: { code, message, status: refused } })
      expect(await show()).toEqual(before)
    } else {
      expect(answer.status).toBe(status)
      for (const [key, value] of Object.entries(expected)) expect(answer.body[key], key).toEqual(value)
      if (request.startsWith('update') || request.startsWith('configure')) expect(await show()).toEqual(answer.body)
    }
  }
})

/** Gone after the test, so that what one rule let in does not spoil the lists of the others. */
function removable(collection: string, sid: string | undefined): AsyncDisposable {
  return {
    async [Symbol.asyncDispose]() {
      if (sid) await tenant.call('DELETE', `${collection}/${sid}`)
    },
  }
}

async function aConversation(root: string): Promise<AsyncDisposable & { readonly sid: string }> {
  const { sid } = (await tenant.call('POST', `${root}/Conversations`, {})).body
  return { sid, ...removable(`${root}/Conversations`, sid) }
}
