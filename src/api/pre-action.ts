import { randomUUID } from 'node:crypto'
import { type WebhookClient, webhook_timeout_ms } from '../delivery/client.ts'
import { prepare } from '../delivery/signature.ts'
import { refuse } from '../errors.ts'
import { eventForm } from '../events/outbox.ts'
import { preTarget } from '../events/targets.ts'
import type { ChangeRequest, Proposal } from '../model/change.ts'
import type { AnyResource } from '../model/declare.ts'
import type { Param } from '../model/params.ts'
import type { Vault } from '../vault.ts'

export interface Veto {
  readonly client: WebhookClient
  readonly vault: Vault
  /** Told of hooks that did not answer as they should. */
  readonly warn: (facts: { code: number; event: string; target_sid: string; error: string }) => void
}

/** Whether anybody must be asked before this change. */
export function isAsked(resource: AnyResource, request: ChangeRequest, facts: Proposal['facts']): boolean {
  const event = resource.events?.before[request.verb]
  return request.webhooks && event !== undefined && preTarget(facts.account, facts.service, event) !== null
}

/**
 * Asks the pre-action webhook, with no transaction open: it may take seconds. Answers the request as amended, or throws: `vetoed`,
 * or what the ordinary check of an amended value says. No answer in time, or none at all, lets the change go on (documented).
 */
export async function ask(veto: Veto, resource: AnyResource, request: ChangeRequest, proposal: Proposal): Promise<ChangeRequest> {
  const { facts, steps } = proposal
  const event = resource.events?.before[request.verb]
  const change = steps.find((step) => step.resource === resource && step.change.cause === 'request')?.change
  const target = event === undefined ? null : preTarget(facts.account, facts.service, event)
  if (!event || !target || !change || !resource.events) return request
  const form = eventForm(facts, event, resource.events.beforeForm(change, facts), request.source)
  const prepared = prepare({
    method: target.method,
    url: target.url,
    form: { ...form, RetryCount: '0' },
    auth_token: veto.vault.open(facts.account.auth_token),
    idempotency_token: randomUUID(),
  })
  const answer = await veto.client.send(prepared, webhook_timeout_ms)
  const warn = (code: number, error: string) => veto.warn({ code, event, target_sid: target.sid, error })
  // Whatever becomes of the rest of the answer, its first line has said no.
  if (answer.status !== null && (answer.status < 200 || answer.status > 299)) throw refuse('vetoed')
  // A status alone is not consent: the rest of it may not have come in time.
  if (answer.kind !== 'answered' || answer.status === null) {
    warn(answer.kind === 'timeout' ? 50076 : 50057, answer.error ?? 'no answer')
    return request
  }
  const amendments = readAmendments(answer.body)
  if (!amendments) {
    if (answer.body.trim() !== '') warn(50057, 'the answer is not a JSON object: taken as consent')
    return request
  }
  return { ...request, params: { ...request.params, ...amended(resource, request.verb, amendments) } }
}

function readAmendments(body: string): Record<string, unknown> | undefined {
  try {
    const parsed: unknown = JSON.parse(body)
    return typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)
      ? (parsed as Record<string, unknown>)
      : undefined
  } catch {
    return undefined
  }
}

/** Only the keys that may be modified, each through the same check as the parameter it stands for. Unknown keys are ignored. */
function amended(
  resource: AnyResource,
  verb: ChangeRequest['verb'],
  amendments: Record<string, unknown>,
): Record<string, unknown> {
  const params: Record<string, unknown> = {}
  for (const [key, name] of Object.entries(resource.events?.amendable[verb] ?? {})) {
    const given = amendments[key]
    if (given === undefined) continue
    const param = resource.params[name as string] as Param<unknown>
    if (given !== null && typeof given !== 'string') throw refuse(param.wrongType)
    // Half a surrogate pair could not be stored.
    const text = given?.toWellFormed() ?? ''
    params[name as string] = param.parse(text, [text])
  }
  return params
}
