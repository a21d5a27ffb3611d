import { expect } from 'vitest'
import { test } from '../support/fixtures.ts'
import { sdkFor } from '../support/sdk.ts'

const path = '/v1/Configuration/Addresses'
const invalid = { status: 400, code: 20422, message: 'Invalid Parameter' }
const flow = `FW${'a'.repeat(32)}`
const events = [
  'onMessageAdded',
  'onMessageUpdated',
  'onMessageRemoved',
  'onConversationUpdated',
  'onConversationStateUpdated',
  'onConversationRemoved',
  'onParticipantAdded',
  'onParticipantUpdated',
  'onParticipantRemoved',
  'onDeliveryUpdated',
]

/** Each has not the format of its type. */
const oddAddresses = [
  { Type: 'sms', Address: '15550000002' },
  { Type: 'sms', Address: '+1555 000 0002' },
  { Type: 'sms', Address: '+0' },
  { Type: 'sms', Address: 'whatsapp:+15550000002' },
  { Type: 'whatsapp', Address: '+15550000002' },
  { Type: 'whatsapp', Address: 'whatsapp:' },
  { Type: 'messenger', Address: 'rcs:agent' },
  { Type: 'rcs', Address: 'agent' },
  { Type: 'email', Address: 'nobody' },
  { Type: 'email', Address: 'a@b.test\r\nBcc: c@d.test' },
  { Type: 'chat', Address: 'a\tb' },
  { Type: 'gbm', Address: ' ' },
]

test('each type has addresses of its own format', async ({ tenant }) => {
  for (const [Type, Address] of [
    ['sms', '12345'],
    ['sms', '+15550000002'],
    ['whatsapp', 'whatsapp:+15550000002'],
    ['messenger', 'messenger:1234'],
    ['rcs', 'rcs:agent_1'],
    ['email', 'Box@example.com'],
    ['gbm', 'gbm:agent'],
    ['apple', 'urn:biz:1'],
    ['chat', 'Front desk'],
  ] as const) {
    expect(await tenant.call('POST', path, { Type, Address })).toMatchObject({ status: 201, body: { address: Address } })
  }
})

test('an address configuration is made, read by sid and by address, changed and deleted', async ({ tenant }) => {
  const { addressConfigurations } = tenant.sdk.conversations.v1
  const made = await addressConfigurations.create({ type: 'sms', address: '+37256123457', addressCountry: 'EE' })
  expect(made.sid).toMatch(/^IG[0-9a-f]{32}$/)
  expect(made).toMatchObject({
    accountSid: tenant.account_sid,
    address: '+37256123457',
    type: 'sms',
    friendlyName: null,
    addressCountry: 'EE',
    autoCreation: { enabled: false, type: 'default' },
    url: `${tenant.url}${path}/${made.sid}`,
  })
  expect(made.dateUpdated).toEqual(made.dateCreated)
  expect((await addressConfigurations(made.sid).fetch()).toJSON()).toEqual(made.toJSON())
  expect((await addressConfigurations('+37256123457').fetch()).toJSON()).toEqual(made.toJSON())
  expect((await tenant.call('GET', `${path}/%2B37256123457`)).body.sid).toBe(made.sid)
  await tenant.advance('PT1S')
  const changed = await addressConfigurations('+37256123457').update({ friendlyName: 'Hotline', 'autoCreation.enabled': true })
  expect(changed).toMatchObject({ sid: made.sid, friendlyName: 'Hotline', autoCreation: { enabled: true, type: 'default' } })
  expect(changed.dateUpdated.getTime()).toBeGreaterThan(made.dateUpdated.getTime())
  // Read by address before, so that an answer kept in memory would show.
  expect((await addressConfigurations('+37256123457').fetch()).friendlyName).toBe('Hotline')
  expect(await addressConfigurations('+37256123457').remove()).toBe(true)
  for (const key of [made.sid, '+37256123457']) {
    await expect(addressConfigurations(key).fetch()).rejects.toMatchObject({
      status: 404,
      code: 20404,
      message: `The requested resource /Configuration/Addresses/${key} was not found`,
    })
  }
  expect((await addressConfigurations.create({ type: 'sms', address: '+37256123457' })).sid).not.toBe(made.sid)
})

test('automatic creation shows the settings of its type and drops them with it', async ({ tenant }) => {
  const { v1 } = tenant.sdk.conversations
  const service = await v1.services.create({ friendlyName: 'Support' })
  const { sid, autoCreation } = await v1.addressConfigurations.create({
    type: 'whatsapp',
    address: 'whatsapp:+37256123457',
    friendlyName: 'My Test Configuration',
    'autoCreation.enabled': true,
    'autoCreation.type': 'webhook',
    'autoCreation.conversationServiceSid': service.sid,
    'autoCreation.webhookUrl': 'https://example.com/hook?x=1',
    'autoCreation.webhookMethod': 'get',
    'autoCreation.webhookFilters': ['onParticipantAdded', 'onMessageAdded'],
    'autoCreation.studioFlowSid': flow,
  })
  const webhook = {
    enabled: true,
    type: 'webhook',
    conversation_service_sid: service.sid,
    webhook_url: 'https://example.com/hook?x=1',
    webhook_method: 'GET',
    webhook_filters: ['onParticipantAdded', 'onMessageAdded'],
  }
  expect(JSON.stringify(autoCreation)).toBe(JSON.stringify(webhook))
  const address = v1.addressConfigurations(sid)
  expect((await address.update({})).autoCreation).toEqual(webhook)
  expect((await address.update({ 'autoCreation.webhookFilters': events })).autoCreation).toEqual({
    ...webhook,
    webhook_filters: events,
  })
  const studio = await address.update({
    'autoCreation.enabled': false,
    'autoCreation.type': 'studio',
    'autoCreation.studioFlowSid': flow,
    'autoCreation.studioRetryCount': 3,
  })
  const shown = {
    enabled: false,
    type: 'studio',
    conversation_service_sid: service.sid,
    studio_flow_sid: flow,
    studio_retry_count: 3,
  }
  expect(JSON.stringify(studio.autoCreation)).toBe(JSON.stringify(shown))
  const unset = await tenant.call('POST', `${path}/${sid}`, {
    'AutoCreation.ConversationServiceSid': '',
    'AutoCreation.Type': 'Default',
  })
  expect(JSON.stringify(unset.body.auto_creation)).toBe('{"enabled":false,"type":"default"}')
  const lonely = await tenant.call('POST', `${path}/${sid}`, { 'AutoCreation.Type': 'webhook' })
  expect(lonely.body).toMatchObject({ code: 50369 })
})

test('what is absent has its default', async ({ tenant }) => {
  const create = async (Address: string, form: Record<string, string>) =>
    (await tenant.call('POST', path, { Type: 'sms', Address, ...form })).body.auto_creation
  const hook = { 'AutoCreation.WebhookUrl': 'http://example.com', 'AutoCreation.WebhookFilters': 'onMessageAdded' }
  expect(await create('+15550000001', { 'AutoCreation.Type': 'webhook', ...hook })).toEqual({
    enabled: false,
    type: 'webhook',
    conversation_service_sid: null,
    webhook_url: 'http://example.com',
    webhook_method: 'POST',
    webhook_filters: ['onMessageAdded'],
  })
  expect(await create('+15550000002', { 'AutoCreation.Type': 'studio', 'AutoCreation.StudioFlowSid': flow })).toEqual({
    enabled: false,
    type: 'studio',
    conversation_service_sid: null,
    studio_flow_sid: flow,
    studio_retry_count: 0,
  })
})

test('Type, Address and AddressCountry are fixed once made', async ({ tenant }) => {
  const { body: made } = await tenant.call('POST', path, {
    Type: 'whAtsAPP',
    Address: 'whatsapp:+15550000001',
    AddressCountry: 'US',
  })
  expect(made.type).toBe('whatsapp')
  const form = { Type: 'sms', Address: '+15550000002', AddressCountry: 'CA' }
  const { status, body } = await tenant.call('POST', `${path}/${made.sid}`, form)
  expect(status).toBe(200)
  expect(body).toEqual(made)
})

test('what is wrong is refused and nothing changes', async ({ tenant }) => {
  const other = await tenant.admin('POST', '/accounts', { friendly_name: 'Other' })
  const webhook = {
    'AutoCreation.Type': 'webhook',
    'AutoCreation.WebhookUrl': 'https://example.com',
    'AutoCreation.WebhookFilters': 'onMessageAdded',
  }
  const studio = { 'AutoCreation.Type': 'studio', 'AutoCreation.StudioFlowSid': flow }
  const { body: before } = await tenant.call('POST', path, {
    Type: 'sms',
    Address: '+15550000001',
    FriendlyName: 'Hotline',
    ...webhook,
  })
  const missing = (name: string) => ({ status: 400, code: 20001, message: `Missing required parameter ${name} in the post body` })
  const onCreate: [form: Record<string, string>, error: object][] = [
    [
      { Type: 'sms', Address: '+15550000001' },
      { status: 409, code: 20409, message: 'Conflict' },
    ],
    [{}, missing('Type')],
    [{ Address: '+15550000002' }, missing('Type')],
    [{ Type: 'sms' }, missing('Address')],
    [{ Type: 'sms', Address: '' }, missing('Address')],
    [{ Type: 'pigeon', Address: '+15550000002' }, invalid],
    [{ Type: 'sms', Address: 'x'.repeat(257) }, invalid],
    ...oddAddresses.map((odd): [typeof odd, object] => [odd, invalid]),
    [{ Type: 'sms', Address: '+15550000002', AddressCountry: 'USA' }, invalid],
  ]
  const flowError = { status: 400, code: 50367, message: 'Invalid conversation webhook flow SID' }
  const filterError = { status: 400, code: 50365, message: 'Invalid conversation webhook filter' }
  const serviceError = { status: 400, code: 50050, message: 'Service Instance not found' }
  const onBoth: [form: Record<string, string>, error: object][] = [
    [{ FriendlyName: 'x'.repeat(257) }, { status: 400, code: 50003, message: 'Friendly name too long' }],
    [{ 'AutoCreation.Enabled': 'yes' }, invalid],
    [{ 'AutoCreation.Type': 'bot' }, invalid],
    [{ 'AutoCreation.ConversationServiceSid': 'IS1' }, serviceError],
    [{ 'AutoCreation.ConversationServiceSid': `IS${'0'.repeat(32)}` }, serviceError],
    [{ 'AutoCreation.ConversationServiceSid': other.default_chat_service_sid }, serviceError],
    [
      { ...webhook, 'AutoCreation.WebhookUrl': '' },
      { code: 50369, message: 'Conversation webhook URL not provided' },
    ],
    [
      { ...webhook, 'AutoCreation.WebhookUrl': 'ftp://example.com' },
      { code: 50054, message: 'Invalid webhook format' },
    ],
    [{ ...webhook, 'AutoCreation.WebhookUrl': 'example.com' }, { code: 50054 }],
    [
      { ...webhook, 'AutoCreation.WebhookUrl': `https://example.com/${'x'.repeat(493)}` },
      { status: 400, code: 50372, message: 'Conversation webhook URL is too long' },
    ],
    [
      { ...webhook, 'AutoCreation.WebhookMethod': 'PUT' },
      { status: 400, code: 50055, message: 'Invalid webhook method' },
    ],
    [
      { ...webhook, 'AutoCreation.WebhookFilters': '' },
      { code: 50370, message: 'Conversation webhook filter not provided' },
    ],
    [{ ...webhook, 'AutoCreation.WebhookFilters': 'onConversationAdded' }, filterError],
    [{ ...webhook, 'AutoCreation.WebhookFilters': 'onMessageAdd' }, filterError],
    [{ 'AutoCreation.Type': 'studio' }, flowError],
    [{ ...studio, 'AutoCreation.StudioFlowSid': 'FW1' }, flowError],
    [{ ...studio, 'AutoCreation.StudioFlowSid': '' }, flowError],
    [{ ...studio, 'AutoCreation.StudioRetryCount': '4' }, invalid],
    [{ ...studio, 'AutoCreation.StudioRetryCount': '-1' }, invalid],
    [{ ...studio, 'AutoCreation.StudioRetryCount': '1.5' }, invalid],
  ]
  const create = onBoth.map(([form, error]) => [{ Type: 'sms', Address: '+15550000002', ...form }, error] as const)
  for (const [form, error] of [...onCreate, ...create]) {
    expect((await tenant.call('POST', path, form)).body, JSON.stringify(form)).toMatchObject(error)
  }
  for (const [form, error] of onBoth) {
    expect((await tenant.call('POST', `${path}/${before.sid}`, form)).body, JSON.stringify(form)).toMatchObject(error)
  }
  expect((await tenant.call('GET', path)).body.address_configurations).toEqual([before])
})

test('a list is in the order of creation, filtered by type', async ({ tenant }) => {
  const { addressConfigurations } = tenant.sdk.conversations.v1
  const addresses = ['+15550000000', 'box@example.com', '+15550000002', 'address 3']
  for (const [i, type] of (['sms', 'email', 'sms', 'chat'] as const).entries()) {
    await addressConfigurations.create({ type, address: addresses[i] ?? '' })
    await tenant.advance('PT1S')
  }
  const listed = async (options: object) => (await addressConfigurations.list(options)).map(({ address }) => address)
  expect(await listed({})).toEqual(addresses)
  expect(await listed({ type: 'sms', pageSize: 1 })).toEqual([addresses[0], addresses[2]])
  expect(await listed({ type: 'rcs' })).toEqual([])
  const { body } = await tenant.call('GET', `${path}?Type=SmS&PageSize=1`)
  expect(body.meta.url).toBe(`${tenant.url}${path}?Type=sms&PageSize=1&Page=0`)
  expect((await tenant.call('GET', `${path}?Type=pigeon`)).body).toMatchObject(invalid)
  expect((await addressConfigurations('address 3').fetch()).type).toBe('chat')
})

test('an address of another account is not there, and may be configured there too', async ({ tenant }) => {
  const mine = tenant.sdk.conversations.v1.addressConfigurations
  const { sid } = await mine.create({ type: 'sms', address: '+15550000001' })
  const other = await tenant.admin('POST', '/accounts', { friendly_name: 'Other' })
  const theirs = sdkFor(tenant, other.sid, other.auth_token).conversations.v1.addressConfigurations
  const gone = { status: 404, code: 20404 }
  for (const key of [sid, '+15550000001']) {
    await expect(theirs(key).fetch()).rejects.toMatchObject(gone)
    await expect(theirs(key).update({ friendlyName: 'Mine' })).rejects.toMatchObject(gone)
    await expect(theirs(key).remove()).rejects.toMatchObject(gone)
  }
  expect(await theirs.list()).toEqual([])
  const second = await theirs.create({ type: 'sms', address: '+15550000001' })
  expect(second.sid).not.toBe(sid)
  await theirs('+15550000001').remove()
  expect((await mine('+15550000001').fetch()).sid).toBe(sid)
})
