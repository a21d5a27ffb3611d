import type { FastifyPluginAsync } from 'fastify'
import { type Access, callerOf, type Right } from '../api/rights.ts'
import { milliseconds, parseInstant } from '../dates.ts'
import { readFailed } from '../delivery/failed.ts'
import type { DeliveryIdle } from '../delivery/idle.ts'
import { deliveryById, deliveryKinds, deliveryStatuses, type LogRow, readLog } from '../delivery/log.ts'
import type { Attempt } from '../delivery/record.ts'
import { hidden, responsesOf } from '../delivery/response.ts'
import { signatureHeader } from '../delivery/signature.ts'
import { requestHeaders } from '../delivery/webhook.ts'
import { untraced } from '../events/queue.ts'
import type { Installation } from '../installation/open.ts'
import { parseStored } from '../json.ts'
import type { DeliveryKind, DeliveryRow, DeliveryStatus } from '../storage/schema.ts'
import { withoutCredentials } from '../urls.ts'
import { type AccessRule, needs } from './access.ts'
import { openPlace, placeFor, placePattern } from './delivery-place.ts'
import { closedSignal, notFound } from './replies.ts'
import { bodyErrors, errors, instant, type OperationSchema, object, path, response, shortText, sid } from './schemas.ts'

interface Query {
  account_sid?: string
  service_sid?: string
  conversation_sid?: string
  status?: DeliveryStatus
  event_type?: string
  target_sid?: string
  from?: string
  to?: string
  text?: string
  /** The id of a delivery: older ones are returned. */
  before?: string
  limit?: number
  wait?: 'idle'
}

interface FailedChoice {
  since: string
  until?: string
  kind?: DeliveryKind
  account_sid?: string
  service_sid?: string
  conversation_sid?: string
  event_type?: string
  target_sid?: string
  text?: string
  after?: string
  limit: number
}

/** Deliveries that are dropped in one transaction. */
const maxDropped = 500
/** Deliveries that are sent once more in one transaction. */
const maxRedelivered = 100

const text = { type: 'string' } as const
const filter = { type: 'string', maxLength: 64 } as const
const textFilter = {
  type: 'string',
  minLength: 1,
  maxLength: 256,
  description: 'Only those of which a parameter has this text in it, in whatever case. Needs the right `text`',
} as const

const attemptProperties = {
  at: instant,
  duration_ms: { type: 'integer' },
  status: { type: ['integer', 'null'], description: 'HTTP status or SMTP reply code; null when there was no response' },
  error: { type: ['string', 'null'] },
  response: { type: ['string', 'null'], description: 'The first 1,000 characters of what a channel responded' },
} as const
const headers = { type: 'array', items: object('Header', { name: text, value: text }) } as const
const attemptDetail = object('AttemptDetail', {
  ...attemptProperties,
  response_headers: {
    ...headers,
    type: ['array', 'null'],
    description:
      'Up to 32, of 4 KiB. `(hidden)` is the value of one that may let somebody in. Null without a response to a webhook or push',
  },
  response_body: { type: ['string', 'null'], description: 'Its first 8 KiB' },
  response_truncated: { type: 'boolean', description: 'Whether the response had more headers or a longer body' },
})
const deliveryProperties = {
  id: sid('delivery', 'Id of the delivery'),
  kind: {
    type: 'string',
    enum: deliveryKinds,
    description:
      '`message`: sent by a channel; `loopback`: a message to an address that no channel carries; `push`: a notification of a device',
  },
  account_sid: text,
  service_sid: text,
  target_sid: {
    type: ['string', 'null'],
    description:
      'SID of the account, service, conversation webhook, channel or credential that it is sent to; null for `loopback`',
  },
  subject_sid: { ...text, description: 'SID of the conversation or user that the event is about; of the binding for `push`' },
  event_type: text,
  method: text,
  url: { type: ['string', 'null'], description: 'Without user name and password; null for a channel without one and for `push`' },
  message_sid: {
    type: ['string', 'null'],
    description: 'SID of the message that is sent to a channel, or that a push announces',
  },
  participant_sid: { type: ['string', 'null'], description: 'SID of the participant who receives it' },
  params: { type: 'object', additionalProperties: text, description: 'Empty for an operator who sees no texts of messages' },
  status: { type: 'string', enum: deliveryStatuses },
  attempts: { type: 'array', items: object('Attempt', attemptProperties) },
  date_created: instant,
  date_finished: { type: ['string', 'null'], format: 'date-time' },
} as const
/** As a response has it. */
export const delivery = object('Delivery', deliveryProperties)
const deliveryDetail = object('DeliveryDetail', {
  ...deliveryProperties,
  request_headers: {
    ...headers,
    type: ['array', 'null'],
    description:
      'With which the last attempt of a webhook would be made now, without those of a trace and of a challenge. The signature is `(hidden)` for ' +
      'an operator who may not send it again. Null for other kinds',
  },
  attempts: { type: 'array', items: attemptDetail },
})
const ofDelivery = path({ id: 'Id of the delivery' })
const tags = ['Deliveries'] as const

const listDeliveries: OperationSchema = {
  operationId: 'listDeliveries',
  summary: 'List deliveries of webhooks, channel messages and pushes, newest first',
  description:
    'All filters together. By date, conversation or service, and by status alone, there are indexes; for others a page looks at 20,000 ' +
    'deliveries at most, for a text at 4,000, and says `stopped_early` if there are more: follow `next_before`.',
  tags,
  querystring: {
    type: 'object',
    properties: {
      account_sid: filter,
      service_sid: filter,
      conversation_sid: filter,
      status: { type: 'string', enum: deliveryStatuses },
      event_type: filter,
      target_sid: filter,
      from: { ...shortText, description: 'Created at this ISO 8601 date or later' },
      to: { ...shortText, description: 'Created at this ISO 8601 date or earlier; a day counts as a whole' },
      text: textFilter,
      before: {
        type: 'string',
        pattern: placePattern,
        description: 'The `next_before` of the previous page, or the id of a delivery',
      },
      limit: { type: 'integer', minimum: 1, maximum: 1000, default: 50 },
      wait: {
        type: 'string',
        enum: ['idle'],
        description: '`idle`: respond when no delivery is due or under way. Only with the setting PARLEY_TEST_MODE',
      },
    },
    additionalProperties: false,
  },
  response: {
    200: response(
      'A page of deliveries',
      object('DeliveryPage', {
        deliveries: { type: 'array', items: delivery },
        next_before: {
          type: ['string', 'null'],
          description: 'Null on the last page. A page before it may have fewer than `limit`',
        },
        stopped_early: {
          type: 'boolean',
          description: 'Whether it ended because enough deliveries were looked at: older ones may match as well',
        },
      }),
    ),
    ...errors(400),
  },
}
const fetchDelivery: OperationSchema = {
  operationId: 'fetchDelivery',
  summary: 'Fetch a delivery with its request, its attempts and what was responded',
  tags,
  params: ofDelivery,
  response: { 200: response('The delivery', deliveryDetail), ...errors(400, 404) },
}
const dropDeliveries: OperationSchema = {
  operationId: 'dropDeliveries',
  summary: 'Drop the pending deliveries to a target',
  description: 'They have failed, with that reason, and can be redelivered. What is being sent at the time may still arrive.',
  tags,
  querystring: {
    type: 'object',
    properties: { target_sid: { ...filter, description: 'The `target_sid` of the deliveries' } },
    required: ['target_sid'],
    additionalProperties: false,
  },
  response: {
    200: response('How many were dropped', object('DroppedDeliveries', { dropped: { type: 'integer' } })),
    ...bodyErrors(400),
  },
}
const redeliver: OperationSchema = {
  operationId: 'redeliver',
  summary: 'Send a delivery once more',
  description: 'Creates a new delivery with the same parameters and idempotency token.',
  tags,
  params: ofDelivery,
  response: { 201: response('The new delivery', delivery), ...bodyErrors(404) },
}

const redeliverFailed: OperationSchema = {
  operationId: 'redeliverFailed',
  summary: 'Send a batch of failed deliveries once more',
  description:
    'The first ones first, as new deliveries with the same idempotency tokens. What was sent again already is left out, unless more than ' +
    '1,000 deliveries about the same conversation were created in between. Repeat the request with `until` and `after` of the response ' +
    'until `next_after` is null.',
  tags,
  body: {
    title: 'FailedChoice',
    type: 'object',
    properties: {
      since: { ...shortText, description: 'Of what was created from this ISO 8601 date on' },
      until: { ...shortText, description: 'Of what was created before this date; by default now, by the clock of the server' },
      kind: { type: 'string', enum: deliveryKinds, description: 'Only deliveries of this kind' },
      account_sid: filter,
      service_sid: filter,
      conversation_sid: filter,
      event_type: filter,
      target_sid: filter,
      text: textFilter,
      after: { type: 'string', pattern: placePattern, description: 'The `next_after` of the previous batch' },
      limit: { type: 'integer', minimum: 1, maximum: maxRedelivered, default: maxRedelivered, description: 'How many at most' },
    },
    required: ['since'],
    additionalProperties: false,
  },
  response: {
    200: response(
      'How many are sent once more',
      object('RedeliveredBatch', {
        redelivered: { type: 'integer' },
        until: instant,
        next_after: { type: ['string', 'null'], description: 'Null: there are no more. A batch before it may have none' },
      }),
    ),
    ...bodyErrors(),
  },
}

/** The delivery log: every delivery with its attempts, and ways to send them once more. */
export function deliveryRoutes(
  { database, clock, config, vault }: Pick<Installation, 'database' | 'clock' | 'config' | 'vault'>,
  idle: Pick<DeliveryIdle, 'wait'> | null,
): FastifyPluginAsync {
  return async (routes) => {
    routes.get<{ Querystring: Query }>('/', { schema: listDeliveries, config: needsForText('read') }, async (request, reply) => {
      const caller = callerOf(request)
      const { wait, from, to, conversation_sid: subject_sid, before: place, limit = 50, ...filters } = request.query
      const since = from === undefined ? undefined : parseInstant(from)
      const last = to === undefined ? undefined : parseInstant(to, true)
      if (since === undefined && from !== undefined) return reply.code(400).send({ error: noDate('from') })
      if (last === undefined && to !== undefined) return reply.code(400).send({ error: noDate('to') })
      const before = place === undefined ? '~' : openPlace(vault, place)
      if (before === undefined) return reply.code(400).send({ error: noPlace('before') })
      if (wait !== undefined) {
        if (!config.testMode || !idle) return reply.code(400).send({ error: 'wait is only available with PARLEY_TEST_MODE' })
        await idle.wait({ signal: closedSignal(reply) })
      }
      const { accounts } = caller
      const until = last === undefined ? undefined : last + 1
      const { rows, ...page } = await readLog(database.read, { ...filters, subject_sid, since, until, before, limit, accounts })
      const own = rows.map((row) => row.id)
      return {
        deliveries: rows.map((row) => deliveryJson(row, caller)),
        next_before: placeFor(vault, accounts, page.next_before, own),
        stopped_early: page.stopped_early,
      }
    })

    routes.delete<{ Querystring: { target_sid: string } }>(
      '/',
      { schema: dropDeliveries, config: needs('act', 'own') },
      async (request) => {
        const { query } = request
        const { accounts } = callerOf(request)
        const of = accounts && [...accounts]
        let dropped = 0
        for (let slot = 0; slot < database.slots.count; slot++) {
          for (let batch = maxDropped; batch === maxDropped; dropped += batch) {
            batch = await database.write('dropDeliveries', { slot, ...query, accounts: of, now: clock.now(), limit: maxDropped })
          }
        }
        return { dropped }
      },
    )

    routes.post<{ Body: FailedChoice }>(
      '/redeliver',
      { schema: redeliverFailed, config: needsForText('act') },
      async (request, reply) => {
        const { body } = request
        const { accounts } = callerOf(request)
        const { conversation_sid: subject_sid, after: place, limit, ...filters } = body
        const after = place === undefined ? undefined : openPlace(vault, place)
        if (place !== undefined && after === undefined) return reply.code(400).send({ error: noPlace('after') })
        const now = clock.now()
        const since = parseInstant(body.since)
        // What is sent again from now on is not meant: it may fail at once.
        const until = body.until === undefined ? now : parseInstant(body.until)
        if (since === undefined || until === undefined) {
          return reply.code(400).send({ error: noDate(since === undefined ? 'since' : 'until') })
        }
        const { ids, next_after } = await readFailed(database.read, {
          ...filters,
          accounts,
          since,
          until,
          subject_sid,
          after,
          limit,
        })
        const redelivered = ids.length === 0 ? 0 : (await database.write('redeliver', { ids, now })).length
        return { redelivered, until: milliseconds(until), next_after: placeFor(vault, accounts, next_after, ids) }
      },
    )

    routes.get<{ Params: { id: string } }>(
      '/:id',
      { schema: fetchDelivery, config: needsDelivery('read') },
      async (request, reply) => {
        const row = await database.read.one(deliveryById, { id: request.params.id })
        if (!row) return notFound(reply)
        const { read } = database
        const tries = Math.max(0, parseStored<Attempt[]>(row.attempts).length - 1)
        const sent =
          row.kind === 'webhook' ? await requestHeaders({ read, vault, studioUrl: config.studioUrl }, row, tries) : null
        return detailJson(row, callerOf(request), sent)
      },
    )

    routes.post<{ Params: { id: string } }>(
      '/:id/redeliver',
      { schema: redeliver, config: needsDelivery('act') },
      async (request, reply) => {
        const [row] = await database.write('redeliver', { ids: [request.params.id], now: clock.now() })
        return row ? reply.code(201).send(deliveryJson(row, callerOf(request))) : notFound(reply)
      },
    )
  }
}

function noPlace(name: 'before' | 'after'): string {
  return `${name} must be the next_${name} of a response`
}

function noDate(name: string): string {
  return `${name} must be an ISO 8601 date, such as 2030-01-01T00:00:00Z`
}

/** A route that looks for a text where one is given: which deliveries have it tells what is written in them. */
function needsForText(right: Right): { access: AccessRule } {
  const given = (part: unknown) => typeof part === 'object' && part !== null && 'text' in part
  return { access: { right, accounts: 'own', also: ({ query, body }) => (given(query) || given(body) ? 'text' : null) } }
}

/** A route about the delivery of its path. */
function needsDelivery(right: Right): { access: AccessRule } {
  const accounts: AccessRule['accounts'] = async ({ params }, read) => {
    const id = typeof params === 'object' && params !== null && 'id' in params ? String(params.id) : ''
    return (await read.one(deliveryById, { id }))?.account_sid ?? null
  }
  return { access: { right, accounts } }
}

/** Parameters and responses have what is written in a conversation. */
export function deliveryJson(row: LogRow, { rights }: Pick<Access, 'rights'>) {
  const attempts = parseStored<Attempt[]>(row.attempts)
  const isReader = rights.has('text')
  return {
    id: row.id,
    kind: row.kind,
    account_sid: row.account_sid,
    service_sid: row.service_sid,
    target_sid: row.target_sid || null,
    subject_sid: row.subject_sid,
    event_type: row.event_type,
    method: row.method,
    url: row.url === '' ? null : withoutCredentials(row.url),
    message_sid: row.message_sid,
    participant_sid: row.participant_sid,
    params: isReader ? parseStored<Record<string, string>>(untraced(row).row.form) : {},
    status: row.status,
    attempts: attempts.map((attempt) => ({
      ...attempt,
      at: milliseconds(attempt.at),
      response: (isReader && attempt.response) || null,
    })),
    date_created: milliseconds(row.date_created),
    date_finished: row.date_finished === null ? null : milliseconds(row.date_finished),
  }
}

function detailJson(row: DeliveryRow, access: Pick<Access, 'rights'>, sent: Readonly<Record<string, string>> | null) {
  const { rights } = access
  const responses = rights.has('text') ? responsesOf(row) : []
  const { attempts, ...json } = deliveryJson(row, access)
  const request = Object.entries(sent ?? {}).map(([name, value]) => ({
    name,
    value: name === signatureHeader && !rights.has('act') ? hidden : value,
  }))
  return {
    ...json,
    request_headers: sent && request,
    attempts: attempts.map((attempt, i) => ({
      ...attempt,
      response_headers: responses[i]?.headers.map(([name, value]) => ({ name, value })) ?? null,
      response_body: responses[i]?.body ?? null,
      response_truncated: responses[i]?.truncated ?? false,
    })),
  }
}
