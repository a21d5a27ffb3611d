import { randomUUID } from 'node:crypto'
import { milliseconds } from '../dates.ts'
import { enqueueDelivery } from '../events/queue.ts'
import type { Target } from '../events/targets.ts'
import { isSid } from '../sids.ts'
import type { Reader, Tx } from '../storage/database.ts'
import { accountBySid, serviceBySid } from '../storage/lookups.ts'
import { rowsBy } from '../storage/rows.ts'
import type { AccountRow, DeliveryRow, ServiceRow } from '../storage/schema.ts'
import { targetOf } from './conversations/webhooks/targets.ts'

const webhookBySid = rowsBy('conversation_webhooks', ['service_sid', 'conversation_sid', 'sid'])

/** None of the API's events: a receiver that knows only those has nothing to do with it. */
export const testEventType = 'onTestEvent'

export interface TestEventRequest {
  /** SID of the account, service or conversation webhook whose URL is meant. */
  readonly target_sid: string
  /** Only of a conversation webhook: where it is. */
  readonly conversation: { readonly service_sid: string; readonly sid: string } | null
  readonly now: number
}

/** Why nothing is sent: there is no such target, or it has nothing that post-action events are sent to. */
export type Untestable = 'missing' | 'no-url' | 'flex'

interface Found {
  readonly account_sid: string
  /** That of the account is sent the events of many: its default service stands for them. */
  readonly service_sid: string
  readonly subject_sid: string
  readonly target: Target | Untestable
}

/**
 * Enqueues a delivery of a test event, signed and recorded like that of any event. It is marked by its type and by `Test`, and tells of no
 * change. The webhook receives it whatever its filters are.
 */
export async function sendTestEvent(tx: Tx, request: TestEventRequest): Promise<DeliveryRow | Untestable> {
  const found = await findTarget(tx, request)
  if (!found) return 'missing'
  const { account_sid, service_sid, subject_sid, target } = found
  if (typeof target === 'string') return target
  const form = {
    EventType: testEventType,
    AccountSid: account_sid,
    ChatServiceSid: service_sid,
    ...(request.conversation && { ConversationSid: request.conversation.sid }),
    Test: 'true',
    DateCreated: milliseconds(request.now),
    ...target.own,
  }
  const delivery = {
    kind: 'webhook' as const,
    account_sid,
    service_sid,
    target_sid: target.sid,
    subject_sid,
    event_type: testEventType,
    method: target.method,
    url: target.url,
    form: JSON.stringify(form),
    idempotency_token: randomUUID(),
    message_sid: null,
    participant_sid: null,
  }
  return enqueueDelivery(tx, delivery, request)
}

async function findTarget(read: Reader, { target_sid: sid, conversation }: TestEventRequest): Promise<Found | undefined> {
  if (conversation) {
    const row = await read.one(webhookBySid, { service_sid: conversation.service_sid, conversation_sid: conversation.sid, sid })
    // Behind what the conversation's webhooks are still to be sent: they are sent in order.
    return row && { ...row, subject_sid: row.conversation_sid, target: targetOf(row) }
  }
  if (isSid('service', sid)) {
    const service = await read.one(serviceBySid, { sid })
    return service && { account_sid: service.account_sid, service_sid: sid, subject_sid: sid, target: configured(service) }
  }
  const account = await read.one(accountBySid, { sid })
  if (!account) return undefined
  const target = account.webhook_target === 'flex' ? 'flex' : configured(account)
  return { account_sid: sid, service_sid: account.default_service_sid, subject_sid: sid, target }
}

function configured({ sid, post_webhook_url: url, webhook_method }: AccountRow | ServiceRow): Target | 'no-url' {
  return url === null ? 'no-url' : { sid, method: webhook_method === 'GET' ? 'GET' : 'POST', url }
}
