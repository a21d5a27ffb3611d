import { refuse } from '../../errors.ts'
import { isJsonObject } from '../../json.ts'
import { participants } from '../../resources/conversations/participants/participant.ts'
import { isSid } from '../../sids.ts'
import { participantByIdentity, participantBySid } from '../../storage/lookups.ts'
import type { ParticipantRow } from '../../storage/schema.ts'
import type { ClientCall } from '../call.ts'
import { jsonOf, paramsOf, type Route } from '../tunnel.ts'
import { type Actor, actorIn, demand, write, writeKept } from './actor.ts'
import { participantJson } from './json.ts'

const fields = {
  identity: 'Identity',
  attributes: 'Attributes',
  role_sid: 'RoleSid',
  address: 'MessagingBinding.Address',
  proxy_address: 'MessagingBinding.ProxyAddress',
  name: 'MessagingBinding.Name',
  level: 'MessagingBinding.Level',
  type: 'MessagingBinding.Type',
} as const

/** Adds somebody. With the own identity it is joining: a creator gets the creator's role then (documented). */
async function add(call: ClientCall, key: string) {
  const { session, request } = call
  const actor = await actorIn(call, key)
  const { identity, attributes, messaging_binding, role_sid } = jsonOf(request)
  const binding = isJsonObject(messaging_binding) ? messaging_binding : null
  const joins = !binding && identity === session.identity
  if (joins) demand(actor, 'joinConversation')
  else if (binding) demand(actor, 'addNonChatParticipant', 'addParticipant')
  else demand(actor, 'addParticipant')
  if (role_sid !== undefined) throw refuse('roleNotSettable')
  const creates = joins && actor.conversation.created_by === session.identity
  const role = creates && { role_sid: actor.view.service.default_conversation_creator_role_sid }
  const body = paramsOf({ identity, attributes, ...(binding && boundTo(binding)), ...role }, fields)
  const row = await writeKept<ParticipantRow>(call, 'create', participants, { parents: [actor.conversation.sid], body })
  return { status: 201, body: participantJson(call, row) }
}

/** Only what is there: a client sends every key, and a mail participant may not have a proxy address. */
function boundTo(binding: Readonly<Record<string, unknown>>) {
  const { address, proxy_address, name, level, type } = binding
  const given = Object.entries({ address, proxy_address, name, level, type })
  return Object.fromEntries(given.filter(([, value]) => value !== null && value !== undefined && value !== ''))
}

/** Returns a participant given by SID or identity. Throws 404. */
async function participantIn({ view, conversation }: Actor, call: ClientCall, name: string): Promise<ParticipantRow> {
  const { service_sid, sid: conversation_sid } = conversation
  const key = { service_sid, conversation_sid }
  const row = isSid('participant', name)
    ? await view.read.one(participantBySid, { ...key, sid: name })
    : await view.read.one(participantByIdentity, { ...key, identity: name })
  if (!row) throw refuse('notFound', { path: `/${call.request.segments.join('/')}` })
  return row
}

async function update(call: ClientCall, key: string, name: string) {
  const actor = await actorIn(call, key)
  const { sid, conversation_sid, identity } = await participantIn(actor, call, name)
  const own = identity === call.session.identity
  demand(actor, 'editAnyParticipantAttributes', own && 'editOwnParticipantAttributes')
  const body = paramsOf(jsonOf(call.request), { attributes: 'Attributes' })
  const row = await writeKept<ParticipantRow>(call, 'update', participants, { parents: [conversation_sid], key: sid, body })
  return { status: 200, body: participantJson(call, row) }
}

async function remove(call: ClientCall, key: string, name: string) {
  const actor = await actorIn(call, key)
  const { sid, conversation_sid, identity } = await participantIn(actor, call, name)
  demand(actor, identity === call.session.identity ? 'leaveConversation' : 'removeParticipant')
  await write(call, 'remove', participants, { parents: [conversation_sid], key: sid })
  return { status: 204, body: null }
}

const collection = '/Client/v2/Services/:service/Conversations/:key/Participants'

export const participantRoutes: readonly Route<ClientCall>[] = [
  { method: 'POST', path: collection, run: (call, { key = '' }) => add(call, key) },
  { method: 'POST', path: `${collection}/:name`, run: (call, { key = '', name = '' }) => update(call, key, name) },
  { method: 'DELETE', path: `${collection}/:name`, run: (call, { key = '', name = '' }) => remove(call, key, name) },
]
