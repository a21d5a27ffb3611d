import type { FastifyPluginAsync } from 'fastify'
import { callerOf, sees } from '../api/rights.ts'
import { milliseconds } from '../dates.ts'
import { maxLooked, readHealth, type TargetHealth } from '../delivery/health.ts'
import type { Attempt } from '../delivery/record.ts'
import type { Installation } from '../installation/open.ts'
import { parseStored } from '../json.ts'
import { testEventType, type Untestable } from '../resources/test-event.ts'
import { isSid } from '../sids.ts'
import { serviceBySid } from '../storage/lookups.ts'
import { withoutCredentials } from '../urls.ts'
import { type AccessRule, needs } from './access.ts'
import { delivery, deliveryJson } from './deliveries.ts'
import { findAccount, findConversation } from './find-account.ts'
import { notFound } from './replies.ts'
import { bodyErrors, errors, instant, type OperationSchema, object, path, response, shortText, sid } from './schemas.ts'

const text = { type: 'string' } as const
const count = { type: 'integer' } as const
const duration = { type: ['integer', 'null'], description: 'In ms; null when nothing was delivered' } as const

const listTargets: OperationSchema = {
  operationId: 'listTargets',
  summary: 'List the targets of deliveries with how they fare',
  description:
    `It looks at the latest ${maxLooked.toLocaleString('en')} deliveries of each status, and at the latest ones of the services of an account. A target that nothing of them was sent to is not ` +
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
            conversation_sid: { type: ['string', 'null'], description: 'Of a conversation webhook; null for any other target' },
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

const sendTestEvent: OperationSchema = {
  operationId: 'sendTestEvent',
  summary: 'Send a test event to a webhook',
  description:
    `It is signed, sent, retried and recorded like any event, whatever the filters of the webhook are, and has \`EventType=${testEventType}\`, ` +
    '`Test=true`, the SIDs of where the webhook is, and no change to tell of. The response has the delivery as it was written: read it again to ' +
    'see what came of it. Pre-action webhooks have no test event: what they respond decides about a change. Channels and credentials have ' +
    'tests of their own.',
  tags: ['Deliveries'],
  params: path({ sid: 'SID of the account, service or conversation webhook whose post-action URL is meant' }),
  body: {
    title: 'TestEvent',
    type: ['object', 'null'],
    properties: { conversation_sid: { ...shortText, description: 'The conversation of a conversation webhook' } },
    additionalProperties: false,
  },
  response: { 201: response('The delivery', delivery), ...bodyErrors(404, 409) },
}

const reasons: Readonly<Record<Exclude<Untestable, 'missing'>, string>> = {
  'no-url': 'it has no post-action URL: nothing is sent there',
  flex: 'the webhook target of the account is flex: nothing is sent to its URLs',
}

/** Where deliveries are sent to, and how that goes. */
export function targetRoutes({ database, clock }: Pick<Installation, 'database' | 'clock'>): FastifyPluginAsync {
  return async (routes) => {
    routes.get<{ Querystring: { account_sid?: string } }>(
      '/targets',
      { schema: listTargets, config: needs('read', 'own') },
      async (request) => {
        const { account_sid } = request.query
        const caller = callerOf(request)
        const isMeant = (sid: string) => sees(caller, sid) && (account_sid === undefined || sid === account_sid)
        const { targets, since } = await readHealth(database.read, account_sid, isMeant)
        return { date_since: since === null ? null : milliseconds(since), targets: targets.map(toJson) }
      },
    )

    routes.post<{ Params: { sid: string }; Body: { conversation_sid?: string } | null }>(
      '/targets/:sid/test',
      { schema: sendTestEvent, config: ofTarget },
      async (request, reply) => {
        const { params, body } = request
        const target_sid = params.sid
        const sid = body?.conversation_sid
        const error = wrongTest(target_sid, sid)
        if (error !== null) return reply.code(400).send({ error })
        const place = sid === undefined ? undefined : await findConversation(database.read, sid)
        if (sid !== undefined && !place) return notFound(reply, [sid])
        const conversation = sid !== undefined && place ? { service_sid: place.service_sid, sid } : null
        const sent = await database.write('sendTestEvent', { target_sid, conversation, now: clock.now() })
        if (sent === 'missing') return notFound(reply)
        if (typeof sent === 'string') return reply.code(409).send({ error: reasons[sent] })
        return reply.code(201).send(deliveryJson(sent, callerOf(request)))
      },
    )
  }
}

/** A route about the account or the service of its path, or about the conversation of its body. */
const ofTarget: { access: AccessRule } = {
  access: {
    right: 'act',
    accounts: async ({ params, body }, read) => {
      // They were validated, but Fastify types them as unknown.
      const { sid = '' } = params as { sid?: string }
      const { conversation_sid } = (body ?? {}) as { conversation_sid?: string }
      if (conversation_sid !== undefined) return findAccount(read, conversation_sid)
      if (isSid('account', sid)) return sid
      return (await read.one(serviceBySid, { sid }))?.account_sid ?? null
    },
  },
}

/** Returns what is wrong with the request of a test event. */
function wrongTest(target_sid: string, conversation_sid: string | undefined): string | null {
  if (isSid('webhook', target_sid)) {
    return conversation_sid === undefined ? 'a webhook of a conversation needs conversation_sid' : null
  }
  if (!isSid('account', target_sid) && !isSid('service', target_sid)) {
    return 'test events are sent to webhooks: of an account (AC…), a service (IS…) or a conversation (WH…)'
  }
  return conversation_sid === undefined ? null : 'conversation_sid is only for the webhook of a conversation'
}

function toJson({ target_sid, latest, last_failed, last_delivered, durations_ms, ...counts }: TargetHealth) {
  const { kind, account_sid, service_sid, subject_sid, url } = latest
  const conversation_sid = isSid('webhook', target_sid) ? subject_sid : null
  const attempt = last_failed && parseStored<Attempt[]>(last_failed.attempts).at(-1)
  return {
    ...{
      target_sid,
      kind,
      account_sid,
      service_sid,
      conversation_sid,
      url: url === '' ? null : withoutCredentials(url),
      ...counts,
    },
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
