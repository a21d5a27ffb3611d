import { hash } from 'node:crypto'
import { type Call, writeRow } from '../../api/requests.ts'
import { refuse } from '../../errors.ts'
import type { AnyResource, BaseRow, ChangeVerb } from '../../model/declare.ts'
import { emptyForm, type Form } from '../../model/form.ts'
import { elapse } from '../../resources/conversations/lifecycle.ts'
import type { Permission } from '../../resources/role.ts'
import { isSid } from '../../sids.ts'
import { conversationByName, userBySid } from '../../storage/lookups.ts'
import type { ConversationRow, ParticipantRow } from '../../storage/schema.ts'
import type { ClientCall } from '../call.ts'
import { type Permissions, permissionsOf, permissionsOfRole } from '../permissions.ts'
import { viewFor } from '../rows.ts'
import { standingIn } from '../sync/access.ts'
import type { View } from '../sync/changes.ts'

/** A user in a conversation, and what they may do there. */
export interface Actor {
  readonly view: View
  /** With deadlines that have passed applied. */
  readonly conversation: ConversationRow
  /** Null for its creator, or by a role, without being in it. */
  readonly member: ParticipantRow | null
  readonly permissions: Permissions
}

/** Throws `userUnauthorized` unless the user has one of the permissions. `false`: one that does not count here. */
export function demand({ permissions }: Pick<Actor, 'permissions'>, ...anyOf: readonly (Permission | false)[]): void {
  if (!anyOf.some((permission) => permission !== false && permissions.has(permission))) throw refuse('userUnauthorized')
}

/** Throws `notParticipant` for a creator or an admin who is not in the conversation. */
export function demandMember({ member }: Actor): ParticipantRow {
  if (!member) throw refuse('notParticipant')
  return member
}

/**
 * Returns the user of a client in a conversation, given by SID or unique name. Throws `conversationNotFound`, or `notParticipant`
 * when it is not for this user. What they may do is read anew for each request: a changed role counts at once.
 */
export async function actorIn(call: ClientCall, name: string): Promise<Actor> {
  const { session } = call
  const view = await viewFor(call)
  const { conversation, member } = await standingIn(view, session, await sidOf(view, name))
  const [own, here] = await Promise.all([
    servicePermissions(call, view),
    conversationPermissions(call, view, conversation, member),
  ])
  const current = elapse(conversation, view.now) ?? conversation
  return { view, conversation: current, member, permissions: new Set([...own, ...here]) }
}

async function sidOf({ read, service }: View, name: string): Promise<string> {
  if (isSid('conversation', name)) return name
  const found = await read.one(conversationByName, { service_sid: service.sid, unique_name: name })
  if (!found) throw refuse('conversationNotFound')
  return found.sid
}

/** Reads what a user may do by their role in the service. */
export async function servicePermissions({ session }: ClientCall, { read, service }: View): Promise<Permissions> {
  const user = await read.one(userBySid, { service_sid: session.service_sid, sid: session.user_sid })
  return user ? permissionsOf(read, service, user) : new Set()
}

/** A creator who has not joined is judged by the role that they will have then (observed: they add others first). */
async function conversationPermissions(
  { session }: ClientCall,
  { read, service }: View,
  conversation: ConversationRow,
  member: ParticipantRow | null,
): Promise<Permissions> {
  if (member) return permissionsOf(read, service, member)
  if (conversation.created_by !== session.identity) return new Set()
  return permissionsOfRole(read, service, service.default_conversation_creator_role_sid)
}

interface Target {
  readonly parents?: readonly string[]
  readonly key?: string
  readonly body?: Form
}

/** Makes a change by the same road as REST: rules, webhooks, transaction. Returns the row; null after a removal. Throws ApiError. */
export async function write<Row extends BaseRow>(
  call: ClientCall,
  verb: ChangeVerb,
  resource: AnyResource,
  { parents = [], key, body = emptyForm }: Target,
): Promise<Row | null> {
  const { session, pipeline, connection, request } = call
  const { account_sid, service_sid, identity } = session
  const path = { account_sid, service_sid, parents, key: key ?? null, text: `/${request.segments.join('/')}` }
  const mutation = request.headers['x-twilio-mutation-id']
  const asked: Call = {
    resource,
    family: 'service',
    path,
    base: connection.base,
    query: emptyForm,
    body,
    webhooks: true,
    client_identity: identity,
    ...(mutation !== undefined && { once: onceKey(session.user_sid, mutation) }),
  }
  const { row } = await writeRow(pipeline, verb, asked)
  // The row of this resource.
  return row as Row | null
}

/** As `write`, for what leaves a row. */
export async function writeKept<Row extends BaseRow>(
  call: ClientCall,
  verb: 'create' | 'update',
  resource: AnyResource,
  target: Target,
): Promise<Row> {
  const row = await write<Row>(call, verb, resource, target)
  if (!row) throw new Error(`no row of a ${verb}d ${resource.name}`)
  return row
}

/** Clients send a UUID; whatever it is, it is the user's alone. */
export function onceKey(user_sid: string, mutation: string): string {
  return `${user_sid} ${hash('sha256', mutation, 'base64')}`
}
