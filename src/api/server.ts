import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { refuse } from '../errors.ts'
import { begin, pathOf, sendError } from './respond.ts'
import { wire } from './routes.ts'
import type { HttpOptions, Surface } from './surface.ts'

/** Far above what the limits of any resource add up to, percent-encoded. */
const body_limit = 1024 * 1024

/** The server without its other surfaces: `/v1/**`, the vendor's wire. */
export function createHttp(options: HttpOptions): FastifyInstance {
  const server = fastify({
    logger: false,
    bodyLimit: body_limit,
    // Names of up to 256 code points, percent-encoded.
    routerOptions: { maxParamLength: 8192 },
    // A path that cannot be decoded names nothing; credentials come first here too.
    frameworkErrors: (_error, request, reply) => {
      begin(request, 1)
      const answer = (error: unknown) => sendError(request, reply, error, options.log)
      const missing = refuse('notFound', { path: pathOf(request) })
      options.authenticator.account(request.headers.authorization).then(() => answer(missing), answer)
    },
    // The operator's API says what it does not know instead of dropping it.
    ajv: { customOptions: { removeAdditional: false } },
    clientErrorHandler: refuseUnreadable,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
  })
  server.decorate('known', [])
  server.decorateRequest('account_sid', '')
  server.decorateRequest('started', 0)
  server.decorateRequest('id_for_caller', '')
  server.decorateRequest('concurrent', 0)
  const load = { concurrent: 0 }
  server.decorate('load', load)
  for (const surface of [wire(options), ...options.beside]) {
    server.register(async (v1) => surround(v1, surface, options, load), { prefix: '/v1' })
  }
  return server
}

/** What is not HTTP, or too large a head: the framework has no request to answer, the caller gets the usual form all the same. */
function refuseUnreadable(error: { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const tooLarge = error.code === 'HPE_HEADER_OVERFLOW'
  const refusal = refuse(tooLarge ? 'tooLarge' : 'invalidValue')
  const status = tooLarge ? 431 : refusal.entry.status
  const body = JSON.stringify({ ...refusal.body(), status })
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`
  socket.end(`${head}\r\nconnection: close\r\n\r\n${body}`)
}

/**
 * Takes no more connections; resolves when every request under way is answered, at the latest after `longest_ms`. Connections on
 * which nobody has asked anything are not waited for.
 */
export async function closeHttp(server: FastifyInstance, longest_ms: number): Promise<void> {
  const closed = server.close()
  const latest = performance.now() + longest_ms
  while (server.load.concurrent > 0 && performance.now() < latest) await setTimeout(10)
  server.server.closeAllConnections()
  await closed
}

/** Hooks and handlers answer by themselves, without promises where there is nothing to wait for: half of a cached read's cost. */
function surround(v1: FastifyInstance, surface: Surface, options: HttpOptions, load: { concurrent: number }): void {
  const { authenticator, log } = options
  v1.removeAllContentTypeParsers()
  v1.addHook('onRequest', (request, reply, done) => {
    begin(request, ++load.concurrent)
    // Not the framework's hook for it: that is not called when the caller hangs up.
    reply.raw.once('close', () => {
      load.concurrent--
      answered(request, reply, options)
    })
    surface.prepare?.(request)
    // A browser asks what is allowed before it sends credentials.
    if (request.method === 'OPTIONS' || surface.withoutCredentials) return done()
    const known = authenticator.known(request.headers.authorization)
    if (known !== undefined) {
      request.account_sid = known
      return done()
    }
    Promise.all([authenticator.account(request.headers.authorization), options.before?.()]).then(([sid]) => {
      request.account_sid = sid
      done()
    }, done)
  })
  v1.setErrorHandler((error, request, reply) => sendError(request, reply, error, log))
  surface.routes(v1)
}

export function answered(request: FastifyRequest, reply: FastifyReply, { answered, log }: HttpOptions): void {
  const ms = performance.now() - request.started
  // By custom: the caller hung up before there was an answer.
  const status = reply.raw.headersSent ? reply.raw.statusCode : 499
  answered(request.method, status, ms / 1000)
  // One line; the query stays out of it, and so does every header.
  log.info(
    {
      method: request.method,
      path: `/v1${pathOf(request)}`,
      status,
      ms: Math.round(ms * 1000) / 1000,
      account: request.account_sid || undefined,
      request: request.id_for_caller,
    },
    'request',
  )
}
