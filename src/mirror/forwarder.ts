import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { pipeline as pipe } from 'node:stream/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { limitWriteTime } from '../api/limits.ts'
import { baseOf } from '../api/origin.ts'
import { pathOf, sendError } from '../api/respond.ts'
import type { Clock } from '../clock.ts'
import type { ParleyCommands } from '../commands.ts'
import { isFailure, refuse } from '../errors.ts'
import { parseJsonObject } from '../json.ts'
import type { Json } from '../records/format.ts'
import type { Database } from '../storage/database.ts'
import { accountBySid } from '../storage/lookups.ts'
import { readAll } from '../transfer/hosted/client.ts'
import { durationsOf } from '../transfer/hosted/timers.ts'
import { forwardedHeaders, HostedLostError, type HostedResponse, type HostedSender, responseHeaders } from './hosted-write.ts'
import { type Plan, planOf } from './plan.ts'
import type { ReadComparison } from './read-comparison.ts'
import { rehomed } from './rehome.ts'
import type { Scopes } from './scopes.ts'
import type { Settler } from './settle.ts'
import type { Line, MirrorStore, News } from './store.ts'
import { targetText } from './targets.ts'

export interface ForwarderOptions {
  readonly database: Database<ParleyCommands>
  readonly clock: Clock
  readonly log: Logger
  readonly store: MirrorStore
  readonly settler: Settler
  readonly scopes: Scopes
  readonly sender: HostedSender
  readonly account_sid: string
  readonly url: string
  readonly mediaUrl: string
  readonly reads: 'hosted' | 'here' | 'compare'
  /** Makes reads here as well; null where they are not compared. */
  readonly comparison: ReadComparison | null
  readonly publicUrl: string | null
  readonly maxBodyBytes: number
  /** Ids of the writes under way. */
  readonly inFlight: Set<string>
  /** Whether writes are sent on. */
  readonly isOpen: () => boolean
  readonly touched: (conversation: string) => void
  /** There is something to read. */
  readonly nudge: () => void
}

/**
 * Whether a URL with the path of a request has another path. What may be done was decided by the path as it is, in which `..` and what has
 * a backslash are names.
 */
function isElsewhere({ originalUrl }: FastifyRequest): boolean {
  const [path = ''] = originalUrl.split('?', 1)
  // With a scheme and a host, the URL would name another host, or none.
  return !path.startsWith('/') || /[\\#]/.test(path) || path.split('/').some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment))
}

const mediaPath = /^\/v1\/Services\/[^/]+\/Media(?:Set)?(?:\/|$)/

/** Sends requests of programs on to the hosted side, and stores what it answers. */
export class Forwarder {
  readonly #options: ForwarderOptions

  constructor(options: ForwarderOptions) {
    this.#options = options
  }

  /** Takes over a request whose credentials are checked. Returns false for one that is answered here. */
  takes(request: FastifyRequest, reply: FastifyReply): boolean {
    const { reads, log } = this.#options
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    const isMedia = mediaPath.test(request.url.split('?', 1)[0] ?? '')
    if (request.is404 || request.method === 'OPTIONS') return false
    // Files that no message has are on the hosted side only.
    if (isRead && reads === 'here' && !isMedia) return false
    reply.hijack()
    const forward = () => (isRead || isMedia ? this.#pass(request, reply, isMedia) : this.#write(request, reply))
    const work = isElsewhere(request) ? Promise.reject(refuse('notFound', { path: pathOf(request) })) : forward()
    work.catch((error: unknown) => {
      if (reply.raw.headersSent || reply.raw.destroyed) return void reply.raw.destroy()
      sendError(request, reply, error, log)
    })
    return true
  }

  #url(request: FastifyRequest, base: string): URL {
    // Appended, not resolved: a path that begins with // would name another host.
    return new URL(base + request.originalUrl)
  }

  /** Sends on what stores nothing here: reads, and uploads, which are stored with their messages. */
  async #pass(request: FastifyRequest, reply: FastifyReply, isMedia: boolean): Promise<void> {
    const { sender, url, mediaUrl, isOpen } = this.#options
    const isRead = request.method === 'GET' || request.method === 'HEAD'
    // An app's token is of this side.
    if (typeof request.headers['x-twilio-token'] === 'string') throw refuse('mirrored')
    if (!isRead && !isOpen()) throw refuse('unavailable', { seconds: '5' })
    const base = baseOf(request, this.#options.publicUrl)
    const length = request.headers['content-length']
    const response = await sender
      .open({
        url: this.#url(request, isMedia ? mediaUrl : url),
        method: request.method,
        headers: [...forwardedHeaders(request.raw), ...(!isRead && length !== undefined ? ['content-length', length] : [])],
        // The caller's connection is for the response: it does not end with its body.
        body: isRead ? null : Readable.from(request.raw.iterator({ destroyOnReturn: false }), { objectMode: false }),
      })
      .catch((error: unknown) => {
        throw this.#unanswered(error, isRead)
      })
    const { statusCode: status, headers } = response
    if (isMisconfigured(status)) {
      await response.body.dump()
      throw this.#misconfigured()
    }
    if (/^application\/json\b/i.test(String(headers['content-type'] ?? '')) && request.method !== 'HEAD') {
      const body = await readAll(response).catch((error: unknown) => {
        throw this.#unanswered(new HostedLostError('no complete answer', true, { cause: error }), isRead)
      })
      this.#respond(request, reply, base, { status, headers: responseHeaders(response), body, isJson: true })
      if (isRead && !isMedia) this.#compare(request, status, body)
      return
    }
    const contentLength = headers['content-length']
    const more = typeof contentLength === 'string' ? ['content-length', contentLength] : []
    reply.raw.writeHead(status, [...responseHeaders(response), ...more])
    await pipe(response.body, reply.raw)
  }

  /** Has a read that was answered compared with what it shows here. */
  #compare(request: FastifyRequest, status: number, body: Buffer): void {
    const { comparison, isOpen } = this.#options
    const { operation, read } = request.routeOptions.config
    if (!comparison) return
    // A switch waits until nothing is being looked at, and reads do not end meanwhile.
    if (!isOpen()) return void comparison.skip()
    const there = status === 200 ? parseJsonObject(body.toString()) : null
    // Other statuses are about the request, or about the moment.
    if (!read || operation === undefined || there === undefined || (status !== 200 && status !== 404))
      return void comparison.skip()
    comparison.offer({
      operation,
      path: request.originalUrl,
      there,
      here: async () => {
        const text = await read(request)
        return parseJsonObject(typeof text === 'string' ? text : Buffer.from(text ?? '').toString()) ?? {}
      },
      scope: async () => (await this.#plan(request, Buffer.alloc(0))).scope,
    })
  }

  async #write(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    const { scopes, isOpen, publicUrl } = this.#options
    const base = baseOf(request, publicUrl)
    const body = await readBody(request, this.#options.maxBodyBytes)
    const plan = await this.#plan(request, body)
    if (plan.scope?.startsWith('CH')) this.#options.touched(plan.scope)
    await scopes.run(plan.scope, async () => {
      if (!isOpen()) throw refuse('unavailable', { seconds: '5' })
      // Nobody waits for it any more, and nothing was done: the caller may ask again.
      if (reply.raw.destroyed) return
      this.#respond(request, reply, base, await this.#sendWrite(request, body, plan))
    })
  }

  /** Notes the write, sends it once, and stores what comes back. Throws ApiError where nothing that can be passed on came back. */
  async #sendWrite(request: FastifyRequest, body: Buffer, plan: Plan): Promise<HostedResponse> {
    const { database, account_sid, clock, sender, url, inFlight, store } = this.#options
    const id = randomUUID()
    inFlight.add(id)
    try {
      const { turn } = store.options
      await database.write('openIntent', { account_sid, id, targets: plan.ifUnknown, now: clock.now(), turn })
      const headers = forwardedHeaders(request.raw)
      const sent = { url: this.#url(request, url), method: request.method, headers, body: body.length > 0 ? body : null }
      const response = await sender.send(sent).catch(async (error: unknown) => {
        const isLost = error instanceof HostedLostError && error.isSent
        await this.#close(id, isLost ? plan.ifUnknown : [])
        throw this.#unanswered(error, false)
      })
      await this.#known(id, plan, response, new URLSearchParams(body.toString()))
      if (isMisconfigured(response.status)) throw this.#misconfigured()
      if (response.status >= 300 && response.status < 400) throw refuse('hostedUnknown')
      return response
    } finally {
      inFlight.delete(id)
      this.#options.nudge()
    }
  }

  /** Stores what follows from a response. What fails here is read later: the caller gets the response in any case. */
  async #known(id: string, plan: Plan, { status, body }: HostedResponse, form: URLSearchParams): Promise<void> {
    const { store, log } = this.#options
    try {
      // Nothing has changed; but what is not there may be here.
      if (status === 404) return await this.#close(id, plan.ifUnknown)
      if (status >= 400 && status < 500) return await this.#close(id, [])
      if (status < 200 || status >= 300) return await this.#close(id, plan.ifUnknown)
      const news = await newsOf(plan, parseJsonObject(body.toString()) ?? null, form, store)
      const { refusals } = await store.store({ ...news, intent: id, ifRefused: plan.ifUnknown })
      const refused = refusals.length
      if (refused > 0) log.warn({ kind: plan.shows?.kind, refused }, 'what the hosted side has answered is not stored yet')
    } catch (error) {
      if (!isFailure(error)) log.error({ err: error }, 'what the hosted side has answered was not stored')
    }
  }

  async #close(id: string, targets: readonly string[]): Promise<void> {
    const { database, account_sid, clock } = this.#options
    // If it cannot be closed it stays open, and is read as one that was lost.
    await database.write('closeIntent', { account_sid, id, targets, now: clock.now() })
  }

  async #plan(request: FastifyRequest, body: Buffer): Promise<Plan> {
    const { settler, database, account_sid, clock } = this.#options
    const [, , ...parts] = (request.url.split('?', 1)[0] ?? '').split('/').map(decodeURIComponent)
    const isInService = parts[0] === 'Services' && parts.length > 1
    const segments = isInService ? parts.slice(2) : parts
    const isOfAccount = !isInService && ['Services', 'Configuration', 'Credentials'].includes(parts[0] ?? '')
    const account = await database.read.one(accountBySid, { sid: account_sid })
    const service = isInService ? (parts[1] ?? '') : isOfAccount ? null : (account?.default_service_sid ?? '')
    const at = segments[0] === 'Conversations' ? 1 : segments[0] === 'Users' && segments[2] === 'Conversations' ? 3 : -1
    const key = segments[at]
    if (service !== null && key !== undefined) segments[at] = await settler.conversationOf(service, key)
    return planOf({
      method: request.method === 'DELETE' ? 'DELETE' : 'POST',
      segments,
      service,
      form: new URLSearchParams(body.toString()),
      day: new Date(clock.now() - dayMs).toISOString().slice(0, 10),
    })
  }

  #respond(request: FastifyRequest, reply: FastifyReply, base: string, response: HostedResponse): void {
    const { status, headers, body, isJson } = response
    const { url, mediaUrl } = this.#options
    const parsed = isJson ? parseJsonObject(body.toString()) : undefined
    const sent = parsed ? Buffer.from(JSON.stringify(rehomed(parsed, [url, mediaUrl], base))) : body
    request.sentBytes = sent.length
    const length = status === 204 || status === 304 ? [] : ['content-length', String(sent.length)]
    reply.raw.writeHead(status, [...headers, ...length])
    reply.raw.end(sent)
    limitWriteTime(reply.raw, request.server.limits)
  }

  #unanswered(error: unknown, isRead: boolean): unknown {
    if (!(error instanceof HostedLostError)) return error
    this.#options.log.warn({ reason: error.message, sent: error.isSent }, 'the hosted side has not answered')
    return isRead || !error.isSent ? refuse('unavailable', { seconds: '1' }) : refuse('hostedUnknown')
  }

  /** The caller's credentials are good, those for the hosted side are not. */
  #misconfigured(): unknown {
    this.#options.log.error('the hosted side refuses the credentials of the mirror, or they may not do this')
    return refuse('unavailable')
  }
}

const dayMs = 86_400_000

function isMisconfigured(status: number): boolean {
  return status === 401
}

/** Reads a form. Throws ApiError when it is too long, or does not come. */
async function readBody({ raw }: FastifyRequest, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  const all: AsyncIterable<Buffer> = raw.iterator({ destroyOnReturn: false })
  for await (const chunk of all) {
    size += chunk.length
    if (size > maxBytes) throw refuse('tooLarge')
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Returns what is stored after a success, and what has to be read. */
async function newsOf(plan: Plan, body: Json | null, form: URLSearchParams, store: MirrorStore): Promise<News> {
  const { shows, removes, afterwards, service } = plan
  if (removes) {
    const { resource, parents, key } = removes
    return { removals: [store.removal(resource, service, parents, key)], targets: afterwards }
  }
  if (!body || !shows) return { targets: [...afterwards, ...madeBy(service, body)] }
  const { kind, conversation } = shows
  const line: Line = { kind, service, conversation: conversationIn(body) ?? conversation, resource: body }
  const isMadeNow = kind === 'conversation' && conversation === null
  const extra = isMadeNow ? durationsOf(body, null) : kind === 'conversation' ? timersIn(form) : {}
  return { lines: [{ ...line, extra }], targets: [...afterwards, ...filesIn(service, kind, body)] }
}

function conversationIn({ conversation_sid }: Json): string | null {
  return typeof conversation_sid === 'string' ? conversation_sid : null
}

/** What was made by a write whose response does not show all of it. */
function madeBy(service: string | null, body: Json | null): string[] {
  const sid = typeof body?.sid === 'string' ? body.sid : ''
  if (sid.startsWith('IS')) return [targetText('service', sid)]
  if (!sid.startsWith('CH') || service === null) return []
  return [targetText('conversation', service, sid), targetText('messages', service, sid)]
}

/** The durations of timers, which no response shows. */
function timersIn(form: URLSearchParams): Json {
  const names = { 'Timers.Inactive': 'inactive_after', 'Timers.Closed': 'closed_after' } as const
  return Object.fromEntries(
    Object.entries(names).flatMap(([name, key]) => {
      const given = form.getAll(name).at(-1)
      return given === undefined ? [] : [[key, given]]
    }),
  )
}

/** Files are fetched after the response is passed on. */
function filesIn(service: string | null, kind: string, { sid, conversation_sid, media }: Json): string[] {
  const hasFiles = kind === 'message' && Array.isArray(media) && media.length > 0
  if (!hasFiles || service === null) return []
  return [targetText('message', service, String(conversation_sid), String(sid))]
}
