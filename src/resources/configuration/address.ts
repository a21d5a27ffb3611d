import { seconds } from '../../dates.ts'
import { refuse } from '../../errors.ts'
import { scopedEventTypes } from '../../events/names.ts'
import { parseStored } from '../../json.ts'
import { resource, when } from '../../model/declare.ts'
import { createOnly, flag, given, index, oneOf, type Parsed, required, sid, someOf, text, webUrl } from '../../model/params.ts'
import { serviceOfAccount } from '../../storage/lookups.ts'
import type { AddressRow } from '../../storage/schema.ts'
import { proxyType } from '../conversations/address-formats.ts'

const types = oneOf(['sms', 'whatsapp', 'messenger', 'gbm', 'email', 'rcs', 'apple', 'chat'], { invalid: 'invalidValue' })

const params = {
  Type: createOnly(required(types)),
  Address: createOnly(required(text({ max: 256 }))),
  FriendlyName: text({ max: 256, tooLong: 'friendlyNameTooLong' }),
  'AutoCreation.Enabled': flag(),
  'AutoCreation.Type': oneOf(['webhook', 'studio', 'default'], { invalid: 'invalidValue' }),
  'AutoCreation.ConversationServiceSid': sid('service', 'serviceNotFound'),
  'AutoCreation.WebhookUrl': webUrl('invalidWebhook', { max: 512, tooLong: 'conversationWebhookUrlTooLong' }),
  'AutoCreation.WebhookMethod': oneOf(['GET', 'POST'], { invalid: 'invalidWebhookMethod' }),
  'AutoCreation.WebhookFilters': someOf(scopedEventTypes, 'invalidConversationWebhookFilter'),
  'AutoCreation.StudioFlowSid': sid('flow', 'invalidConversationWebhookFlowSid'),
  'AutoCreation.StudioRetryCount': index('invalidValue', 3),
  AddressCountry: createOnly(text({ not: { test: (given) => !/^(?:[A-Za-z]{2})?$/.test(given), refuse: 'invalidValue' } })),
}

type Given = Parsed<typeof params>

/** As in the representation: each type has its own settings and no others. */
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

/** https://www.twilio.com/docs/conversations/api/address-configuration-resource */
export const addresses = resource<AddressRow>()({
  name: 'ConfigurationAddress',
  path: 'Configuration/Addresses',
  under: 'account',
  table: 'addresses',
  sid: 'address',
  alsoFoundBy: 'address',
  unique: [{ column: 'address', taken: 'conflict' }],
  params,

  async load(read, p, { account }) {
    const service_sid = p['AutoCreation.ConversationServiceSid']
    if (!service_sid) return
    if (!(await read.one(serviceOfAccount, { sid: service_sid, account_sid: account.sid }))) throw refuse('serviceNotFound')
  },

  create(p) {
    const [address, type] = [p.Address ?? '', p.Type ?? 'sms']
    if (!isOfType(address, type)) throw refuse('invalidValue')
    return {
      address,
      type,
      friendly_name: p.FriendlyName ?? null,
      address_country: p.AddressCountry ?? null,
      auto_creation: JSON.stringify(autoCreation(p, { enabled: false, type: 'default' })),
    }
  },

  update: (before, p) => ({
    ...before,
    friendly_name: given(p.FriendlyName, before.friendly_name),
    auto_creation: JSON.stringify(autoCreation(p, parseStored<AutoCreation>(before.auto_creation))),
  }),

  remove: () => {},

  opened(row, open) {
    const auto = parseStored<AutoCreation>(row.auto_creation)
    return auto.webhook_url ? { ...row, auto_creation: JSON.stringify({ ...auto, webhook_url: open(auto.webhook_url) }) } : row
  },

  represent: (row, self) => ({
    account_sid: row.account_sid,
    sid: row.sid,
    address: row.address,
    type: row.type,
    friendly_name: row.friendly_name,
    address_country: row.address_country,
    auto_creation: parseStored<unknown>(row.auto_creation),
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
      where: when('type', '=', p.Type),
    }),
  },
})

/**
 * Whether an address has the format of its type; an inbound message would never find it otherwise. Of the types without a channel
 * (`gbm`, `apple`, `chat`) the vendor documents no format: anything that can be read.
 */
function isOfType(address: string, type: AddressRow['type']): boolean {
  return type === 'gbm' || type === 'apple' || type === 'chat' ? /^\P{Cc}*\S\P{Cc}*$/u.test(address) : proxyType(address) === type
}

/** Returns the updated configuration. A new type starts without the settings of the old one, except for the service. */
function autoCreation(p: Given, before: AutoCreation): AutoCreation {
  const enabled = p['AutoCreation.Enabled'] ?? before.enabled
  const type = p['AutoCreation.Type'] ?? before.type
  const conversation_service_sid = given(p['AutoCreation.ConversationServiceSid'], before.conversation_service_sid ?? null)
  if (type === 'webhook') return { enabled, type, conversation_service_sid, ...webhook(p, before) }
  if (type === 'studio') return { enabled, type, conversation_service_sid, ...studio(p, before) }
  return { enabled, type, ...(conversation_service_sid !== null && { conversation_service_sid }) }
}

/** Refuses what would be refused when a conversation's webhook is created from it. */
function webhook(p: Given, before: AutoCreation) {
  const webhook_url = given(p['AutoCreation.WebhookUrl'], before.webhook_url ?? null)
  if (webhook_url === null) throw refuse('conversationWebhookUrlNotProvided')
  const webhook_filters = p['AutoCreation.WebhookFilters'] ?? before.webhook_filters ?? []
  if (webhook_filters.length === 0) throw refuse('conversationWebhookFilterNotProvided')
  return { webhook_url, webhook_method: p['AutoCreation.WebhookMethod'] ?? before.webhook_method ?? 'POST', webhook_filters }
}

function studio(p: Given, before: AutoCreation) {
  const studio_flow_sid = given(p['AutoCreation.StudioFlowSid'], before.studio_flow_sid ?? null)
  if (studio_flow_sid === null) throw refuse('invalidConversationWebhookFlowSid')
  return { studio_flow_sid, studio_retry_count: p['AutoCreation.StudioRetryCount'] ?? before.studio_retry_count ?? 0 }
}
