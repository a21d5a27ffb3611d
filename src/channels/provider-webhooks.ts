import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { type HttpLimits, isEncoded, limitBodyTime } from '../api/limits.ts'
import { baseOf } from '../api/origin.ts'
import { isFailure } from '../errors.ts'
import { isSid } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { channelBySid } from '../storage/lookups.ts'
import { type ChannelEvent, type ChannelIo, UnprovenError } from './adapter.ts'
import { type Carrier, type Carriers, joined } from './carrier.ts'

/** Of one request: a batch of statuses, or a message with its media by URL. */
const maxBodyBytes = 4 * 1024 * 1024

/** Providers give up after ten to thirty seconds, and repeat the request. */
const timeoutMs = 30_000

export interface ProviderWebhooksOptions {
  /** Rows as they are now. */
  readonly committed: Reader
  readonly carriers: Carriers
  readonly apply: (channel: ChannelIo['channel'], event: ChannelEvent) => Promise<void>
  /** Null: derived from the request's Host header. */
  readonly publicUrl: string | null
  readonly limits: HttpLimits
  readonly warn: (facts: object, text: string) => void
  readonly failed: (error: unknown) => void
}

/** A carrier whose kind takes webhooks. */
type Called = Carrier & { readonly kind: { readonly webhook: NonNullable<Carrier['kind']['webhook']> } }

declare module 'fastify' {
  interface FastifyRequest {
    called: Called | null
  }
}

interface OfChannel {
  Params: { sid: string }
}

/** `/channels/{sid}` and what is below it: what providers call. */
export function providerWebhooks(options: ProviderWebhooksOptions): FastifyPluginAsync {
  return async (server) => {
    server.decorateRequest('called', null)
    server.removeAllContentTypeParsers()
    server.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: maxBodyBytes }, (_request, body, done) => done(null, body))
    server.addHook('onRequest', async (request, reply) => {
      count(request, reply)
      // The same whether there is no such channel, or one that takes no webhooks, whoever it belongs to.
      request.called = await calledBy(options, request)
      if (!request.called) return reply.code(404).send({ error: 'not found' })
      if (isEncoded(request.raw)) return reply.code(415).send({ error: 'a Content-Encoding is not supported' })
      limitBodyTime(request.raw, options.limits)
    })
    server.setErrorHandler((error: { statusCode?: number }, _request, reply) => {
      const status = error.statusCode ?? 500
      if (status < 500) return reply.code(status).send({ error: 'the request cannot be read' })
      if (!isFailure(error)) options.failed(error)
      return reply.code(503).send({ error: 'try again later' })
    })
    for (const url of ['/channels/:sid', '/channels/:sid/*']) {
      server.route<OfChannel>({ method: ['GET', 'POST'], url, handler: (request, reply) => answer(options, request, reply) })
    }
  }
}

/** The server waits for the request when it closes. */
function count({ server: { load } }: FastifyRequest, reply: FastifyReply): void {
  load.concurrent++
  reply.raw.once('close', () => load.concurrent--)
}

async function calledBy({ committed, carriers }: ProviderWebhooksOptions, request: FastifyRequest): Promise<Called | null> {
  const { sid = '' } = request.params as { sid?: string }
  const row = isSid('channel', sid) ? await committed.one(channelBySid, { sid }) : undefined
  const carrier = row && carriers.of(row)
  return carrier && hasWebhook(carrier) ? carrier : null
}

function hasWebhook(carrier: Carrier): carrier is Called {
  return carrier.kind.webhook !== undefined
}

async function answer(options: ProviderWebhooksOptions, request: FastifyRequest<OfChannel>, reply: FastifyReply) {
  const { called } = request
  if (!called) throw new Error('a webhook without a channel')
  const { kind, settings, channel } = called
  const io = options.carriers.io(channel, AbortSignal.timeout(timeoutMs))
  try {
    const { reply: given, events } = await kind.webhook(settings, rawRequest(options, request), io)
    for (const event of events) await options.apply(channel, event)
    return reply.code(given.status).type(given.content_type).send(given.body)
  } catch (error) {
    if (!(error instanceof UnprovenError)) throw error
    options.warn({ channel: channel.sid, why: error.message }, 'a request to a channel does not come from its provider')
    return reply.code(403).send({ error: 'the request is not proven to come from the provider' })
  }
}

function rawRequest({ publicUrl }: ProviderWebhooksOptions, request: FastifyRequest<OfChannel>) {
  const target = request.raw.url ?? ''
  const path = (target.split('?')[0] ?? '').slice(`/channels/${request.params.sid}`.length)
  return {
    method: request.method,
    url: `${baseOf(request, publicUrl)}${target}`,
    path: path === '' ? '/' : path,
    headers: joined(request.headers),
    body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
  }
}
