import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { pino } from 'pino'
import twilio from 'twilio'
import { expect, onTestFinished, test as plain } from 'vitest'
import { readConfig } from '../../src/config.ts'
import { start } from '../../src/main.ts'
import { ask } from '../support/admin.ts'
import { officialOperations } from '../support/contract.ts'
import { passingDatabase } from '../support/databases.ts'
import { test } from '../support/fixtures.ts'
import { sdkFor } from '../support/sdk.ts'
import { adminToken, auth_token } from '../support/server.ts'
import { connectTo, head } from '../support/sockets.ts'
import type { Credentials, Tenant } from '../support/tenant.ts'

/** What permissions call the resources, by the paths below `/v1` and below a service. */
const resources: Readonly<Record<string, string>> = {
  Configuration: 'configuration',
  'Configuration/Webhooks': 'configuration.webhooks',
  'Configuration/Notifications': 'configuration.notifications',
  'Configuration/Addresses': 'configuration.addresses',
  ConversationWithParticipants: 'conversation-with-participants',
  Conversations: 'conversations',
  'Conversations/Messages': 'conversations.messages',
  'Conversations/Messages/Receipts': 'conversations.receipts',
  'Conversations/Participants': 'conversations.participants',
  'Conversations/Webhooks': 'conversations.webhooks',
  Credentials: 'credentials',
  ParticipantConversations: 'participant-conversations',
  Roles: 'roles',
  Services: 'services',
  Bindings: 'bindings',
  Users: 'users',
  'Users/Conversations': 'users.conversations',
}

/** Operations by their official names begin with what they do. */
const actions = { List: 'list', Create: 'create', Fetch: 'read', Update: 'update', Delete: 'delete' } as const

function permissionOf({ operationId, path }: { readonly operationId: string; readonly path: string }): string {
  const below = path.replace('/v1/', '').replace(/^Services\/\{ChatServiceSid\}\//, '')
  const words = below.split('/').filter((word) => !word.startsWith('{'))
  const resource = resources[words.join('/')]
  const action = Object.entries(actions).find(([verb]) => operationId.startsWith(verb))?.[1]
  if (resource === undefined || action === undefined) throw new Error(`${operationId} has no permission`)
  return `/twilio/conversations/${resource}/${action}`
}

const operations = officialOperations()
const permissions = [...new Set(operations.map(permissionOf))]

const prefixes: Readonly<Record<string, string>> = {
  ChatServiceSid: 'IS',
  ConversationSid: 'CH',
  MessageSid: 'IM',
  UserSid: 'US',
}

/** A path whose SIDs name nothing. */
function emptyPath(path: string): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => `${prefixes[name] ?? 'XX'}${'0'.repeat(32)}`)
}

interface Key {
  readonly sid: string
  readonly secret: string
}

/** Makes a restricted key; returns it as credentials. */
async function keyFor({ admin, account_sid }: Tenant, allow: readonly string[]): Promise<Credentials> {
  const { sid, secret } = (await admin('POST', `/accounts/${account_sid}/keys`, { policy: { allow } })) as Key
  return { username: sid, password: secret }
}

test('each of the 103 operations needs exactly its permission', async ({ tenant }) => {
  expect(operations).toHaveLength(103)
  expect(permissions.length).toBeLessThanOrEqual(100)
  const keys = new Map<string, { readonly only: Credentials; readonly others: Credentials }>()
  for (const permission of permissions) {
    const others = permissions.filter((other) => other !== permission)
    keys.set(permission, { only: await keyFor(tenant, [permission]), others: await keyFor(tenant, others) })
  }
  for (const operation of operations) {
    const permission = permissionOf(operation)
    const { only, others } = keys.get(permission) ?? expect.fail(permission)
    const call = (as: Credentials) =>
      tenant.call(operation.method, emptyPath(operation.path), operation.method === 'POST' ? {} : undefined, { as, check: false })
    const refused = await call(others)
    expect([operation.operationId, refused.status, refused.body]).toEqual([
      operation.operationId,
      401,
      {
        code: 70051,
        message: `Authorization Error: required permission ${permission.slice(1)} is missing`,
        more_info: 'https://www.twilio.com/docs/errors/70051',
        status: 401,
      },
    ])
    // What it names does not exist, or a parameter is missing: it has been let in.
    expect([operation.operationId, [200, 201, 202, 204, 400, 404]]).toEqual([
      operation.operationId,
      expect.arrayContaining([(await call(only)).status]),
    ])
  }
})

test('the operator is shown every permission, and no other', async ({ tenant }) => {
  const listed = (await tenant.admin('GET', '/permissions')) as { permissions: { permission: string; operations: string[] }[] }
  // The description has neither the host of media nor the metadata of channels.
  const more = ['media/create', 'media/read', 'media/delete', 'conversations.channel-metadata/read'].map(
    (name) => `/twilio/conversations/${name}`,
  )
  expect(listed.permissions.map(({ permission }) => permission).toSorted()).toEqual([...permissions, ...more].toSorted())
  const official = listed.permissions
    .flatMap(({ operations }) => operations)
    .filter((name) => !/Media(Set|Content)?$|ChannelMetadata$/.test(name))
  expect(official.toSorted()).toEqual(operations.map(({ operationId }) => operationId).toSorted())
})

test('the official client reads with a key that may read, and gets a 401 where it writes', async ({ tenant }) => {
  const { sid } = await tenant.sdk.conversations.v1.conversations.create({ friendlyName: 'seen' })
  const { username: keySid, password: keySecret } = await keyFor(tenant, [
    '/twilio/conversations/conversations/read',
    '/twilio/conversations/conversations.messages/*',
  ])
  const { v1 } = sdkFor(tenant, tenant.account_sid, '', { keySid, keySecret }).conversations
  expect((await v1.conversations(sid).fetch()).friendlyName).toBe('seen')
  const { sid: message } = await v1.conversations(sid).messages.create({ body: 'by any action' })
  expect((await v1.conversations(sid).messages(message).fetch()).body).toBe('by any action')
  await expect(v1.conversations.create({})).rejects.toMatchObject({
    status: 401,
    code: 70051,
    message: 'Authorization Error: required permission twilio/conversations/conversations/create is missing',
  })
  // Reading one is not listing.
  await expect(v1.conversations.list()).rejects.toMatchObject({ status: 401, code: 70051 })
  await expect(v1.conversations(sid).remove()).rejects.toMatchObject({ status: 401, code: 70051 })
  expect(await tenant.sdk.conversations.v1.conversations.list()).toHaveLength(1)
})

test('media need permissions of their own, and a link needs none', async ({ tenant }) => {
  const { defaultChatServiceSid } = await tenant.sdk.conversations.v1.configuration().fetch()
  const path = `/v1/Services/${defaultChatServiceSid}/Media`
  const upload = (as: Credentials) =>
    tenant.call('POST', path, 'bytes', { as, check: false, headers: { 'content-type': 'text/plain' } })
  const writer = await keyFor(tenant, ['/twilio/conversations/media/create'])
  const reader = await keyFor(tenant, ['/twilio/conversations/media/read'])
  expect(await upload(reader)).toMatchObject({ status: 401, body: { code: 70051 } })
  const { body, status } = await upload(writer)
  expect(status).toBe(201)
  const { sid } = body as { sid: string }
  for (const [method, at] of [
    ['GET', `${path}/${sid}`],
    ['HEAD', `${path}/${sid}`],
    ['GET', `${path}/${sid}/Content`],
    ['DELETE', `${path}/${sid}`],
    ['POST', `/v1/Services/${defaultChatServiceSid}/MediaSet`],
  ] as const) {
    expect((await tenant.call(method, at, undefined, { as: writer, check: false })).status, `${method} ${at}`).toBe(401)
  }
  const read = await tenant.call('GET', `${path}/${sid}`, undefined, { as: reader, check: false })
  const { content_direct_temporary } = (read.body as { links: Record<string, string> }).links
  expect(await (await fetch(String(content_direct_temporary))).text()).toBe('bytes')
})

test('what there is not is not found, whatever a key may do', async ({ tenant }) => {
  const as = await keyFor(tenant, ['/twilio/conversations/roles/read'])
  expect((await tenant.call('GET', '/v1/Nothing', undefined, { as })).status).toBe(404)
  expect((await tenant.call('PUT', '/v1/Conversations', undefined, { as })).status).toBe(405)
  expect((await tenant.call('HEAD', '/v1/Conversations', undefined, { as, check: false })).status).toBe(401)
  expect((await tenant.call('GET', '/v1/Conversations', undefined, { as: { ...as, password: 'wrong' } })).body).toMatchObject({
    code: 20003,
  })
})

test('a request is refused before its body arrives', async ({ tenant }) => {
  const { username, password } = await keyFor(tenant, ['/twilio/conversations/conversations/read'])
  const { hostname, port } = new URL(tenant.url)
  const socket = connect(Number(port), hostname)
  const authorization = `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
  socket.write(
    `POST /v1/Conversations HTTP/1.1\r\nhost: ${hostname}\r\nauthorization: ${authorization}\r\ncontent-length: 1000\r\n` +
      'content-type: application/x-www-form-urlencoded\r\nconnection: close\r\n\r\n',
  )
  expect(await text(socket)).toMatch(/^HTTP\/1.1 401 .*70051/s)
})

plain('whoever disconnects while its key is looked up may do no more than others', async () => {
  const own = await passingDatabase()
  const lines: string[] = []
  const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) })
  const config = { ...readConfig({ PORT: '0' }), ...own.config, auth_token, adminToken }
  const running = await start(config, { log })
  onTestFinished(async () => {
    await running.stop()
    await own.dispose()
  })
  const { account, database } = running.installation
  const { conversations } = sdkFor(running, account.sid, auth_token).conversations.v1
  const { sid } = await conversations.create({})
  const { body } = await ask(running, 'POST', `/accounts/${account.sid}/keys`, {
    policy: { allow: ['/twilio/conversations/roles/list'] },
  })
  const [reached, gate] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const { read } = database
  const original = read.one.bind(read)
  const one: typeof read.one = async (query, args) => {
    if ('sid' in args && args.sid === body.sid) {
      reached.resolve()
      await gate.promise
    }
    return original(query, args)
  }
  Object.assign(read, { one })
  const { socket, closed } = connectTo(running.url)
  const authorization = `Basic ${Buffer.from(`${body.sid}:${body.secret}`).toString('base64')}`
  socket.write(head('DELETE', `/v1/Conversations/${sid}`, { authorization }))
  await reached.promise
  // A caller that only closes its side still waits for the response.
  socket.resetAndDestroy()
  await closed
  await expect.poll(() => lines.some((line) => line.includes('"status":499')), { timeout: 10_000 }).toBe(true)
  gate.resolve()
  // A later write: what came before it is done.
  await conversations.create({})
  expect((await conversations(sid).fetch()).sid).toBe(sid)
})

test('a restricted key signs no access tokens', async ({ tenant }) => {
  const { defaultChatServiceSid } = await tenant.sdk.conversations.v1.configuration().fetch()
  const statusOf = async ({ username, password }: Credentials) => {
    const token = new twilio.jwt.AccessToken(tenant.account_sid, username, password, { identity: 'alice', ttl: 600 })
    token.addGrant(new twilio.jwt.AccessToken.ChatGrant({ serviceSid: defaultChatServiceSid }))
    const headers = { 'x-twilio-token': token.toJwt(), 'content-type': 'text/plain' }
    const path = `/v1/Services/${defaultChatServiceSid}/Media`
    const { status, body } = await tenant.call('POST', path, 'bytes', { as: null, check: false, headers })
    return [status, (body as { code?: number }).code]
  }
  expect(await statusOf(await keyFor(tenant, ['/twilio/conversations/media/*']))).toEqual([401, 20103])
  const { sid, secret } = (await tenant.admin('POST', `/accounts/${tenant.account_sid}/keys`)) as Key
  expect(await statusOf({ username: sid, password: secret })).toEqual([201, undefined])
})

test('a policy is checked when its key is made', async ({ tenant }) => {
  const make = (body: object) => tenant.admin('POST', `/accounts/${tenant.account_sid}/keys`, body)
  const allowed = '/twilio/conversations/roles/list'
  for (const [policy, wrong] of [
    [{ allow: [] }, '70002'],
    [{ allow: Array.from({ length: 101 }, () => allowed) }, 'at most 100 permissions'],
    [{ allow: ['/twilio/conversations/nothing/read'] }, "assertion '/twilio/conversations/nothing/read' is invalid"],
    [{ allow: [allowed, allowed.slice(1)] }, "assertion 'twilio/conversations/roles/list' is invalid"],
    [{ allow: ['/twilio/messaging/messages/read'] }, '70002'],
    [{ allow: ['*'] }, '70002'],
    [{ allow: [''] }, "assertion '' is invalid"],
    [{ allow: [`/${'x'.repeat(5000)}`] }, '70002'],
    [{ allow: [null] }, '400'],
    [{ allow: [7] }, '400'],
    [{ allow: allowed }, '400'],
    [{ allow: [allowed], deny: [] }, '400'],
    [{}, '400'],
    ['everything', '400'],
  ] as const) {
    await expect(make({ policy }), JSON.stringify(policy).slice(0, 100)).rejects.toThrow(wrong)
  }
  await expect(make({ type: 'restricted' })).rejects.toThrow('a restricted key needs a policy')
  await expect(make({ type: 'standard', policy: { allow: [allowed] } })).rejects.toThrow('a standard key has no policy')
  await expect(make({ type: 'main' })).rejects.toThrow('400')
  expect(await make({ type: 'standard', policy: null })).toMatchObject({ type: 'standard', policy: null })
  const made = await make({ friendly_name: 'twice', type: 'restricted', policy: { allow: [allowed, allowed] } })
  const { sid } = made as Key
  expect(await tenant.admin('GET', `/accounts/${tenant.account_sid}/keys/${sid}`)).toMatchObject({
    friendly_name: 'twice',
    type: 'restricted',
    policy: { allow: [allowed] },
  })
})

test('a key that is restricted stays so with a new secret, and ends with its deletion', async ({ tenant }) => {
  const { username, password } = await keyFor(tenant, ['/twilio/conversations/roles/list'])
  const { secret } = (await tenant.admin('POST', `/accounts/${tenant.account_sid}/keys/${username}/rotate`)) as Key
  const read = (as: Credentials, path: string) => tenant.call('GET', path, undefined, { as })
  expect((await read({ username, password }, '/v1/Roles')).body).toMatchObject({ code: 20003 })
  expect((await read({ username, password: secret }, '/v1/Roles')).status).toBe(200)
  expect((await read({ username, password: secret }, '/v1/Users')).body).toMatchObject({ code: 70051 })
  await tenant.admin('DELETE', `/accounts/${tenant.account_sid}/keys/${username}`)
  expect((await read({ username, password: secret }, '/v1/Roles')).body).toMatchObject({ code: 20003 })
})
