import type { FastifyPluginAsync } from 'fastify'
import { milliseconds } from '../dates.ts'
import type { Attempt } from '../delivery/record.ts'
import type { Installation } from '../installation/open.ts'
import { parseStored } from '../json.ts'
import { rowsBy } from '../storage/rows.ts'
import type { DeliveryKind, DeliveryRow, DeliveryStatus } from '../storage/schema.ts'
import { shape } from '../storage/shapes.ts'
import { withoutCredentials } from '../urls.ts'
import { notFound } from './replies.ts'
import { bodyErrors, errors, instant, type OperationSchema, object, path, response, sid } from './schemas.ts'

interface Query {
  service_sid?: string
  conversation_sid?: string
  status?: DeliveryStatus
  /** Id of the last one seen: older ones follow. */
  before?: string
  limit?: number
}

const byId = rowsBy('deliveries', ['id'])

/** Newest first. Each combination of filters is a query of its own, so that each can use its index. */
const queries = new Map<string, ReturnType<typeof logQuery>>()

function logQuery(filters: readonly ('service_sid' | 'subject_sid' | 'status')[]) {
  return shape<{ service_sid: string; subject_sid: string; status: DeliveryStatus; before: string; limit: number }>()((db, a) =>
    filters
      .reduce((query, column) => query.where(column, '=', a[column] as never), db.selectFrom('deliveries').selectAll())
      .where('id', '<', a.before)
      .orderBy('id', 'desc')
      .limit(a.limit),
  )
}

const delivery_statuses: readonly DeliveryStatus[] = ['pending', 'delivered', 'failed']
const delivery_kinds: readonly DeliveryKind[] = ['webhook', 'message', 'loopback']
const text = { type: 'string' } as const
const filter = { type: 'string', maxLength: 64 } as const

const attempt = object('Attempt', {
  at: instant,
  duration_ms: { type: 'integer' },
  status: { type: ['integer', 'null'], description: 'HTTP status; null when there was no response' },
  error: { type: ['string', 'null'] },
})
const delivery = object('Delivery', {
  id: sid('delivery', 'Id of the delivery'),
  kind: {
    type: 'string',
    enum: delivery_kinds,
    description: '`message`: handed to a channel; `loopback`: a message whose address no channel carries',
  },
  account_sid: text,
  service_sid: text,
  target_sid: { type: ['string', 'null'], description: 'SID of whose webhook or channel it is; null for `loopback`' },
  subject_sid: { ...text, description: 'SID of the conversation or user that it is about' },
  event_type: text,
  method: text,
  url: { type: ['string', 'null'], description: 'Without the credentials that it may contain; null for `loopback`' },
  message_sid: { type: ['string', 'null'], description: 'The message that is handed to a channel' },
  participant_sid: { type: ['string', 'null'], description: 'Who that message is for' },
  params: { type: 'object', additionalProperties: text },
  status: { type: 'string', enum: delivery_statuses },
  attempts: { type: 'array', items: attempt },
  date_created: instant,
  date_finished: { type: ['string', 'null'], format: 'date-time' },
})
const ofDelivery = path({ id: 'Id of the delivery' })
const tags = ['Deliveries'] as const

const listDeliveries: OperationSchema = {
  operationId: 'listDeliveries',
  summary: 'List deliveries of webhooks and channel messages, newest first',
  tags,
  querystring: {
    type: 'object',
    properties: {
      service_sid: filter,
      conversation_sid: filter,
      status: { type: 'string', enum: delivery_statuses },
      before: { type: 'string', pattern: '^WD[0-9a-f]{32}$', description: 'The `next_before` of the page before' },
      limit: { type: 'integer', minimum: 1, maximum: 1000, default: 50 },
    },
    additionalProperties: false,
  },
  response: {
    200: response(
      'One page',
      object('DeliveryPage', {
        deliveries: { type: 'array', items: delivery },
        next_before: { type: ['string', 'null'], description: 'Null on the last page' },
      }),
    ),
    ...errors(400),
  },
}
const fetchDelivery: OperationSchema = {
  operationId: 'fetchDelivery',
  summary: 'Fetch a delivery with its attempts',
  tags,
  params: ofDelivery,
  response: { 200: response('The delivery', delivery), ...errors(400, 404) },
}
const redeliver: OperationSchema = {
  operationId: 'redeliver',
  summary: 'Send an event once more',
  description: 'As a delivery of its own, with the same parameters and idempotency token.',
  tags,
  params: ofDelivery,
  response: { 201: response('The new delivery', delivery), ...bodyErrors(404) },
}

/** The delivery log: what was told to whom, each attempt, and a way to send an event once more. */
export function deliveryRoutes({ database, clock }: Pick<Installation, 'database' | 'clock'>): FastifyPluginAsync {
  return async (routes) => {
    routes.get<{ Querystring: Query }>('/', { schema: listDeliveries }, async ({ query }) => {
      const { service_sid, conversation_sid, status, before = '~', limit = 50 } = query
      const given = { service_sid, subject_sid: conversation_sid, status }
      const columns = (['service_sid', 'subject_sid', 'status'] as const).filter((column) => given[column] !== undefined)
      const key = columns.join()
      const log = queries.get(key) ?? logQuery(columns)
      queries.set(key, log)
      const args = {
        service_sid: service_sid ?? '',
        subject_sid: conversation_sid ?? '',
        status: status ?? 'pending',
        before,
        limit,
      }
      const rows = await database.read.all(log, { ...args, limit: limit + 1 })
      const page = rows.slice(0, limit)
      return { deliveries: page.map(toJson), next_before: rows.length > limit ? page.at(-1)?.id : null }
    })

    routes.get<{ Params: { id: string } }>('/:id', { schema: fetchDelivery }, async ({ params }, reply) => {
      const row = await database.read.one(byId, { id: params.id })
      return row ? toJson(row) : notFound(reply)
    })

    routes.post<{ Params: { id: string } }>('/:id/redeliver', { schema: redeliver }, async ({ params }, reply) => {
      const row = await database.write('redeliver', { id: params.id, now: clock.now() })
      return row ? reply.code(201).send(toJson(row)) : notFound(reply)
    })
  }
}

function toJson(row: DeliveryRow) {
  const attempts = parseStored<Attempt[]>(row.attempts)
  return {
    id: row.id,
    kind: row.kind,
    account_sid: row.account_sid,
    service_sid: row.service_sid,
    target_sid: row.target_sid || null,
    subject_sid: row.subject_sid,
    event_type: row.event_type,
    method: row.method,
    url: row.kind === 'loopback' ? null : withoutCredentials(row.url),
    message_sid: row.message_sid,
    participant_sid: row.participant_sid,
    params: parseStored<Record<string, string>>(row.form),
    status: row.status,
    attempts: attempts.map((attempt) => ({ ...attempt, at: milliseconds(attempt.at) })),
    date_created: milliseconds(row.date_created),
    date_finished: row.date_finished === null ? null : milliseconds(row.date_finished),
  }
}
