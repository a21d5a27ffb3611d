import { studioBase } from '../../../delivery/webhook.ts'
import type { Event } from '../../../events/event.ts'
import type { Target } from '../../../events/targets.ts'
import { parseStored } from '../../../json.ts'
import type { Reader } from '../../../storage/database.ts'
import { rowsBy } from '../../../storage/rows.ts'
import type { ConversationRow, ConversationWebhookRow } from '../../../storage/schema.ts'

const webhooksOf = rowsBy('conversation_webhooks', ['service_sid', 'conversation_sid'])

/**
 * Returns the conversation's own webhooks that receive an event, besides the account's or the service's. A conversation without
 * webhooks costs no query. For the `listeners` of the resources below a conversation.
 */
export async function scopedTargets(
  read: Reader,
  event: Event,
  { service_sid, sid, webhook_count }: Pick<ConversationRow, 'service_sid' | 'sid' | 'webhook_count'>,
): Promise<Target[]> {
  if (webhook_count === 0) return []
  const rows = await read.all(webhooksOf, { service_sid, conversation_sid: sid })
  return rows.filter((row) => firesOn(row, event)).map(targetOf)
}

/** Whether a webhook receives an event. A trigger fires on messages whose body contains one of its words. */
export function firesOn(row: ConversationWebhookRow, event: Pick<Event, 'type' | 'payload'>): boolean {
  if (row.target === 'webhook') return listOf(row.filters).includes(event.type)
  if (event.type !== 'onMessageAdded') return false
  if (row.target === 'studio') return true
  const body = String(event.payload().Body ?? '').toLowerCase()
  return listOf(row.triggers).some((trigger) => body.includes(trigger.toLowerCase()))
}

export function targetOf(row: ConversationWebhookRow): Target {
  const { sid, account_sid, flow_sid } = row
  // observed: receivers remove their own webhook by this SID. The types besides `webhook` are inferred.
  const own = { WebhookSid: sid, WebhookType: row.target }
  if (row.target === 'studio')
    return { sid, method: 'POST', url: `${studioBase}/v1/Accounts/${account_sid}/Flows/${flow_sid}`, own }
  return { sid, method: row.method?.toUpperCase() === 'GET' ? 'GET' : 'POST', url: row.url ?? '', own }
}

function listOf(json: string | null): string[] {
  return json === null ? [] : parseStored<string[]>(json)
}
