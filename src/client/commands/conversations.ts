import { conversations } from '../../resources/conversations/conversation.ts'
import type { ConversationRow } from '../../storage/schema.ts'
import { shape } from '../../storage/shapes.ts'
import type { ClientCall } from '../call.ts'
import { act } from '../needs.ts'
import { jsonOf, paramsOf, type Route } from '../tunnel.ts'
import { actorIn, actorInService, needs, write, writeKept } from './actor.ts'
import { conversationJson } from './json.ts'

const fields = { friendly_name: 'FriendlyName', unique_name: 'UniqueName', attributes: 'Attributes' } as const

const countParticipants = shape<{ service_sid: string; conversation_sid: string }>()((db, a) =>
  db
    .selectFrom('participants')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('service_sid', '=', a.service_sid)
    .where('conversation_sid', '=', a.conversation_sid),
)

/** There are no public conversations: `access` is not read. Who creates one is not in it yet (documented). */
async function create(call: ClientCall) {
  const guard = needs(call, await actorInService(call), { acts: [act('createConversation')] })
  const body = paramsOf(jsonOf(call.request), fields)
  const row = await writeKept<ConversationRow>(call, 'create', conversations, { guard, body })
  return { status: 201, body: conversationJson(call, row) }
}

async function fetch(call: ClientCall, key: string) {
  const { conversation, view } = await actorIn(call, key)
  const { service_sid, sid: conversation_sid, last_message_index, removed_messages } = conversation
  const counted = await view.read.one(countParticipants, { service_sid, conversation_sid })
  const counts = { messages_count: last_message_index + 1 - removed_messages, participants_count: counted?.count ?? 0 }
  return { status: 200, body: { ...conversationJson(call, conversation), ...counts } }
}

async function update(call: ClientCall, key: string) {
  const actor = await actorIn(call, key)
  const body = paramsOf(jsonOf(call.request), fields)
  const renames = body.last('FriendlyName') !== undefined || body.last('UniqueName') !== undefined
  const acts = [
    ...(renames ? [act('editConversationName')] : []),
    ...(body.last('Attributes') === undefined ? [] : [act('editConversationAttributes')]),
  ]
  const guard = needs(call, actor, { acts })
  const { sid } = actor.conversation
  const row = await writeKept<ConversationRow>(call, 'update', conversations, { guard, key: sid, body })
  return { status: 200, body: conversationJson(call, row) }
}

async function remove(call: ClientCall, key: string) {
  const actor = await actorIn(call, key)
  const guard = needs(call, actor, { acts: [act('deleteConversation')] })
  await write(call, 'remove', conversations, { guard, key: actor.conversation.sid })
  return { status: 204, body: null }
}

const collection = '/Client/v2/Services/:service/Conversations'

export const conversationRoutes: readonly Route<ClientCall>[] = [
  { method: 'POST', path: collection, run: create },
  { method: 'GET', path: `${collection}/:key`, run: (call, { key = '' }) => fetch(call, key) },
  { method: 'POST', path: `${collection}/:key`, run: (call, { key = '' }) => update(call, key) },
  { method: 'DELETE', path: `${collection}/:key`, run: (call, { key = '' }) => remove(call, key) },
]
