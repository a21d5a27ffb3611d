import { describe, expect } from 'vitest'
import type { FactsOf } from '../../src/model/declare.ts'
import { webhooks } from '../../src/resources/conversations/webhooks/webhook.ts'
import type { ConversationWebhookRow } from '../../src/storage/schema.ts'
import { test } from '../support/fixtures.ts'
import type { Tenant } from '../support/tenant.ts'

const flow_sid = `FW${'a'.repeat(32)}`
const url = 'https://example.com/hook'
type Form = [string, string][]

let tenant: Tenant

test.beforeEach(({ tenant: own }) => {
  tenant = own
})

/** A conversation in the given family, and the path of its webhooks. */
async function newConversation(family: 'default' | 'service') {
  const root = family === 'default' ? '/v1' : `/v1/Services/${await newService()}`
  const { body } = await tenant.call('POST', `${root}/Conversations`, {})
  return {
    root,
    path: `${root}/Conversations/${body.sid}`,
    webhooks: `${root}/Conversations/${body.sid}/Webhooks`,
    sid: body.sid,
  }
}

async function newService(): Promise<string> {
  return (await tenant.call('POST', '/v1/Services', { FriendlyName: 'Support' })).body.sid
}

const hook = (more: Form = []): Form => [
  ['Target', 'webhook'],
  ['Configuration.Url', url],
  ['Configuration.Filters', 'onMessageAdded'],
  ...more,
]

describe('the official client', () => {
  test('creates, fetches, lists, updates and removes webhooks of a conversation in both families', async () => {
    const { v1 } = tenant.sdk.conversations
    const service = await v1.services.create({ friendlyName: 'Support' })
    const own = await v1.services(service.sid).conversations.create({})
    const shared = await v1.conversations.create({})
    // The same methods in both families; only the types of their answers differ.
    const owned = v1.services(service.sid).conversations(own.sid) as unknown as ReturnType<typeof v1.conversations>
    for (const conversation of [v1.conversations(shared.sid), owned]) {
      const made = await conversation.webhooks.create({
        target: 'webhook',
        'configuration.url': url,
        'configuration.filters': ['onMessageAdded', 'onConversationRemoved'],
      })
      expect(made).toMatchObject({ accountSid: tenant.account_sid, target: 'webhook' })
      expect(made.configuration).toEqual({ url, method: 'post', filters: ['onMessageAdded', 'onConversationRemoved'] })
      expect(made.dateUpdated).toEqual(made.dateCreated)
      const webhook = conversation.webhooks(made.sid)
      expect((await webhook.fetch()).configuration).toEqual(made.configuration)
      const updated = await webhook.update({ 'configuration.method': 'get', 'configuration.filters': ['onMessageRemoved'] })
      expect(updated.configuration).toEqual({ url, method: 'get', filters: ['onMessageRemoved'] })
      const keyword = await conversation.webhooks.create({
        target: 'trigger',
        'configuration.url': url,
        'configuration.method': 'get',
        'configuration.triggers': ['help', 'stop'],
      })
      expect(keyword.configuration).toEqual({ url, method: 'get', triggers: ['help', 'stop'] })
      const studio = await conversation.webhooks.create({
        target: 'studio',
        'configuration.flowSid': flow_sid,
        'configuration.replayAfter': 3,
      })
      expect(studio.configuration).toEqual({ flow_sid, replay_after: 3 })
      const listed = await conversation.webhooks.list()
      expect(listed.map(({ sid }) => sid).sort()).toEqual([made.sid, keyword.sid, studio.sid].sort())
      expect(await webhook.remove()).toBe(true)
      await expect(webhook.fetch()).rejects.toMatchObject({ status: 404, code: 20404 })
      expect(await conversation.webhooks.list()).toHaveLength(2)
    }
  })
})

describe('validation', () => {
  const without = (name: string, form: Form = hook()) => form.filter(([given]) => given !== name)
  const with_ = (name: string, ...values: string[]): Form => [
    ...without(name),
    ...values.map((value): [string, string] => [name, value]),
  ]
  const trigger = (...triggers: string[]): Form => [
    ['Target', 'trigger'],
    ['Configuration.Url', url],
    ...triggers.map((word): [string, string] => ['Configuration.Triggers', word]),
  ]
  const refusals: [string, Form, number, string][] = [
    ['no target', without('Target'), 20001, 'Missing required parameter Target in the post body'],
    ['an empty target', with_('Target', ''), 20001, 'Missing required parameter Target in the post body'],
    ['an unknown target', with_('Target', 'flex'), 50364, 'Invalid conversation webhook type'],
    ['no url', without('Configuration.Url'), 50369, 'Conversation webhook URL not provided'],
    ['an empty url', with_('Configuration.Url', ''), 50369, 'Conversation webhook URL not provided'],
    ['an empty url given last', with_('Configuration.Url', url, ''), 50369, 'Conversation webhook URL not provided'],
    ['neither url nor filters', [['Target', 'webhook']], 50369, 'Conversation webhook URL not provided'],
    ['no filters', without('Configuration.Filters'), 50370, 'Conversation webhook filter not provided'],
    ['empty filters', with_('Configuration.Filters', ''), 50370, 'Conversation webhook filter not provided'],
    [
      'no filters and a bad url',
      [
        ['Target', 'webhook'],
        ['Configuration.Url', 'no'],
      ],
      50370,
      'Conversation webhook filter not provided',
    ],
    ['a url without a scheme', with_('Configuration.Url', 'example.com'), 50054, 'Invalid webhook format'],
    ['a url that is not http', with_('Configuration.Url', 'ftp://example.com'), 50054, 'Invalid webhook format'],
    [
      'a url that is too long',
      with_('Configuration.Url', `${url}/${'x'.repeat(512)}`),
      50372,
      'Conversation webhook URL is too long',
    ],
    ['a bad method', hook([['Configuration.Method', 'PUT']]), 50055, 'Invalid webhook method'],
    [
      'an unknown filter',
      with_('Configuration.Filters', 'onMessageAdded', 'onRain'),
      50365,
      'Invalid conversation webhook filter',
    ],
    ['a pre-action filter', with_('Configuration.Filters', 'onMessageAdd'), 50365, 'Invalid conversation webhook filter'],
    ['a filter on creation', with_('Configuration.Filters', 'onConversationAdded'), 50365, 'Invalid conversation webhook filter'],
    ['a trigger target without url', [['Target', 'trigger']], 50369, 'Conversation webhook URL not provided'],
    ['no triggers', trigger(), 50371, 'Conversation webhook trigger not provided'],
    ['an empty list of triggers', trigger(''), 50371, 'Conversation webhook trigger not provided'],
    ['six triggers', trigger('a', 'b', 'c', 'd', 'e', 'f'), 50362, 'Too many conversation webhook triggers'],
    ['an empty trigger', trigger('a', ''), 50366, 'Invalid conversation webhook trigger'],
    ['a trigger that is too long', trigger('x'.repeat(249)), 50366, 'Invalid conversation webhook trigger'],
    ['no flow', [['Target', 'studio']], 50367, 'Invalid conversation webhook flow SID'],
    [
      'a bad flow',
      [
        ['Target', 'studio'],
        ['Configuration.FlowSid', 'FW1'],
      ],
      50367,
      'Invalid conversation webhook flow SID',
    ],
    ['a replay from no number', hook([['Configuration.ReplayAfter', 'first']]), 50516, 'Message index is not a number'],
  ]

  test.each(refusals)('%s is refused and nothing is stored', async (_what, form, code, message) => {
    const { webhooks } = await newConversation('default')
    const answer = await tenant.call('POST', webhooks, form)
    expect(answer.body).toMatchObject({ status: 400, code, message })
    expect((await tenant.call('GET', webhooks)).body.webhooks).toEqual([])
  })

  const updates: [string, Form, number][] = [
    ['an empty url', [['Configuration.Url', '']], 50369],
    ['a bad url', [['Configuration.Url', 'no']], 50054],
    ['empty filters', [['Configuration.Filters', '']], 50370],
    ['an unknown filter', [['Configuration.Filters', 'onRain']], 50365],
    ['a bad method', [['Configuration.Method', 'put']], 50055],
  ]

  test.each(updates)('%s is refused in an update and nothing changes', async (_what, form, code) => {
    const { webhooks } = await newConversation('default')
    const made = (await tenant.call('POST', webhooks, hook())).body
    expect((await tenant.call('POST', `${webhooks}/${made.sid}`, form)).body).toMatchObject({ status: 400, code })
    expect((await tenant.call('GET', `${webhooks}/${made.sid}`)).body).toEqual(made)
  })

  const taken: [string, Form, object][] = [
    ['a target in capitals', with_('Target', 'WEBHOOK'), { url, method: 'post', filters: ['onMessageAdded'] }],
    ['a method as it is spelt', hook([['Configuration.Method', 'Get']]), { url, method: 'Get', filters: ['onMessageAdded'] }],
    [
      'filters of an older generation',
      with_('Configuration.Filters', 'onMessageSent', 'onConversationDestroyed'),
      { url, method: 'post', filters: ['onMessageSent', 'onConversationDestroyed'] },
    ],
    ['the longest trigger', trigger('é'.repeat(248)), { url, method: 'post', triggers: ['é'.repeat(248)] }],
    [
      'what belongs to other targets, without a look at it',
      [
        ['Target', 'studio'],
        ['Configuration.FlowSid', flow_sid],
        ['Configuration.Url', 'no'],
        ['Configuration.Filters', 'onRain'],
      ],
      { flow_sid },
    ],
    [
      'a replay from 0',
      hook([['Configuration.ReplayAfter', '0']]),
      { url, method: 'post', filters: ['onMessageAdded'], replay_after: 0 },
    ],
    [
      'a negative replay as none',
      hook([['Configuration.ReplayAfter', '-1']]),
      { url, method: 'post', filters: ['onMessageAdded'] },
    ],
    ['an empty replay as none', hook([['Configuration.ReplayAfter', '']]), { url, method: 'post', filters: ['onMessageAdded'] }],
  ]

  test.each(taken)('%s is taken', async (_what, form, configuration) => {
    const { webhooks } = await newConversation('service')
    const answer = await tenant.call('POST', webhooks, form)
    expect(answer.status).toBe(201)
    expect(answer.body.configuration).toEqual(configuration)
    expect((await tenant.call('GET', `${webhooks}/${answer.body.sid}`)).body).toEqual(answer.body)
  })
})

describe('an update', () => {
  test('replaces lists and keeps what it does not name; the target and replay stay', async () => {
    const { webhooks } = await newConversation('default')
    const made = await tenant.call('POST', webhooks, [
      ['Target', 'trigger'],
      ['Configuration.Url', url],
      ['Configuration.Triggers', 'a'],
      ['Configuration.Triggers', 'b'],
      ['Configuration.ReplayAfter', '2'],
    ])
    await tenant.advance('PT5S')
    const updated = await tenant.call('POST', `${webhooks}/${made.body.sid}`, [
      ['Target', 'webhook'],
      ['Configuration.ReplayAfter', '9'],
      ['Configuration.Triggers', 'c'],
      ['Configuration.Filters', 'onRain'],
    ])
    expect(updated.body).toMatchObject({ target: 'trigger', configuration: { url, triggers: ['c'], replay_after: 2 } })
    expect(updated.body.date_created).toBe(made.body.date_created)
    expect(Date.parse(updated.body.date_updated)).toBeGreaterThan(Date.parse(made.body.date_updated))
  })

  test('without a parameter changes nothing', async () => {
    const { webhooks } = await newConversation('default')
    const made = (await tenant.call('POST', webhooks, hook())).body
    await tenant.advance('PT5S')
    expect((await tenant.call('POST', `${webhooks}/${made.sid}`, { Other: 'x' })).body).toEqual(made)
  })
})

test('a sixth webhook is refused until one of the five is removed, and pages hold five at most', async () => {
  const { webhooks } = await newConversation('default')
  const made = []
  for (let i = 0; i < 5; i++) made.push((await tenant.call('POST', webhooks, hook())).body.sid)
  const sixth = await tenant.call('POST', webhooks, hook())
  expect(sixth.body).toMatchObject({ status: 400, code: 50361, message: 'Too many conversation webhooks' })
  const page = (await tenant.call('GET', `${webhooks}?PageSize=50`)).body
  expect(page.meta).toMatchObject({ page_size: 5, key: 'webhooks', next_page_url: null })
  expect(page.webhooks).toHaveLength(5)
  expect((await tenant.call('DELETE', `${webhooks}/${made[2]}`)).status).toBe(204)
  expect((await tenant.call('POST', webhooks, hook())).status).toBe(201)
})

test('five at most holds for requests at the same time', async () => {
  const { webhooks } = await newConversation('default')
  const answers = await Promise.all(Array.from({ length: 8 }, () => tenant.call('POST', webhooks, hook())))
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(5)
  expect((await tenant.call('GET', webhooks)).body.webhooks).toHaveLength(5)
})

test('webhooks leave their conversation as it was', async () => {
  const { path, webhooks } = await newConversation('default')
  const before = (await tenant.call('GET', path)).body
  await tenant.advance('PT5S')
  const { sid } = (await tenant.call('POST', webhooks, hook())).body
  expect((await tenant.call('GET', path)).body).toEqual(before)
  await tenant.call('DELETE', `${webhooks}/${sid}`)
  expect((await tenant.call('GET', path)).body).toEqual(before)
})

test('a closed conversation takes no new or changed webhooks, after the checks of form; reading and removing go on', async () => {
  const { path, webhooks } = await newConversation('default')
  const { sid } = (await tenant.call('POST', webhooks, hook())).body
  await tenant.call('POST', path, { State: 'closed' })
  const closed = { status: 400, code: 50377, message: "Can't update conversation as it's in final closed state" }
  expect((await tenant.call('POST', webhooks, hook())).body).toMatchObject(closed)
  expect((await tenant.call('POST', webhooks, { Target: 'webhook' })).body).toMatchObject({ code: 50369 })
  expect((await tenant.call('POST', `${webhooks}/${sid}`, { 'Configuration.Method': 'GET' })).body).toMatchObject(closed)
  expect((await tenant.call('POST', `${webhooks}/${sid}`, {})).body).toMatchObject(closed)
  expect((await tenant.call('GET', `${webhooks}/${sid}`)).status).toBe(200)
  expect((await tenant.call('DELETE', `${webhooks}/${sid}`)).status).toBe(204)
  expect((await tenant.call('GET', webhooks)).body.webhooks).toEqual([])
})

test('a conversation that is being set up takes no new or changed webhooks', () => {
  // For a caller it is over before anything else can happen: the rules are called directly.
  const facts = { parents: [{ state: 'initializing', webhook_count: 0 }], account: {} } as unknown as FactsOf<typeof webhooks>
  const form = {
    Target: 'webhook',
    'Configuration.Url': { value: url },
    'Configuration.Filters': { value: ['onMessageAdded'] },
  } as const
  const message = "Conversation in 'initializing' state may not be updated or used for message sending"
  expect(() => webhooks.create?.(form, facts, undefined, '')).toThrow(message)
  const stored = { target: 'webhook', url } as ConversationWebhookRow
  expect(() => webhooks.update?.(stored, {}, facts, undefined)).toThrow(message)
})

test('a conversation that a deadline has closed counts as closed at once', async () => {
  const { body } = await tenant.call('POST', '/v1/Conversations', { 'Timers.Closed': 'PT10M' })
  await tenant.advance('PT10M')
  expect((await tenant.call('POST', `/v1/Conversations/${body.sid}/Webhooks`, hook())).body).toMatchObject({ code: 50377 })
})

test('webhooks of another conversation, service or account are not found', async () => {
  const { webhooks, sid } = await newConversation('service')
  const made = (await tenant.call('POST', webhooks, hook())).body
  const other = await newConversation('default')
  const paths = [
    `${other.webhooks}/${made.sid}`,
    `/v1/Conversations/${sid}/Webhooks/${made.sid}`,
    `${webhooks}/WH${'0'.repeat(32)}`,
  ]
  for (const path of paths) {
    for (const [method, form] of [['GET'], ['POST', { 'Configuration.Method': 'GET' }], ['DELETE']] as const) {
      expect((await tenant.call(method, path, form)).body).toMatchObject({
        status: 404,
        code: 20404,
        message: `The requested resource ${path.slice(3)} was not found`,
      })
    }
  }
  const account = await tenant.admin('POST', '/accounts', { friendly_name: 'Other' })
  const as = { username: account.sid, password: account.auth_token }
  expect((await tenant.call('GET', `${webhooks}/${made.sid}`, undefined, { as })).body).toMatchObject({
    status: 404,
    code: 20404,
  })
  expect((await tenant.call('POST', webhooks, hook(), { as })).body).toMatchObject({ status: 404, code: 20404 })
  expect((await tenant.call('GET', `${webhooks}/${made.sid}`)).body).toEqual(made)
})
