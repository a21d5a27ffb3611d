import type twilio from 'twilio'
import { registerBinding } from './bindings.ts'
import { type Operation, officialOperations } from './contract.ts'
import type { FileServer } from './file-server.ts'
import { sdkFor } from './sdk.ts'
import { auth_token } from './server.ts'

type V1 = twilio.Twilio['conversations']['v1']
/** What the default family and a service both have; their types differ in name only. */
type Family = Pick<V1, 'conversations' | 'users' | 'roles' | 'participantConversations' | 'conversationWithParticipants'>

/** Performs every official operation with the official client; answers the ids of those that succeeded. */
export async function tour(server: FileServer, token = auth_token): Promise<ReadonlySet<string>> {
  const { v1, succeeded } = recordingClient(server, token)
  await visitAccount(v1)
  await visitAddresses(v1)
  await visitCredentials(v1)
  await visitFamily(v1, '+15550000001')
  const service = await v1.services.create({ friendlyName: 'Support' })
  const own = v1.services(service.sid)
  await visitFamily(own as unknown as Family, '+15550000002')
  await visitConfiguration(own)
  await visitBindings(own, await registerBinding(server, server, { service_sid: service.sid }))
  await own.fetch()
  await v1.services.list()
  await own.remove()
  return succeeded
}

/** A client of its own, so that the recorder sees the tour alone. It comes behind the check of `sdkFor`. */
function recordingClient(server: FileServer, token: string): { v1: V1; succeeded: ReadonlySet<string> } {
  const sdk = sdkFor(server, server.account_sid, token)
  const succeeded = new Set<string>()
  const { axios } = sdk.httpClient as twilio.RequestClient
  axios.interceptors.response.use((response) => {
    const { method = '', url = '' } = response.config
    const operation = operationOf(method, new URL(url).pathname)
    if (operation?.statuses.includes(response.status)) succeeded.add(operation.operationId)
    return response
  })
  return { v1: sdk.conversations.v1, succeeded }
}

/** A literal segment wins over a {Param}, as in the contract. */
function operationOf(method: string, pathname: string): Operation | undefined {
  const params = ({ path }: Operation) => path.split('{').length
  return officialOperations()
    .filter(({ method: official, path }) => official === method.toUpperCase() && patternOf(path).test(pathname))
    .sort((a, b) => params(a) - params(b))[0]
}

function patternOf(path: string): RegExp {
  return new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`)
}

async function visitAccount(v1: V1): Promise<void> {
  await v1.configuration().fetch()
  await v1.configuration().update({ defaultClosedTimer: 'P10D' })
  await v1.configuration.webhooks().fetch()
  await v1.configuration.webhooks().update({ filters: ['onMessageAdded'], method: 'POST' })
}

async function visitAddresses(v1: V1): Promise<void> {
  const { sid } = await v1.addressConfigurations.create({ type: 'sms', address: '+15550000000', friendlyName: 'Hotline' })
  await v1.addressConfigurations(sid).fetch()
  await v1.addressConfigurations(sid).update({ friendlyName: 'Front desk' })
  await v1.addressConfigurations.list()
  await v1.addressConfigurations(sid).remove()
}

async function visitCredentials(v1: V1): Promise<void> {
  const { sid } = await v1.credentials.create({ type: 'fcm', friendlyName: 'Phones', secret: 'S' })
  await v1.credentials(sid).fetch()
  await v1.credentials(sid).update({ friendlyName: 'Tablets' })
  await v1.credentials.list()
  await v1.credentials(sid).remove()
}

async function visitFamily(family: Family, proxy: string): Promise<void> {
  const { sid } = await family.conversations.create({ friendlyName: 'Order 7', uniqueName: 'order-7', attributes: '{"order":7}' })
  await family.conversations(sid).fetch()
  await family.conversations(sid).update({ friendlyName: 'Order seven' })
  await family.conversations.list()
  await visitRoles(family)
  await visitUsers(family)
  await visitParticipants(family, sid)
  await visitUserConversations(family, sid)
  await visitMessages(family, sid, proxy)
  await visitScopedWebhooks(family, sid)
  await family.conversationWithParticipants.create({ friendlyName: 'Both', participant: ['{"identity":"alice"}'] })
  await family.conversations(sid).remove()
}

async function visitRoles({ roles }: Family): Promise<void> {
  const { sid } = await roles.create({ friendlyName: 'speaker', type: 'conversation', permission: ['sendMessage'] })
  await roles(sid).fetch()
  await roles(sid).update({ permission: ['sendMessage', 'leaveConversation'] })
  await roles.list()
  await roles(sid).remove()
}

async function visitUsers({ users }: Family): Promise<void> {
  const { sid } = await users.create({ identity: 'bob', friendlyName: 'Bob' })
  await users(sid).fetch()
  await users(sid).update({ friendlyName: 'Robert' })
  await users.list()
  await users(sid).remove()
}

async function visitParticipants({ conversations, participantConversations }: Family, room: string): Promise<void> {
  const { participants } = conversations(room)
  const { sid } = await participants.create({ identity: 'carol' })
  await participants(sid).fetch()
  await participants(sid).update({ attributes: '{"seat":1}' })
  await participants.list()
  await participantConversations.list({ identity: 'carol' })
  await participants(sid).remove()
}

async function visitUserConversations({ conversations, users }: Family, room: string): Promise<void> {
  await conversations(room).participants.create({ identity: 'dave' })
  const { userConversations } = users('dave')
  await userConversations(room).fetch()
  await userConversations(room).update({ notificationLevel: 'muted' })
  await userConversations.list()
  await userConversations(room).remove()
}

async function visitMessages({ conversations }: Family, room: string, proxy: string): Promise<void> {
  const { messages, participants } = conversations(room)
  await participants.create({ 'messagingBinding.address': '+15551234567', 'messagingBinding.proxyAddress': proxy })
  const { sid } = await messages.create({ author: 'alice', body: 'Hello' })
  await messages(sid).fetch()
  await messages(sid).update({ body: 'Hello again' })
  await messages.list()
  await visitReceipts(messages(sid).deliveryReceipts)
  await messages(sid).remove()
}

/** The loopback channel makes the receipt soon after the message. */
async function visitReceipts(
  receipts: ReturnType<ReturnType<V1['conversations']>['messages']>['deliveryReceipts'],
): Promise<void> {
  // The channel answers in the background: asked for until there is one.
  for (let asked = 0; asked < 2000; asked++) {
    const [receipt] = await receipts.list()
    if (receipt) return void (await receipts(receipt.sid).fetch())
  }
  throw new Error('the message has no receipt')
}

async function visitScopedWebhooks({ conversations }: Family, room: string): Promise<void> {
  const { webhooks } = conversations(room)
  const url = 'https://example.com/hook'
  // An event that nothing on this tour causes afterwards.
  const filters = ['onMessageUpdated']
  const { sid } = await webhooks.create({ target: 'webhook', 'configuration.url': url, 'configuration.filters': filters })
  await webhooks(sid).fetch()
  await webhooks(sid).update({ 'configuration.method': 'get' })
  await webhooks.list()
  await webhooks(sid).remove()
}

async function visitConfiguration({ configuration }: ReturnType<V1['services']>): Promise<void> {
  await configuration().fetch()
  await configuration().update({ reachabilityEnabled: true })
  await configuration.notifications().fetch()
  await configuration.notifications().update({ 'newMessage.enabled': true, 'newMessage.sound': 'ping' })
  await configuration.webhooks().fetch()
  await configuration.webhooks().update({ filters: ['onMessageAdded'], method: 'POST' })
}

async function visitBindings({ bindings }: ReturnType<V1['services']>, sid: string): Promise<void> {
  await bindings.list()
  await bindings(sid).fetch()
  await bindings(sid).remove()
}
