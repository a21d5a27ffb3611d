import { hash } from 'node:crypto'
import { type Call, writeRow } from '../../api/requests.ts'
import { refuse } from '../../errors.ts'
import type { AnyResource, BaseRow, ChangeVerb } from '../../model/declare.ts'
import { emptyForm, type Form } from '../../model/form.ts'
import { elapse } from '../../resources/conversations/lifecycle.ts'
import { isSid } from '../../sids.ts'
import { conversationByName } from '../../storage/lookups.ts'
import type { ConversationRow, ParticipantRow } from '../../storage/schema.ts'
import type { ClientCall } from '../call.ts'
import { type Act, type Actor, actorOf, demand, type Needs } from '../needs.ts'
import { viewFor } from '../rows.ts'
import type { Reading } from '../sync/access.ts'
import type { View } from '../sync/changes.ts'

/** A user in a conversation, and what they may do there. */
export interface ActorHere extends Actor {
  readonly view: View
  /** With deadlines that have passed applied. */
  readonly conversation: ConversationRow
  /** Null for its creator, or by a role, without being in it. */
  readonly member: ParticipantRow | null
}

/**
 * Returns the user of a client in a conversation, given by SID or unique name. Throws `conversationNotFound`, or `notParticipant`
 * when it is not for this user. What they may do is read anew for each request: a changed role counts at once.
 */
export async function actorIn(call: ClientCall, name: string): Promise<ActorHere> {
  const view = await viewFor(call)
  const { standing, permissions } = await actorOf(view, readingOf(call), await sidOf(view, name))
  if (!standing) throw new Error('an actor outside of the conversation that was asked for')
  const { conversation, member } = standing
  return { view, conversation: elapse(conversation, view.now) ?? conversation, member, standing, permissions }
}

/** Returns the user of a client in the service. */
export async function actorInService(call: ClientCall): Promise<Actor & { readonly view: View }> {
  const view = await viewFor(call)
  return { ...(await actorOf(view, readingOf(call), null)), view }
}

function readingOf({ session: { service_sid, identity, user_sid } }: ClientCall): Reading {
  return { service_sid, identity, user_sid }
}

async function sidOf({ read, service }: View, name: string): Promise<string> {
  if (isSid('conversation', name)) return name
  const found = await read.one(conversationByName, { service_sid: service.sid, unique_name: name })
  if (!found) throw refuse('conversationNotFound')
  return found.sid
}

/** Throws `notParticipant` for a creator or an admin who is not in the conversation. */
export function demandMember(call: ClientCall, actor: Actor): void {
  needs(call, actor, { acts: [], member: true })
}

interface Wanted {
  readonly acts: readonly Act[]
  /** Whether a creator or an admin has to be in the conversation, too. */
  readonly member?: boolean
  /** What is changed; absent for what is new. */
  readonly row?: object
}

/**
 * Throws `notParticipant` or `userUnauthorized` unless the actor may do all of the acts. Returns what `write` checks once more in its
 * transaction.
 */
export function needs(call: ClientCall, actor: Actor, { acts, member = false, row }: Wanted): Needs {
  const conversation_sid = actor.standing?.conversation.sid ?? null
  const wanted: Needs = { user: readingOf(call), conversation_sid, member, acts }
  demand(actor, wanted, row ?? null)
  return wanted
}

interface Target {
  /** See `needs`. */
  readonly guard: Needs
  readonly parents?: readonly string[]
  readonly key?: string
  readonly body?: Form
}

/** Makes a change by the same road as REST: rules, webhooks, transaction. Returns the row; null after a removal. Throws ApiError. */
export async function write<Row extends BaseRow>(
  call: ClientCall,
  verb: ChangeVerb,
  resource: AnyResource,
  { guard, parents = [], key, body = emptyForm }: Target,
): Promise<Row | null> {
  const { session, pipeline, connection, request, preActionBy } = call
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
    guard,
    preActionBy,
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
