import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import { ApiError, refuse } from '../errors.ts'
import { longestForm } from '../model/params.ts'
import type { Span, Tracer } from '../trace.ts'
import type { Principal } from './admission.ts'
import { beginAct, beginWrite, endAct } from './auditing.ts'
import { noCompilers } from './compilers.ts'
import type { HostCheck } from './hosts.ts'
import { type Permissions, permissionRefusal } from './key-permissions.ts'
import { isEncoded, limitBodyTime, limitConnections, responseBeforeBody } from './limits.ts'
import { addressOf } from './origin.ts'
import { loggedPath, pathOf, sendError, startRequest } from './respond.ts'
import { noRoute, v1Routes } from './routes.ts'
import type { HttpOptions, Surface } from './surface.ts'

/**
 * Returns what the largest operation needs: the limits of all of its parameters together, each byte percent-encoded. Nothing that
 * is longer could be accepted, but for parameters that Parley does not know.
 */
export function bodyLimit({ resources, operations }: Pick<HttpOptions, 'resources' | 'operations'>): number {
  const forms = resources.map(({ params }) => longestForm(params))
  return Math.max(...forms, ...operations.map(({ maxBodyBytes }) => maxBodyBytes))
}

/** Creates the server with `/v1/**`: the resources, the operations and `otherSurfaces`. */
export function createHttp(options: HttpOptions): FastifyInstance {
  const server = fastify({
    logger: false,
    schemaController: noCompilers,
    bodyLimit: bodyLimit(options),
    // Names of up to 256 code points, percent-encoded.
    routerOptions: { maxParamLength: 8192 },
    rewriteUrl: ({ url = '' }) => withoutTrailingSlash(url),
    frameworkErrors: (_error, request, reply) => refusePath(request, reply, options),
    clientErrorHandler: refuseUnreadable,
    http: {
      headersTimeout: options.limits.headTimeoutMs,
      connectionsCheckingInterval: Math.ceil(options.limits.headTimeoutMs / 4),
      ...(options.isUpgrade && { shouldUpgradeCallback: options.isUpgrade }),
    },
    forceCloseConnections: 'idle',
    return503OnClosing: false,
  })
  // A caller that has sent its request may close its side: it still gets its response. Node has no documented way to say so.
  Object.assign(server.server, { httpAllowHalfOpen: true })
  // Node answers an unknown `Expect` with an empty 417; RFC 9110 allows to ignore it.
  server.server.on('checkExpectation', (request, response) => server.server.emit('request', request, response))
  server.setErrorHandler((error: Partial<FastifyError>, request, reply) => {
    if (error instanceof ApiError) return sendError(request, reply, error, options.log)
    const status = error.statusCode ?? 500
    if (status >= 500) options.log.error({ err: error }, 'request failed')
    return reply.code(status).send({ error: status >= 500 ? 'internal error' : error.message })
  })
  // No operation reads a body there; what comes all the same is not parsed.
  for (const method of ['DELETE', 'OPTIONS']) server.addHttpMethod(method, { overrideExisting: true })
  limitConnections(server.server, options.limits, {
    failed: (err) => options.log.error({ err }, 'a connection was not accepted'),
    refused: options.onRefusedConnection,
  })
  server.decorate('limits', options.limits)
  server.decorate('isTrustedProxy', options.isTrustedProxy)
  server.decorate('knownPaths', [])
  server.decorate('pathWords', new Set(['']))
  server.decorate('operationNames', new Set<string>())
  server.decorateRequest('account_sid', '')
  server.decorateRequest('default_service_sid', undefined)
  server.decorateRequest('access', null)
  server.decorateRequest('started', 0)
  server.decorateRequest('span', null)
  server.decorateRequest('request_id', '')
  server.decorateRequest('concurrent', 0)
  server.decorateRequest('sentBytes', 0)
  server.decorateRequest('acting', null)
  if (options.isOwnHost) refuseOtherHosts(server, options.isOwnHost)
  const load = { concurrent: 0 }
  server.decorate('load', load)
  for (const surface of [v1Routes(options), ...options.otherSurfaces]) {
    server.register(async (v1) => addSurface(v1, surface, options, load), { prefix: '/v1' })
  }
  server.register(async (outside) => addOutside(outside, options))
  return server
}

/** Before anything else is done for the request. */
export function refuseOtherHosts(server: FastifyInstance, isOwnHost: HostCheck): void {
  server.addHook('onRequest', (request, _reply, done) => {
    const { host } = request.headers
    // Clients of HTTP/1.0 may send none; browsers always do.
    done(host === undefined || isOwnHost(host) ? undefined : refuse('misdirected'))
  })
}

/** Returns a path of `/v1` without the slash at its end, which means nothing there. */
function withoutTrailingSlash(url: string): string {
  const question = url.indexOf('?')
  const end = question === -1 ? url.length : question
  if (url.charCodeAt(end - 1) !== slash || end <= '/v1/'.length || !url.startsWith('/v1/')) return url
  return url.slice(0, end - 1) + url.slice(end)
}

const slash = '/'.charCodeAt(0)

/** A path that cannot be decoded, or with too long a part, is not found; credentials are checked first, as for any path. */
function refusePath(request: FastifyRequest, reply: FastifyReply, { authenticator, log }: HttpOptions): void {
  if (request.url.startsWith('/admin/v1/')) {
    // Where the operator's API has no path, it says so in its own form.
    request.raw.url = '/admin/v1/-'
    reply.hijack()
    request.server.routing(request.raw, reply.raw)
    return
  }
  startRequest(request)
  const send = (error: unknown) => sendError(request, reply, error, log)
  const notFound = refuse('notFound', { path: pathOf(request) })
  if (!request.url.startsWith('/v1/')) send(notFound)
  else authenticator.authenticate(request.headers.authorization, addressOf(request)).then(() => send(notFound), send)
}

/** Anything but the paths of Parley is not found, in the form of `/v1`, before a body is read. */
function addOutside(outside: FastifyInstance, { log }: HttpOptions): void {
  const refuseAtOnce = (request: FastifyRequest, reply: FastifyReply) => {
    sendError(request, reply, refuse('notFound', { path: pathOf(request) }), log)
  }
  outside.addHook('onRequest', (request, reply) => refuseAtOnce(request, reply))
  outside.setNotFoundHandler(refuseAtOnce)
}

/**
 * Refuses what is not HTTP, headers that are too large, and those that are not complete in time. Fastify has no request for these;
 * the error body is the usual one.
 */
function refuseUnreadable(error: { code?: string }, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const response = responseBeforeBody(socket)
  // A second response to the same request would be taken for that to the next one.
  if (response?.writableFinished) return void socket.destroySoon()
  if (response) return void response.once('finish', () => socket.destroySoon())
  const tooLarge = error.code === 'HPE_HEADER_OVERFLOW'
  const late = error.code === 'ERR_HTTP_REQUEST_TIMEOUT'
  const refusal = refuse(tooLarge ? 'tooLarge' : late ? 'requestTimeout' : 'invalidValue')
  const status = tooLarge ? 431 : refusal.entry.status
  const body = JSON.stringify({ ...refusal.body(), status })
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}`
  socket.end(`${head}\r\nconnection: close\r\n\r\n${body}`)
}

/**
 * Closes the server: accepts no more connections and waits for the requests in progress, at most `timeoutMs`. Connections
 * without a request are closed at once.
 */
export async function closeHttp(server: FastifyInstance, timeoutMs: number): Promise<void> {
  const closed = server.close()
  const deadline = performance.now() + timeoutMs
  while (server.load.concurrent > 0 && performance.now() < deadline) await setTimeout(10)
  server.server.closeAllConnections()
  await closed
}

/**
 * Adds a surface with the hooks that all of them share. Hooks call back and handlers write the response themselves, without a
 * promise where nothing is awaited: promises would be half of a cached read's cost.
 */
function addSurface(v1: FastifyInstance, surface: Surface, options: HttpOptions, load: { concurrent: number }): void {
  const { authenticator, admission, audit, log } = options
  v1.removeAllContentTypeParsers()
  v1.addHook('onRequest', (request, reply, done) => {
    startRequest(request)
    if (options.tracer) request.span = startSpan(options.tracer, request)
    load.concurrent++
    let entered: Principal | undefined
    let closed = false
    // Fastify's onResponse hook is not called when the caller disconnects. `once` would wrap the listener for each request.
    reply.raw.on('close', () => {
      if (closed) return
      load.concurrent--
      closed = true
      if (entered) admission.leave(entered, request.sentBytes)
      requestClosed(request, reply, options)
    })
    surface.prepare?.(request)
    if (!surface.streams) limitBodyTime(request.raw, options.limits)
    const proceed = (permissions?: Permissions) => {
      const refusal = refusalOfHead(request, permissions)
      if (refusal || request.account_sid === '' || !options.elsewhere?.(request, reply)) done(refusal)
    }
    if (isForged(request)) return done(refuse('forbidden'))
    // Browsers send preflight requests without credentials.
    if (request.method === 'OPTIONS' || surface.withoutCredentials) return proceed()
    const admit = (principal: Principal) => {
      request.account_sid = principal.account_sid
      request.default_service_sid = principal.default_service_sid
      // A caller that has disconnected while it was authenticated will not leave any more. It may do no more than others all the same.
      if (!closed) {
        const refusal = admission.enter(request, principal)
        if (refusal) return done(refusal)
        entered = principal
      }
      const begun = byOperator && audit ? beginAct(audit, request) : undefined
      if (begun) begun.then(() => proceed(), done)
      else proceed(principal.permissions)
    }
    const bySurface = surface.authenticate?.(request)
    const byOperator = bySurface ? undefined : options.operator?.actingAs(request)
    const otherwise = bySurface ?? byOperator
    const cached = otherwise ? undefined : authenticator.cached(request.headers.authorization)
    if (cached && !options.beforeRequest) return admit(cached)
    const authenticated = cached ?? otherwise ?? authenticator.authenticate(request.headers.authorization, addressOf(request))
    const refused = (error: Error) => {
      // What an operator tries without the right is recorded, too.
      if (byOperator && audit && request.access) beginWrite(audit, request)
      done(error)
    }
    Promise.all([authenticated, options.beforeRequest?.()]).then(([principal]) => admit(principal), refused)
  })
  if (audit) {
    v1.addHook('preHandler', ({ acting }, _reply, done) => (acting ? audit.within(acting, done) : done()))
  }
  const { faults } = options
  if (faults) v1.addHook('preHandler', (request, reply, done) => faults.apply(request, reply, done))
  v1.setErrorHandler((error, request, reply) => sendError(request, reply, error, log))
  surface.routes(v1)
}

/** What is wrong with a request of an account before its body is read. `permissions`: of a restricted API key. */
function refusalOfHead(request: FastifyRequest, permissions: Permissions | undefined): ApiError | undefined {
  if (request.is404) return noRoute(request)
  const refusal = permissions && permissionRefusal(permissions, request.routeOptions.config.permission)
  return refusal ?? (isEncoded(request.raw) ? refuse('encodingNotSupported') : undefined)
}

/**
 * Whether a page of another site makes a browser write with the credentials that it keeps. A page that has credentials of its own
 * sends them in a header, for which browsers ask first (`cors`); other modes can only carry those of the browser.
 */
function isForged({ method, headers }: FastifyRequest): boolean {
  if (method === 'GET' || headers['sec-fetch-site'] !== 'cross-site') return false
  return method !== 'HEAD' && method !== 'OPTIONS' && headers['sec-fetch-mode'] !== 'cors'
}

/** Its name is that of the operation; its path has placeholders, since there may be names in it. */
function startSpan(tracer: Tracer, request: FastifyRequest): Span {
  const { traceparent } = request.headers
  const { method, routeOptions } = request
  const { operation } = routeOptions.config
  return tracer.start(operation ?? method, 'server', typeof traceparent === 'string' ? traceparent : undefined, {
    'http.request.method': method,
    'http.route': operation === undefined ? undefined : routeOptions.url,
    'parley.request': request.request_id,
  })
}

function requestClosed(request: FastifyRequest, reply: FastifyReply, { audit, onResponse, log, logRequest }: HttpOptions): void {
  const ms = performance.now() - request.started
  // 499, by convention: the caller disconnected before there was a response.
  const status = reply.raw.headersSent ? reply.raw.statusCode : 499
  const { operation } = request.routeOptions.config
  onResponse({ method: request.method, status, seconds: ms / 1000, operation })
  if (audit) endAct(audit, request, status)?.catch((err: unknown) => log.error({ err }, 'a refused act was not recorded'))
  const { span } = request
  span?.end({ 'http.response.status_code': status, 'parley.account': request.account_sid || undefined }, status >= 500)
  if (!log.isLevelEnabled('info')) return
  logRequest({
    method: request.method,
    path: `/v1${loggedPath(request)}`,
    status,
    ms: Math.round(ms * 1000) / 1000,
    account: request.account_sid || undefined,
    operation,
    from: addressOf(request),
    request: request.request_id,
    trace: span?.traceparent.split('-')[1],
  })
}
