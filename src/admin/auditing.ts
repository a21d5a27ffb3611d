import type { FastifyInstance, FastifyRequest } from 'fastify'
import { actorOf, originOf } from '../api/actor.ts'
import type { Operator } from '../api/operator.ts'
import { paramsOf } from '../api/respond.ts'
import type { Act, Acting, Result } from '../audit/log.ts'
import { maskedInput, sidOrMasked } from '../audit/masking.ts'
import { isFailure } from '../errors.ts'
import type { Installation } from '../installation/open.ts'
import { isJsonObject, parseJsonObject } from '../json.ts'
import { isSid, randomSid } from '../sids.ts'
import { type Action, actionOf, isNamed, isStep, isTraffic, viewOf } from './actions.ts'

/** Who acts where no server runs: the command line, on the database itself. */
const commandLine = {
  actor: { type: 'cli', id: 'cli', name: 'cli' },
  from: { address: null, agent: null, interface: 'cli' },
} as const

interface AuditingOptions {
  /** Of the paths. */
  readonly prefix: string
  readonly isCommandLine: boolean
  readonly operator: Pick<Operator, 'hasSession'>
}

/**
 * Whatever is no read has an entry in the audit log, and so have reads that show what people have written: of all routes, without
 * their doing. A command adds it in its transaction. What runs none, or was refused, has it before the response is sent.
 */
export function addAuditing(
  admin: FastifyInstance,
  { audit }: Pick<Installation, 'audit'>,
  { prefix, isCommandLine, operator }: AuditingOptions,
): void {
  const acts = new WeakMap<FastifyRequest, Acting>()
  const pathOf = ({ routeOptions }: FastifyRequest) => (routeOptions.url ?? '').slice(prefix.length).replace(/(.)\/$/, '$1')

  const actOf = (request: FastifyRequest, { name, table }: Action): Act => {
    const params = Object.entries(paramsOf(request))
    const account = params.find(([, value]) => value !== undefined && isSid('account', value))?.[1] ?? null
    const target = params.at(-1)?.[1] ?? subjectIn(request.query)
    return {
      ...(isCommandLine ? commandLine : { actor: actorOf(request), from: originOf(request, 'admin') }),
      action: name,
      target: { type: name.split('.', 1)[0] ?? null, sid: target === undefined ? null : sidOrMasked(audit.key, target), table },
      account_sid: account,
      request_id: randomSid('request'),
      input: null,
    }
  }

  admin.addHook('onRequest', async (request) => {
    if (request.is404 || (isRead(request) && !isNamed(request.method, pathOf(request)))) return
    acts.set(request, audit.begin(actOf(request, actionOf(request.method, pathOf(request)))))
  })
  // Calls back: what comes after it runs inside the act.
  admin.addHook('preHandler', (request, _reply, done) => {
    const acting = acts.get(request)
    if (!acting) return done()
    const { query, body } = request
    acting.act = withInput(acting.act, audit.key, { ...(isJsonObject(query) && query), ...(isJsonObject(body) && body) })
    if (isTrafficOf(acting)) return done()
    audit.within(acting, done)
  })
  admin.addHook('onSend', async (request, reply, payload) => {
    const acting = acts.get(request)
    const { statusCode } = reply
    if (acting) {
      acts.delete(request)
      // Anybody may call it: only what was let in is an act. Refused credentials are counted elsewhere.
      if (request.routeOptions.config.access === 'anyone') {
        const isEntered = { POST: true, GET: request.access !== null }[request.method] ?? (await operator.hasSession(request))
        if (statusCode >= 400 || !isEntered) return payload
        // Who it is has turned out meanwhile.
        acting.act = { ...acting.act, actor: actorOf(request) }
      }
      const result = resultOf(statusCode, payload)
      if (isTrafficOf(acting) && result.outcome === 'success') {
        await audit.viewed({ ...acting.act, target: { ...acting.act.target, sid: acting.act.account_sid }, input: null })
      } else await audit.finish(acting, result).catch((error: unknown) => unlessFailed(statusCode, error))
      return payload
    }
    const isShown = request.method === 'GET' && statusCode < 400 && showsTexts(request, pathOf(request))
    const view = isShown ? viewOf(pathOf(request)) : undefined
    if (view !== undefined) await audit.viewed(actOf(request, { name: view, table: null }))
    return payload
  })
}

/** What did not happen, and cannot be recorded on a full disk either, is answered with what it failed of. Storage has logged both. */
function unlessFailed(statusCode: number, error: unknown): void {
  if (statusCode < 500 || !isFailure(error)) throw error
}

/** Returns what a read is about: an address, as of threads, or a conversation, as of deliveries. */
function subjectIn(query: unknown): string | undefined {
  if (!isJsonObject(query)) return undefined
  return [query.address, query.conversation_sid].find((each) => typeof each === 'string')
}

/** Whether a read that may show what people have written does so: without the right it does not, nor where no words are looked for. */
function showsTexts({ access, query }: FastifyRequest, path: string): boolean {
  if (path === '/conversations' && (!isJsonObject(query) || query.text === undefined)) return false
  return access?.rights.has('text') ?? false
}

function isRead({ method }: FastifyRequest): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
}

/** Whether it is one request of many: what a program sends for each message, or a step of something longer. */
function isTrafficOf({ act: { action, target, from } }: Acting): boolean {
  const named = { name: action, table: target.table }
  return isStep(named) || (from.interface === 'admin' && isTraffic(named))
}

function withInput(act: Act, key: string, input: Readonly<Record<string, unknown>>): Act {
  const { account_sid: given } = input
  const account_sid = act.account_sid ?? (typeof given === 'string' && isSid('account', given) ? given : null)
  return { ...act, account_sid, input: maskedInput(key, input) }
}

function resultOf(status: number, payload: unknown): Result {
  if (status < 400) return { outcome: 'success', code: null }
  const code = typeof payload === 'string' ? parseJsonObject(payload)?.code : undefined
  return { outcome: status < 500 ? 'refused' : 'failed', code: typeof code === 'number' ? code : status }
}
