import { setTimeout as delay } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { expect } from 'vitest'
import { inspect } from '../support/databases.ts'
import type { Node, Nodes } from '../support/nodes.ts'
import type { Caught, WebhookCatcher } from '../support/webhook-catcher.ts'
import { attributesOf, type Kept, type Ledger, type Load, withoutUrls } from './load.ts'

/** Longer than a lease, and than two beats in which nobody takes what has run out, on a busy machine. */
const patience_ms = 100_000
const look_again_ms = 50
/** A bound against hangs: a connection that swallows everything is given up after six seconds, and so may be the next. */
const longest_answer_ms = 60_000

/** Looks until it is so. Not `expect.poll`, which knows one test at a time. */
export async function eventually<T>(look: () => T | Promise<T>, expected: Awaited<T>): Promise<void> {
  const deadline = performance.now() + patience_ms
  for (;;) {
    const seen = await look()
    if (isDeepStrictEqual(seen, expected)) return
    if (performance.now() > deadline) expect(seen).toEqual(expected)
    await delay(look_again_ms)
  }
}

/** Resolves when every node takes writes again, by itself. */
export async function recovered({ all }: Nodes): Promise<void> {
  const living = all.filter(({ alive }) => alive)
  await eventually(
    () => Promise.all(living.map(readiness)),
    living.map(() => 200),
  )
}

export async function readiness(node: Node): Promise<number> {
  return (await node.call('GET', '/readyz')).status
}

/** Resolves when nothing waits to be told any more: what has not arrived by then never will. */
export async function settled({ database }: Nodes): Promise<void> {
  await using look = lookInto(database)
  const pending = async () => (await look.query("select id from deliveries where status = 'pending' limit 1")).length
  await eventually(pending, 0)
}

export function lookInto(database: string) {
  return inspect({ database: { engine: 'postgres', url: database }, dataDir: null })
}

type Found = Record<string, unknown>

/** All rows of a list, as a node answers it. */
export async function listed(node: Node, path: string, key: string): Promise<Found[]> {
  const rows: Found[] = []
  for (let next: string | null = `${path}?PageSize=1000`; next !== null; ) {
    const { status, body } = await node.call('GET', next)
    expect(status).toBe(200)
    rows.push(...body[key])
    const following: string | null = body.meta.next_page_url
    next = following === null ? null : following.slice(new URL(following).origin.length)
  }
  return rows
}

export interface Checked {
  readonly conversations: number
  readonly messages: number
  readonly events: number
  readonly repeated: number
}

/** Holds what is there and what was told against what the writers were answered. `once`: no event may have come twice. */
export async function verify(nodes: Nodes, load: Load, catcher: WebhookCatcher, { once }: { once: boolean }): Promise<Checked> {
  const { ledger, shared } = load
  expect(ledger.wrong).toEqual([])
  expect(ledger.longest_ms).toBeLessThan(longest_answer_ms)
  await settled(nodes)
  const asked = nodes.all.find(({ alive }) => alive) as Node
  const conversations = (await listed(asked, '/v1/Conversations', 'conversations')).filter(
    ({ friendly_name }) => !String(friendly_name).startsWith('shared '),
  )
  const told = byToken(catcher)
  expectKept(conversations, ledger.conversations, ledger.unknown, 'friendly_name')
  const messages: Found[] = []
  for (const path of shared) {
    const here = await listed(asked, `${path}/Messages`, 'messages')
    expect(here.map(({ index }) => index)).toEqual(here.map((_, i) => i))
    expectMessagesInOrder(told, path, here)
    messages.push(...here)
  }
  expectKept(messages, ledger.messages, ledger.unknown, 'body')
  expectTold(told, ledger, conversations, messages)
  await expectInOrder(nodes, told)
  const repeated = catcher.requests.length - told.size
  if (once) expect(repeatedOnes(catcher)).toEqual([])
  expect(catcher.requests.every(({ signed }) => signed)).toBe(true)
  return { conversations: ledger.conversations.size, messages: ledger.messages.size, events: ledger.events.size, repeated }
}

/** The first arrival of each event, in order of arrival. */
function byToken({ requests }: WebhookCatcher): Map<string, Caught> {
  const first = new Map<string, Caught>()
  for (const caught of requests) {
    const token = tokenOf(caught)
    if (!first.has(token)) first.set(token, caught)
  }
  return first
}

function tokenOf({ headers }: Caught): string {
  return String(headers['i-twilio-idempotency-token'])
}

function repeatedOnes({ requests }: WebhookCatcher): string[] {
  const seen = new Set<string>()
  return requests.filter((caught) => seen.size === seen.add(tokenOf(caught)).size).map(eventOf)
}

/** As the ledger has it. */
function eventOf({ params }: Caught): string {
  const { EventType = '', ConversationSid, MessageSid, FriendlyName, Body, StateTo } = params
  if (EventType.startsWith('onMessage')) return `${EventType} ${MessageSid} ${Body}`
  return `${EventType} ${ConversationSid} ${EventType === 'onConversationStateUpdated' ? StateTo : FriendlyName}`
}

/** Nothing answered is missing or changed, nothing is there that nobody wrote, and nothing twice. */
function expectKept(found: readonly Found[], kept: ReadonlyMap<string, Kept>, unknown: ReadonlySet<string>, text: string): void {
  const rows = new Map(found.map((row) => [row.sid as string, row]))
  expect(rows.size).toBe(found.length)
  const missing = [...kept].filter(([sid]) => !rows.has(sid)).map(([sid, one]) => `${sid} ${one.text}`)
  expect(missing).toEqual([])
  for (const [sid, row] of rows) {
    const own = row[text] as string
    // Written wholly or not at all.
    expect(row.attributes).toBe(attributesOf(own))
    const one = kept.get(sid)
    if (!one) expect(unknown, `${text} ${own}`).toContain(own)
    else if (one.text === own) expect(shown(row, one)).toEqual(shown(one.body, one))
    else expect(one.possible).toContain(own)
  }
  const texts = found.map((row) => row[text])
  expect(new Set(texts).size).toBe(texts.length)
}

/** Without what timers do. */
function shown(row: Found, { timed }: Kept): Found {
  const { state: _state, timers: _timers, date_updated: _date, ...rest } = withoutUrls(row)
  return timed ? rest : withoutUrls(row)
}

/** Each answered write was told, each row that is there too, each of them as one event; nothing was told that is not there. */
function expectTold(
  told: ReadonlyMap<string, Caught>,
  ledger: Ledger,
  conversations: readonly Found[],
  messages: readonly Found[],
): void {
  const times = new Map<string, number>()
  for (const event of [...told.values()].map(eventOf)) times.set(event, (times.get(event) ?? 0) + 1)
  expect([...ledger.events].filter((event) => !times.has(event))).toEqual([])
  expect([...times].filter(([, count]) => count > 1)).toEqual([])
  const there = new Set([...conversations, ...messages].map(({ sid }) => sid))
  const added = [...told.values()].filter(({ params }) => /^on(Message|Conversation)Added$/.test(params.EventType ?? ''))
  const told_of = new Set(added.map(({ params }) => params.MessageSid ?? params.ConversationSid))
  expect([...there].filter((sid) => !told_of.has(sid as string))).toEqual([])
  const own = added.filter(({ params }) => !params.FriendlyName?.startsWith('shared '))
  expect(own.filter(({ params }) => !there.has(params.MessageSid ?? params.ConversationSid)).map(eventOf)).toEqual([])
}

/** In a conversation messages are told in the order of their indexes. */
function expectMessagesInOrder(told: ReadonlyMap<string, Caught>, path: string, messages: readonly Found[]): void {
  const sid = path.slice(path.lastIndexOf('/') + 1)
  const indexes = [...told.values()]
    .filter(({ params }) => params.EventType === 'onMessageAdded' && params.ConversationSid === sid)
    .map(({ params }) => Number(params.Index))
  expect(indexes).toEqual(messages.map((_, i) => i))
}

/** Whatever is told of a conversation arrives in the order in which it was committed. */
async function expectInOrder({ database }: Nodes, told: ReadonlyMap<string, Caught>): Promise<void> {
  await using look = lookInto(database)
  const rows = (await look.query(
    'select subject_sid, target_sid, idempotency_token, status from deliveries order by id',
  )) as Record<'subject_sid' | 'target_sid' | 'idempotency_token' | 'status', string>[]
  expect(rows.filter(({ status }) => status !== 'delivered')).toEqual([])
  expect(rows.length).toBe(told.size)
  const committed = grouped(rows.map((row) => [`${row.target_sid} ${row.subject_sid}`, row.idempotency_token]))
  const subject = new Map(rows.map((row) => [row.idempotency_token, `${row.target_sid} ${row.subject_sid}`]))
  const arrived = grouped([...told.keys()].map((token) => [subject.get(token) ?? 'of nobody', token]))
  for (const [key, tokens] of committed) expect(arrived.get(key), key).toEqual(tokens)
}

function grouped(pairs: readonly (readonly [string, string])[]): Map<string, string[]> {
  const groups = new Map<string, string[]>()
  for (const [key, value] of pairs) {
    const group = groups.get(key)
    if (group) group.push(value)
    else groups.set(key, [value])
  }
  return groups
}

/** Moves the clock of the whole installation by one node; the others show the new time with their next answer. */
export async function moveClock(by: Node, others: readonly Node[], advance: string): Promise<void> {
  const moved = await by.admin('POST', '/clock', { advance })
  expect(moved.status, JSON.stringify(moved.body)).toBe(200)
  const now = Date.parse(moved.body.now)
  const made = await Promise.all(others.map((node) => node.call('POST', '/v1/Users', { Identity: `${node.name} ${now}` })))
  for (const { status, body } of made) {
    expect(status).toBe(201)
    // Whole seconds.
    expect(Date.parse(body.date_created)).toBeGreaterThanOrEqual(now - 1000)
  }
}

/** Every conversation with timers has become inactive and has been closed, and each of it was told as one event. */
export async function verifyTimers(nodes: Nodes, { ledger }: Load, catcher: WebhookCatcher): Promise<number> {
  const timed = [...ledger.conversations].filter(([, { timed }]) => timed)
  await settled(nodes)
  const asked = nodes.all.find(({ alive }) => alive) as Node
  const states = new Map((await listed(asked, '/v1/Conversations', 'conversations')).map(({ sid, state }) => [sid, state]))
  expect(timed.filter(([sid]) => states.get(sid) !== 'closed')).toEqual([])
  const changes = [...byToken(catcher).values()].filter(({ params }) => params.EventType === 'onConversationStateUpdated')
  expect(changes.filter(({ params }) => params.Reason !== 'TIMER')).toEqual([])
  const told = grouped(changes.map(({ params }) => [params.ConversationSid ?? '', params.StateTo ?? '']))
  for (const [sid] of timed) expect(told.get(sid), sid).toEqual(['inactive', 'closed'])
  return timed.length
}
