import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import { type Access, callerOf, type Right, sees } from '../api/rights.ts'
import { milliseconds } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { searchedTables, searchProgress } from '../model/search-backfill.ts'
import { registry } from '../resources/index.ts'
import { prefixOf } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { conversationBySid, messageBySid, participantBySid, userBySid } from '../storage/lookups.ts'
import { findDocuments, maxCounted, newest, type SearchHit, type SearchRequest, type SearchResult } from '../storage/search.ts'
import { type Piece, parseQuery, type Query, snippetOf } from '../words.ts'
import { needs } from './access.ts'
import { searchIsOff } from './replies.ts'
import { errors, instant, type OperationSchema, object, response, shortText, sid } from './schemas.ts'

const types = ['conversation', 'participant', 'user', 'message'] as const
type HitType = (typeof types)[number]

const prefixOfType: Readonly<Record<HitType, string>> = {
  conversation: prefixOf('conversation'),
  participant: prefixOf('participant'),
  user: prefixOf('user'),
  message: prefixOf('message'),
}

interface SearchQuery {
  q: string
  type?: HitType | 'person'
  account_sid?: string
  service_sid?: string
  before?: string
  limit?: number
}

const text = { type: ['string', 'null'] } as const

const hit = object('SearchHit', {
  type: { type: 'string', enum: types },
  sid: { type: 'string', description: 'SID of what was found' },
  account_sid: sid('account', 'SID of its account'),
  service_sid: sid('service', 'SID of its service'),
  conversation_sid: { ...text, description: 'The conversation that it is, or is in; null for a user' },
  conversation_name: { ...text, description: 'Friendly or unique name of the conversation' },
  name: { ...text, description: 'Who it is, or who has written it: an identity or an address' },
  message_index: { type: ['integer', 'null'], description: 'Of a message' },
  field: { type: 'string', description: 'Which of its texts matches' },
  snippet: {
    type: 'array',
    description: 'The part of the text that matches, in pieces. It is text, not HTML',
    items: object('SnippetPiece', { text: { type: 'string' }, match: { type: 'boolean' } }),
  },
  date_created: instant,
})

const search: OperationSchema = {
  operationId: 'search',
  summary: 'Search names, identities, addresses and texts',
  description:
    'Finds what contains all words, in whatever case and with or without accents; the last word may be the beginning of one. The latest ' +
    'first. A phone number is found with and without `+` and however it is grouped. Texts of Chinese, Japanese, Korean and Thai are found ' +
    'by any part of them. The first 16 words count.',
  tags: ['Conversations'],
  querystring: {
    type: 'object',
    properties: {
      q: { ...shortText, minLength: 1, description: 'What to look for: words, a number, an address' },
      type: { type: 'string', enum: [...types, 'person'], description: 'What to find; `person`: participants and users' },
      account_sid: { ...shortText, description: 'Only of this account; by default of all' },
      service_sid: { ...shortText, description: 'Only of this service' },
      before: { type: 'string', pattern: '^-?\\d{1,15}$', description: 'The `next_before` of the previous page' },
      limit: { type: 'integer', minimum: 1, maximum: 100, default: 20 },
    },
    required: ['q'],
    additionalProperties: false,
  },
  response: {
    200: response(
      'A page of what was found',
      object('SearchPage', {
        hits: { type: 'array', items: hit },
        next_before: { ...text, description: 'Null on the last page. A page before it may have fewer than `limit`' },
        total: {
          type: 'integer',
          description: `How many there are from here on, counted as far as it costs little, at most up to ${maxCounted}`,
        },
        total_capped: { type: 'boolean', description: 'Whether there may be more than `total`' },
        complete: { type: 'boolean', description: 'False while what was there before the index is still being added to it' },
      }),
    ),
    ...errors(400, 409),
  },
}

const config = { access: { ...needs('read', 'own').access, also: forMessages } }

function forMessages({ query }: Pick<FastifyRequest, 'query'>): Right | null {
  return typeof query === 'object' && query !== null && 'type' in query && query.type === 'message' ? 'text' : null
}

/** The operator's search, over all accounts. */
export function searchRoutes({
  database,
  config: { search: isOn },
}: Pick<Installation, 'database' | 'config'>): FastifyPluginAsync {
  const { read } = database
  return async (routes) => {
    routes.get<{ Querystring: SearchQuery }>('/search', { schema: search, config }, async (request, reply) => {
      const { query } = request
      if (!isOn) return reply.code(409).send({ error: searchIsOff })
      const parsed = parseQuery(query.q)
      if (parsed.length === 0) return reply.code(400).send({ error: 'q must contain a letter, a digit or an emoji' })
      const { limit = 20, account_sid, service_sid } = query
      const caller = callerOf(request)
      const prefixes = prefixesOf(query.type, caller)
      const before = query.before === undefined ? newest : Number(query.before)
      const wanted = { query: parsed, prefixes, service_sid }
      const [{ found, total, capped, next_before }, complete] = await Promise.all([
        findInAccounts(read, wanted, accountsMeant(caller, account_sid), { before, limit: limit + 1 }),
        isComplete(read),
      ])
      const shown = found.slice(0, limit)
      const hits = await Promise.all(shown.map((document) => hitOf(read, document, parsed)))
      return {
        hits: hits.filter((each) => each !== null),
        next_before: found.length > limit ? String(shown.at(-1)?.id) : next_before === null ? null : String(next_before),
        total,
        total_capped: capped,
        complete,
      }
    })
  }
}

/** Returns the accounts that are searched; undefined stands for all of them. */
function accountsMeant(caller: Access, account_sid: string | undefined): readonly (string | undefined)[] {
  if (account_sid !== undefined) return sees(caller, account_sid) ? [account_sid] : []
  return caller.accounts === null ? [undefined] : [...caller.accounts]
}

/** Searches account by account: an operator has few. */
async function findInAccounts(
  read: Reader,
  request: Omit<SearchRequest, 'account_sid'>,
  accounts: readonly (string | undefined)[],
  page: { readonly before: number; readonly limit: number },
): Promise<SearchResult> {
  const results: SearchResult[] = []
  for (const account_sid of accounts) results.push(await findDocuments(read, { ...request, account_sid }, page))
  // One that has ended early has looked no further than there: what is older comes with the next page.
  const ends = results.flatMap(({ next_before }) => next_before ?? [])
  const nextBefore = ends.length === 0 ? null : Math.max(...ends)
  const all = results.flatMap(({ found }) => found).filter(({ id }) => nextBefore === null || id >= nextBefore)
  const total = results.reduce((sum, result) => sum + result.total, 0)
  return {
    found: all.sort((a, b) => b.id - a.id).slice(0, page.limit),
    total: Math.min(total, maxCounted),
    capped: total > maxCounted || results.some(({ capped }) => capped),
    next_before: nextBefore,
  }
}

/** Messages are found by whoever may read them. */
function prefixesOf(type: SearchQuery['type'], { rights }: Access): string[] {
  const all = rights.has('text') ? [] : types.filter((each) => each !== 'message')
  const wanted = type === undefined ? all : type === 'person' ? (['participant', 'user'] as const) : [type]
  return wanted.map((each) => prefixOfType[each])
}

async function isComplete(read: Reader): Promise<boolean> {
  const all = await Promise.all(searchedTables(registry).map((name) => read.one(searchProgress, { name })))
  return all.every((progress) => progress?.place === null)
}

interface Found {
  readonly type: HitType
  readonly name: string | null
  readonly message_index: number | null
  readonly date_created: number
  /** What is searched of it, by field. */
  readonly texts: Readonly<Record<string, string | null>>
}

/** Reads what a document is about; null when it is gone, or its conversation is. */
async function hitOf(read: Reader, document: SearchHit, query: Query) {
  const { service_sid, sid } = document
  const conversation_sid = sid.startsWith(prefixOfType.conversation) ? sid : document.conversation_sid
  const [found, conversation] = await Promise.all([
    rowOf(read, document),
    conversation_sid === null ? undefined : read.one(conversationBySid, { service_sid, sid: conversation_sid }),
  ])
  if (!found || (conversation_sid !== null && !conversation)) return null
  const { type, name, message_index, date_created, texts } = found
  const { field, snippet } = bestOf(texts, query)
  return {
    type,
    sid,
    account_sid: document.account_sid,
    service_sid,
    conversation_sid,
    conversation_name: conversation?.friendly_name ?? conversation?.unique_name ?? null,
    name,
    message_index,
    field,
    snippet,
    date_created: milliseconds(date_created),
  }
}

/** The text with the most matches, else the first there is: a number may match by its digits alone. */
function bestOf(texts: Found['texts'], query: Query): { field: string; snippet: readonly Piece[] } {
  const there = Object.entries(texts).flatMap(([field, text]) => (text === null || text === '' ? [] : [{ field, text }]))
  const matching = there.flatMap(({ field, text }) => {
    const snippet = snippetOf(text, query)
    return snippet ? [{ field, snippet }] : []
  })
  const matches = (snippet: readonly Piece[]) => snippet.filter(({ match }) => match).length
  const [best] = matching.toSorted((a, b) => matches(b.snippet) - matches(a.snippet))
  const [first = { field: '', text: '' }] = there
  return best ?? { field: first.field, snippet: [{ text: first.text.slice(0, 200).toWellFormed(), match: false }] }
}

async function rowOf(read: Reader, { service_sid, conversation_sid, sid }: SearchHit): Promise<Found | undefined> {
  const inConversation = { service_sid, conversation_sid: conversation_sid ?? '', sid }
  switch (sid.slice(0, 2)) {
    case prefixOfType.message: {
      const row = await read.one(messageBySid, inConversation)
      if (!row) return undefined
      const { author, message_index, date_created, body, subject } = row
      return { type: 'message', name: author, message_index, date_created, texts: { body, subject } }
    }
    case prefixOfType.participant: {
      const row = await read.one(participantBySid, inConversation)
      if (!row) return undefined
      const { identity, address, address_as_given, binding_name, date_created } = row
      const texts = { identity, address: address_as_given ?? address, name: binding_name }
      return { type: 'participant', name: identity ?? address, message_index: null, date_created, texts }
    }
    case prefixOfType.user: {
      const row = await read.one(userBySid, { service_sid, sid })
      if (!row) return undefined
      const { identity, friendly_name, date_created } = row
      return { type: 'user', name: identity, message_index: null, date_created, texts: { friendly_name, identity } }
    }
    default: {
      const row = await read.one(conversationBySid, { service_sid, sid })
      if (!row) return undefined
      const { friendly_name, unique_name, email_address, date_created } = row
      const texts = { friendly_name, unique_name, email_address }
      return { type: 'conversation', name: null, message_index: null, date_created, texts }
    }
  }
}
