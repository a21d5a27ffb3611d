import { milliseconds } from '../../dates.ts'
import { refuse } from '../../errors.ts'
import { parseStored } from '../../json.ts'
import { type Form, formOf } from '../../model/form.ts'
import { messages } from '../../resources/conversations/messages/message.ts'
import { messageBySid, participantsOfConversation } from '../../storage/lookups.ts'
import { rowsBy } from '../../storage/rows.ts'
import type { MessageRow, ParticipantRow, ReceiptRow } from '../../storage/schema.ts'
import type { ClientCall } from '../call.ts'
import { act, actOn } from '../needs.ts'
import { jsonOf, paramsOf, type Route } from '../tunnel.ts'
import { type ActorHere, actorIn, needs, write, writeKept } from './actor.ts'
import { messageJson } from './json.ts'
import { pageOf } from './pages.ts'

const fields = {
  body: 'Body',
  attributes: 'Attributes',
  subject: 'Subject',
  content_sid: 'ContentSid',
  content_variables: 'ContentVariables',
} as const

const receiptsOf = rowsBy('receipts', ['service_sid', 'conversation_sid', 'message_sid'])

const editBody = actOn('editOwnMessage', 'editAnyMessage')
const editAttributes = actOn('editOwnMessageAttributes', 'editAnyMessageAttributes')
const removal = actOn('deleteOwnMessage', 'deleteAnyMessage')

async function send(call: ClientCall, key: string) {
  const actor = await actorIn(call, key)
  const json = jsonOf(call.request)
  const media = mediaOf(json.media_sids)
  const given = paramsOf(withoutNulls(json), fields)
  const acts = [
    ...(media.length > 0 ? [act('sendMediaMessage')] : []),
    ...(media.length === 0 || given.last('Body') ? [act('sendMessage')] : []),
  ]
  const guard = needs(call, actor, { acts, member: true })
  const body = withMore(given, { Author: call.session.identity, ...(media.length > 0 && { MediaSid: media }) })
  const row = await writeKept<MessageRow>(call, 'create', messages, { guard, parents: [actor.conversation.sid], body })
  return { status: 201, body: messageJson(call, row) }
}

/** A message has what is given, and nothing for a null. */
function withoutNulls(json: Readonly<Record<string, unknown>>) {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== null))
}

function mediaOf(given: unknown): readonly string[] {
  if (given === undefined || given === null) return []
  if (!Array.isArray(given) || !given.every((sid) => typeof sid === 'string')) throw refuse('invalidMediaSid')
  return given
}

function withMore(given: Form, more: Readonly<Record<string, string | readonly string[]>>): Form {
  const names = Object.values(fields)
  const values = names.flatMap((name) => {
    const value = given.last(name)
    return value === undefined ? [] : [[name, value] as const]
  })
  return formOf({ ...Object.fromEntries(values), ...more })
}

/** Returns a message of the conversation. Throws 404. */
async function messageIn({ view, conversation }: ActorHere, call: ClientCall, sid: string): Promise<MessageRow> {
  const { service_sid, sid: conversation_sid } = conversation
  const row = await view.read.one(messageBySid, { service_sid, conversation_sid, sid })
  if (!row) throw refuse('notFound', { path: `/${call.request.segments.join('/')}` })
  return row
}

async function update(call: ClientCall, key: string, sid: string) {
  const actor = await actorIn(call, key)
  const row = await messageIn(actor, call, sid)
  const body = paramsOf(jsonOf(call.request), { body: 'Body', attributes: 'Attributes' })
  const acts = [
    ...(body.last('Body') === undefined ? [] : [editBody]),
    ...(body.last('Attributes') === undefined ? [] : [editAttributes]),
  ]
  const guard = needs(call, actor, { acts, row })
  const target = { guard, parents: [row.conversation_sid], key: row.sid, body }
  const updated = await writeKept<MessageRow>(call, 'update', messages, target)
  return { status: 200, body: messageJson(call, updated) }
}

async function remove(call: ClientCall, key: string, sid: string) {
  const actor = await actorIn(call, key)
  const row = await messageIn(actor, call, sid)
  const guard = needs(call, actor, { acts: [removal], row })
  await write(call, 'remove', messages, { guard, parents: [row.conversation_sid], key: row.sid })
  return { status: 204, body: null }
}

async function channelMetadata(call: ClientCall, key: string, sid: string) {
  const actor = await actorIn(call, key)
  const { channel_metadata } = await messageIn(actor, call, sid)
  if (channel_metadata === null) throw refuse('channelMetadataNotFound')
  return { status: 200, body: parseStored<object>(channel_metadata) }
}

async function receipts(call: ClientCall, key: string, sid: string) {
  const actor = await actorIn(call, key)
  const { service_sid, conversation_sid } = await messageIn(actor, call, sid)
  // One for each participant with an address: at most fifty.
  const rows = await actor.view.read.all(receiptsOf, { service_sid, conversation_sid, message_sid: sid })
  const ordered = rows.sort((a, b) => a.date_created - b.date_created || (a.sid < b.sid ? -1 : 1))
  const { items, meta } = pageOf(call.request.query, ordered)
  return { status: 200, body: { delivery_receipts: items.map(receiptJson), meta } }
}

function receiptJson(row: ReceiptRow) {
  return {
    sid: row.sid,
    message_sid: row.message_sid,
    conversation_sid: row.conversation_sid,
    channel_message_sid: row.channel_message_sid,
    participant_sid: row.participant_sid,
    status: row.status,
    error_code: row.error_code,
    date_created: milliseconds(row.date_created),
    date_updated: milliseconds(row.date_updated),
  }
}

/**
 * Whom the messages of a mail conversation go to: its participants with a mail address. Of one message also who it is from: one of
 * them, or the conversation's mailbox.
 */
async function recipients(call: ClientCall, key: string) {
  const actor = await actorIn(call, key)
  const { view, conversation } = actor
  const { service_sid, sid: conversation_sid, email_address, email_name } = conversation
  const message_sid = call.request.query.last('MessageSid') ?? null
  const message = message_sid === null ? null : await messageIn(actor, call, message_sid)
  const rows = await view.read.all(participantsOfConversation, { service_sid, conversation_sid })
  const mail = rows.filter(({ binding_type }) => binding_type === 'email')
  const isFrom = (row: ParticipantRow) => message !== null && row.sid === message.participant_sid
  const people = mail.map((row) => {
    const { binding_level, binding_name: name, address_as_given, address } = row
    return { level: isFrom(row) ? 'from' : binding_level, name, address: address_as_given ?? address }
  })
  const ours = message && email_address !== null && !mail.some(isFrom)
  const all = [...(ours ? [{ level: 'from', name: email_name, address: email_address }] : []), ...people]
  const { items, meta } = pageOf(call.request.query, all)
  return { status: 200, body: { message_recipients: items.map((one) => ({ type: 'email', message_sid, ...one })), meta } }
}

const conversation = '/Client/v2/Services/:service/Conversations/:key'
const message = `${conversation}/Messages/:sid`

export const messageRoutes: readonly Route<ClientCall>[] = [
  { method: 'POST', path: `${conversation}/Messages`, run: (call, { key = '' }) => send(call, key) },
  { method: 'POST', path: message, run: (call, { key = '', sid = '' }) => update(call, key, sid) },
  { method: 'DELETE', path: message, run: (call, { key = '', sid = '' }) => remove(call, key, sid) },
  { method: 'GET', path: `${message}/ChannelMetadata`, run: (call, { key = '', sid = '' }) => channelMetadata(call, key, sid) },
  { method: 'GET', path: `${message}/Receipts`, run: (call, { key = '', sid = '' }) => receipts(call, key, sid) },
  { method: 'GET', path: `${conversation}/MessageRecipients`, run: (call, { key = '' }) => recipients(call, key) },
]
