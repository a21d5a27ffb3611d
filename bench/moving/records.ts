import { createWriteStream } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { formatVersion } from '../../src/records/format.ts'
import { attributesOf, nameOf, type Population, sidOf } from '../population.ts'
import { account_sid } from '../workload.ts'

/** Messages of a conversation. */
export const messagesEach = 10
/** A conversation in so many has a person with a phone number, and receipts. */
export const withPhone = 5
/** A user in so many conversations. */
const conversationsEach = 10
const dayMs = 86_400_000

export const service_sid = `IS${'b'.repeat(32)}`
const roleSids = ['RL', 'RL', 'RL'].map((prefix, i) => `${prefix}${String(i + 1).padStart(32, '0')}`)
const [creator = '', member = '', person = ''] = roleSids

type Json = Readonly<Record<string, unknown>>

/** Yields the lines of a file as `parley export` writes it, and as its import leaves nothing to add: of the first conversations. */
export function* recordLines(population: Population, nowMs: number, conversations = population.rows): Generator<Json> {
  const counts: Record<string, number> = {}
  yield { kind: 'header', format: formatVersion, parley: 'bench', exported_at: new Date(nowMs).toISOString() }
  for (const line of records(population, conversations, nowMs)) {
    const kind = String(line.kind)
    counts[kind] = (counts[kind] ?? 0) + 1
    yield line
  }
  yield { kind: 'end', counts }
}

/** Writes them to a file. */
export async function writeRecords(file: string, lines: Iterable<Json>): Promise<void> {
  const texts = function* () {
    let text = ''
    for (const line of lines) {
      text += `${JSON.stringify(line)}\n`
      if (text.length < 65_536) continue
      yield text
      text = ''
    }
    yield text
  }
  await pipeline(Readable.from(texts(), { objectMode: false }), createWriteStream(file))
}

function* records(population: Population, conversations: number, nowMs: number): Generator<Json> {
  const within = { account_sid, chat_service_sid: service_sid }
  const old = datesOf(population.base_ms)
  const roles = {
    default_conversation_creator_role_sid: creator,
    default_conversation_role_sid: member,
    default_chat_service_role_sid: person,
  }
  yield { kind: 'service', ...within, resource: { sid: service_sid, friendly_name: 'Moved', ...old }, extra: roles }
  for (const sid of roleSids) {
    const type = sid === person ? 'service' : 'conversation'
    yield {
      kind: 'role',
      ...within,
      resource: { sid, friendly_name: `role ${sid.slice(-1)}`, type, permissions: ['editOwnMessage'], ...old },
    }
  }
  yield { kind: 'configuration', account_sid, resource: { default_chat_service_sid: service_sid } }
  const users = usersOf(population.rows)
  for (let i = 0; i < users; i++) {
    yield {
      kind: 'user',
      ...within,
      resource: {
        ...sided('US', i),
        identity: identityOf(i),
        friendly_name: `User ${i}`,
        attributes: '{}',
        role_sid: person,
        ...old,
      },
    }
  }
  for (let i = 0; i < conversations; i++) yield* conversation(population, i, users, nowMs)
}

function* conversation(population: Population, i: number, users: number, nowMs: number): Generator<Json> {
  const conversation_sid = sidOf(population, i)
  const within = { account_sid, chat_service_sid: service_sid }
  const created = createdAt(population, i)
  const last = created + (messagesEach - 1) * 60_000
  const user = i % users
  const state = i % 3 === 0 ? 'active' : 'closed'
  const timer = state === 'active' && i % 2 === 0 ? last + 400 * dayMs : null
  yield {
    kind: 'conversation',
    ...within,
    resource: {
      sid: conversation_sid,
      messaging_service_sid: `MG${'b'.repeat(32)}`,
      friendly_name: `Order ${i}`,
      unique_name: nameOf(i),
      attributes: attributesOf(i),
      state,
      timers: timer === null || timer < nowMs ? {} : { date_closed: textOf(timer) },
      bindings: {},
      ...datesOf(created),
    },
    extra: {
      last_message_index: messagesEach - 1,
      date_activity: last,
      date_state: created,
      ...(timer !== null && timer >= nowMs && { date_closed: timer, closed_after: 'P400D' }),
      created_by: 'system',
    },
  }
  const agent = sided('MB', 2 * i)
  const customer = sided('MB', 2 * i + 1)
  const hasPhone = i % withPhone === 0
  const reads = { last_read_message_index: i % messagesEach, last_read_timestamp: textOf(last) }
  const plain = { attributes: '{}', role_sid: member, ...datesOf(created) }
  yield {
    kind: 'participant',
    ...within,
    conversation_sid,
    resource: { ...agent, identity: identityOf(user), messaging_binding: null, ...reads, ...plain },
    extra: { last_read_timestamp: last },
  }
  const binding = { type: 'sms', address: phoneOf(i), proxy_address: '+15560000000' }
  if (hasPhone) {
    yield {
      kind: 'participant',
      ...within,
      conversation_sid,
      resource: {
        ...customer,
        identity: null,
        messaging_binding: binding,
        last_read_message_index: null,
        last_read_timestamp: null,
        ...plain,
      },
    }
  }
  for (let n = 0; n < messagesEach; n++) {
    // One message of those with a phone was sent to it.
    const isSent = hasPhone && n === messagesEach - 1
    const at = datesOf(created + n * 60_000)
    const message = sided('IM', i * messagesEach + n)
    yield {
      kind: 'message',
      ...within,
      conversation_sid,
      resource: {
        ...message,
        index: n,
        author: identityOf(user),
        body: `Message ${n} of ${i}: my order has not arrived yet, could you please tell me where it is?`,
        media: null,
        attributes: '{}',
        participant_sid: agent.sid,
        delivery: isSent ? { total: 1, sent: 'all', delivered: 'all', read: 'none', failed: 'none', undelivered: 'none' } : null,
        content_sid: null,
        ...at,
      },
    }
    if (!isSent) continue
    const receipt = { status: 'delivered', error_code: 0, channel_message_sid: `SM${message.sid.slice(2)}`, ...at }
    yield {
      kind: 'receipt',
      ...within,
      conversation_sid,
      message_sid: message.sid,
      resource: { ...sided('DY', i), participant_sid: customer.sid, ...receipt },
    }
  }
}

export function usersOf(conversations: number): number {
  return Math.ceil(conversations / conversationsEach)
}

export function identityOf(i: number): string {
  return `user-${String(i).padStart(7, '0')}`
}

export function phoneOf(i: number): string {
  return `+1555${String(i).padStart(7, '0')}`
}

/** Epoch ms, of a whole second. */
export function createdAt(population: Population, i: number): number {
  return secondsOf(population.base_ms + i * population.step_ms)
}

export function sided(prefix: string, i: number): { readonly sid: string } {
  return { sid: `${prefix}${i.toString(16).padStart(32, '0')}` }
}

function secondsOf(ms: number): number {
  return Math.floor(ms / 1000) * 1000
}

/** As the API shows it. */
function textOf(ms: number): string {
  return new Date(secondsOf(ms)).toISOString().replace('.000Z', 'Z')
}

function datesOf(ms: number) {
  const at = textOf(ms)
  return { date_created: at, date_updated: at }
}
