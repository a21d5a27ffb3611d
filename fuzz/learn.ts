import type { Answer } from './answers.ts'
import type { LiveRows } from './live-rows.ts'
import type { Asked, Plan } from './plan.ts'
import { Random } from './random.ts'
import type { World } from './surroundings.ts'

type Json = Readonly<Record<string, unknown>>

/** Of a list, no more: its rows come again with every request for it. */
const max_learned = 5

/** Takes note of rows that an answer shows to be there, or to be gone. */
export function learn(seed: number, plan: Plan, { status, body }: Answer, world: World): void {
  if (plan.as === 'nobody' || plan.denied) return
  const random = new Random(seed ^ 0x5eed, plan.index)
  const rows = world.rows[plan.as]
  if (plan.as === 'operator') learnAdmin(plan, status, body, rows, random)
  else if (plan.label.startsWith('media ')) learnMedia(plan, status, body, rows, random)
  else if (plan.asked) learnApi(plan.asked, status, body, rows, random)
}

function learnApi(asked: Asked, status: number, body: Buffer, rows: LiveRows, random: Random): void {
  const { at, service, keys } = asked
  // Of a collection it is the row above that is gone.
  if (status === 404 && keys.length > 0) rows.forget(at.instance ? at.collection : at.parent, { service, keys })
  if (status === 204) rows.remove(at.collection, { service, keys })
  if (status === 201 || (status === 200 && at.operation.method === 'GET')) learnBody(asked, json(body), rows, random)
  if (status === 200 && at.collection === 'Configuration') rows.default_service = text(json(body).default_chat_service_sid)
}

function learnBody({ at, service, keys }: Asked, body: Json, rows: LiveRows, random: Random): void {
  const { list } = at.operation
  const parent = at.instance ? keys.slice(0, -1) : keys
  for (const item of list === undefined ? [body] : items(body, list)) addRow(at.collection, service, parent, item, rows, random)
  const next = text((body.meta as Json | undefined)?.next_page_url)
  const token = /[?&]PageToken=([^&]+)/.exec(next)?.[1]
  if (token !== undefined) rows.addToken(at.collection, decodeURIComponent(token))
}

function addRow(
  collection: string,
  service: string,
  parent: readonly string[],
  item: Json,
  rows: LiveRows,
  random: Random,
): void {
  for (const [name, keys] of rowsIn(collection, parent, item)) rows.add(name, { service, keys }, random)
  // Names are keys as well.
  const name = text(item.unique_name) || (collection === 'Users' ? text(item.identity) : '')
  if (name !== '' && random.chance(0.3)) rows.add(collection, { service, keys: [name] }, random)
}

function rowsIn(collection: string, parent: readonly string[], item: Json): readonly (readonly [string, readonly string[]])[] {
  const sid = text(item.sid)
  // A membership has no sid of its own, a conversation made with its participants is a conversation.
  if (collection === 'Users/Conversations') return [[collection, [...parent, text(item.conversation_sid)]]]
  if (collection === 'ConversationWithParticipants') return [['Conversations', [sid]]]
  if (sid === '') return []
  const identity = collection === 'Conversations/Participants' ? text(item.identity) : ''
  const membership = [['Users/Conversations', [identity, parent[0] ?? '']]] as const
  return [[collection, [...parent, sid]], ...(identity === '' ? [] : membership)]
}

function learnMedia({ target, method }: Plan, status: number, body: Buffer, rows: LiveRows, random: Random): void {
  const [, service = '', key = ''] = /\/Services\/(IS\w+)\/Media(?:\/(ME\w+))?/.exec(target) ?? []
  if (status === 201) rows.add('Media', { service, keys: [text(json(body).sid)] }, random)
  if (status === 204 && method === 'DELETE') rows.remove('Media', { service, keys: [key] })
}

function learnAdmin({ label, target, method }: Plan, status: number, body: Buffer, rows: LiveRows, random: Random): void {
  const add = (collection: string, keys: readonly string[]) => rows.add(collection, { service: '', keys }, random)
  const [, account = '', key = ''] = /\/accounts\/(AC\w+)(?:\/keys\/(\w+))?/.exec(target) ?? []
  const answer = status < 300 && body.length > 0 ? json(body) : {}
  if (label === 'admin createAccount' && status === 201) add('accounts', [text(answer.sid)])
  if (label === 'admin deleteAccount' && status === 204) rows.forget('accounts', { service: '', keys: [account] })
  if (label.startsWith('admin create') && target.endsWith('/keys') && status === 201) add('keys', [account, text(answer.sid)])
  if (method === 'DELETE' && key !== '' && status === 204) rows.forget('keys', { service: '', keys: [account, key] })
  for (const { id } of items(answer, 'deliveries')) add('deliveries', [text(id)])
}

function json(body: Buffer): Json {
  try {
    const parsed: unknown = JSON.parse(body.toString())
    return typeof parsed === 'object' && parsed !== null ? (parsed as Json) : {}
  } catch {
    return {}
  }
}

function items(body: Json, list: string): readonly Json[] {
  const found = body[list]
  return Array.isArray(found) ? (found as readonly Json[]).slice(0, max_learned) : []
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}
