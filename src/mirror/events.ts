import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { type HttpLimits, isEncoded, limitBodyTime } from '../api/limits.ts'
import { baseOf } from '../api/origin.ts'
import { isProven } from '../channels/twilio/signature.ts'
import { isFailure } from '../errors.ts'
import { postActionEvents } from '../events/names.ts'
import { isSid, type SidKind } from '../sids.ts'
import type { Mirror } from './mirror.ts'
import { targetText } from './targets.ts'

/** An event has a message of 32 KiB at most, and attributes, percent-encoded. */
const maxBodyBytes = 1024 * 1024

export interface EventsOptions {
  readonly mirror: Mirror
  /** Signs what the hosted side sends. */
  readonly auth_token: string
  /** Null: derived from the request's Host header. */
  readonly publicUrl: string | null
  readonly limits: HttpLimits
  readonly log: Logger
}

/** `/mirror/events`: what the hosted side's webhooks call. Each is a hint at something to be read. */
export function eventRoutes(options: EventsOptions): FastifyPluginAsync {
  const { mirror, limits, log } = options
  return async (server) => {
    server.removeAllContentTypeParsers()
    server.addContentTypeParser('*', { parseAs: 'string', bodyLimit: maxBodyBytes }, (_request, body, done) => done(null, body))
    server.addHook('onRequest', async (request, reply) => {
      if (!mirror.isFollowing) return reply.code(404).send({ error: 'not found' })
      if (isEncoded(request.raw)) return reply.code(415).send({ error: 'a Content-Encoding is not supported' })
      limitBodyTime(request.raw, limits)
    })
    server.setErrorHandler((error: { statusCode?: number }, _request, reply) => {
      const status = error.statusCode ?? 500
      if (status < 500) return reply.code(status).send({ error: 'the request cannot be read' })
      if (!isFailure(error)) log.error({ err: error }, 'an event of the hosted side was not taken')
      return reply.code(503).send({ error: 'try again later' })
    })
    server.route({
      method: ['GET', 'POST'],
      url: '/mirror/events',
      exposeHeadRoute: false,
      handler: (request, reply) => take(options, request, reply),
    })
  }
}

async function take({ mirror, auth_token, publicUrl, log }: EventsOptions, request: FastifyRequest, reply: FastifyReply) {
  const target = request.raw.url ?? ''
  const text = typeof request.body === 'string' ? request.body : ''
  const form = request.method === 'POST' ? Object.fromEntries(new URLSearchParams(text)) : {}
  const signature = String(request.headers['x-twilio-signature'] ?? '')
  if (!isProven(auth_token, `${baseOf(request, publicUrl)}${target}`, form, signature)) {
    log.warn('an event is not signed by the hosted side: is PARLEY_PUBLIC_URL the base of the URL that it calls?')
    return reply.code(403).send({ error: 'the request is not signed by the hosted account' })
  }
  const query = new URLSearchParams(target.includes('?') ? target.slice(target.indexOf('?') + 1) : '')
  const targets = targetsOfEvent({ ...Object.fromEntries(query), ...form }, mirror.account_sid)
  if (targets.length > 0) await mirror.mark(targets)
  return reply.code(200).type('application/json').send('{}')
}

/** Returns what an event hints at; nothing for one of another account, or one that says too little. */
export function targetsOfEvent(form: Readonly<Record<string, string>>, account_sid: string): string[] {
  const event = postActionEvents.find((name) => name === form.EventType)
  const given = (name: string, kind: SidKind) => {
    const value = form[name]
    return value !== undefined && isSid(kind, value) ? value : null
  }
  const service = given('ChatServiceSid', 'service') ?? given('InstanceSid', 'service')
  if (!event || service === null || form.AccountSid !== account_sid) return []
  const [user, conversation, message] = [
    given('UserSid', 'user'),
    given('ConversationSid', 'conversation'),
    given('MessageSid', 'message'),
  ]
  if (event === 'onUserAdded' || event === 'onUserUpdated') return user === null ? [] : [targetText('user', service, user)]
  if (conversation === null) return []
  const state = targetText('state', service, conversation)
  const whole = targetText('conversation', service, conversation)
  if (event === 'onConversationUpdated' || event === 'onConversationStateUpdated') return [state]
  if (event === 'onConversationAdded') return [whole, targetText('messages', service, conversation)]
  if (message === null) return [whole]
  const one = targetText('message', service, conversation, message)
  return event === 'onMessageAdded' ? [state, one] : [one]
}
