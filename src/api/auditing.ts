import type { FastifyRequest } from 'fastify'
import type { Act, AuditLog } from '../audit/log.ts'
import { sidOrMasked } from '../audit/masking.ts'
import { isSid } from '../sids.ts'
import type { Commands } from '../storage/database.ts'
import { actorOf, originOf } from './actor.ts'
import { accountHeader } from './operator.ts'
import { paramsOf } from './respond.ts'

/** What `/v1` needs of the log. */
export type V1Audit = Pick<AuditLog<Commands>, 'begin' | 'within' | 'finish' | 'viewed' | 'key'>

const verbs: Readonly<Record<string, string>> = { Create: 'created', Update: 'updated', Delete: 'deleted' }

/** Operations that show what people have written or sent, and what the log calls that. */
const views: readonly [operation: RegExp, action: string][] = [
  [/^(?:List|Fetch)(?:Service)?ConversationMessage$/, 'conversation.viewed'],
  [/^FetchMedia(?:Content|Set)?$/, 'media.viewed'],
]

/**
 * Begins the act of an operator who uses `/v1` in the name of an account: its writes, and reads of messages. Requests with the
 * credentials of an account are its own affair. Resolves when the request may go on.
 */
export function beginAct(audit: V1Audit, request: FastifyRequest): Promise<void> | undefined {
  const { operation = '' } = request.routeOptions.config
  const [, view] = views.find(([shown]) => shown.test(operation)) ?? []
  if (view !== undefined) {
    const { parent0, key, sid, service } = paramsOf(request)
    return audit.viewed(actOf(audit, request, { action: view, sid: parent0 ?? key ?? sid ?? service, table: null }))
  }
  beginWrite(audit, request)
  return undefined
}

/** Begins the act if it is a write: also that of an operator who may not do it. A read that is refused has shown nothing. */
export function beginWrite(audit: V1Audit, request: FastifyRequest): void {
  const { operation = '', table = null } = request.routeOptions.config
  const [, verb = '', name = ''] = /^(Create|Update|Delete)(?:Service(?=[A-Z]))?(.+)$/.exec(operation) ?? []
  const past = verbs[verb]
  if (past === undefined) return
  const { key, ...params } = paramsOf(request)
  const sid = key ?? Object.values(params).at(-1)
  request.acting = audit.begin(actOf(audit, request, { action: `${snake(name)}.${past}`, sid, table }))
}

/**
 * Adds the entry of an act that had none: it was refused, has failed or has changed nothing. The response has been sent. `status`:
 * 499 where nobody has waited for it; if the act comes to something yet, that is recorded with it.
 */
export function endAct(audit: V1Audit, { acting }: FastifyRequest, status: number): Promise<void> | undefined {
  if (!acting || status === 499) return undefined
  const outcome = status < 400 ? 'success' : status < 500 ? 'refused' : 'failed'
  return audit.finish(acting, { outcome, code: status < 400 ? null : status })
}

function actOf(
  { key }: V1Audit,
  request: FastifyRequest,
  about: { readonly action: string; readonly sid: string | undefined; readonly table: string | null },
): Act {
  return {
    actor: actorOf(request),
    from: originOf(request, 'v1'),
    action: about.action,
    target: {
      type: about.action.split('.', 1)[0] ?? null,
      sid: about.sid === undefined ? null : sidOrMasked(key, about.sid),
      table: about.table,
    },
    account_sid: request.account_sid || accountMeant(request),
    request_id: request.request_id,
    input: null,
  }
}

/** The account that an operator has named who may not act in it. */
function accountMeant({ headers }: FastifyRequest): string | null {
  const sid = headers[accountHeader]
  return typeof sid === 'string' && isSid('account', sid) ? sid : null
}

function snake(name: string): string {
  return name.replace(/(?<=[a-z])[A-Z]/g, (letter) => `_${letter}`).toLowerCase()
}
