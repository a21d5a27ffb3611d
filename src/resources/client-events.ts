import type { Tx } from '../storage/database.ts'
import { insert, rowsBy, updateRow } from '../storage/rows.ts'
import type { ParticipantRow } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { membershipsMap, messagesList, rosterMap } from './sync-objects.ts'

/*
 * The numbers of the changes that client SDKs are told of, taken in the transaction of the change. A conversation counts those of its
 * messages and of its participants together, a user those of their memberships; a conversation and a user themselves are numbered by
 * their revision. A number may be left out, but none is used for two changes of one object.
 */

const counters = {
  conversations: {
    row: rowsBy('conversations', ['service_sid', 'sid']),
    count: updateRow('conversations', ['service_sid', 'sid'], ['last_event_id']),
  },
  users: { row: rowsBy('users', ['service_sid', 'sid']), count: updateRow('users', ['service_sid', 'sid'], ['last_event_id']) },
} as const

const countRemoved = shape<Key>()((db, a) =>
  db
    .updateTable('conversations')
    .set((eb) => ({ removed_messages: eb('removed_messages', '+', 1) }))
    .where('service_sid', '=', a.service_sid)
    .where('sid', '=', a.sid),
)

interface Key {
  readonly service_sid: string
  readonly sid: string
}

/**
 * Takes the numbers of `count` changes. Returns the last of them; 0 when the row that counts is being removed, and nobody keeps a copy
 * any more.
 */
async function nextEvent(tx: Tx, table: keyof typeof counters, key: Key, count = 1): Promise<number> {
  const { row, count: save } = counters[table]
  // Locked until the end of the transaction, so that numbers become visible in their order.
  const counter = await tx.hold<Key, { last_event_id: number }>(row, key, 'change')
  if (!counter) return 0
  const lastEventId = counter.last_event_id + count
  await tx.run(save, { service_sid: key.service_sid, sid: key.sid, last_event_id: lastEventId })
  return lastEventId
}

/** Says that there is something new in an object. */
export function announce(tx: Tx, object: string): void {
  tx.notify({ topic: 'sync', object })
}

interface Buried {
  readonly service_sid: string
  readonly object: string
  readonly item: string
  readonly event_id: number
  readonly created_event_id: number
}

/** Leaves a tombstone: a client that was away learns from it what has been removed. */
async function bury(tx: Tx, tombstone: Buried, now: number): Promise<void> {
  const id = `${tombstone.object} ${tombstone.event_id}`
  await insert(tx, 'tombstones', { ...tombstone, id, date_created: now })
}

/** Numbers a change of a message. */
export async function nextMessageEvent(tx: Tx, service_sid: string, conversation_sid: string): Promise<number> {
  announce(tx, messagesList(conversation_sid))
  return nextEvent(tx, 'conversations', { service_sid, sid: conversation_sid })
}

/** Numbers the removal of a message. */
export async function buryMessage(
  tx: Tx,
  message: { service_sid: string; conversation_sid: string; message_index: number; created_event_id: number },
  now: number,
): Promise<void> {
  const { service_sid, conversation_sid, message_index, created_event_id } = message
  const eventId = await nextMessageEvent(tx, service_sid, conversation_sid)
  await tx.run(countRemoved, { service_sid, sid: conversation_sid })
  const object = messagesList(conversation_sid)
  if (eventId > 0) await bury(tx, { service_sid, object, item: String(message_index), event_id: eventId, created_event_id }, now)
}

/** Numbers so many changes of a conversation's roster. Returns the number of the first; 0 as `nextEvent`. */
export async function nextRosterEvents(tx: Tx, service_sid: string, conversation_sid: string, count: number): Promise<number> {
  const last = await nextEvent(tx, 'conversations', { service_sid, sid: conversation_sid }, count)
  announce(tx, rosterMap(conversation_sid))
  return last === 0 ? 0 : last - count + 1
}

/** Numbers a change of a participant, in the roster and, of a user, among their memberships. Returns the row with its numbers. */
export async function numberParticipant(tx: Tx, before: ParticipantRow | null, after: ParticipantRow): Promise<ParticipantRow> {
  let row = after
  const { service_sid, conversation_sid, user_sid } = after
  if (!before || rosterColumns.some((column) => before[column] !== after[column])) {
    const eventId = await nextEvent(tx, 'conversations', { service_sid, sid: conversation_sid })
    row = { ...row, event_id: eventId, ...(!before && { created_event_id: eventId }) }
    announce(tx, rosterMap(conversation_sid))
  }
  const joins = before?.user_sid !== user_sid
  if (user_sid !== null && (joins || membershipColumns.some((column) => before?.[column] !== after[column]))) {
    const membershipEventId = await nextEvent(tx, 'users', { service_sid, sid: user_sid })
    row = { ...row, membership_event_id: membershipEventId, ...(joins && { membership_created_event_id: membershipEventId }) }
    announce(tx, membershipsMap(user_sid))
  }
  return row
}

/** The columns of a participant that others see. */
const rosterColumns = [
  'identity',
  'attributes',
  'role_sid',
  'last_read_message_index',
  'last_read_timestamp',
  'proxy_address',
  'projected_address',
] as const satisfies readonly (keyof ParticipantRow)[]
/** And those that are shown to the user alone. */
const membershipColumns = ['last_read_message_index', 'notification_level'] as const satisfies readonly (keyof ParticipantRow)[]

/** Numbers the removal of a participant. What its user may read ends with it. */
export async function buryParticipant(tx: Tx, member: ParticipantRow, now: number): Promise<void> {
  const { service_sid, conversation_sid, sid, user_sid, created_event_id } = member
  const eventId = await nextEvent(tx, 'conversations', { service_sid, sid: conversation_sid })
  const object = rosterMap(conversation_sid)
  if (eventId > 0) await bury(tx, { service_sid, object, item: sid, event_id: eventId, created_event_id }, now)
  announce(tx, object)
  if (user_sid !== null) await buryMembership(tx, { ...member, user_sid }, now)
}

/** Numbers the end of a membership. */
async function buryMembership(tx: Tx, member: ParticipantRow & { readonly user_sid: string }, now: number): Promise<void> {
  const { service_sid, conversation_sid, user_sid, membership_created_event_id: createdEventId } = member
  const eventId = await nextEvent(tx, 'users', { service_sid, sid: user_sid })
  const object = membershipsMap(user_sid)
  if (eventId > 0)
    await bury(tx, { service_sid, object, item: conversation_sid, event_id: eventId, created_event_id: createdEventId }, now)
  announceEnd(tx, conversation_sid, user_sid)
}

/** What the user may not read any more comes first, so that nothing is sent of it. */
export function announceEnd(tx: Tx, conversation_sid: string, user_sid: string): void {
  tx.notify({ topic: 'access', sid: user_sid, within: conversation_sid })
  announce(tx, membershipsMap(user_sid))
}
