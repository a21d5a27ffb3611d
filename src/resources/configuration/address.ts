import { seconds } from '../../dates.ts'
import { refuse } from '../../errors.ts'
import { resource } from '../../model/declare.ts'
import { createOnly, flag, index, oneOf, type Parsed, required, sid, someOf, text, webAddress } from '../../model/params.ts'
import { rowsBy } from '../../storage/rows.ts'
import type { AddressRow } from '../../storage/schema.ts'
import { scoped_event_types } from '../conversations/webhooks/targets.ts'

const types = oneOf(['sms', 'whatsapp', 'messenger', 'gbm', 'email', 'rcs', 'apple', 'chat'], { invalid: 'invalidValue' })

const params = {
  Type: createOnly(required(types)),
  Address: createOnly(required(text({ max: 256 }))),
  FriendlyName: text({ max: 256, tooLong: 'friendlyNameTooLong' }),
  'AutoCreation.Enabled': flag(),
  'AutoCreation.Type': oneOf(['webhook', 'studio', 'default'], { invalid: 'invalidValue' }),
  'AutoCreation.ConversationServiceSid': sid('IS', 'serviceNotFound'),
  'AutoCreation.WebhookUrl': webAddress('invalidWebhook', { max: 512, tooLong: 'conversationWebhookUrlTooLong' }),
  'AutoCreation.WebhookMethod': oneOf(['GET', 'POST'], { invalid: 'invalidWebhookMethod' }),
  'AutoCreation.WebhookFilters': someOf(scoped_event_types, 'invalidConversationWebhookFilter'),
  'AutoCreation.StudioFlowSid': sid('FW', 'invalidConversationWebhookFlowSid'),
  'AutoCreation.StudioRetryCount': index('invalidValue', 3),
  AddressCountry: createOnly(text({ not: { test: (given) => !/^(?:[A-Za-z]{2})?$/.test(given), refuse: 'invalidValue' } })),
}

type Given = Parsed<typeof params>

/** As shown: a type has the settings that mean something to it, and no others. */
export interface AutoCreation {
  readonly enabled: boolean
  readonly type: 'webhook' | 'studio' | 'default'
  readonly conversation_service_sid?: string | null
  readonly webhook_url?: string | null
  readonly webhook_method?: string
  readonly webhook_filters?: readonly string[]
  readonly studio_flow_sid?: string | null
  readonly studio_retry_count?: number
}

const serviceOfAccount = rowsBy('services', ['sid', 'account_sid'])

/** https://www.twilio.com/docs/conversations/api/address-configuration-resource */
export const addresses = resource<AddressRow>()({
  name: 'ConfigurationAddress',
  path: 'Configuration/Addresses',
  under: 'account',
  table: 'addresses',
  sid: 'IG',
  alsoFoundBy: 'address',
  unique: [{ column: 'address', taken: 'conflict' }],
  params,

  async look(read, p, { account }) {
    const service_sid = p['AutoCreation.ConversationServiceSid']
    if (!service_sid) return
    if (!(await read.one(serviceOfAccount, { sid: service_sid, account_sid: account.sid }))) throw refuse('serviceNotFound')
  },

  create: (p, { account }) => ({
    account_sid: account.sid,
    address: p.Address as string,
    type: p.Type as string,
    friendly_name: p.FriendlyName ?? null,
    address_country: p.AddressCountry ?? null,
    auto_creation: JSON.stringify(autoCreation(p, { enabled: false, type: 'default' })),
  }),

  update: (was, p) => ({
    ...was,
    friendly_name: p.FriendlyName === undefined ? was.friendly_name : p.FriendlyName,
    auto_creation: JSON.stringify(autoCreation(p, JSON.parse(was.auto_creation) as AutoCreation)),
  }),

  remove: () => {},

  represent: (row, self) => ({
    account_sid: row.account_sid,
    sid: row.sid,
    address: row.address,
    type: row.type,
    friendly_name: row.friendly_name,
    address_country: row.address_country,
    auto_creation: JSON.parse(row.auto_creation) as unknown,
    date_created: seconds(row.date_created),
    date_updated: seconds(row.date_updated),
    url: self,
  }),

  list: {
    key: 'address_configurations',
    size: 50,
    max: 1000,
    params: { Type: types },
    order: (p) => ({
      by: 'date_created',
      direction: 'asc',
      where: p.Type === undefined ? [] : [{ column: 'type', operator: '=', value: p.Type }],
    }),
  },
})

/** What is given over what was. Another type starts afresh, but for the service that the conversations are made in. */
function autoCreation(p: Given, was: AutoCreation): AutoCreation {
  const enabled = p['AutoCreation.Enabled'] ?? was.enabled
  const type = p['AutoCreation.Type'] ?? was.type
  const conversation_service_sid = given(p['AutoCreation.ConversationServiceSid'], was.conversation_service_sid ?? null)
  if (type === 'webhook') return { enabled, type, conversation_service_sid, ...webhook(p, was) }
  if (type === 'studio') return { enabled, type, conversation_service_sid, ...studio(p, was) }
  return { enabled, type, ...(conversation_service_sid !== null && { conversation_service_sid }) }
}

/** The webhook that a new conversation will get: refused here is what would be refused there. */
function webhook(p: Given, was: AutoCreation) {
  const webhook_url = given(p['AutoCreation.WebhookUrl'], was.webhook_url ?? null)
  if (webhook_url === null) throw refuse('conversationWebhookUrlNotProvided')
  const webhook_filters = p['AutoCreation.WebhookFilters'] ?? was.webhook_filters ?? []
  if (webhook_filters.length === 0) throw refuse('conversationWebhookFilterNotProvided')
  return { webhook_url, webhook_method: p['AutoCreation.WebhookMethod'] ?? was.webhook_method ?? 'POST', webhook_filters }
}

function studio(p: Given, was: AutoCreation) {
  const studio_flow_sid = given(p['AutoCreation.StudioFlowSid'], was.studio_flow_sid ?? null)
  if (studio_flow_sid === null) throw refuse('invalidConversationWebhookFlowSid')
  return { studio_flow_sid, studio_retry_count: p['AutoCreation.StudioRetryCount'] ?? was.studio_retry_count ?? 0 }
}

/** Empty unsets, absent keeps. */
function given<T>(value: T | undefined, was: T): T {
  return value === undefined ? was : value
}
