import { randomUUID } from 'node:crypto'
import { type WebhookClient, webhookTimeoutMs } from '../delivery/client.ts'
import { isDelivered, isSuccess } from '../delivery/handler.ts'
import { prepare, withTraceparent } from '../delivery/signature.ts'
import { refuse } from '../errors.ts'
import { requestForm } from '../events/outbox.ts'
import { preActionTarget, type Target } from '../events/targets.ts'
import { parseJsonObject } from '../json.ts'
import { type ChangeRequest, type Proposal, requestedChange } from '../model/change.ts'
import type { AnyResource } from '../model/declare.ts'
import { type Param, snakeCase } from '../model/params.ts'
import type { Tracer } from '../trace.ts'
import { openCredentials } from '../urls.ts'
import type { Vault } from '../vault.ts'

export interface PreActionHooks {
  readonly client: WebhookClient
  readonly vault: Vault
  readonly tracer: Tracer | null
  /** Called when a webhook did not respond as it should. */
  readonly warn: (facts: { code: number; event: string; target_sid: string; error: string }) => void
}

/** Returns the webhook to be called before this change, or null. */
export function preActionHook(resource: AnyResource, request: ChangeRequest, facts: Proposal['facts']): Target | null {
  const event = resource.events?.preAction[request.verb]
  return request.webhooks && event ? preActionTarget(facts.account, facts.service, event) : null
}

/** What a pre-action webhook is asked about. */
interface Asked {
  readonly request: ChangeRequest
  readonly proposal: Proposal
  /** Until when it has to respond, by `performance.now()`; undefined: as long as any webhook may take. */
  readonly by: number | undefined
}

/**
 * Calls the pre-action webhook, with no transaction open: it may take seconds. Returns the request as amended. Throws `vetoed`,
 * or the refusal of an amended value. Without a response in time the change goes on as requested (documented); but `unavailable` when
 * the webhook was not given its time, or else whoever asks for much at once would get past it.
 */
export async function callPreAction(
  hooks: PreActionHooks,
  target: Target,
  resource: AnyResource,
  { request, proposal, by }: Asked,
): Promise<ChangeRequest> {
  const { facts } = proposal
  const event = resource.events?.preAction[request.verb]
  const change = requestedChange(proposal, resource)
  if (!event || !change || !resource.events) return request
  const form = requestForm(facts, event, resource.events.preActionPayload(change, facts), request.source)
  const prepared = prepare({
    method: target.method,
    url: openCredentials(target.url, (sealed) => hooks.vault.open(sealed)),
    form: { ...form, RetryCount: '0' },
    auth_token: hooks.vault.open(facts.account.auth_token),
    idempotency_token: randomUUID(),
  })
  const timeoutMs = Math.min(webhookTimeoutMs, by === undefined ? webhookTimeoutMs : Math.ceil(by - performance.now()))
  if (timeoutMs <= 0) throw refuse('unavailable')
  const span = hooks.tracer?.start(`pre-action ${event}`, 'client', request.trace, { 'parley.event': event })
  const response = await hooks.client.send(withTraceparent(prepared, span?.traceparent), timeoutMs)
  span?.end(
    { 'http.response.status_code': response.status ?? undefined, 'parley.outcome': response.kind },
    !isDelivered(response),
  )
  const warn = (code: number, error: string) => hooks.warn({ code, event, target_sid: target.sid, error })
  // The status line suffices to veto, also when the body is cut off or late.
  if (response.status !== null && !isSuccess(response.status)) throw refuse('vetoed')
  // A success status without its complete body in time is no consent.
  if (response.kind !== 'answered' || response.status === null) {
    if (timeoutMs < webhookTimeoutMs && response.kind === 'timeout') throw refuse('unavailable')
    warn(response.kind === 'timeout' ? 50076 : 50057, response.error ?? 'no response')
    return request
  }
  const amendments = parseJsonObject(response.body)
  if (!amendments) {
    if (response.body.trim() !== '') warn(50057, 'the response is not a JSON object: taken as consent')
    return request
  }
  return { ...request, params: { ...request.params, ...amendedParams(resource, request.verb, amendments) } }
}

/** Returns the amended parameters, each parsed like one of a request. Keys that may not be amended are ignored. */
function amendedParams(
  resource: AnyResource,
  verb: ChangeRequest['verb'],
  amendments: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const params: Record<string, unknown> = {}
  for (const name of resource.events?.amendable[verb] ?? []) {
    const given = amendments[snakeCase(name)]
    // observed: `"body": null` leaves the body as it was. The other keys alike, by inference.
    if (given === undefined || given === null) continue
    const param: Param<unknown> = resource.params[name]
    if (typeof given !== 'string') throw refuse(param.wrongType)
    // A lone surrogate could not be stored.
    const text = given.toWellFormed()
    params[name] = param.parse(text, [text])
  }
  return params
}
