import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { ApiError, type ErrorName, refuse } from '../errors.ts'
import { randomSid } from '../sids.ts'
import type { Authenticator } from './auth.ts'
import type { AnyResource } from './declare.ts'
import { emptyForm, type Form, parseForm } from './form.ts'
import { type Call, fetch, list, type Pipeline, write } from './pipeline.ts'
import { chainAbove, familyOf } from './scope.ts'

/** Far above what the limits of any resource add up to, percent-encoded. */
const body_limit = 1024 * 1024

const cors = {
  'access-control-allow-origin': '*',
  'access-control-allow-methods': 'GET, POST, DELETE, OPTIONS',
  'access-control-allow-headers':
    'Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Unmodified-Since, Idempotency-Key, X-Twilio-Webhook-Enabled',
  'access-control-allow-credentials': 'true',
  'access-control-expose-headers': 'ETag',
} as const

type Method = 'GET' | 'POST' | 'DELETE'
type Handler = (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>
interface Path {
  readonly url: string
  readonly methods: Partial<Record<Method, Handler>>
}

export interface HttpOptions {
  readonly pipeline: Pipeline
  readonly authenticator: Authenticator
  readonly resources: readonly AnyResource[]
  readonly unbuilt: readonly {
    readonly path: string
    readonly family: 'both' | 'default' | 'service'
    readonly methods: string
  }[]
  /** Null: from the request's Host. */
  readonly public_url: string | null
  readonly log: Logger
  /** Told of every answer. */
  readonly answered: (method: string, status: number, seconds: number) => void
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Account that the credentials stand for; empty outside `/v1`. */
    account_sid: string
    started: number
  }
}

/** The server without its other surfaces: `/v1/**`, the vendor's wire. */
export function createHttp(options: HttpOptions): FastifyInstance {
  const server = fastify({
    logger: false,
    bodyLimit: body_limit,
    // Names of up to 256 code points, percent-encoded.
    routerOptions: { maxParamLength: 8192 },
    // Answers before routing have the vendor's form too.
    frameworkErrors: (_error, request, reply) =>
      void sendError(reply, refuse('notFound', { path: pathOf(request) }), options.log),
    forceCloseConnections: 'idle',
    return503OnClosing: false,
  })
  server.decorateRequest('account_sid', '')
  server.decorateRequest('started', 0)
  server.register(async (v1) => wire(v1, options), { prefix: '/v1' })
  return server
}

function wire(v1: FastifyInstance, options: HttpOptions): void {
  let concurrent = 0
  v1.removeAllContentTypeParsers()
  v1.addContentTypeParser('application/x-www-form-urlencoded', { parseAs: 'string' }, (_request, body, done) => done(null, body))
  // observed: a JSON body is not read, its parameters count as absent. The same for any other that is not a form.
  v1.addContentTypeParser('*', { parseAs: 'string' }, (_request, _body, done) => done(null, ''))

  v1.addHook('onRequest', async (request, reply) => {
    request.started = performance.now()
    concurrent++
    // One that cannot be parsed is not a form either.
    if (!isForm(request.headers['content-type'])) request.headers['content-type'] = 'application/octet-stream'
    reply.headers(cors)
    reply.header('twilio-request-id', randomSid('RQ'))
    reply.header('twilio-concurrent-requests', concurrent)
    // A browser asks what is allowed before it sends credentials.
    if (request.method === 'OPTIONS') return
    request.account_sid = await options.authenticator.account(request.headers.authorization)
  })
  v1.addHook('onResponse', async (request, reply) => {
    concurrent--
    const ms = performance.now() - request.started
    options.answered(request.method, reply.statusCode, ms / 1000)
    // One line; the query stays out of it, and so does every header.
    options.log.info(
      {
        method: request.method,
        path: `/v1${pathOf(request)}`,
        status: reply.statusCode,
        ms: Math.round(ms * 1000) / 1000,
        account: request.account_sid || undefined,
        request: reply.getHeader('twilio-request-id'),
      },
      'request',
    )
  })
  v1.addHook('onSend', async (request, reply, payload) => {
    reply.header('twilio-request-duration', ((performance.now() - request.started) / 1000).toFixed(3))
    return payload
  })
  v1.setErrorHandler((error, _request, reply) => sendError(reply, error, options.log))
  v1.setNotFoundHandler((request) => {
    throw refuse('notFound', { path: pathOf(request) })
  })
  for (const { url, methods } of merged([...options.resources.flatMap((r) => paths(r, options)), ...notBuilt(options)])) {
    mount(v1, url, methods)
  }
}

function mount(v1: FastifyInstance, url: string, methods: Path['methods']): void {
  for (const [method, handler] of Object.entries(methods)) v1.route({ method, url, handler })
  v1.route({ method: 'OPTIONS', url, handler: async (_request, reply) => reply.code(204).send() })
  const rest = ['GET', 'POST', 'DELETE', 'PUT', 'PATCH', 'HEAD'].filter(
    (method) => !(method in methods) && !(method === 'HEAD' && 'GET' in methods),
  )
  v1.route({
    method: rest,
    url,
    exposeHeadRoute: false,
    handler: async () => {
      throw refuse('methodNotAllowed')
    },
  })
}

/** Where a resource answers, in each family that has it, and what each verb does. */
function paths(resource: AnyResource, options: HttpOptions): Path[] {
  const family = familyOf(resource)
  const above = chainAbove(resource)
  const tail = `${above.map((parent, i) => `/${parent.path}/:parent${i}`).join('')}/${resource.path}`
  const roots = [
    ...(family === 'only service' ? [] : [{ root: '', family: 'default' as const }]),
    ...(family === 'account' ? [] : [{ root: '/Services/:service', family: 'service' as const }]),
  ]
  return roots.flatMap(({ root, family }) => {
    const call = (request: FastifyRequest) => callOf(request, resource, family, above.length, options.public_url)
    const json = (text: Promise<string | null>, reply: FastifyReply, status = 200) => sendJson(text, reply, status)
    const { pipeline } = options
    const instance: Path['methods'] = {
      ...(resource.table && { GET: (request, reply) => json(fetch(pipeline, call(request)), reply) }),
      ...(resource.update && { POST: (request, reply) => json(write(pipeline, 'update', call(request)), reply) }),
      ...(resource.remove && { DELETE: (request, reply) => json(write(pipeline, 'remove', call(request)), reply, 204) }),
    }
    if (resource.sid === null) return [{ url: root + tail, methods: instance }]
    const collection: Path['methods'] = {
      ...(resource.list && { GET: (request, reply) => json(list(pipeline, call(request)), reply) }),
      ...(resource.create && { POST: (request, reply) => json(write(pipeline, 'create', call(request)), reply, 201) }),
    }
    return [
      { url: root + tail, methods: collection },
      { url: `${root}${tail}/:key`, methods: instance },
    ]
  })
}

function notBuilt({ unbuilt }: HttpOptions): Path[] {
  const refusal: Handler = async () => {
    throw refuse('notBuilt')
  }
  return unbuilt.flatMap(({ path, family, methods }) => {
    let place = 0
    const last = path.endsWith('*')
    const segments = path.split('*').length - 1
    const named = path.replace(/\*/g, () => (last && place === segments - 1 ? ':key' : `:parent${place++}`))
    const roots = [...(family === 'service' ? [] : ['']), ...(family === 'default' ? [] : ['/Services/:service'])]
    return roots.map((root) => ({
      url: root + named,
      methods: Object.fromEntries(methods.split(' ').map((method) => [method, refusal])),
    }))
  })
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
  const url = request.url
  const question = url.indexOf('?')
  return {
    resource,
    family,
    base: public_url ?? `http://${request.headers.host ?? 'localhost'}`,
    address: {
      account_sid: request.account_sid,
      service_sid: params.service ?? null,
      parents: depth === 0 ? [] : Array.from({ length: depth }, (_, i) => params[`parent${i}`] ?? ''),
      key: params.key ?? null,
      path: pathOf(request),
    },
    query: question === -1 ? emptyForm : parseForm(url.slice(question + 1)),
    body: bodyOf(request),
    webhooks: isTrue(request.headers['x-twilio-webhook-enabled']),
  }
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
function pathOf(request: FastifyRequest): string {
  const question = request.url.indexOf('?')
  const path = question === -1 ? request.url : request.url.slice(0, question)
  return path.startsWith('/v1') ? path.slice(3) : path
}

async function sendJson(text: Promise<string | null>, reply: FastifyReply, status: number): Promise<FastifyReply> {
  const body = await text
  reply.code(status)
  if (body === null) return reply.send()
  return reply.header('content-type', 'application/json').send(body)
}

const frameworkCodes: Readonly<Record<string, ErrorName>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'tooLarge',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalidValue',
}

/** The one place that renders an error. What is not the caller's fault is logged and shown without its cause. */
function sendError(reply: FastifyReply, error: unknown, log: Logger): FastifyReply {
  const refusal =
    error instanceof ApiError ? error : refuse(frameworkCodes[(error as { code?: string }).code ?? ''] ?? 'serverError')
  if (refusal.kind === 'serverError') log.error({ err: error }, 'request failed')
  if (refusal.entry.status === 401) reply.header('www-authenticate', 'Basic realm="Twilio API"')
  return reply.code(refusal.entry.status).header('content-type', 'application/json').send(JSON.stringify(refusal.body()))
}
