import type { FastifyError, FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { sameSecret } from '../api/auth.ts'
import type { Pipeline } from '../api/requests.ts'
import type { Timers } from '../background/timers.ts'
import { TestClock } from '../clock.ts'
import { ApiError, isFailure } from '../errors.ts'
import type { Installation } from '../installation/open.ts'
import { accountRoutes } from './accounts.ts'
import { channelRoutes } from './channels.ts'
import { clockRoutes } from './clock.ts'
import { deliveryRoutes } from './deliveries.ts'
import { inboundRoutes } from './inbound.ts'
import { keyRoutes } from './keys.ts'
import { receiptRoutes } from './receipts.ts'
import { notFound } from './replies.ts'
import { refuseUnstorable, schemaError } from './validation.ts'

export interface AdminOptions {
  readonly installation: Installation
  /** Null where no server runs (the command line): the clock cannot be moved then. */
  readonly timers: Pick<Timers, 'catchUp'> | null
  /** Null there too: nobody sends the webhooks of a message from outside. */
  readonly pipeline: Pipeline | null
}

/** `/admin/v1`: the operator's own JSON API. Errors are `{ "error": "what is wrong" }`. */
export function adminRoutes({ installation, timers, pipeline }: AdminOptions): FastifyPluginAsync {
  const { database, clock, admin_token, log } = installation
  return async (admin) => {
    admin.addHook('onRequest', async (request, reply) => {
      if (!isOperator(request, admin_token)) return unauthorized(reply)
    })
    admin.setErrorHandler((error: Partial<FastifyError>, _request, reply) => sendError(reply, error, log))
    admin.setNotFoundHandler((_request, reply) => notFound(reply))
    admin.setSchemaErrorFormatter(schemaError)
    admin.addHook('preHandler', refuseUnstorable)
    // Schemas of responses only describe them: compiled serializers would cost every start, and drop what they do not know.
    admin.setSerializerCompiler(() => JSON.stringify)
    allowEmptyJson(admin)

    await admin.register(accountRoutes(installation))
    await admin.register(keyRoutes(installation))
    await admin.register(channelRoutes(installation))
    await admin.register(receiptRoutes(installation))
    if (pipeline) await admin.register(inboundRoutes(installation, pipeline))
    await admin.register(deliveryRoutes(installation), { prefix: '/deliveries' })
    if (clock instanceof TestClock && timers) await admin.register(clockRoutes(clock, database, timers), { prefix: '/clock' })
  }
}

function isOperator({ headers }: FastifyRequest, admin_token: string): boolean {
  const given = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
  return given !== undefined && sameSecret(given, admin_token)
}

function unauthorized(reply: FastifyReply): FastifyReply {
  return reply.code(401).header('www-authenticate', 'Bearer').send({ error: 'the operator token is missing or wrong' })
}

function sendError(reply: FastifyReply, error: Partial<FastifyError>, log: Installation['log']): FastifyReply {
  const status = error instanceof ApiError ? error.entry.status : (error.statusCode ?? 500)
  if (status >= 500 && !isFailure(error)) log.error({ err: error }, 'admin request failed')
  // The code under which a caller of `/v1` would find the refusal.
  const code = error instanceof ApiError && { code: error.entry.code }
  return reply.code(status).send({ error: status >= 500 ? 'internal error' : error.message, ...code })
}

/** A request without a body may say that it is JSON all the same. */
function allowEmptyJson(admin: FastifyInstance): void {
  const parse = admin.getDefaultJsonParser('error', 'error')
  admin.removeContentTypeParser('application/json')
  admin.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) =>
    body === '' ? done(null, null) : parse(request, body as string, done),
  )
}
