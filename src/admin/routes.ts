import type { FastifyError, FastifyInstance, FastifyPluginAsync, FastifyReply } from 'fastify'
import { type HttpLimits, isEncoded, limitBodyTime } from '../api/limits.ts'
import type { Operator } from '../api/operator.ts'
import type { Timers } from '../background/timers.ts'
import type { Channels } from '../channels/channels.ts'
import type { Email } from '../channels/email/email.ts'
import { TestClock } from '../clock.ts'
import type { DeliveryIdle } from '../delivery/idle.ts'
import { ApiError, isFailure, refuse } from '../errors.ts'
import type { Gateway } from '../gateway/gateway.ts'
import type { Installation } from '../installation/open.ts'
import { resow } from '../installation/seed.ts'
import type { Mirror } from '../mirror/mirror.ts'
import { refuseOthersAccounts, refuseWithoutRight, ruleOf } from './access.ts'
import { accountRoutes } from './accounts.ts'
import { auditRoutes } from './audit.ts'
import { addAuditing } from './auditing.ts'
import { channelRoutes } from './channels.ts'
import { clockRoutes } from './clock.ts'
import { contentRoutes } from './contents.ts'
import { conversationRoutes } from './conversations.ts'
import { deliveryRoutes } from './deliveries.ts'
import { eventRoutes } from './events.ts'
import { gatewayRoutes } from './gateway.ts'
import { identityRoutes } from './identity.ts'
import { importRoutes } from './import.ts'
import { inboundRoutes } from './inbound.ts'
import { keyRoutes } from './keys.ts'
import { mailRoutes } from './mail.ts'
import { messageRoutes } from './messages.ts'
import { mirrorRoutes } from './mirror.ts'
import { nodeRoutes } from './nodes.ts'
import { openIdRoutes } from './openid.ts'
import { operatorRoutes } from './operators.ts'
import { overviewRoutes } from './overview.ts'
import { privacyRoutes } from './privacy.ts'
import { receiptRoutes } from './receipts.ts'
import { notFound } from './replies.ts'
import { retentionRoutes } from './retention.ts'
import { searchRoutes } from './search.ts'
import { secretKeyRoutes } from './secret-key.ts'
import { sessionRoutes } from './session.ts'
import { targetRoutes } from './targets.ts'
import { type TestModeOptions, testModeRoutes } from './test-mode.ts'
import { threadRoutes } from './threads.ts'
import { tokenRoutes } from './tokens.ts'
import { loadValidator, refuseUnstorable, schemaError, validatorCompiler } from './validation.ts'

export interface AdminOptions {
  readonly installation: Installation
  /** Null on the command line, where no server runs; then there are no routes of the clock. */
  readonly timers: Pick<Timers, 'catchUp' | 'nextOf'> | null
  /** Also null there. */
  readonly idle: DeliveryIdle | null
  /** Also null there: nobody connects. */
  readonly limits: HttpLimits | null
  readonly operator: Operator
  /** Also null there: it would close at once. */
  readonly gateway: Pick<Gateway, 'open'> | null
  /** Also null there: then there is no route for inbound messages, whose webhooks nobody would send, and no provider is asked. */
  readonly channels: Pick<Channels, 'carriers' | 'receive'> | null
  /** Also null there: no mail comes or goes. */
  readonly email: Pick<Email, 'outbox' | 'take' | 'maxBytes'> | null
  /** Null where no hosted account is followed. */
  readonly mirror: Mirror | null
  /** Null unless in test mode. */
  readonly testMode: Pick<TestModeOptions, 'deliveries' | 'faults'> | null
}

/** `/admin/v1`: the operator's own JSON API. Errors are `{ "error": "what is wrong" }`. */
export function adminRoutes({
  installation,
  timers,
  idle,
  limits,
  operator,
  gateway,
  channels,
  email,
  mirror,
  testMode,
}: AdminOptions): FastifyPluginAsync {
  const { database, clock, log, plan } = installation
  return async (admin) => {
    if (!admin.hasRequestDecorator('access')) admin.decorateRequest('access', null)
    admin.addHook('onRoute', (route) => {
      const rule = ruleOf(route)
      // For the description: which right a route needs.
      if (rule !== 'anyone' && rule.right !== null) route.schema = { ...route.schema, 'x-right': rule.right }
    })
    admin.addHook('onRequest', async (request, reply) => {
      const { access } = request.routeOptions.config
      if (access !== 'anyone' && !(await operator.admit(request, reply))) return unauthorized(reply)
      if (request.is404) return notFound(reply)
    })
    addAuditing(admin, installation, { prefix: admin.prefix, isCommandLine: limits === null, operator })
    // What somebody tries without the right is recorded, too.
    admin.addHook('onRequest', async (request, reply) => {
      const { access } = request.routeOptions.config
      const refused = access !== undefined && access !== 'anyone' && refuseWithoutRight(access, request, reply)
      if (refused) return refused
      if (isEncoded(request.raw)) throw refuse('encodingNotSupported')
      if (limits) limitBodyTime(request.raw, limits)
    })
    if (limits) admin.addHook('onSend', async (_request, reply) => void reply.raw.setTimeout(limits.writeTimeoutMs))
    admin.setErrorHandler((error: Partial<FastifyError>, _request, reply) => sendError(reply, error, log))
    admin.setNotFoundHandler((_request, reply) => notFound(reply))
    admin.setSchemaErrorFormatter(schemaError)
    admin.setValidatorCompiler(validatorCompiler)
    admin.addHook('preValidation', loadValidator)
    admin.addHook('preHandler', refuseUnstorable)
    admin.addHook('preHandler', async (request, reply) => {
      const { access } = request.routeOptions.config
      return access === undefined || access === 'anyone' ? undefined : refuseOthersAccounts(access, request, reply, database.read)
    })
    // Schemas of responses are for the description only: compiled serializers cost time at each start and drop unknown properties.
    admin.setSerializerCompiler(() => JSON.stringify)
    allowEmptyJson(admin)

    await admin.register(identityRoutes(installation))
    await admin.register(sessionRoutes(operator))
    await admin.register(openIdRoutes(operator, installation.config.publicUrl))
    await admin.register(overviewRoutes(installation, timers))
    await admin.register(searchRoutes(installation))
    await admin.register(operatorRoutes(installation))
    await admin.register(accountRoutes(installation))
    await admin.register(keyRoutes(installation))
    await admin.register(tokenRoutes(installation))
    await admin.register(auditRoutes(installation), { prefix: '/audit' })
    await admin.register(secretKeyRoutes(installation))
    await admin.register(retentionRoutes(installation))
    await admin.register(channelRoutes(installation, channels?.carriers ?? null))
    await admin.register(contentRoutes(installation))
    await admin.register(receiptRoutes(installation))
    await admin.register(mailRoutes(installation, email))
    await admin.register(privacyRoutes(installation))
    await admin.register(importRoutes(installation))
    await admin.register(mirrorRoutes(installation, mirror))
    if (channels) await admin.register(inboundRoutes(installation, channels))
    if (timers) {
      await admin.register(nodeRoutes(installation))
      await admin.register(conversationRoutes(installation, timers))
      await admin.register(messageRoutes(installation))
      await admin.register(eventRoutes(database))
    }
    await admin.register(deliveryRoutes(installation, idle), { prefix: '/deliveries' })
    await admin.register(targetRoutes(installation))
    await admin.register(threadRoutes(installation))
    if (gateway) await admin.register(gatewayRoutes(installation, gateway), { prefix: '/gateway' })
    if (clock instanceof TestClock && timers && idle) {
      await admin.register(clockRoutes({ clock, database, timers, idle }), { prefix: '/clock' })
      if (testMode && plan)
        await admin.register(testModeRoutes({ clock, database, plan, resow: (seed) => resow(seed, installation), ...testMode }))
    }
  }
}

function unauthorized(reply: FastifyReply): FastifyReply {
  return reply.code(401).header('www-authenticate', 'Bearer').send({ error: 'the operator token is missing or wrong' })
}

function sendError(reply: FastifyReply, error: Partial<FastifyError>, log: Installation['log']): FastifyReply {
  const status = error instanceof ApiError ? error.entry.status : (error.statusCode ?? 500)
  if (status >= 500 && !isFailure(error)) log.error({ err: error }, 'admin request failed')
  // The code that `/v1` returns for the same error.
  const code = error instanceof ApiError && { code: error.entry.code }
  if (error instanceof ApiError && error.details.seconds) reply.header('retry-after', error.details.seconds)
  return reply.code(status).send({ error: status < 500 ? error.message : failureText(error), ...code })
}

function failureText(error: unknown): string {
  if (!(error instanceof ApiError) || error.kind !== 'unavailable') return 'internal error'
  return error.details.full ?? 'the database or the store of media cannot be used now'
}

/** Accepts the JSON content type on a request without a body. */
function allowEmptyJson(admin: FastifyInstance): void {
  const parse = admin.getDefaultJsonParser('error', 'error')
  admin.removeContentTypeParser('application/json')
  admin.addContentTypeParser<string>('application/json', { parseAs: 'string' }, (request, body, done) =>
    body === '' ? done(null, null) : parse(request, body, done),
  )
}
