import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { ApiError, type ErrorName, refuse } from '../errors.ts'
import type { AnyResource } from '../model/declare.ts'
import { emptyForm, type Form, parseForm } from '../model/form.ts'
import { chainAbove, familyOf } from '../model/scope.ts'
import { randomSid } from '../sids.ts'
import type { Authenticator } from './auth.ts'
import { type Call, fetch, list, type Operation, type Pipeline, write } from './requests.ts'

/** Far above what the limits of any resource add up to, percent-encoded. */
const body_limit = 1024 * 1024

/** Names and values in turn, as Node writes them with the least work. */
const fixedHeaders = [
  'access-control-allow-origin',
  '*',
  'access-control-allow-methods',
  'GET, POST, DELETE, OPTIONS',
  'access-control-allow-headers',
  'Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Unmodified-Since, Idempotency-Key, X-Twilio-Webhook-Enabled',
  'access-control-allow-credentials',
  'true',
  'access-control-expose-headers',
  'ETag',
] as const

type Method = 'GET' | 'POST' | 'DELETE'
export type Handler = (request: FastifyRequest, reply: FastifyReply) => void
interface Path {
  readonly url: string
  readonly methods: Partial<Record<Method, Handler>>
}

/** Routes that share how `/v1` authenticates, logs and renders errors, but neither its parsers nor its limits. */
export interface Surface {
  /** Called before credentials are looked at. */
  readonly prepare?: (request: FastifyRequest) => void
  /** Its urls are signed instead. */
  readonly withoutCredentials?: true
  readonly routes: (plugin: FastifyInstance) => void
}

export interface HttpOptions {
  readonly pipeline: Pipeline
  /** Done before each request that is not known already: a shared test clock may have been moved. */
  readonly before?: () => Promise<void>
  readonly authenticator: Authenticator
  readonly resources: readonly AnyResource[]
  readonly operations: readonly Operation[]
  /** Surfaces under `/v1` that read bodies in a way of their own. */
  readonly beside: readonly Surface[]
  /** Null: from the request's Host. */
  readonly public_url: string | null
  readonly log: Logger
  /** Told of every answer. */
  readonly answered: (method: string, status: number, seconds: number) => void
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Paths below `/v1` that answer to some verb. */
    known: RegExp[]
    /** Requests under way. */
    load: { concurrent: number }
  }
  interface FastifyRequest {
    /** Account that the credentials stand for; empty outside `/v1`. */
    account_sid: string
    started: number
    id_for_caller: string
    /** How many requests were under way, this one included. */
    concurrent: number
  }
}

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

function answered(request: FastifyRequest, reply: FastifyReply, { answered, log }: HttpOptions): void {
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

/** The resources and operations: forms in, JSON out. */
function wire(options: HttpOptions): Surface {
  return {
    prepare(request) {
      // One that cannot be parsed is not a form either.
      if (!isForm(request.headers['content-type'])) request.headers['content-type'] = 'application/octet-stream'
    },
    routes(v1) {
      v1.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) =>
        done(null, body),
      )
      // observed: a JSON body is not read, its parameters count as absent. The same for any other that is not a form.
      v1.addContentTypeParser('*', { parseAs: 'string' }, (_request, _body, done) => done(null, ''))
      // The framework takes a known path with another verb for an unknown path; a route for each verb would be thousands.
      v1.setNotFoundHandler((request) => {
        const path = pathOf(request)
        throw v1.known.some((url) => url.test(path)) ? refuse('methodNotAllowed') : refuse('notFound', { path })
      })
      for (const { url, methods } of merged([
        ...options.resources.flatMap((r) => paths(r, options)),
        ...operationPaths(options),
      ])) {
        mount(v1, url, methods)
      }
    },
  }
}

/** A url with its methods; any other verb is refused there. */
export function mount(v1: FastifyInstance, url: string, methods: Path['methods']): void {
  for (const [method, handler] of Object.entries(methods)) v1.route({ method, url, handler })
  v1.route({ method: 'OPTIONS', url, handler: (request, reply) => respond(request, reply, 204, null) })
  v1.known.push(new RegExp(`^${url.replace(/:\w+/g, '[^/]+')}$`))
}

/** Where a resource answers, in each family that has it, and what each verb does. */
function paths(resource: AnyResource, options: HttpOptions): Path[] {
  const family = familyOf(resource)
  const above = chainAbove(resource)
  const tail = `${above.map((parent, i) => `/${parent.path}/:parent${i}`).join('')}/${resource.path}`
  return rootsOf(family).flatMap(({ root, family }) => {
    const call = (request: FastifyRequest) => callOf(request, resource, family, above.length, options.public_url)
    const { pipeline, log } = options
    const answer = (status: number, work: (call: Call) => Promise<string | null> | string): Handler => {
      return (request, reply) => {
        const body = work(call(request))
        if (typeof body === 'string') return respond(request, reply, status, body)
        body.then(
          (text) => respond(request, reply, status, text),
          (error: unknown) => sendError(request, reply, error, log),
        )
      }
    }
    const instance: Path['methods'] = {
      ...((!resource.view || resource.view.find) && { GET: answer(200, (asked) => fetch(pipeline, asked)) }),
      ...(resource.update && { POST: answer(200, (asked) => write(pipeline, 'update', asked)) }),
      ...(resource.remove && { DELETE: answer(204, (asked) => write(pipeline, 'remove', asked)) }),
    }
    if (resource.sid === null) return [{ url: root + tail, methods: instance }]
    const collection: Path['methods'] = {
      ...(resource.list && { GET: answer(200, (asked) => list(pipeline, asked)) }),
      ...(resource.create && { POST: answer(201, (asked) => write(pipeline, 'create', asked)) }),
    }
    return [
      { url: root + tail, methods: collection },
      { url: `${root}${tail}/:key`, methods: instance },
    ]
  })
}

/** What goes before a path, in each family that has it. */
function rootsOf(family: ReturnType<typeof familyOf>): { root: string; family: Call['family'] }[] {
  return [
    ...(family === 'only service' ? [] : [{ root: '', family: 'default' as const }]),
    ...(family === 'account' ? [] : [{ root: '/Services/:service', family: 'service' as const }]),
  ]
}

/** Operations that no resource declares. */
function operationPaths({ operations, pipeline, public_url, log }: HttpOptions): Path[] {
  return operations.flatMap(({ path, method, resource, run }) =>
    rootsOf(familyOf(resource)).map(({ root, family }) => {
      const handler: Handler = (request, reply) => {
        run(pipeline, callOf(request, resource, family, 0, public_url)).then(
          ({ status, body }) => respond(request, reply, status, body),
          (error: unknown) => sendError(request, reply, error, log),
        )
      }
      return { url: root + path, methods: { [method]: handler } }
    }),
  )
}

function merged(all: readonly Path[]): Path[] {
  const byUrl = new Map<string, Path>()
  for (const { url, methods } of all) {
    byUrl.set(url, { url, methods: { ...methods, ...byUrl.get(url)?.methods } })
  }
  return [...byUrl.values()].filter(({ methods }) => Object.keys(methods).length > 0)
}

function callOf(
  request: FastifyRequest,
  resource: AnyResource,
  family: Call['family'],
  depth: number,
  public_url: string | null,
): Call {
  const params = request.params as Record<string, string>
  return {
    resource,
    family,
    base: baseOf(request, public_url),
    address: {
      account_sid: request.account_sid,
      service_sid: params.service ?? null,
      parents: depth === 0 ? [] : Array.from({ length: depth }, (_, i) => params[`parent${i}`] ?? ''),
      key: params.key ?? null,
      path: pathOf(request),
    },
    query: queryOf(request),
    body: bodyOf(request),
    webhooks: isTrue(request.headers['x-twilio-webhook-enabled']),
  }
}

/** Public base for urls, without `/v1`. */
export function baseOf(request: FastifyRequest, public_url: string | null): string {
  return public_url ?? `http://${request.headers.host ?? 'localhost'}`
}

export function queryOf({ url }: FastifyRequest): Form {
  const question = url.indexOf('?')
  return question === -1 ? emptyForm : parseForm(url.slice(question + 1))
}

function bodyOf(request: FastifyRequest): Form {
  return typeof request.body === 'string' ? parseForm(request.body) : emptyForm
}

function isForm(content_type: string | undefined): boolean {
  return content_type !== undefined && /^application\/x-www-form-urlencoded *(?:;|$)/i.test(content_type)
}

function isTrue(header: string | string[] | undefined): boolean {
  return typeof header === 'string' && header.toLowerCase() === 'true'
}

/** As requested, without `/v1` and query. */
export function pathOf(request: FastifyRequest): string {
  const question = request.url.indexOf('?')
  const path = question === -1 ? request.url : request.url.slice(0, question)
  return path.startsWith('/v1') ? path.slice(3) : path
}

function begin(request: FastifyRequest, concurrent: number): void {
  request.started = performance.now()
  request.id_for_caller = randomSid('RQ')
  request.concurrent = concurrent
}

/** What every answer carries: names and values in turn. */
export function commonHeaders(request: FastifyRequest): string[] {
  const headers = [
    ...fixedHeaders,
    'twilio-request-id',
    request.id_for_caller,
    'twilio-concurrent-requests',
    String(request.concurrent),
    'twilio-request-duration',
    ((performance.now() - request.started) / 1000).toFixed(3),
  ]
  // The framework says so itself only on its own reply.
  if (!request.server.server.listening) headers.push('connection', 'close')
  return headers
}

/** Writes the answer past the framework's reply, which costs more than all the rest of a cached read. */
export function respond(
  request: FastifyRequest,
  reply: FastifyReply,
  status: number,
  body: string | null,
  more: readonly string[] = [],
): void {
  const headers = commonHeaders(request)
  headers.push(...more)
  if (body !== null) headers.push('content-type', 'application/json', 'content-length', String(Buffer.byteLength(body)))
  reply.hijack()
  reply.raw.writeHead(status, headers)
  reply.raw.end(body ?? undefined)
}

const frameworkCodes: Readonly<Record<string, ErrorName>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'tooLarge',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalidValue',
}

/** The one place that renders an error. What is not the caller's fault is logged and shown without its cause. */
export function sendError(request: FastifyRequest, reply: FastifyReply, error: unknown, log: Logger): void {
  const refusal =
    error instanceof ApiError ? error : refuse(frameworkCodes[(error as { code?: string }).code ?? ''] ?? 'serverError')
  // A caller who hangs up while its body is read has done that itself.
  if (refusal.kind === 'serverError' && !request.raw.destroyed) log.error({ err: error }, 'request failed')
  const challenge = refusal.entry.status === 401 ? ['www-authenticate', 'Basic realm="Twilio API"'] : []
  respond(request, reply, refusal.entry.status, JSON.stringify(refusal.body()), challenge)
}
