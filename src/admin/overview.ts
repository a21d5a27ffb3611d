import type { FastifyPluginAsync } from 'fastify'
import { sql } from 'kysely'
import type { Timers } from '../background/timers.ts'
import { TestClock } from '../clock.ts'
import { milliseconds, parseInstant } from '../dates.ts'
import type { Installation } from '../installation/open.ts'
import { packageVersion } from '../package.ts'
import { isSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { accountBySid, serviceBySid } from '../storage/lookups.ts'
import { dueRows } from '../storage/rows.ts'
import type { ConversationRow } from '../storage/schema.ts'
import { type Builder, shape } from '../storage/shapes.ts'
import { notFound } from './replies.ts'
import { errors, instant, type OperationSchema, object, path, response, shortText, sid } from './schemas.ts'

const tags = ['Installation'] as const
const text = { type: ['string', 'null'] } as const
const latest = Date.UTC(9999, 0)

/** No index has the SID of a conversation alone: its key is asked for in so many services at a time, and in all. */
const servicesAtOnce = 500
const maxServices = 20_000

interface WindowArgs {
  readonly after: string
  readonly sid: string
}

function someServices(db: Builder, a: WindowArgs) {
  return db.selectFrom('services').select('sid').where('sid', '>', a.after).orderBy('sid').limit(sql.lit(servicesAtOnce))
}

const lastOfWindow = shape<WindowArgs>()((db, a) =>
  db.selectFrom(someServices(db, a).as('window')).select((eb) => eb.fn.max<string | null>('window.sid').as('sid')),
)

const conversationInWindow = shape<WindowArgs>()((db, a) =>
  db
    .selectFrom(someServices(db, a).as('window'))
    // SQLite goes through a cross join in this order.
    .crossJoin('conversations as c')
    .select(['c.account_sid', 'c.service_sid'])
    .whereRef('c.service_sid', '=', 'window.sid')
    .where('c.sid', '=', a.sid)
    .limit(1),
)

/** Returns where a conversation is, whose service nobody has said. */
export async function findConversation(read: Reader, sid: string) {
  let after = ''
  for (let looked = 0; looked < maxServices; looked += servicesAtOnce) {
    const [found, last] = await Promise.all([
      read.one(conversationInWindow, { after, sid }),
      read.one(lastOfWindow, { after, sid }),
    ])
    if (found || !last?.sid) return found
    after = last.sid
  }
  return undefined
}

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
    routes.get('/server', { schema: fetchServer }, async () => ({
      version: packageVersion(),
      engine: config.database.engine,
      first_account_sid: account.sid,
      now: milliseconds(clock.now()),
      offset_ms: clock.offset(),
      test_clock: clock instanceof TestClock,
      test_mode: config.testMode,
    }))

    routes.get<{ Querystring: { until?: string; limit?: number } }>(
      '/timers',
      { schema: listTimers },
      async ({ query: { until, limit = 50 } }, reply) => {
        const now = until === undefined ? latest : parseInstant(until, true)
        if (now === undefined) return reply.code(400).send({ error: 'until must be an ISO 8601 date, such as 2030-01-01' })
        await timers?.catchUp()
        return { timers: (await read.all(dueConversations, { now, limit })).map(timerToJson) }
      },
    )

    routes.get<{ Params: { sid: string } }>('/sids/:sid', { schema: locateSid }, async ({ params: { sid } }, reply) => {
      if (isSid('account', sid)) {
        const found = await read.one(accountBySid, { sid })
        return found
          ? { kind: 'account', account_sid: sid, service_sid: found.default_service_sid, conversation_sid: null }
          : notFound(reply)
      }
      if (isSid('service', sid)) {
        const found = await read.one(serviceBySid, { sid })
        return found
          ? { kind: 'service', account_sid: found.account_sid, service_sid: sid, conversation_sid: null }
          : notFound(reply)
      }
      const found = isSid('conversation', sid) ? await findConversation(read, sid) : undefined
      if (!found) return notFound(reply)
      const { account_sid, service_sid } = found
      return { kind: 'conversation', account_sid, service_sid, conversation_sid: sid }
    })
  }
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
