import { milliseconds } from '../../dates.ts'
import { refuse } from '../../errors.ts'
import { isJsonObject } from '../../json.ts'
import type { Form } from '../../model/form.ts'
import { elapse } from '../../resources/conversations/lifecycle.ts'
import { withCurrentRole } from '../../resources/role-holders.ts'
import { type ObjectType, objectNamed, type SyncObject, typeOf } from '../../resources/sync-objects.ts'
import type { ClientCall } from '../call.ts'
import { viewFor } from '../rows.ts'
import { jsonOf, type Route, type TunnelResponse } from '../tunnel.ts'
import { type Readable, readable } from './access.ts'
import type { View } from './changes.ts'
import type { Wanted } from './hub.ts'
import { conversationItem, type Item, membershipItem, messageItem, participantItem, userItems } from './projections.ts'
import { type Direction, membershipsFrom, messageAt, messagesFrom, participantsFrom } from './rows.ts'

const defaultPage = 50
const maxPage = 100
/** Above every SID. */
const lastSid = '~'
const segmentOf = { map: 'Maps', list: 'Lists', document: 'Documents' } as const
/** Objects that one request may subscribe to. */
const maxBatch = 1000
/** A client asks again after so long, and what waits behind it; it would only add to a crowd that comes back. */
const establishedWithinMs = 5000
const subscriptionS = 86_400

/** An object that this client may read, and what it is shown from. */
interface Opened {
  readonly view: View
  readonly object: SyncObject
  readonly found: Readable
}

async function open(call: ClientCall, name: string, type: ObjectType): Promise<Opened> {
  const object = objectNamed(name)
  if (!object || typeOf(object) !== type) throw refuse('syncObjectNotFound')
  const view = await viewFor(call)
  return { view, object, found: await readable(view, call.session, object) }
}

async function root(call: ClientCall, name: string, type: ObjectType): Promise<TunnelResponse> {
  const opened = await open(call, name, type)
  const { view, object, found } = opened
  const base = `${call.connection.base}/v3/${segmentOf[type]}/${name}`
  const { last_event_id, date_updated } = counterOf(object, found)
  const common = {
    sid: name,
    unique_name: name,
    url: base,
    revision: String(last_event_id),
    last_event_id,
    date_updated: milliseconds(date_updated),
    date_expires: null,
  }
  if ('conversation' in found && type === 'document') {
    const { data } = conversationItem(elapse(found.conversation, view.now) ?? found.conversation)
    return { status: 200, body: { ...common, data } }
  }
  const included = call.request.query.last('Include') === 'items' && (await page(call, opened, allOf))
  return { status: 200, body: { ...common, links: { items: `${base}/Items` }, ...(included && { items: included.items }) } }
}

/** Returns the number of the last change of an object, and when it was. */
function counterOf({ part }: SyncObject, found: Readable) {
  if ('conversation' in found) {
    const { revision, last_event_id, date_updated } = found.conversation
    return { last_event_id: part === 'channel' ? revision : last_event_id, date_updated }
  }
  const { revision, last_event_id, date_updated } = found.user
  return { last_event_id: part === 'info' ? revision : last_event_id, date_updated }
}

async function items(call: ClientCall, name: string, type: ObjectType): Promise<TunnelResponse> {
  const { query } = call.request
  const opened = await open(call, name, type)
  const key = query.last(type === 'list' ? 'Index' : 'Key')
  if (key !== undefined) {
    const item = await itemAt(opened, key)
    const found = item ? [toJson(call, opened.object, item)] : []
    return { status: 200, body: { items: found, meta: { previous_token: null, next_token: null } } }
  }
  return { status: 200, body: await page(call, opened, placeOf(query)) }
}

/** Which page of the items: `size` of them, in this direction, from a key on (it included), or those before it. */
interface Place {
  readonly side: 'from' | 'before'
  readonly direction: Direction
  readonly size: number
  /** Null: from the first one on. */
  readonly key: string | null
}

/** Reads which page is asked for. SDK 3 names the key of its first item; SDK 2 sends a token of an earlier page and nothing else. */
function placeOf(query: Form): Place {
  const token = query.last('PageToken')
  if (token !== undefined) return parseToken(token)
  const size = Math.min(Math.max(sizeOf(query.last('PageSize')), 1), maxPage)
  const direction = query.last('Order') === 'desc' ? 'desc' : 'asc'
  return { side: 'from', direction, size, key: query.last('From') ?? null }
}

/** Throws `invalidPageToken`. */
function parseToken(token: string): Place {
  const parts = /^(?<side>from|before)\.(?<direction>asc|desc)\.(?<size>\d{1,3})\.(?<key>.+)$/.exec(token)?.groups
  if (!parts) throw refuse('invalidPageToken')
  const size = Math.min(Math.max(Number(parts.size), 1), maxPage)
  const [side, direction] = [parts.side === 'before' ? 'before' : 'from', parts.direction === 'desc' ? 'desc' : 'asc'] as const
  return { side, direction, size, key: parts.key ?? null }
}

const allOf: Place = { side: 'from', direction: 'asc', size: maxPage, key: null }

/** `key`: none when there is nothing on that side. */
function formatToken({ direction, size }: Place, side: Place['side'], key: Item['key'] | null | undefined): string | null {
  return key === null || key === undefined ? null : `${side}.${direction}.${size}.${key}`
}

function sizeOf(text: string | undefined): number {
  if (text === undefined) return defaultPage
  if (!/^\d{1,6}$/.test(text)) throw refuse('invalidPageSize')
  return Number(text)
}

/** Reads a page, and whether there is another one on either side: SDK 3 tests the tokens for being there. */
async function page(call: ClientCall, opened: Opened, place: Place) {
  const { side, size, direction, key } = place
  const opposite = direction === 'asc' ? 'desc' : 'asc'
  // Reading the other way finds the key itself, too.
  const before = async (limit: number) =>
    key === null ? [] : (await readItems(opened, opposite, key, limit + 1)).filter((item) => String(item.key) !== key)
  const back = side === 'before'
  const [found, earlier] = await Promise.all([
    back ? before(size + 1) : readItems(opened, direction, key, size + 1),
    back ? [] : before(1),
  ])
  const shown = back ? found.slice(0, size).reverse() : found.slice(0, size)
  const beyond = found[size]
  const previous = back ? beyond && shown[0]?.key : earlier.length > 0 ? key : undefined
  const next = back ? key : beyond?.key
  return {
    items: shown.map((item) => toJson(call, opened.object, item)),
    meta: {
      previous_token: formatToken(place, 'before', previous),
      next_token: formatToken(place, 'from', next),
    },
  }
}

async function readItems(
  { view, object, found }: Opened,
  direction: Direction,
  from: string | null,
  limit: number,
): Promise<Item[]> {
  const { read, service } = view
  const service_sid = service.sid
  if ('user' in found) {
    const { sid: user_sid, identity } = found.user
    if (object.part === 'info') return sliced(userItems(found.user, service), direction, from, limit)
    const start = from ?? firstKey(direction)
    const rows = await read.all(membershipsFrom[direction], { service_sid, user_sid, identity, from: start, limit })
    return rows.map(membershipItem)
  }
  const key = { service_sid, conversation_sid: found.conversation.sid, limit }
  if (object.part === 'messages') {
    const rows = await read.all(messagesFrom[direction], { ...key, from: indexOf(from, direction) })
    return rows.map(messageItem)
  }
  const rows = await read.all(participantsFrom[direction], { ...key, from: from ?? firstKey(direction) })
  return rows.map((row) => participantItem(withCurrentRole(row, service)))
}

function firstKey(direction: Direction): string {
  return direction === 'asc' ? '' : lastSid
}

function indexOf(from: string | null, direction: Direction): number {
  if (from === null) return direction === 'asc' ? 0 : Number.MAX_SAFE_INTEGER
  if (!/^-?\d{1,15}$/.test(from)) throw refuse('messageIndexNotNumber')
  return Number(from)
}

function sliced(all: readonly Item[], direction: Direction, from: string | null, limit: number): Item[] {
  const ordered = direction === 'asc' ? all : all.toReversed()
  const behind = ordered.filter(({ key }) => from === null || (direction === 'asc' ? String(key) >= from : String(key) <= from))
  return behind.slice(0, limit)
}

async function itemAt(opened: Opened, key: string): Promise<Item | undefined> {
  const { view, object, found } = opened
  if (object.part === 'messages' && 'conversation' in found) {
    const { service_sid, sid: conversation_sid } = found.conversation
    const row = await view.read.one(messageAt, { service_sid, conversation_sid, message_index: indexOf(key, 'asc') })
    return row && messageItem(row)
  }
  const [item] = await readItems(opened, 'asc', key, 1)
  return item?.key === key ? item : undefined
}

function toJson(call: ClientCall, object: SyncObject, { key, event_id, date_updated, data }: Item) {
  const type = typeOf(object)
  return {
    [type === 'list' ? 'index' : 'key']: key,
    url: `${call.connection.base}/v3/${segmentOf[type]}/${object.name}/Items/${key}`,
    revision: String(event_id),
    last_event_id: event_id,
    date_updated: milliseconds(date_updated),
    date_expires: null,
    data,
  }
}

/** Subscribes the connection to objects, or ends it; each is confirmed by a notification. */
async function subscriptions({ connection, session, request, hub }: ClientCall): Promise<TunnelResponse> {
  const { action, correlation_id, requests } = jsonOf(request)
  const wanted = (Array.isArray(requests) ? requests : []).map(wantedOf)
  if (wanted.length > maxBatch || (action !== 'establish' && action !== 'cancel')) throw refuse('invalidValue')
  if (action === 'establish') hub.establish(connection, session, wanted, correlation_id)
  else
    hub.cancel(
      connection,
      wanted.map(({ name }) => name),
      correlation_id,
    )
  return {
    status: 200,
    body: { max_batch_size: maxBatch, estimated_delivery_in_ms: establishedWithinMs + hub.waitMs, ttl_in_s: subscriptionS },
  }
}

/** Throws ApiError. */
function wantedOf(request: unknown): Wanted {
  const { object_sid, last_event_id = null } = isJsonObject(request) ? request : {}
  if (typeof object_sid !== 'string' || object_sid.length > 256) throw refuse('invalidValue')
  if (last_event_id !== null && !Number.isSafeInteger(last_event_id)) throw refuse('invalidValue')
  return { name: object_sid, after: typeof last_event_id === 'number' ? Math.max(0, last_event_id) : null }
}

/** The routes of Sync. Clients only read there: writes are commands. */
export const syncRoutes: readonly Route<ClientCall>[] = [
  ...(['map', 'list', 'document'] as const).map((type): Route<ClientCall> => {
    return { method: 'GET', path: `/v3/${segmentOf[type]}/:name`, run: (call, { name = '' }) => root(call, name, type) }
  }),
  ...(['map', 'list'] as const).map((type): Route<ClientCall> => {
    return { method: 'GET', path: `/v3/${segmentOf[type]}/:name/Items`, run: (call, { name = '' }) => items(call, name, type) }
  }),
  { method: 'POST', path: '/v4/Subscriptions', run: subscriptions },
]
