import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { Right } from '../api/rights.ts'
import type { Timers } from '../background/timers.ts'
import { milliseconds, parseInstant } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { canonicalAddress } from '../resources/conversations/address-formats.ts'
import { isSid, prefixOf } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { conversationBySid, serviceBySid } from '../storage/lookups.ts'
import { divided, mergedPage } from '../storage/merged.ts'
import { type ConversationRow, type ConversationState, conversationStates } from '../storage/schema.ts'
import { findDocuments, newest, type SearchRequest } from '../storage/search.ts'
import { type Builder, type Shape, shape } from '../storage/shapes.ts'
import { parseQuery } from '../words.ts'
import { needsInQueriedService, needsInService } from './access.ts'
import { notFound, searchIsOff } from './replies.ts'
import { bodyErrors, errors, instant, type OperationSchema, object, path, response, shortText, sid } from './schemas.ts'

/** Rows read at a time, and in all for one page, when a filter has no index. */
const window = 500
const maxWindows = 10

/** Messages with the words that are read at a time. */
const textWindow = 200

const shown = [
  'sid',
  'account_sid',
  'service_sid',
  'friendly_name',
  'unique_name',
  'state',
  'date_inactive',
  'date_closed',
  'last_message_index',
  'removed_messages',
  'date_activity',
  'date_created',
] as const satisfies readonly (keyof ConversationRow)[]

type Row = Pick<ConversationRow, (typeof shown)[number]>

interface Query {
  service_sid: string
  state?: ConversationState
  name?: string
  identity?: string
  address?: string
  text?: string
  from?: string
  to?: string
  before?: string
  limit?: number
}

interface Args {
  readonly service_sid: string
  readonly state: ConversationState
  readonly who: string
  readonly key: number
  readonly sid: string
  readonly limit: number
}

const text = { type: ['string', 'null'] } as const
const date = { type: ['string', 'null'], format: 'date-time' } as const

const conversation = object('ConversationSummary', {
  sid: sid('conversation', 'SID of the conversation'),
  account_sid: sid('account', 'SID of its account'),
  service_sid: sid('service', 'SID of its service'),
  friendly_name: text,
  unique_name: text,
  state: { type: 'string', enum: conversationStates },
  date_inactive: { ...date, description: 'When the timer makes it inactive; null while none is running' },
  date_closed: { ...date, description: 'When the timer closes it; null while none is running' },
  messages: { type: 'integer', description: 'How many messages it has' },
  date_activity: { ...instant, description: 'Its last message, or else its creation' },
  date_created: instant,
})

const listConversations: OperationSchema = {
  operationId: 'listConversations',
  summary: 'Find conversations of a service',
  description:
    'The latest activity first; with `identity` or `address`, the latest created first; with `text`, the one with the ' +
    'latest message that has the words. `/v1` has everything else about them: ' +
    'see the header `X-Parley-Account`.',
  tags: ['Conversations'],
  querystring: {
    type: 'object',
    properties: {
      service_sid: { ...shortText, description: 'The service' },
      state: { type: 'string', enum: conversationStates },
      name: { ...shortText, minLength: 1, description: 'Part of its friendly or unique name, in whatever case' },
      identity: { ...shortText, minLength: 1, description: 'The identity of a participant' },
      address: { ...shortText, minLength: 1, description: 'The address of a participant' },
      text: {
        ...shortText,
        minLength: 1,
        description: 'Words in its messages, as `q` of the search. A conversation may come again on a later page',
      },
      from: { ...shortText, description: 'The earliest activity, as an ISO 8601 date' },
      to: { ...shortText, description: 'The latest activity, as an ISO 8601 date' },
      before: {
        type: 'string',
        pattern: '^((\\d{1,15}\\.)?CH[0-9a-f]{32}|-?\\d{1,15})$',
        description: 'The `next_before` of the previous page',
      },
      limit: { type: 'integer', minimum: 1, maximum: 100, default: 50 },
    },
    required: ['service_sid'],
    additionalProperties: false,
  },
  response: {
    200: response(
      'A page of conversations',
      object('ConversationPage', {
        conversations: { type: 'array', items: conversation },
        next_before: {
          type: ['string', 'null'],
          description: `Null on the last page. A page before it may have fewer than \`limit\`: it ends when ${window * maxWindows} were looked at`,
        },
      }),
    ),
    ...errors(400, 404, 409),
  },
}

const reopen: OperationSchema = {
  operationId: 'reopenConversation',
  summary: 'Reopen a closed conversation',
  description:
    'It is active, with those who were in it, and its timers begin anew. `/v1` has no such change: no webhook is sent. It is refused with ' +
    '409 while an address pair of it, or its group, is in another open conversation.',
  tags: ['Conversations'],
  params: path({ service: 'SID of the service', sid: 'SID of the conversation' }),
  response: { 200: response('The conversation', conversation), ...bodyErrors(404, 409) },
}

/** By activity. The key and the SID are the place of the previous row. */
function byActivity(db: Builder, a: Args) {
  return db
    .selectFrom('conversations')
    .select(shown)
    .where('service_sid', '=', a.service_sid)
    .where(({ eb, refTuple, tuple }) => eb(refTuple('date_activity', 'sid'), '<', tuple(a.key, a.sid)))
}

/** With a lower bound as well, SQLite would take another index: the list ends in `readPage`. */
function pageByActivity(db: Builder, a: Args, lists: Parameters<typeof mergedPage<Row>>[1]) {
  return mergedPage(db, lists, (list) => list.orderBy('date_activity', 'desc').orderBy('sid', 'desc').limit(a.limit))
}

function ofParticipant(column: 'identity' | 'address'): Shape<Args, Row> {
  return shape<Args>()((db, a) =>
    db
      .selectFrom('participants as p')
      .innerJoin('conversations as c', (join) =>
        join.onRef('c.service_sid', '=', 'p.service_sid').onRef('c.sid', '=', 'p.conversation_sid'),
      )
      .select(shown.map((name) => `c.${name}` as const))
      .where('p.service_sid', '=', a.service_sid)
      .where(`p.${column}`, '=', a.who)
      .where('p.conversation_sid', '<', a.sid)
      .orderBy('p.conversation_sid', 'desc')
      .limit(a.limit),
  )
}

const queries = {
  any: shape<Args>()((db, a) =>
    pageByActivity(db, a, divided(db, byActivity(db, a), { column: 'state', values: conversationStates })),
  ),
  state: shape<Args>()((db, a) => pageByActivity(db, a, [byActivity(db, a).where('state', '=', a.state)])),
  identity: ofParticipant('identity'),
  address: ofParticipant('address'),
} as const

/** Behind all SIDs. */
const lastSid = 'CHg'

/** Where a list begins. */
const top = { key: Number.MAX_SAFE_INTEGER, sid: lastSid }

interface Wanted {
  readonly query: Shape<Args, Row>
  readonly args: Args
  readonly size: number
  /** What no index has. */
  readonly filter: (row: Row) => boolean
  /** Whether this row, and all after it, are too old. */
  readonly isBehind: (row: Row) => boolean
}

/** Reads one page. It ends, with what was found, after a bounded number of rows that were looked at. */
async function readPage(read: Reader, { query, args: first, size, filter, isBehind }: Wanted) {
  const found: Row[] = []
  let args: Args = { ...first, limit: Math.min(window, size + 1) }
  for (let i = 0; i < maxWindows; i++) {
    if (i > 0) await turn()
    const rows = await read.all(query, args)
    for (const [at, row] of rows.entries()) {
      if (isBehind(row)) return { rows: found, next: null }
      // Somebody may be in a conversation by several proxy addresses.
      if (row.sid === found.at(-1)?.sid || !filter(row)) continue
      // There is one more: the page ends with the row before it.
      if (found.length === size) return { rows: found, next: at === 0 ? args : placeOf(rows[at - 1] ?? row) }
      found.push(row)
    }
    const last = rows.at(-1)
    if (!last || rows.length < args.limit) return { rows: found, next: null }
    args = { ...args, ...placeOf(last), limit: window }
  }
  return { rows: found, next: args }
}

function placeOf({ date_activity, sid }: Row) {
  return { key: date_activity, sid }
}

/** Reads one page of the conversations whose messages have the words, as `readPage` does. */
async function readWithText(
  read: Reader,
  request: Omit<SearchRequest, 'prefixes'>,
  wanted: Pick<Wanted, 'size' | 'filter'> & { before: number },
) {
  const found = new Map<string, Row>()
  const seen = new Set<string>()
  let { before } = wanted
  for (let i = 0; i < maxWindows; i++) {
    if (i > 0) await turn()
    const { found: documents, next_before } = await findDocuments(
      read,
      { ...request, prefixes: [prefixOf('message')] },
      { before, limit: textWindow, most: textWindow },
    )
    const sids = [...new Set(documents.flatMap(({ conversation_sid }) => conversation_sid ?? []))].filter((sid) => !seen.has(sid))
    const rows = await Promise.all(
      sids.map((sid) => read.one(conversationBySid, { service_sid: request.service_sid ?? '', sid })),
    )
    const bySid = new Map(rows.flatMap((row) => (row && wanted.filter(row) ? [[row.sid, row]] : [])))
    for (const { id, conversation_sid } of documents) {
      const row = bySid.get(conversation_sid ?? '')
      if (row && !found.has(row.sid)) {
        if (found.size === wanted.size) return { rows: [...found.values()], next: before }
        found.set(row.sid, row)
      }
      before = id
    }
    for (const sid of sids) seen.add(sid)
    // Very much was looked at: the next page goes on there.
    if (next_before !== null) return { rows: [...found.values()], next: next_before }
    if (documents.length < textWindow) return { rows: [...found.values()], next: null }
  }
  return { rows: [...found.values()], next: before }
}

/** Which conversations have a word tells what is written in them. */
function forTexts({ query }: Pick<FastifyRequest, 'query'>): Right | null {
  return typeof query === 'object' && query !== null && 'text' in query ? 'text' : null
}

/** What an operator looks for among the conversations of a service. */
export function conversationRoutes(
  { database, config, clock, log }: Pick<Installation, 'database' | 'config' | 'clock' | 'log'>,
  timers: Pick<Timers, 'catchUp'>,
): FastifyPluginAsync {
  const { read } = database
  return async (routes) => {
    routes.post<{ Params: { service: string; sid: string } }>(
      '/services/:service/conversations/:sid/reopen',
      { schema: reopen, config: needsInService('act', 'service') },
      async ({ params: { service: service_sid, sid } }, reply) => {
        const known = isSid('service', service_sid) && isSid('conversation', sid)
        const service = known ? await read.one(serviceBySid, { sid: service_sid }) : undefined
        if (!service) return notFound(reply)
        const now = clock.now(service.account_sid)
        const row = await database.write('reopenConversation', { service_sid, sid, now })
        if (row === undefined) return notFound(reply)
        if (row === null) return reply.code(409).send({ error: 'the conversation is not closed' })
        log.info({ conversation: sid }, 'a closed conversation was reopened by the operator')
        return toJson(row)
      },
    )

    routes.get<{ Querystring: Query }>(
      '/conversations',
      { schema: listConversations, config: needsInQueriedService('read', forTexts) },
      async ({ query }, reply) => {
        const { service_sid, identity, address, limit = 50 } = query
        const from = query.from === undefined ? 0 : parseInstant(query.from)
        const to = query.to === undefined ? top.key : parseInstant(query.to, true)
        if (from === undefined || to === undefined) {
          return reply
            .code(400)
            .send({ error: `${from === undefined ? 'from' : 'to'} must be an ISO 8601 date, such as 2030-01-01` })
        }
        if ([identity, address, query.text].filter((each) => each !== undefined).length > 1) {
          return reply.code(400).send({ error: 'identity, address and text exclude each other' })
        }
        const words = query.text === undefined ? null : parseQuery(query.text)
        if (words?.length === 0) return reply.code(400).send({ error: 'text must contain a letter, a digit or an emoji' })
        if (words && !config.search) return reply.code(409).send({ error: searchIsOff })
        const who = identity ?? (address && canonicalAddress(address))
        const place = placeIn(query.before, { key: to, sid: lastSid })
        const form = words ? /^-?\d+$/ : who === undefined ? /\./ : /^CH/
        const keyed = query.before === undefined || form.test(query.before)
        if (!keyed) return reply.code(400).send({ error: 'before must be the next_before of a page with the same filters' })
        if (!isSid('service', service_sid) || !(await read.one(serviceBySid, { sid: service_sid }))) {
          return notFound(reply, [service_sid])
        }
        // A state is compared as it is stored, so the deadlines that have passed must be applied first.
        await timers.catchUp()
        const filter = matching(query, from, to)
        if (words) {
          const before = query.before === undefined ? newest : Number(query.before)
          const page = await readWithText(read, { query: words, service_sid }, { before, size: limit, filter })
          return { conversations: page.rows.map(toJson), next_before: page.next === null ? null : String(page.next) }
        }
        const args: Args = { service_sid, state: query.state ?? 'active', who: who ?? '', ...place, limit }
        const by =
          identity !== undefined ? 'identity' : address !== undefined ? 'address' : query.state === undefined ? 'any' : 'state'
        const page = await readPage(read, {
          ...{ query: queries[by], args, size: limit, filter },
          isBehind: ({ date_activity }) => who === undefined && date_activity < from,
        })
        return {
          conversations: page.rows.map(toJson),
          next_before: page.next && (who === undefined ? `${page.next.key}.${page.next.sid}` : page.next.sid),
        }
      },
    )
  }
}

function placeIn(before: string | undefined, otherwise: typeof top): typeof top {
  if (before === undefined) return otherwise
  const [key = '', sid] = before.split('.')
  return sid === undefined ? { ...top, sid: key } : { key: Number(key), sid }
}

function matching({ name, state, identity, address, text }: Query, from: number, to: number): (row: Row) => boolean {
  const part = name?.toLowerCase()
  const unordered = identity !== undefined || address !== undefined || text !== undefined
  return (row) => {
    if (unordered && state !== undefined && row.state !== state) return false
    if (unordered && (row.date_activity < from || row.date_activity > to)) return false
    if (part === undefined) return true
    return [row.friendly_name, row.unique_name].some((each) => each?.toLowerCase().includes(part))
  }
}

function toJson(row: Row) {
  return {
    sid: row.sid,
    account_sid: row.account_sid,
    service_sid: row.service_sid,
    friendly_name: row.friendly_name,
    unique_name: row.unique_name,
    state: row.state,
    date_inactive: row.date_inactive === null ? null : milliseconds(row.date_inactive),
    date_closed: row.date_closed === null ? null : milliseconds(row.date_closed),
    messages: row.last_message_index + 1 - row.removed_messages,
    date_activity: milliseconds(row.date_activity),
    date_created: milliseconds(row.date_created),
  }
}
