import { ApiError, refuse } from '../../errors.ts'
import type { SyncObject } from '../../resources/sync-objects.ts'
import { conversationBySid, participantByIdentity, userBySid } from '../../storage/lookups.ts'
import type { ConversationRow, ParticipantRow, UserRow } from '../../storage/schema.ts'
import { permissionsOf, seesEverything } from '../permissions.ts'
import type { View } from './changes.ts'

/** Who reads. */
export interface Reading {
  readonly service_sid: string
  readonly identity: string
  readonly user_sid: string
}

/** What a user is in a conversation. */
export interface Standing {
  readonly conversation: ConversationRow
  /** Null for a user who is in it only as its creator or by a role in the service. */
  readonly member: ParticipantRow | null
}

/**
 * Reads what a user is in a conversation: a participant, its creator, or somebody whose role in the service concerns every
 * conversation. Throws `conversationNotFound`, or `notParticipant` for anybody else.
 */
export async function standingIn(view: View, session: Reading, conversation_sid: string): Promise<Standing> {
  const { service_sid, identity, user_sid } = session
  const [conversation, member] = await Promise.all([
    view.read.one(conversationBySid, { service_sid, sid: conversation_sid }),
    view.read.one(participantByIdentity, { service_sid, conversation_sid, identity }),
  ])
  if (!conversation) throw refuse('conversationNotFound')
  // An earlier user of the identity may be on the way out of a closed conversation.
  if (member?.user_sid === user_sid) return { conversation, member }
  if (conversation.created_by === identity || (await seesAll(view, session))) return { conversation, member: null }
  throw refuse('notParticipant')
}

async function seesAll({ read, service }: View, { service_sid, user_sid }: Reading): Promise<boolean> {
  const user = await read.one(userBySid, { service_sid, sid: user_sid })
  return user !== undefined && seesEverything(await permissionsOf(read, service, user))
}

/** Returns what may be read, with the row that it is shown from. */
export type Readable = Standing | { readonly user: UserRow }

/** Reads the row of an object. Throws ApiError when there is none, or when it is not for this user. */
export async function readable(view: View, session: Reading, object: SyncObject): Promise<Readable> {
  if (object.part === 'channels' || object.part === 'info') {
    const user = await view.read.one(userBySid, { service_sid: session.service_sid, sid: object.sid })
    if (!user) throw refuse('syncObjectNotFound')
    if (object.part === 'channels' && user.sid !== session.user_sid) throw refuse('syncForbidden')
    return { user }
  }
  const { conversation, member } = await standingIn(view, session, object.sid)
  // A creator who has not joined sees the conversation, but nothing in it.
  const all = object.part === 'channel' || member !== null || (await seesAll(view, session))
  if (!all) throw refuse('syncForbidden')
  return { conversation, member }
}

/** An object that a user may read: as theirs, or by a role or as its creator. */
export interface Reached {
  readonly by: 'own' | 'role'
  readonly found: Readable
}

/** Reads the row of an object; null when a user may not read it. */
export async function reach(view: View, session: Reading, object: SyncObject): Promise<Reached | null> {
  try {
    const found = await readable(view, session, object)
    return { by: 'user' in found || found.member !== null ? 'own' : 'role', found }
  } catch (error) {
    if (error instanceof ApiError && error.entry.status < 500) return null
    throw error
  }
}
