import { describe, expect, vi } from 'vitest'
import type { Table } from '../../src/storage/rows.ts'
import { registerBinding } from '../support/bindings.ts'
import { type Operation, officialOperations } from '../support/contract.ts'
import type { FileServer } from '../support/file-server.ts'
import { testWithRows as test } from '../support/fixtures.ts'
import { type Answer, type Credentials, newTenant } from '../support/tenant.ts'

type Row = Readonly<Record<string, unknown>>

type Form = Record<string, string>

/** What stands behind the name of each collection in a path: a sid, or the name that serves in its place. */
type Ids = Readonly<Record<string, string>>

const operations = officialOperations()

const below_service = '/v1/Services/{ChatServiceSid}/'

const inService = operations.filter(({ path }) => path.startsWith(below_service))

/** Those that name something in the default service. */
const inDefault = operations.filter(
  ({ path }) => path.includes('{') && inService.some((other) => other.path === path.replace('/v1/', below_service)),
)

/** Leases belong to servers, not to accounts, and are renewed all the time. */
const tables = Object.keys({
  installation: true,
  accounts: true,
  api_keys: true,
  services: true,
  conversations: true,
  participants: true,
  messages: true,
  receipts: true,
  conversation_webhooks: true,
  users: true,
  roles: true,
  bindings: true,
  credentials: true,
  addresses: true,
  deliveries: true,
  channels: true,
  contents: true,
  external_ids: true,
  mail_blocks: true,
  retention: true,
  media: true,
  removals: true,
  tombstones: true,
  mutations: true,
  presence: true,
  erasures: true,
  operators: true,
  operator_tokens: true,
  erasure_files: true,
  mirrors: true,
  mirror_work: true,
} satisfies Record<Exclude<Table, 'leases' | 'search_documents' | 'search_progress' | `audit_${string}`>, true>) as Table[]

const hook = { Target: 'webhook', 'Configuration.Url': 'https://example.com/', 'Configuration.Filters': 'onParticipantUpdated' }

/** Valid ones, by operation; those of the default family serve a service as well. */
const forms: Readonly<Record<string, Form>> = {
  UpdateConfiguration: { DefaultClosedTimer: 'P10D' },
  CreateConfigurationAddress: { Type: 'sms', Address: '+15550000009' },
  UpdateConfigurationAddress: { FriendlyName: 'Stolen' },
  UpdateConfigurationWebhook: { Filters: 'onMessageAdded' },
  CreateConversationWithParticipants: { UniqueName: 'both', Participant: '{"identity":"frank"}' },
  CreateConversation: { UniqueName: 'new' },
  UpdateConversation: { FriendlyName: 'Stolen' },
  CreateConversationMessage: { Author: 'mallory', Body: 'Hello' },
  UpdateConversationMessage: { Body: 'Stolen' },
  CreateConversationParticipant: { Identity: 'mallory' },
  UpdateConversationParticipant: { Attributes: '{"stolen":true}' },
  CreateConversationScopedWebhook: hook,
  UpdateConversationScopedWebhook: { 'Configuration.Method': 'get' },
  CreateCredential: { Type: 'fcm', Secret: 'S' },
  UpdateCredential: { FriendlyName: 'Stolen' },
  CreateRole: { FriendlyName: 'new', Type: 'conversation', Permission: 'sendMessage' },
  UpdateRole: { Permission: 'leaveConversation' },
  CreateService: { FriendlyName: 'New' },
  UpdateServiceConfiguration: { ReachabilityEnabled: 'true' },
  UpdateServiceNotification: { LogEnabled: 'true' },
  UpdateServiceWebhookConfiguration: { Filters: 'onMessageAdded' },
  CreateUser: { Identity: 'new' },
  UpdateUser: { FriendlyName: 'Stolen' },
  UpdateUserConversation: { NotificationLevel: 'muted' },
}

/** Whom a lookup asks for: somebody A has. */
const queries: Readonly<Record<string, string>> = {
  ListParticipantConversation: '?Identity=alice',
  ListServiceParticipantConversation: '?Identity=alice',
}

/** Every account has a service, and every service its roles, without anybody having made them. */
const never_empty = ['ListService', 'ListRole', 'ListServiceRole']

const named = { Conversations: 'room', Participants: 'bob', Users: 'alice', Addresses: '+15550000000' }

let server: FileServer

/** Account A is the server's first; it has data in its default service and in another one. */
let ids: { default: Ids; service: Ids }

test.beforeAll(async ({ server: started }) => {
  server = started
  const shared = await accountIds()
  const service = await make('/v1/Services', { FriendlyName: 'Support' })
  const own = { Services: service, Bindings: await registerBinding(server, server, { service_sid: service }), ...shared }
  ids = {
    default: { ...own, ...(await familyIds('/v1', '+15550000001')) },
    service: { ...own, ...(await familyIds(`/v1/Services/${service}`, '+15550000002')) },
  }
  await server.insert('mail_blocks', {
    account_sid: server.account_sid,
    address: 'gone@example.org',
    error_code: 30005,
    reason: '550 no such user',
    date_created: 1,
  })
  const told = async () => (await server.rows('deliveries')).every(({ status }) => status === 'delivered')
  await vi.waitUntil(told, { timeout: 60_000 })
})

async function make(path: string, form: Form): Promise<string> {
  const { status, body } = await server.call('POST', path, form)
  expect(status, path).toBe(201)
  return body.sid
}

async function accountIds(): Promise<Ids> {
  return {
    Addresses: await make('/v1/Configuration/Addresses', { Type: 'sms', Address: named.Addresses }),
    Credentials: await make('/v1/Credentials', { Type: 'apn', FriendlyName: 'Phones' }),
  }
}

async function familyIds(root: string, proxy: string): Promise<Ids> {
  await server.admin('PUT', `/accounts/${server.account_sid}/channels/${encodeURIComponent(proxy)}`, { kind: 'loopback' })
  const conversation = await make(`${root}/Conversations`, { UniqueName: named.Conversations })
  const path = `${root}/Conversations/${conversation}`
  const phone = { 'MessagingBinding.Address': '+15551234567', 'MessagingBinding.ProxyAddress': proxy }
  await make(`${path}/Participants`, { Identity: named.Users })
  await make(`${path}/Participants`, phone)
  const message = await make(`${path}/Messages`, { Author: 'alice', Body: 'Secret' })
  return {
    Conversations: conversation,
    Participants: await make(`${path}/Participants`, { Identity: named.Participants }),
    Messages: message,
    Receipts: await receiptOf(`${path}/Messages/${message}`),
    Webhooks: await make(`${path}/Webhooks`, hook),
    Users: (await server.call('GET', `${root}/Users/${named.Users}`)).body.sid,
    Roles: await make(`${root}/Roles`, { FriendlyName: 'speaker', Type: 'conversation', Permission: 'sendMessage' }),
  }
}

/** The loopback channel makes it soon after the message. */
async function receiptOf(message: string): Promise<string> {
  const first = async () => (await server.call('GET', `${message}/Receipts`)).body.delivery_receipts[0]
  return (await vi.waitUntil(first, { timeout: 60_000 })).sid
}

/** All rows of A, and those that belong to nobody; without one service of it where that may change. */
async function dump(except?: string): Promise<Record<string, Row[]>> {
  const ofA = (table: Table, { sid, account_sid }: Row) =>
    [server.account_sid, undefined].includes((table === 'accounts' ? sid : account_sid) as string | undefined)
  const ofService = ({ sid, service_sid }: Row) => except !== undefined && [sid, service_sid].includes(except)
  // The audit log makes its key when its first checkpoint is due.
  const excepted = (row: Row) => row.name === 'audit_signing_key' || ofService(row)
  const rowsOf = async (table: Table) => {
    const rows = (await server.rows(table)) as unknown as Row[]
    return [table, rows.filter((row) => ofA(table, row) && !excepted(row))] as const
  }
  return Object.fromEntries(await Promise.all(tables.map(rowsOf)))
}

function sidsIn(rows: Record<string, Row[]>): string[] {
  return Object.values(rows).flatMap((table) => table.flatMap(({ sid }) => (typeof sid === 'string' ? [sid] : [])))
}

function pathOf({ path, operationId }: Operation, known: Ids): string {
  const concrete = path.replace(/(\w+)\/\{\w+\}/g, (_, collection: string) => {
    const id = known[collection]
    if (id === undefined) throw new Error(`no id for ${collection} in ${path}`)
    return `${collection}/${encodeURIComponent(id)}`
  })
  return concrete + (queries[operationId] ?? '')
}

/** By sid and, where there is one, by name. */
function pathsOf(operation: Operation, known: Ids): string[] {
  return [...new Set([pathOf(operation, known), pathOf(operation, { ...known, ...named })])]
}

function idsFor(operation: Operation): Ids {
  return inService.includes(operation) ? ids.service : ids.default
}

function attempt({ method, operationId }: Operation, path: string, as?: Credentials | null): Promise<Answer> {
  const form = forms[operationId] ?? forms[operationId.replace(/^(Create|Update)Service/, '$1')]
  if (method === 'POST' && !form) throw new Error(`no form for ${operationId}`)
  return server.call(method, path, method === 'POST' ? form : undefined, as === undefined ? {} : { as })
}

function expectMissing({ status, body }: Answer, path: string): void {
  expect([status, body.code, body.message], path).toEqual([404, 20404, `The requested resource ${path.slice(3)} was not found`])
}

/** What the caller has of its own, and nothing of what A has: no item of a list that the caller did not make. */
function expectOwn(operation: Operation, { status, body }: Answer, foreign: string[]): void {
  const { operationId, statuses, list } = operation
  expect(statuses, operationId).toContain(status)
  const text = JSON.stringify(body)
  expect(foreign.filter((sid) => text.includes(sid))).toEqual([])
  if (list !== undefined && !never_empty.includes(operationId)) expect(body[list]).toEqual([])
}

/** What the path names below the service it is in. */
function namesSomething({ path }: Operation): boolean {
  return path.replace(below_service, '/').includes('{')
}

test('every official operation is attempted', () => {
  expect([operations.length, inService.length, inDefault.length]).toEqual([103, 47, 30])
})

test('the data of A is what the attempts look for: nothing is missing', async () => {
  const held = await dump()
  const without = [
    'api_keys',
    'contents',
    'external_ids',
    'retention',
    'media',
    'removals',
    'tombstones',
    'mutations',
    'presence',
    'erasures',
    'operators',
    'operator_tokens',
    'erasure_files',
    'mirrors',
    'mirror_work',
  ]
  expect(tables.filter((table) => held[table]?.length === 0)).toEqual(without)
  expect(sidsIn(held)).toEqual(expect.arrayContaining([...Object.values(ids.default), ...Object.values(ids.service)]))
})

test('addresses that get no more mail are shown of their own account alone', async () => {
  const { account_sid } = await newTenant(server)
  const blocked = async (sid: string) => (await server.admin('GET', `/accounts/${sid}/mail-blocks`)).mail_blocks
  expect(await blocked(server.account_sid)).toMatchObject([{ address: 'gone@example.org' }])
  expect(await blocked(account_sid)).toEqual([])
  const foreign = server.admin('DELETE', `/accounts/${account_sid}/mail-blocks/gone%40example.org`)
  await expect(foreign).rejects.toThrow()
  expect(await blocked(server.account_sid)).toMatchObject([{ address: 'gone@example.org' }])
})

describe('another account', () => {
  test.each(operations)('$operationId', async (operation) => {
    const other = await newTenant(server)
    const before = await dump()
    for (const path of pathsOf(operation, idsFor(operation))) {
      const answer = await attempt(operation, path, other.credentials)
      if (operation.path.includes('{')) expectMissing(answer, path.replace(/\?.*/, ''))
      else expectOwn(operation, answer, sidsIn(before))
      expect(await dump()).toEqual(before)
    }
  })
})

/** Another service to look in, and who asks. */
const elsewhere = {
  'of the same account': async () => ({ service: await make('/v1/Services', { FriendlyName: 'Sales' }), as: undefined }),
  'of another account': async () => {
    const { call, credentials } = await newTenant(server)
    return { service: (await call('GET', '/v1/Configuration')).body.default_chat_service_sid as string, as: credentials }
  },
}

describe.each(Object.entries(elsewhere))('another service %s', (_, open) => {
  test.each(inService)('$operationId', async (operation) => {
    const { service, as } = await open()
    const touched = namesSomething(operation) ? undefined : service
    const before = await dump(touched)
    const foreign = sidsIn(await dump(service)).filter((sid) => sid !== server.account_sid)
    for (const path of pathsOf(operation, { ...ids.service, Services: service })) {
      const answer = await attempt(operation, path, as)
      if (namesSomething(operation)) expectMissing(answer, path)
      else expectOwn(operation, answer, foreign)
      expect(await dump(touched)).toEqual(before)
    }
  })
})

describe('the default service, asked for what is in another', () => {
  test.each(inDefault)('$operationId', async (operation) => {
    const before = await dump()
    const path = pathOf(operation, ids.service)
    expectMissing(await attempt(operation, path), path)
    expect(await dump()).toEqual(before)
  })
})

describe('no credentials', () => {
  test.each(operations)('$operationId', async (operation) => {
    const before = await dump()
    for (const path of pathsOf(operation, idsFor(operation))) {
      const { status, body } = await attempt(operation, path, null)
      expect([status, body.code], path).toEqual([401, 20003])
      expect(await dump()).toEqual(before)
    }
  })
})

/** Comes last, as it uses up the data: what was refused above was refused to the stranger, not for what was asked. */
test('A itself gets all of it with the same paths and bodies', async () => {
  const verbs = ['GET', 'POST', 'DELETE']
  const depth = ({ path }: Operation) => path.split('/').length
  const ordered = operations.toSorted((a, b) => verbs.indexOf(a.method) - verbs.indexOf(b.method) || depth(b) - depth(a))
  for (const operation of ordered) {
    const path = pathOf(operation, idsFor(operation))
    expect(operation.statuses, `${operation.method} ${path}`).toContain((await attempt(operation, path)).status)
  }
})

test('the messaging service of another account is refused; one that several accounts name is not', async ({ tenant }) => {
  const other = await newTenant(tenant)
  const theirs = (await other.call('GET', '/v1/Configuration')).body.default_messaging_service_sid
  const mine = (await tenant.call('GET', '/v1/Configuration')).body.default_messaging_service_sid
  const foreign = { status: 400, body: { code: 50342, message: 'Messaging service does not belong to account' } }
  const { sid } = (await tenant.call('POST', '/v1/Conversations', { MessagingServiceSid: mine })).body
  for (const [path, name] of [
    ['/v1/Conversations', 'MessagingServiceSid'],
    [`/v1/Conversations/${sid}`, 'MessagingServiceSid'],
    ['/v1/ConversationWithParticipants', 'MessagingServiceSid'],
    ['/v1/Configuration', 'DefaultMessagingServiceSid'],
  ] as const) {
    expect(await tenant.call('POST', path, { [name]: theirs }), path).toMatchObject(foreign)
  }
  // Both name a service that they have at the vendor.
  const shared = { DefaultMessagingServiceSid: `MG${'a'.repeat(32)}` }
  for (const account of [tenant, other]) expect((await account.call('POST', '/v1/Configuration', shared)).status).toBe(200)
  const { status } = await tenant.call('POST', '/v1/Conversations', { MessagingServiceSid: shared.DefaultMessagingServiceSid })
  expect(status).toBe(201)
})
