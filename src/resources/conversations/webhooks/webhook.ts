import { seconds } from '../../../dates.ts'
import { type ErrorName, refuse } from '../../../errors.ts'
import { address } from '../../../events/outbox.ts'
import { type BaseRow, type Facts, resource, stepOf } from '../../../model/declare.ts'
import {
  createOnly,
  oneOf,
  type Param,
  type Params,
  type Parsed,
  param,
  readAs,
  required,
  sid,
  someOf,
  texts,
  unread,
  webAddress,
} from '../../../model/params.ts'
import type { Tx } from '../../../storage/database.ts'
import { pageOf } from '../../../storage/rows.ts'
import type { ConversationRow, ConversationWebhookRow, MessageRow } from '../../../storage/schema.ts'
import { chatServiceSid } from '../chat-service-sid.ts'
import { conversations } from '../conversation.ts'
import { refuseUnusable } from '../lifecycle.ts'
import { messageAddedEvent } from '../messages/message.ts'
import { scoped_event_types, targetOf, wants } from './targets.ts'

const most_webhooks = 5

/** Bounds the transaction of a creation with ReplayAfter: the first messages from that index on, no more. */
const most_replayed = 1000

/** Names of an older generation in the official examples: taken, and nothing ever fires them. */
const legacy_event_types = ['onMessageSent', 'onConversationDestroyed'] as const

const targets = oneOf(['webhook', 'trigger', 'studio'], { invalid: 'invalidConversationWebhookType' })

const urls = webAddress('invalidWebhook', { max: 512, tooLong: 'conversationWebhookUrlTooLong' })

const methods = oneOf(['get', 'post'], { invalid: 'invalidWebhookMethod' })

const filters = someOf([...scoped_event_types, ...legacy_event_types], 'invalidConversationWebhookFilter')

const triggers = texts({
  most: 5,
  tooMany: 'tooManyConversationWebhookTriggers',
  max: 248,
  invalid: 'invalidConversationWebhookTrigger',
})

const flowSids = sid('FW', 'invalidConversationWebhookFlowSid')

/** Which of these count depends on the target; the others are ignored, whatever they hold. */
const configurationParams = {
  'Configuration.Url': unread(urls),
  'Configuration.Method': unread(methods),
  'Configuration.Filters': unread(filters),
  'Configuration.Triggers': unread(triggers),
  'Configuration.FlowSid': unread(flowSids),
} satisfies Params

type Given = Parsed<typeof configurationParams>

type Configuration = Pick<ConversationWebhookRow, 'url' | 'method' | 'filters' | 'triggers' | 'flow_sid'>

/** What each target cannot do without. */
const needs: Readonly<Record<string, readonly (readonly [keyof Given, ErrorName])[]>> = {
  webhook: [
    ['Configuration.Url', 'conversationWebhookUrlNotProvided'],
    ['Configuration.Filters', 'conversationWebhookFilterNotProvided'],
  ],
  trigger: [
    ['Configuration.Url', 'conversationWebhookUrlNotProvided'],
    ['Configuration.Triggers', 'conversationWebhookTriggerNotProvided'],
  ],
  studio: [['Configuration.FlowSid', 'invalidConversationWebhookFlowSid']],
}

/** https://www.twilio.com/docs/conversations/api/conversation-scoped-webhook-resource */
export const webhooks = resource<ConversationWebhookRow>()({
  name: 'ConversationWebhook',
  path: 'Webhooks',
  under: conversations,
  table: 'conversation_webhooks',
  sid: 'WH',
  params: {
    Target: createOnly(required(targets)),
    ...configurationParams,
    'Configuration.ReplayAfter': createOnly(messageIndex('messageIndexNotNumber')),
  },

  create(p, facts) {
    const target = p.Target ?? ''
    const row = {
      account_sid: facts.account.sid,
      service_sid: '',
      conversation_sid: '',
      target,
      ...configured(target, p, null),
      replay_after: p['Configuration.ReplayAfter'] ?? null,
    }
    const conversation = conversationOf(facts)
    refuseUnusable(conversation)
    if (conversation.webhook_count >= most_webhooks) throw refuse('tooManyConversationWebhooks')
    return row
  },

  update(was, p, facts) {
    const row = { ...was, ...configured(was.target, p, was) }
    refuseUnusable(conversationOf(facts))
    return row
  },

  // Also from a closed conversation.
  remove: () => {},

  steps: (step, facts) => {
    const added = { create: 1, update: 0, remove: -1 }[step.change.verb]
    return added === 0 ? [step] : [step, counted(facts, added)]
  },

  async follow(tx, { was, is }, facts) {
    if (is && !was && is.replay_after !== null) await replay(tx, is, is.replay_after, facts)
  },

  represent: (row, self, urls) => ({
    account_sid: row.account_sid,
    ...chatServiceSid(row, urls),
    conversation_sid: row.conversation_sid,
    sid: row.sid,
    target: row.target,
    configuration: shown(row),
    date_created: seconds(row.date_created),
    date_updated: seconds(row.date_updated),
    url: self,
  }),

  list: {
    key: 'webhooks',
    size: most_webhooks,
    max: most_webhooks,
    params: {},
    order: () => ({ by: 'date_created', direction: 'asc', where: [] }),
  },
})

function conversationOf({ parents }: Facts): ConversationRow {
  return parents[0] as ConversationRow
}

/** The configuration as it will be. Throws: first what the target lacks, then the first bad value. */
function configured(target: string, p: Given, was: Configuration | null): Configuration {
  for (const [name, missing] of needs[target] ?? []) {
    const given = p[name]
    if (given ? isEmpty(name, given) : was === null) throw refuse(missing)
  }
  const kept = was ?? { url: null, method: null, filters: null, triggers: null, flow_sid: null }
  if (target === 'studio') return { ...kept, flow_sid: readAs(flowSids, p['Configuration.FlowSid']) ?? kept.flow_sid }
  const called = {
    ...kept,
    url: readAs(urls, p['Configuration.Url']) ?? kept.url,
    method: methodOf(p) ?? kept.method ?? 'post',
  }
  return target === 'trigger'
    ? { ...called, triggers: json(readAs(triggers, p['Configuration.Triggers'])) ?? kept.triggers }
    : { ...called, filters: json(readAs(filters, p['Configuration.Filters'])) ?? kept.filters }
}

/** Of a repeated text the last counts; a list is empty when nothing in it is. */
function isEmpty(name: keyof Given, given: readonly string[]): boolean {
  const list = name === 'Configuration.Filters' || name === 'Configuration.Triggers'
  return list ? given.every((value) => value === '') : given.at(-1) === ''
}

/** observed: the caller's spelling comes back. */
function methodOf({ 'Configuration.Method': given }: Given): string | undefined {
  return readAs(methods, given) && given?.at(-1)
}

function json(list: readonly string[] | undefined): string | undefined {
  return list && JSON.stringify(list)
}

/** Only what belongs to the target; keywords under `triggers` (observed), not under `filters` as the official example has it. */
function shown(row: ConversationWebhookRow): object {
  const { url, method, flow_sid, replay_after } = row
  const own = {
    webhook: { url, method, filters: JSON.parse(row.filters ?? '[]') as unknown },
    trigger: { url, method, triggers: JSON.parse(row.triggers ?? '[]') as unknown },
    studio: { flow_sid },
  }[row.target]
  return { ...own, ...(replay_after !== null && { replay_after }) }
}

/** The conversation with one webhook more or less: no update of it that anybody sees. */
function counted(facts: Facts, added: number) {
  const was = conversationOf(facts)
  const is = { ...was, webhook_count: was.webhook_count + added, revision: was.revision + 1 }
  return stepOf(conversations, { verb: 'update', was, is, cause: 'consequence' }, { ...facts, parents: [] })
}

const messagesFrom = pageOf<MessageRow & BaseRow>({
  table: 'messages',
  where: [
    { column: 'service_sid', operator: '=' },
    { column: 'conversation_sid', operator: '=' },
    { column: 'message_index', operator: '>=' },
  ],
  by: 'message_index',
  direction: 'asc',
  after: null,
})

/** Tells a new webhook of the messages that it came too late for: the one with that index and its successors. */
async function replay(tx: Tx, webhook: ConversationWebhookRow, index: number, facts: Facts): Promise<void> {
  const conversation = conversationOf(facts)
  const args = { where0: conversation.service_sid, where1: conversation.sid, where2: index, limit: most_replayed }
  for (const message of await tx.all(messagesFrom, args)) {
    const event = messageAddedEvent(message, conversation)
    if (wants(webhook, event)) await address(tx, facts, event, message.source, [targetOf(webhook)])
  }
}

/** Index of a message; empty and negative read as null. */
export function messageIndex(invalid: ErrorName): Param<number | null> {
  return param('index of a message', (given) => {
    if (given === '') return null
    const index = /^[+-]?\d+$/.test(given) ? Number(given) : Number.NaN
    if (!Number.isSafeInteger(index)) throw refuse(invalid)
    return index < 0 ? null : index
  })
}
