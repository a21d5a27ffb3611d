import { milliseconds } from '../../dates.ts'
import { elapse } from '../../resources/conversations/lifecycle.ts'
import { withCurrentRole } from '../../resources/role-holders.ts'
import { type ObjectType, type SyncObject, typeOf } from '../../resources/sync-objects.ts'
import type { Reader } from '../../storage/database.ts'
import { conversationBySid, userBySid } from '../../storage/lookups.ts'
import type { ConversationRow, MessageRow, ServiceRow, TombstoneRow, UserRow } from '../../storage/schema.ts'
import { conversationItem, type Item, membershipItem, messageItem, participantItem, userItems } from './projections.ts'
import { changedMemberships, changedMessages, changedParticipants, messagesFrom, tombstonesAfter } from './rows.ts'

/** Whose objects are read, and as of when. */
export interface View {
  readonly read: Reader
  readonly service: ServiceRow
  readonly now: number
}

/** A change of an object, as of now: two updates of an item are one. */
export interface ItemChange {
  readonly verb: 'added' | 'updated' | 'removed'
  /** The number of the change. */
  readonly event_id: number
  readonly item: Item
}

/** What is new in an object since an event. */
export interface Changes {
  readonly changes: readonly ItemChange[]
  /** Whoever has these has everything up to this event. */
  readonly position: number
  /** Whether there are more. */
  readonly interrupted: boolean
}

/** Changes that are read at a time. */
export const maxChanges = 200

/**
 * Returns what is new in an object since `after`, oldest first; undefined when the object does not exist any more. Built from the rows
 * as they are.
 */
export async function changesSince(view: View, object: SyncObject, after: number): Promise<Changes | undefined> {
  const { read, service } = view
  const key = { service_sid: service.sid, sid: object.sid }
  if (object.part === 'channels' || object.part === 'info') {
    const user = await read.one(userBySid, key)
    return user && (object.part === 'info' ? changedUser(view, user, after) : changedMembershipsOf(view, object, user, after))
  }
  const conversation = await read.one(conversationBySid, key)
  return conversation && changedConversation(view, object, conversation, after)
}

/** As `changesSince`, for an object of a conversation that has been read. */
export async function changedConversation(view: View, object: SyncObject, row: ConversationRow, after: number): Promise<Changes> {
  if (object.part === 'channel') {
    const item = conversationItem(elapse(row, view.now) ?? row)
    return whole(row.revision > after ? [{ verb: 'updated', event_id: row.revision, item }] : [], row.revision)
  }
  if (row.last_event_id <= after) return whole([], row.last_event_id)
  return object.part === 'messages' ? changedMessagesOf(view, object, row, after) : changedRoster(view, object, row, after)
}

function whole(changes: readonly ItemChange[], position: number): Changes {
  return { changes, position, interrupted: false }
}

function changedUser({ service }: View, user: UserRow, after: number): Changes {
  const items = user.revision > after ? userItems(user, service) : []
  return whole(
    items.map((item) => ({ verb: 'updated', event_id: user.revision, item })),
    user.revision,
  )
}

async function changedMembershipsOf(view: View, { name }: SyncObject, user: UserRow, after: number): Promise<Changes> {
  if (user.last_event_id <= after) return whole([], user.last_event_id)
  const { read, service } = view
  const limit = maxChanges
  const [rows, gone] = await Promise.all([
    read.all(changedMemberships, { service_sid: service.sid, user_sid: user.sid, after, limit }),
    read.all(tombstonesAfter, { service_sid: service.sid, object: name, after, limit }),
  ])
  return merged(rows.map(membershipItem), gone, after, user.last_event_id)
}

async function changedRoster(view: View, { name }: SyncObject, row: ConversationRow, after: number): Promise<Changes> {
  const { read, service } = view
  const [rows, gone] = await Promise.all([
    read.all(changedParticipants, { service_sid: service.sid, conversation_sid: row.sid, after, limit: maxChanges }),
    read.all(tombstonesAfter, { service_sid: service.sid, object: name, after, limit: maxChanges }),
  ])
  const items = rows.map((one) => participantItem(withCurrentRole(one, service)))
  return merged(items, gone, after, row.last_event_id)
}

/** Merges the changed items and the removed ones, each in the order of their events and at most `maxChanges`. */
function merged(items: readonly Item[], gone: readonly TombstoneRow[], after: number, last: number): Changes {
  const changes = items.map((item): ItemChange => {
    return { verb: item.created_event_id > after ? 'added' : 'updated', event_id: item.event_id, item }
  })
  return cut([{ changes, end: endOf(items) }, removed(gone)], last)
}

/** Changes in the order of their events. `end`: where they were cut off; null when they are complete. */
interface Some {
  readonly changes: readonly ItemChange[]
  readonly end: number | null
}

function endOf(found: readonly { readonly event_id: number }[]): number | null {
  return found.length < maxChanges ? null : (found.at(-1)?.event_id ?? null)
}

/** Also of what was added after the event: a client may have read it in between, and one that has not ignores the removal. */
function removed(gone: readonly TombstoneRow[]): Some {
  const changes = gone.map(({ item: key, event_id, created_event_id, date_created }): ItemChange => {
    return { verb: 'removed', event_id, item: { key, event_id, created_event_id, date_updated: date_created, data: {} } }
  })
  return { changes, end: endOf(gone) }
}

/** Returns everything up to the event up to which all of them are complete. */
function cut(all: readonly Some[], last: number): Changes {
  const position = Math.min(last, ...all.map(({ end }) => end ?? last))
  const changes = all.flatMap((some) => some.changes).filter(({ event_id }) => event_id <= position)
  return { changes: changes.sort((a, b) => a.event_id - b.event_id), position, interrupted: position < last }
}

async function changedMessagesOf(view: View, { name }: SyncObject, row: ConversationRow, after: number): Promise<Changes> {
  const { read, service } = view
  const service_sid = service.sid
  const added = await addedMessages(view, row, after)
  // By their creation: in this order they are found. One that was changed since follows once more under the number of that change,
  // for a client that has read it in between: it takes nothing for new that has the number of what it holds.
  const first = added.map(
    (message): ItemChange => ({ verb: 'added', event_id: message.created_event_id, item: messageItem(message) }),
  )
  // As long as nothing else happens in the conversation, there is nothing else to look for.
  if (added.length === row.last_event_id - after) return cut([{ changes: first, end: endOf(first) }], row.last_event_id)
  const [changed, gone] = await Promise.all([
    read.all(changedMessages, { service_sid, conversation_sid: row.sid, after, limit: maxChanges }),
    read.all(tombstonesAfter, { service_sid, object: name, after, limit: maxChanges }),
  ])
  const updated = changed.map(
    (message): ItemChange => ({ verb: 'updated', event_id: message.event_id, item: messageItem(message) }),
  )
  const all = [{ changes: first, end: endOf(first) }, { changes: updated, end: endOf(changed) }, removed(gone)]
  return cut(all, row.last_event_id)
}

/** Messages that are looked at from the end of a conversation before an older one is searched for. */
const tail = 50

/** Returns the first messages that were added since an event. They were numbered in the order of their indexes. */
async function addedMessages({ read, service }: View, row: ConversationRow, after: number): Promise<MessageRow[]> {
  const key = { service_sid: service.sid, conversation_sid: row.sid }
  const isNew = ({ created_event_id }: MessageRow) => created_event_id > after
  // There are not more new ones than events.
  const limit = Math.min(tail, row.last_event_id - after)
  const last = await read.all(messagesFrom.desc, { ...key, from: row.last_message_index, limit })
  const found = last.filter(isNew).reverse()
  const [oldest] = found
  if (!oldest || found.length < tail) return found
  // The oldest new one is this or one before it.
  let [low, high] = [0, oldest.message_index]
  while (low < high) {
    const middle = Math.floor((low + high) / 2)
    const [message = oldest] = await read.all(messagesFrom.asc, { ...key, from: middle, limit: 1 })
    if (isNew(message)) high = middle
    else low = message.message_index + 1
  }
  return read.all(messagesFrom.asc, { ...key, from: low, limit: maxChanges })
}

/** Returns the changes as the events of client SDKs, in their order and several of one type together. */
export function eventsOf(object: SyncObject, changes: readonly ItemChange[]): SyncEvents[] {
  const frames: { event_type: string; events: { readonly id: number }[] }[] = []
  for (const change of changes) {
    const event_type = eventType(typeOf(object), change.verb)
    const frame = frames.at(-1)
    if (frame?.event_type === event_type && frame.events.length < maxEvents) frame.events.push(eventOf(object, change))
    else frames.push({ event_type, events: [eventOf(object, change)] })
  }
  return frames
}

export interface SyncEvents {
  readonly event_type: string
  readonly events: readonly { readonly id: number }[]
}

/** Of one frame: clients take long for large ones. */
const maxEvents = 20

function eventType(type: ObjectType, verb: ItemChange['verb']): string {
  return type === 'document' ? 'document_updated' : `${type}_item_${verb}`
}

function eventOf(object: SyncObject, { event_id: id, item }: ItemChange) {
  const { name } = object
  const type = typeOf(object)
  const date_created = milliseconds(item.date_updated)
  if (type === 'document') {
    return { document_sid: name, id, document_revision: String(id), document_data: item.data, date_created }
  }
  const revision = String(id)
  const described = {
    id,
    item_url: `/v3/${type === 'map' ? 'Maps' : 'Lists'}/${name}/Items/${item.key}`,
    item_revision: revision,
    item_data: item.data,
    date_created,
    date_expires: null,
  }
  return type === 'map'
    ? { map_sid: name, item_key: item.key, ...described, map_revision: revision }
    : { list_sid: name, item_index: Number(item.key), ...described, list_revision: revision }
}

/** Returns the event of an object that does not exist any more. */
export function removalOf(object: SyncObject, now: number): object {
  const type = typeOf(object)
  return {
    event_type: `${type}_removed`,
    events: [{ [`${type}_sid`]: object.name, id: maxEvent, date_created: milliseconds(now) }],
  }
}

/** Above every number that the object can have had. */
const maxEvent = 2_147_483_647
