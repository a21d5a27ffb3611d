import { refuse } from '../../errors.ts'
import { isJsonObject } from '../../json.ts'
import { participants } from '../../resources/conversations/participants/participant.ts'
import { isSid } from '../../sids.ts'
import { participantByIdentity, participantBySid } from '../../storage/lookups.ts'
import type { ParticipantRow } from '../../storage/schema.ts'
import type { ClientCall } from '../call.ts'
import { type Act, act, actOn } from '../needs.ts'
import { jsonOf, paramsOf, type Route } from '../tunnel.ts'
import { type ActorHere, actorIn, needs, write, writeKept } from './actor.ts'
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

const edit = actOn('editOwnParticipantAttributes', 'editAnyParticipantAttributes')
const removal: Act = { own: ['leaveConversation'], others: ['removeParticipant'] }

/** Adds somebody. With the own identity it is joining: a creator gets the creator's role then (documented). */
async function add(call: ClientCall, key: string) {
  const { session, request } = call
  const actor = await actorIn(call, key)
  const { identity, attributes, messaging_binding, role_sid } = jsonOf(request)
  const binding = isJsonObject(messaging_binding) ? messaging_binding : null
  const joins = !binding && identity === session.identity
  const adds = binding ? act('addNonChatParticipant', 'addParticipant') : act('addParticipant')
  const guard = needs(call, actor, { acts: [joins ? act('joinConversation') : adds] })
  if (role_sid !== undefined) throw refuse('roleNotSettable')
  const creates = joins && actor.conversation.created_by === session.identity
  const role = creates && { role_sid: actor.view.service.default_conversation_creator_role_sid }
  const body = paramsOf({ identity, attributes, ...(binding && boundTo(binding)), ...role }, fields)
  const target = { guard, parents: [actor.conversation.sid], body }
  const row = await writeKept<ParticipantRow>(call, 'create', participants, target)
  return { status: 201, body: participantJson(call, row) }
}

/** Only what is there: a client sends every key, and a mail participant may not have a proxy address. */
function boundTo(binding: Readonly<Record<string, unknown>>) {
  const { address, proxy_address, name, level, type } = binding
  const given = Object.entries({ address, proxy_address, name, level, type })
  return Object.fromEntries(given.filter(([, value]) => value !== null && value !== undefined && value !== ''))
}

/** Returns a participant given by SID or identity. Throws 404. */
async function participantIn({ view, conversation }: ActorHere, call: ClientCall, name: string): Promise<ParticipantRow> {
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
  const before = await participantIn(actor, call, name)
  const guard = needs(call, actor, { acts: [edit], row: before })
  const body = paramsOf(jsonOf(call.request), { attributes: 'Attributes' })
  const target = { guard, parents: [before.conversation_sid], key: before.sid, body }
  const row = await writeKept<ParticipantRow>(call, 'update', participants, target)
  return { status: 200, body: participantJson(call, row) }
}

async function remove(call: ClientCall, key: string, name: string) {
  const actor = await actorIn(call, key)
  const row = await participantIn(actor, call, name)
  const guard = needs(call, actor, { acts: [removal], row })
  await write(call, 'remove', participants, { guard, parents: [row.conversation_sid], key: row.sid })
  return { status: 204, body: null }
}

const collection = '/Client/v2/Services/:service/Conversations/:key/Participants'

export const participantRoutes: readonly Route<ClientCall>[] = [
  { method: 'POST', path: collection, run: (call, { key = '' }) => add(call, key) },
  { method: 'POST', path: `${collection}/:name`, run: (call, { key = '', name = '' }) => update(call, key, name) },
  { method: 'DELETE', path: `${collection}/:name`, run: (call, { key = '', name = '' }) => remove(call, key, name) },
]
