import { refuse } from '../errors.ts'
import type { Guard } from '../model/change.ts'
import type { Permission } from '../resources/permissions.ts'
import { userBySid } from '../storage/lookups.ts'
import { type Permissions, permissionsOf, permissionsOfRole } from './permissions.ts'
import { type Reading, type Standing, standingIn } from './sync/access.ts'
import type { View } from './sync/changes.ts'

/** Something that a command does, and the permissions of which one allows it. */
export interface Act {
  /** To what is the user's own: their message, their participant, their user. */
  readonly own: readonly Permission[]
  /** To anything else, and to what does not exist yet. */
  readonly others: readonly Permission[]
}

/**
 * What a user needs for a command. It is checked before a pre-action webhook is called, and again in the transaction: a role or a
 * participant may have changed meanwhile. Plain data, because the transaction may run on another thread.
 */
export interface Needs {
  readonly user: Reading
  /** Null for what is in no conversation. */
  readonly conversation_sid: string | null
  /** Whether a creator or an admin has to be in the conversation, too. */
  readonly member: boolean
  /** All of them. */
  readonly acts: readonly Act[]
}

/** What a user is allowed. `standing`: null outside of conversations. */
export interface Actor {
  readonly standing: Standing | null
  readonly permissions: Permissions
}

/** Returns an act that the same permissions allow to whatever it is done. */
export function act(...anyOf: readonly Permission[]): Act {
  return { own: anyOf, others: anyOf }
}

/** Returns an act that `own` allows to what is the user's own, and `any` to anything. */
export function actOn(own: Permission, any: Permission): Act {
  return { own: [own, any], others: [any] }
}

/**
 * Reads what a user is allowed, in a conversation or in the service. Throws `conversationNotFound`, or `notParticipant` when the
 * conversation is not for this user.
 */
export async function actorOf(view: View, user: Reading, conversation_sid: string | null): Promise<Actor> {
  if (conversation_sid === null) return { standing: null, permissions: await permissionsInService(view, user) }
  const standing = await standingIn(view, user, conversation_sid)
  const [own, here] = await Promise.all([permissionsInService(view, user), permissionsHere(view, user, standing)])
  return { standing, permissions: new Set([...own, ...here]) }
}

async function permissionsInService({ read, service }: View, { service_sid, user_sid }: Reading): Promise<Permissions> {
  const user = await read.one(userBySid, { service_sid, sid: user_sid })
  return user ? permissionsOf(read, service, user) : new Set()
}

/** A creator who has not joined is judged by the role that they will have then (observed: they add others first). */
async function permissionsHere({ read, service }: View, { identity }: Reading, { conversation, member }: Standing) {
  if (member) return permissionsOf(read, service, member)
  if (conversation.created_by !== identity) return new Set<Permission>()
  return permissionsOfRole(read, service, service.default_conversation_creator_role_sid)
}

/** Throws `notParticipant` or `userUnauthorized` unless the actor has what is needed. `row`: what is changed, null for what is new. */
export function demand({ standing, permissions }: Actor, { user, member, acts }: Needs, row: object | null): void {
  if (member && !standing?.member) throw refuse('notParticipant')
  const own = row !== null && ownerOf(row) === user.identity
  for (const { own: forOwn, others } of acts) {
    if (!(own ? forOwn : others).some((permission) => permissions.has(permission))) throw refuse('userUnauthorized')
  }
}

/** Returns the identity whose row it is: the author of a message, else who is meant. */
function ownerOf(row: object): unknown {
  if ('author' in row) return row.author
  return 'identity' in row ? row.identity : null
}

/** Checks the needs of a client's request on the rows of its transaction. Throws ApiError. */
export const checkNeeds: Guard = async (read, guard, { service, now }, before) => {
  if (!service) throw new Error('a request of a client outside of any service')
  // Only `write` of the clients' commands gives requests a guard.
  const needs = guard as Needs
  demand(await actorOf({ read, service, now }, needs.user, needs.conversation_sid), needs, before)
}
