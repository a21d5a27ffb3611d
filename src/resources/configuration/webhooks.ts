import { event_types } from '../../events/names.ts'
import { resource } from '../../model/declare.ts'
import { oneOf, someOf, webAddress } from '../../model/params.ts'
import type { AccountRow } from '../../storage/schema.ts'

/** What the account's and a service's webhook configuration have in common. */
export const webhookParams = {
  PreWebhookUrl: webAddress('invalidPreWebhookUrl'),
  PostWebhookUrl: webAddress('invalidPostWebhookUrl'),
  Method: oneOf(['GET', 'POST'], { invalid: 'invalidWebhookMethod' }),
  Filters: someOf(event_types, 'invalidWebhook'),
}

/** https://www.twilio.com/docs/conversations/api/webhook-configuration-resource */
export const accountWebhooks = resource<AccountRow>()({
  name: 'ConfigurationWebhook',
  path: 'Configuration/Webhooks',
  under: 'account',
  table: 'accounts',
  sid: null,
  row: ({ account }) => account.sid,
  params: { ...webhookParams, Target: oneOf(['webhook', 'flex'], { invalid: 'invalidWebhook' }) },
  update: (was, p) => ({
    ...was,
    pre_webhook_url: p.PreWebhookUrl === undefined ? was.pre_webhook_url : p.PreWebhookUrl,
    post_webhook_url: p.PostWebhookUrl === undefined ? was.post_webhook_url : p.PostWebhookUrl,
    webhook_method: p.Method ?? was.webhook_method,
    webhook_filters: p.Filters === undefined ? was.webhook_filters : JSON.stringify(p.Filters),
    webhook_target: p.Target ?? was.webhook_target,
  }),
  represent: (row, self) => ({
    account_sid: row.sid,
    pre_webhook_url: row.pre_webhook_url,
    post_webhook_url: row.post_webhook_url,
    method: row.webhook_method,
    filters: JSON.parse(row.webhook_filters) as unknown,
    target: row.webhook_target,
    url: self,
  }),
})
