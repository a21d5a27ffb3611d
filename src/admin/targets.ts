import type { FastifyPluginAsync } from 'fastify'
import { milliseconds } from '../dates.ts'
import { maxLooked, readHealth, type TargetHealth } from '../delivery/health.ts'
import type { Attempt } from '../delivery/record.ts'
import type { Installation } from '../installation/open.ts'
import { parseStored } from '../json.ts'
import { withoutCredentials } from '../urls.ts'
import { errors, instant, type OperationSchema, object, response, shortText, sid } from './schemas.ts'

const text = { type: 'string' } as const
const count = { type: 'integer' } as const
const duration = { type: ['integer', 'null'], description: 'In ms; null when nothing was delivered' } as const

const listTargets: OperationSchema = {
  operationId: 'listTargets',
  summary: 'List the targets of deliveries with how they fare',
  description:
    `It looks at the latest ${maxLooked.toLocaleString('en')} deliveries of each status. A target that nothing of them was sent to is not ` +
    'listed. Counts are those since `date_since`; the last failure may be older.',
  tags: ['Deliveries'],
  querystring: {
    type: 'object',
    properties: { account_sid: { ...shortText, description: 'By default those of all accounts' } },
    additionalProperties: false,
  },
  response: {
    200: response(
      'The targets, the latest used first',
      object('TargetList', {
        date_since: { type: ['string', 'null'], format: 'date-time', description: 'Null: all of the delivery log is counted' },
        targets: {
          type: 'array',
          items: object('Target', {
            target_sid: { ...text, description: 'SID of the account, service, conversation webhook, channel or credential' },
            kind: { type: 'string', enum: ['webhook', 'message', 'push'] },
            account_sid: sid('account', 'SID of its account'),
            service_sid: { ...text, description: 'Of the latest delivery' },
            url: { type: ['string', 'null'], description: 'Of the latest delivery, without user name and password' },
            pending: count,
            delivered: count,
            failed: count,
            median_duration_ms: duration,
            p95_duration_ms: duration,
            date_delivered: { type: ['string', 'null'], format: 'date-time', description: 'When something arrived last' },
            last_failure: {
              anyOf: [
                { type: 'null' },
                object('TargetFailure', {
                  delivery_id: sid('delivery', 'Id of the delivery that failed last'),
                  event_type: text,
                  status: { type: ['integer', 'null'], description: 'HTTP status or SMTP reply code' },
                  error: { type: ['string', 'null'] },
                  date: instant,
                }),
              ],
            },
          }),
        },
      }),
    ),
    ...errors(400),
  },
}

/** Where deliveries are sent to, and how that goes. */
export function targetRoutes({ database }: Pick<Installation, 'database'>): FastifyPluginAsync {
  return async (routes) => {
    routes.get<{ Querystring: { account_sid?: string } }>('/targets', { schema: listTargets }, async ({ query }) => {
      const { targets, since } = await readHealth(database.read, query.account_sid)
      return { date_since: since === null ? null : milliseconds(since), targets: targets.map(toJson) }
    })
  }
}

function toJson({ target_sid, latest, last_failed, last_delivered, durations_ms, ...counts }: TargetHealth) {
  const { kind, account_sid, service_sid, url } = latest
  const attempt = last_failed && parseStored<Attempt[]>(last_failed.attempts).at(-1)
  return {
    ...{ target_sid, kind, account_sid, service_sid, url: url === '' ? null : withoutCredentials(url), ...counts },
    median_duration_ms: durations_ms[Math.floor(durations_ms.length * 0.5)] ?? null,
    p95_duration_ms: durations_ms[Math.floor(durations_ms.length * 0.95)] ?? null,
    date_delivered: last_delivered === null ? null : milliseconds(last_delivered),
    last_failure: last_failed && {
      delivery_id: last_failed.id,
      event_type: last_failed.event_type,
      status: attempt?.status ?? null,
      error: attempt?.error ?? null,
      date: milliseconds(last_failed.date_finished ?? last_failed.date_created),
    },
  }
}
