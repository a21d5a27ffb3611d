import { seconds } from '../../../dates.ts'
import type { ErrorName } from '../../../error-catalogue.ts'
import { refuse } from '../../../errors.ts'
import { scopedEventTypes } from '../../../events/names.ts'
import { enqueue } from '../../../events/outbox.ts'
import { parseStored } from '../../../json.ts'
import { type BaseRow, resource, stepOf } from '../../../model/declare.ts'
import {
  createOnly,
  type Deferred,
  deferred,
  deferredValue,
  oneOf,
  type Param,
  type Params,
  type Parsed,
  param,
  required,
  sid,
  someOf,
  texts,
  webUrl,
} from '../../../model/params.ts'
import type { Tx } from '../../../storage/database.ts'
import { pageOf } from '../../../storage/rows.ts'
import type { ConversationWebhookRow, MessageRow } from '../../../storage/schema.ts'
import { chatServiceSid } from '../chat-service-sid.ts'
import { type ConversationChildFacts, conversations } from '../conversation.ts'
import { refuseUnusable } from '../lifecycle.ts'
import { messageAddedEvent } from '../messages/message.ts'
import { firesOn, targetOf } from './targets.ts'

const maxWebhooks = 5

/** Messages replayed by ReplayAfter, from that index on: the limit bounds the transaction. */
const maxReplayed = 1000

/** Events of an older generation in the official examples: accepted, but never emitted. */
const legacyEventTypes = ['onMessageSent', 'onConversationDestroyed'] as const

const targets = oneOf(['webhook', 'trigger', 'studio'], { invalid: 'invalidConversationWebhookType' })

const urls = webUrl('invalidWebhook', { max: 512, tooLong: 'conversationWebhookUrlTooLong' })

const methods = asGiven(oneOf(['get', 'post'], { invalid: 'invalidWebhookMethod' }))

const filters = someOf([...scopedEventTypes, ...legacyEventTypes], 'invalidConversationWebhookFilter')

const triggers = texts({
  maxTexts: 5,
  tooMany: 'tooManyConversationWebhookTriggers',
  max: 248,
  invalid: 'invalidConversationWebhookTrigger',
})

/** observed: the caller's spelling is returned. */
function asGiven(word: Param<string>): Param<string> {
  return {
    ...word,
    parse(text, all) {
      word.parse(text, all)
      return text
    },
  }
}

const flowSids = sid('flow', 'invalidConversationWebhookFlowSid')

/** The target determines which of these are used; the others are ignored, even if they are invalid. */
const configurationParams = {
  'Configuration.Url': deferred(urls),
  'Configuration.Method': deferred(methods),
  'Configuration.Filters': deferred(filters),
  'Configuration.Triggers': deferred(triggers),
  'Configuration.FlowSid': deferred(flowSids),
} satisfies Params

type Given = Parsed<typeof configurationParams>

type Configuration = Pick<ConversationWebhookRow, 'url' | 'method' | 'filters' | 'triggers' | 'flow_sid'>

/** The required parameters of each target. */
const requiredParams: Readonly<Record<ConversationWebhookRow['target'], readonly (readonly [keyof Given, ErrorName])[]>> = {
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
export const webhooks = resource<ConversationWebhookRow, 'configuration'>()({
  name: 'ConversationWebhook',
  operation: 'ScopedWebhook',
  path: 'Webhooks',
  under: conversations,
  table: 'conversation_webhooks',
  sid: 'webhook',
  params: {
    Target: createOnly(required(targets)),
    ...configurationParams,
    'Configuration.ReplayAfter': createOnly(messageIndex('messageIndexNotNumber')),
  },

  create(p, facts) {
    const target = p.Target ?? 'webhook'
    const row = {
      target,
      ...configured(target, p, null),
      replay_after: p['Configuration.ReplayAfter'] ?? null,
    }
    const conversation = facts.parents[0]
    refuseUnusable(conversation)
    if (conversation.webhook_count >= maxWebhooks) throw refuse('tooManyConversationWebhooks')
    return row
  },

  update(before, p, facts) {
    const row = { ...before, ...configured(before.target, p, before) }
    refuseUnusable(facts.parents[0])
    return row
  },

  // Allowed in a closed conversation, too.
  remove: () => {},

  steps: (change, facts) => {
    const added = { create: 1, update: 0, remove: -1 }[change.verb]
    return added === 0 ? [change] : [change, countStep(facts, added)]
  },

  async afterWrite(tx, { before, after }, facts) {
    if (after && !before && after.replay_after !== null) await replay(tx, after, after.replay_after, facts)
  },

  opened: (row, open) => ({ ...row, url: row.url && open(row.url) }),

  represent: (row, self, urls) => ({
    account_sid: row.account_sid,
    ...chatServiceSid(row, urls),
    conversation_sid: row.conversation_sid,
    sid: row.sid,
    target: row.target,
    configuration: toJson(row),
    date_created: seconds(row.date_created),
    date_updated: seconds(row.date_updated),
    url: self,
  }),

  list: {
    key: 'webhooks',
    size: maxWebhooks,
    max: maxWebhooks,
    params: {},
    order: () => ({ by: 'date_created', direction: 'asc', where: [] }),
  },
})

/** Returns the new configuration. Throws for the first required parameter that is missing, else for the first bad value. */
function configured(target: ConversationWebhookRow['target'], p: Given, before: Configuration | null): Configuration {
  for (const [name, missing] of requiredParams[target]) {
    const given = p[name]
    if (given ? isEmpty(given) : before === null) throw refuse(missing)
  }
  const current = before ?? { url: null, method: null, filters: null, triggers: null, flow_sid: null }
  if (target === 'studio') return { ...current, flow_sid: deferredValue(p['Configuration.FlowSid']) ?? current.flow_sid }
  const common = {
    ...current,
    url: deferredValue(p['Configuration.Url']) ?? current.url,
    method: deferredValue(p['Configuration.Method']) ?? current.method ?? 'post',
  }
  return target === 'trigger'
    ? { ...common, triggers: json(deferredValue(p['Configuration.Triggers'])) ?? current.triggers }
    : { ...common, filters: json(deferredValue(p['Configuration.Filters'])) ?? current.filters }
}

function isEmpty(given: Deferred<string | readonly string[] | null>): boolean {
  return 'value' in given && (given.value === null || given.value.length === 0)
}

function json(list: readonly string[] | undefined): string | undefined {
  return list && JSON.stringify(list)
}

/** Has the keys of the target; keywords are under `triggers` (observed), not under `filters` as in the official example. */
function toJson(row: ConversationWebhookRow): object {
  const { url, method, flow_sid, replay_after } = row
  const own = {
    webhook: { url, method, filters: parseStored<unknown>(row.filters ?? '[]') },
    trigger: { url, method, triggers: parseStored<unknown>(row.triggers ?? '[]') },
    studio: { flow_sid },
  }[row.target]
  return { ...own, ...(replay_after !== null && { replay_after }) }
}

/** Returns the step that updates the conversation's number of webhooks, without an event. */
function countStep(facts: ConversationChildFacts, added: number) {
  const before = facts.parents[0]
  const after = { ...before, webhook_count: before.webhook_count + added, revision: before.revision + 1 }
  return stepOf(conversations, { verb: 'update', before, after, cause: 'consequence' }, { ...facts, parents: [] })
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

/** Enqueues deliveries to a new webhook for the existing messages from an index on. */
async function replay(tx: Tx, webhook: ConversationWebhookRow, index: number, facts: ConversationChildFacts): Promise<void> {
  const conversation = facts.parents[0]
  const args = { where0: conversation.service_sid, where1: conversation.sid, where2: index, limit: maxReplayed }
  for (const message of await tx.all(messagesFrom, args)) {
    const event = messageAddedEvent(message, conversation)
    if (firesOn(webhook, event)) await enqueue(tx, facts, event, message.source, [targetOf(webhook)])
  }
}

/** The index of a message; empty and negative mean null. */
export function messageIndex(invalid: ErrorName): Param<number | null> {
  const number = param('index of a message', (given) => {
    if (given === '') return null
    const index = /^[+-]?\d+$/.test(given) ? Number(given) : Number.NaN
    if (!Number.isSafeInteger(index)) throw refuse(invalid)
    return index < 0 ? null : index
  })
  return { ...number, scalar: 'number' }
}
