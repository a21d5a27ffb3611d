import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import type { ErrorName } from '../error-catalogue.ts'
import { ApiError, codeOf, isFailure, refuse } from '../errors.ts'
import { emptyForm, type Form, parseForm } from '../model/form.ts'
import { randomSid } from '../sids.ts'
import { limitWriteTime } from './limits.ts'
import { shownTo } from './rights.ts'

/** Names and values alternate: the form that Node writes fastest. */
const fixedHeaders = [
  'access-control-allow-origin',
  '*',
  'access-control-allow-methods',
  'GET, POST, DELETE, OPTIONS',
  'access-control-allow-headers',
  'Accept, Authorization, Content-Type, If-Match, If-Modified-Since, If-None-Match, If-Unmodified-Since, Idempotency-Key, X-Twilio-Token, X-Twilio-Webhook-Enabled',
  'access-control-allow-credentials',
  'true',
  'access-control-expose-headers',
  'ETag',
] as const

export function queryOf({ url }: FastifyRequest): Form {
  const question = url.indexOf('?')
  return question === -1 ? emptyForm : parseForm(url.slice(question + 1))
}

/** Returns the parameters of the path. */
export function paramsOf(request: FastifyRequest): Readonly<Partial<Record<string, string>>> {
  // Fastify types them as unknown; its router stores one string for each placeholder.
  return request.params as Record<string, string>
}

/** Returns the path as requested, without `/v1` and query. */
export function pathOf(request: FastifyRequest): string {
  const question = request.url.indexOf('?')
  const path = question === -1 ? request.url : request.url.slice(0, question)
  return path.startsWith('/v1/') || path === '/v1' ? path.slice(3) : path
}

const sid = /^[A-Z]{2}[0-9a-f]{32}$/

/**
 * Returns the path for the log: words of the API and SIDs as they are, anything else, which may be a name or an identity, as `:key`.
 */
export function loggedPath(request: FastifyRequest): string {
  const { pathWords } = request.server
  const path = pathOf(request)
  const isShown = (segment: string) => (segment.length === 34 ? sid.test(segment) : pathWords.has(segment))
  // Most paths are logged as they are.
  let start = 0
  for (let end = path.indexOf('/'); end !== -1 && isShown(path.slice(start, end)); end = path.indexOf('/', start)) start = end + 1
  if (!path.includes('/', start) && isShown(path.slice(start))) return path
  return path
    .split('/')
    .map((segment) => (isShown(segment) ? segment : ':key'))
    .join('/')
}

export function startRequest(request: FastifyRequest): void {
  request.started = performance.now()
  request.request_id = randomSid('request')
  request.concurrent = 1
  // Asked once, Node remembers it: the log wants it when the connection may be closed.
  void request.raw.socket.remoteAddress
}

/** Returns the headers of every response, names and values alternating. */
export function commonHeaders(request: FastifyRequest): string[] {
  const headers = [
    ...fixedHeaders,
    'twilio-request-id',
    request.request_id,
    'twilio-concurrent-requests',
    String(request.concurrent),
    'twilio-request-duration',
    ((performance.now() - request.started) / 1000).toFixed(3),
  ]
  // Fastify adds this header only to replies that it writes itself.
  if (!request.server.server.listening) headers.push('connection', 'close')
  return headers
}

/** Writes the response directly: Fastify's own reply costs more than all the rest of a cached read. */
export function respond(
  request: FastifyRequest,
  reply: FastifyReply,
  status: number,
  given: string | Uint8Array | null,
  more: readonly string[] = [],
): void {
  const { access } = request
  // Fastify makes `routeOptions` anew each time.
  const body = access && given ? shownTo(access, request.routeOptions.config.operation, textOf(given)) : given
  const headers = commonHeaders(request)
  headers.push(...more)
  if (body !== null) {
    request.sentBytes = typeof body === 'string' ? Buffer.byteLength(body) : body.byteLength
    headers.push('content-type', 'application/json', 'content-length', String(request.sentBytes))
  }
  reply.hijack()
  reply.raw.writeHead(status, headers)
  // Where each character is one byte, it is ASCII, which Node writes faster: a page of 54 KB in 336 µs instead of 345, median 377 and 429.
  if (typeof body === 'string' && request.sentBytes === body.length) reply.raw.end(body, 'latin1')
  else reply.raw.end(body ?? undefined)
  limitWriteTime(reply.raw, request.server.limits)
}

/** Returns a body that a thread has rendered as the text that it is. */
function textOf(body: string | Uint8Array): string {
  return typeof body === 'string' ? body : Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString()
}

const frameworkCodes: Readonly<Record<string, ErrorName>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'tooLarge',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'invalidValue',
  // No descriptor is left for a file or a connection to the database.
  EMFILE: 'unavailable',
  ENFILE: 'unavailable',
}

/** The only place that renders errors. A server error is logged with its cause and sent without it. */
export function sendError(request: FastifyRequest, reply: FastifyReply, error: unknown, log: Logger): void {
  const refusal = error instanceof ApiError ? error : refuse(frameworkCodes[codeOf(error) ?? ''] ?? 'serverError')
  // Refused before the hooks of its surface ran, as for its host.
  if (request.request_id === '') startRequest(request)
  // A caller that disconnects while its body is read is no server error.
  if (refusal.entry.status >= 500 && !isFailure(error) && !request.raw.destroyed) log.error({ err: error }, 'request failed')
  respond(request, reply, refusal.entry.status, JSON.stringify(refusal.body()), headersOf(refusal))
}

function headersOf({ entry, details }: ApiError): string[] {
  if (entry.status === 401) return ['www-authenticate', 'Basic realm="Twilio API"']
  if (details.contentRange !== undefined) return ['content-range', details.contentRange]
  return details.seconds === undefined ? [] : ['retry-after', details.seconds]
}
