import { refuse } from '../../errors.ts'
import { type MembershipRow, membershipIn } from '../../resources/conversations/memberships.ts'
import { userConversations } from '../../resources/users/conversation.ts'
import { users } from '../../resources/users/user.ts'
import { isSid } from '../../sids.ts'
import { userByIdentity, userBySid } from '../../storage/lookups.ts'
import type { ParticipantRow, UserRow } from '../../storage/schema.ts'
import type { ClientCall } from '../call.ts'
import { act, actOn } from '../needs.ts'
import { viewFor } from '../rows.ts'
import type { View } from '../sync/changes.ts'
import { membershipsFrom } from '../sync/rows.ts'
import { jsonOf, paramsOf, type Route } from '../tunnel.ts'
import { type ActorHere, actorIn, actorInService, needs, writeKept } from './actor.ts'
import { conversationJson, syncObjects, userJson } from './json.ts'
import { pageSize } from './pages.ts'

/** Returns a user of the service, given by SID or identity. Throws 404. */
async function userNamed(call: ClientCall, { read, service }: View, name: string): Promise<UserRow> {
  const service_sid = service.sid
  const row = isSid('user', name)
    ? await read.one(userBySid, { service_sid, sid: name })
    : await read.one(userByIdentity, { service_sid, identity: name })
  if (!row) throw refuse('notFound', { path: `/${call.request.segments.join('/')}` })
  return row
}

async function fetch(call: ClientCall, name: string) {
  const view = await viewFor(call)
  return { status: 200, body: userJson(call, await userNamed(call, view, name)) }
}

const edit = actOn('editOwnUserInfo', 'editAnyUserInfo')

async function update(call: ClientCall, name: string) {
  const actor = await actorInService(call)
  const before = await userNamed(call, actor.view, name)
  const guard = needs(call, actor, { acts: [edit], row: before })
  const body = paramsOf(jsonOf(call.request), { friendly_name: 'FriendlyName', attributes: 'Attributes' })
  const row = await writeKept<UserRow>(call, 'update', users, { guard, key: before.sid, body })
  return { status: 200, body: userJson(call, row) }
}

/** A user sees and changes their own memberships only. */
async function demandSelf({ session }: ClientCall, name: string): Promise<void> {
  if (name !== session.user_sid && name !== session.identity && name !== 'me') throw refuse('userUnauthorized')
}

function membershipJson(
  row: Pick<ParticipantRow, 'conversation_sid' | 'last_read_message_index' | 'notification_level'> | null,
  sid: string,
) {
  return {
    conversation_sid: sid,
    status: row ? 'joined' : 'notParticipating',
    sync_objects: syncObjects(sid),
    last_read_message_index: row?.last_read_message_index ?? null,
    notification_level: row?.notification_level ?? 'default',
  }
}

/** A page token is the SID of the conversation that the page starts with. */
async function listMine(call: ClientCall, name: string) {
  await demandSelf(call, name)
  const { session, request, pipeline } = call
  const { service_sid, user_sid, identity } = session
  const from = request.query.last('PageToken') || ''
  if (from !== '' && !isSid('conversation', from)) throw refuse('invalidPageToken')
  const size = pageSize(request.query)
  const rows = await pipeline.read.all(membershipsFrom.asc, { service_sid, user_sid, identity, from, limit: size + 1 })
  const conversations = rows.slice(0, size).map((row) => membershipJson(row, row.conversation_sid))
  return { status: 200, body: { conversations, meta: { next_token: rows[size]?.conversation_sid ?? null } } }
}

async function fetchMine(call: ClientCall, name: string, key: string) {
  await demandSelf(call, name)
  const actor = await actorIn(call, key)
  const { conversation, member } = actor
  const unreadMessagesCount = member && (await unread(call, actor))
  const mine = membershipJson(member, conversation.sid)
  return { status: 200, body: { ...conversationJson(call, conversation), ...mine, unread_messages_count: unreadMessagesCount } }
}

async function unread(call: ClientCall, { view, conversation }: ActorHere): Promise<number | null> {
  const { user_sid: sid, identity } = call.session
  return (await membershipIn(view.read, view, { sid, identity }, conversation.sid))?.unread ?? null
}

/** Moves the read horizon, or mutes the conversation. An index above the last message means the last one. */
async function updateMine(call: ClientCall, name: string, key: string) {
  await demandSelf(call, name)
  const { session, request } = call
  const actor = await actorIn(call, key)
  const { last_read_message_index, notification_level } = jsonOf(request)
  const acts = notification_level === undefined ? [] : [act('editNotificationLevel')]
  const guard = needs(call, actor, { acts, member: true })
  const json = { last_read_message_index: readUpTo(last_read_message_index, actor), notification_level }
  const body = paramsOf(json, { last_read_message_index: 'LastReadMessageIndex', notification_level: 'NotificationLevel' })
  const target = { guard, parents: [session.user_sid], key: actor.conversation.sid, body }
  const row = await writeKept<MembershipRow>(call, 'update', userConversations, target)
  return { status: 200, body: { ...membershipJson(row, row.conversation_sid), unread_messages_count: row.unread } }
}

/** In a conversation without messages nothing has been read. What is no index is refused as by REST. */
function readUpTo(index: unknown, { conversation }: ActorHere): unknown {
  if (typeof index !== 'number' || index < 0) return index
  return conversation.last_message_index < 0 ? null : Math.min(index, conversation.last_message_index)
}

const collection = '/Client/v2/Services/:service/Users/:name'

export const userRoutes: readonly Route<ClientCall>[] = [
  { method: 'GET', path: collection, run: (call, { name = '' }) => fetch(call, name) },
  { method: 'POST', path: collection, run: (call, { name = '' }) => update(call, name) },
  { method: 'GET', path: `${collection}/Conversations`, run: (call, { name = '' }) => listMine(call, name) },
  { method: 'GET', path: `${collection}/Conversations/:key`, run: (call, { name = '', key = '' }) => fetchMine(call, name, key) },
  {
    method: 'POST',
    path: `${collection}/Conversations/:key`,
    run: (call, { name = '', key = '' }) => updateMine(call, name, key),
  },
]
