import { rowsBy } from '../../storage/rows.ts'
import type { MessageRow, ParticipantRow } from '../../storage/schema.ts'
import { type Shape, shape } from '../../storage/shapes.ts'

/*
 * The rows behind lists and maps: pages in the order of their keys, and what has changed since an event.
 */

export type Direction = 'asc' | 'desc'

interface OfConversation {
  readonly service_sid: string
  readonly conversation_sid: string
  readonly limit: number
}

type MessagesFrom = OfConversation & { readonly from: number }

/** Messages from an index on, it included. */
export const messagesFrom: Readonly<Record<Direction, Shape<MessagesFrom, MessageRow>>> = {
  asc: messagesPage('asc'),
  desc: messagesPage('desc'),
}

function messagesPage(direction: Direction) {
  return shape<MessagesFrom>()((db, a) =>
    db
      .selectFrom('messages')
      .selectAll()
      .where('service_sid', '=', a.service_sid)
      .where('conversation_sid', '=', a.conversation_sid)
      .where('message_index', direction === 'asc' ? '>=' : '<=', a.from)
      .orderBy('message_index', direction)
      .limit(a.limit),
  )
}

export const messageAt = rowsBy('messages', ['service_sid', 'conversation_sid', 'message_index'])

/** Of messages that a client has had: those that have changed since, by event. */
export const changedMessages = shape<OfConversation & { readonly after: number }>()((db, a) =>
  db
    .selectFrom('messages')
    .selectAll()
    .where('service_sid', '=', a.service_sid)
    .where('conversation_sid', '=', a.conversation_sid)
    // As in the partial index.
    .whereRef('event_id', '>', 'created_event_id')
    .where('event_id', '>', a.after)
    .orderBy('event_id')
    .limit(a.limit),
)

type ParticipantsFrom = OfConversation & { readonly from: string }

/** Participants from a SID on, it included. */
export const participantsFrom: Readonly<Record<Direction, Shape<ParticipantsFrom, ParticipantRow>>> = {
  asc: participantsPage('asc'),
  desc: participantsPage('desc'),
}

function participantsPage(direction: Direction) {
  return shape<ParticipantsFrom>()((db, a) =>
    db
      .selectFrom('participants')
      .selectAll()
      .where('service_sid', '=', a.service_sid)
      .where('conversation_sid', '=', a.conversation_sid)
      .where('sid', direction === 'asc' ? '>=' : '<=', a.from)
      .orderBy('sid', direction)
      .limit(a.limit),
  )
}

export interface OfUser {
  readonly service_sid: string
  readonly identity: string
  readonly user_sid: string
}

type MembershipsFrom = OfUser & { readonly from: string; readonly limit: number }

/** Memberships from the SID of a conversation on, it included. */
export const membershipsFrom: Readonly<Record<Direction, Shape<MembershipsFrom, ParticipantRow>>> = {
  asc: membershipsPage('asc'),
  desc: membershipsPage('desc'),
}

function membershipsPage(direction: Direction) {
  return shape<MembershipsFrom>()((db, a) =>
    db
      .selectFrom('participants')
      .selectAll()
      .where('service_sid', '=', a.service_sid)
      .where('identity', '=', a.identity)
      .where('conversation_sid', direction === 'asc' ? '>=' : '<=', a.from)
      // An earlier user of the identity may be on the way out of closed conversations.
      .where('user_sid', '=', a.user_sid)
      .orderBy('conversation_sid', direction)
      .limit(a.limit),
  )
}

/** Participants that have changed since an event. There are at most 1,000 to look through: an index would cost each change more. */
export const changedParticipants = shape<OfConversation & { readonly after: number }>()((db, a) =>
  db
    .selectFrom('participants')
    .selectAll()
    .where('service_sid', '=', a.service_sid)
    .where('conversation_sid', '=', a.conversation_sid)
    .where('event_id', '>', a.after)
    .orderBy('event_id')
    .limit(a.limit),
)

/** Memberships that have changed since an event of their user. */
export const changedMemberships = shape<Omit<OfUser, 'identity'> & { readonly after: number; readonly limit: number }>()(
  (db, a) =>
    db
      .selectFrom('participants')
      .selectAll()
      .where('service_sid', '=', a.service_sid)
      .where('user_sid', '=', a.user_sid)
      .where('membership_event_id', '>', a.after)
      .orderBy('membership_event_id')
      .limit(a.limit),
)

/** What has been removed since an event, by event. */
export const tombstonesAfter = shape<{ service_sid: string; object: string; after: number; limit: number }>()((db, a) =>
  db
    .selectFrom('tombstones')
    .selectAll()
    .where('service_sid', '=', a.service_sid)
    .where('object', '=', a.object)
    .where('event_id', '>', a.after)
    .orderBy('event_id')
    .limit(a.limit),
)
