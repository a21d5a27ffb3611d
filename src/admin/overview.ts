import type { FastifyPluginAsync } from 'fastify'
import { type Access, callerOf, sees } from '../api/rights.ts'
import type { Timers } from '../background/timers.ts'
import { TestClock } from '../clock.ts'
import { milliseconds, parseInstant } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { packageVersion } from '../package.ts'
import { isSid } from '../sids.ts'
import { accountBySid, serviceBySid } from '../storage/lookups.ts'
import { dueRows } from '../storage/rows.ts'
import type { ConversationRow } from '../storage/schema.ts'
import { needs } from './access.ts'
import { findConversation } from './find-account.ts'
import { notFound } from './replies.ts'
import { errors, instant, type OperationSchema, object, path, response, shortText, sid } from './schemas.ts'

const tags = ['Installation'] as const
const text = { type: ['string', 'null'] } as const
const latest = Date.UTC(9999, 0)

/** Deadlines that are looked at for an operator who has not all accounts. */
const maxLooked = 2000

const dueConversations = dueRows<ConversationRow>('conversations')

const fetchServer: OperationSchema = {
  operationId: 'fetchServer',
  summary: 'Fetch what this server is',
  tags,
  response: {
    200: response(
      'The server',
      object('Server', {
        version: { type: 'string' },
        engine: { type: 'string', enum: ['sqlite', 'postgres'] },
        first_account_sid: sid('account', 'SID of the first account'),
        now: { ...instant, description: 'By its clock, which a test may have moved' },
        offset_ms: { type: 'integer', description: 'How far its clock is ahead of the system clock' },
        test_clock: { type: 'boolean', description: 'Whether its clock can be moved' },
        test_mode: { type: 'boolean', description: 'Whether it can be reset' },
      }),
    ),
    ...errors(),
  },
}
const listTimers: OperationSchema = {
  operationId: 'listTimers',
  summary: 'List the conversations whose timers are due next',
  description: 'Of all accounts. Deadlines are by the clock of the account.',
  tags,
  querystring: {
    type: 'object',
    properties: {
      until: { ...shortText, description: 'The latest deadline, as an ISO 8601 date' },
      limit: { type: 'integer', minimum: 1, maximum: 200, default: 50 },
    },
    additionalProperties: false,
  },
  response: {
    200: response(
      'The conversations, the earliest deadline first',
      object('TimerList', {
        timers: {
          type: 'array',
          items: object('Timer', {
            conversation_sid: sid('conversation', 'SID of the conversation'),
            account_sid: sid('account', 'SID of its account'),
            service_sid: sid('service', 'SID of its service'),
            friendly_name: text,
            state: { type: 'string' },
            next_state: { type: 'string', enum: ['active', 'inactive', 'closed'] },
            date_due: instant,
          }),
        },
      }),
    ),
    ...errors(400),
  },
}
const locateSid: OperationSchema = {
  operationId: 'locateSid',
  summary: 'Find out what a SID is of',
  description: 'Of an account, a service or a conversation.',
  tags,
  params: path({ sid: 'The SID' }),
  response: {
    200: response(
      'Where it is',
      object('Place', {
        kind: { type: 'string', enum: ['account', 'service', 'conversation'] },
        account_sid: sid('account', 'SID of its account'),
        service_sid: sid('service', 'SID of its service, or of the default service of the account'),
        conversation_sid: { type: ['string', 'null'] },
      }),
    ),
    ...errors(400, 404),
  },
}

/** What there is, and what is due next. `timers`: null where no server runs. */
export function overviewRoutes(
  { database, clock, config, account }: Installation,
  timers: Pick<Timers, 'catchUp'> | null,
): FastifyPluginAsync {
  const { read } = database
  return async (routes) => {
    routes.get('/server', { schema: fetchServer, config: needs('read', 'none') }, async (request) => ({
      version: packageVersion(),
      engine: config.database.engine,
      first_account_sid: firstOf(callerOf(request), account.sid),
      now: milliseconds(clock.now()),
      offset_ms: clock.offset(),
      test_clock: clock instanceof TestClock,
      test_mode: config.testMode,
    }))

    routes.get<{ Querystring: { until?: string; limit?: number } }>(
      '/timers',
      { schema: listTimers, config: needs('read', 'own') },
      async (request, reply) => {
        const { until, limit = 50 } = request.query
        const now = until === undefined ? latest : parseInstant(until, true)
        if (now === undefined) return reply.code(400).send({ error: 'until must be an ISO 8601 date, such as 2030-01-01' })
        await timers?.catchUp()
        const caller = callerOf(request)
        const due = await read.all(dueConversations, { now, limit: caller.accounts === null ? limit : maxLooked })
        return {
          timers: due
            .filter((row) => sees(caller, row.account_sid))
            .slice(0, limit)
            .map(timerToJson),
        }
      },
    )

    routes.get<{ Params: { sid: string } }>(
      '/sids/:sid',
      { schema: locateSid, config: needs('read', 'own') },
      async (request, reply) => {
        const { sid } = request.params
        const caller = callerOf(request)
        if (isSid('account', sid)) {
          const found = await read.one(accountBySid, { sid })
          return found && sees(caller, sid)
            ? { kind: 'account', account_sid: sid, service_sid: found.default_service_sid, conversation_sid: null }
            : notFound(reply)
        }
        if (isSid('service', sid)) {
          const found = await read.one(serviceBySid, { sid })
          return found && sees(caller, found.account_sid)
            ? { kind: 'service', account_sid: found.account_sid, service_sid: sid, conversation_sid: null }
            : notFound(reply)
        }
        const found = isSid('conversation', sid) ? await findConversation(read, sid) : undefined
        if (!found || !sees(caller, found.account_sid)) return notFound(reply)
        const { account_sid, service_sid } = found
        return { kind: 'conversation', account_sid, service_sid, conversation_sid: sid }
      },
    )
  }
}

/** The first account that there is for the caller. */
function firstOf({ accounts }: Access, first: string): string {
  return accounts === null || accounts.has(first) ? first : ([...accounts][0] ?? first)
}

function timerToJson(row: ConversationRow) {
  const next =
    row.state === 'initializing' ? (row.initial_state ?? 'active') : row.next_due === row.date_closed ? 'closed' : 'inactive'
  return {
    conversation_sid: row.sid,
    account_sid: row.account_sid,
    service_sid: row.service_sid,
    friendly_name: row.friendly_name,
    state: row.state,
    next_state: next,
    date_due: milliseconds(row.next_due ?? 0),
  }
}
