import { eventTypes } from '../../events/names.ts'
import { parseStored } from '../../json.ts'
import { resource } from '../../model/declare.ts'
import { given, oneOf, type Parsed, someOf, webUrl } from '../../model/params.ts'
import type { AccountRow, ServiceRow } from '../../storage/schema.ts'

/** The parameters of both the account's and a service's webhook configuration. */
export const webhookParams = {
  PreWebhookUrl: webUrl('invalidPreWebhookUrl'),
  PostWebhookUrl: webUrl('invalidPostWebhookUrl'),
  Method: oneOf(['GET', 'POST'], { invalid: 'invalidWebhookMethod' }),
  Filters: someOf(eventTypes, 'invalidWebhook'),
}

/** Returns the columns that an update changes; what is absent stays as it was. */
export function changedWebhooks<R extends AccountRow | ServiceRow>(before: R, p: Parsed<typeof webhookParams>) {
  return {
    pre_webhook_url: given(p.PreWebhookUrl, before.pre_webhook_url),
    post_webhook_url: given(p.PostWebhookUrl, before.post_webhook_url),
    webhook_method: given<R['webhook_method']>(p.Method, before.webhook_method),
    webhook_filters: given<R['webhook_filters']>(p.Filters && JSON.stringify(p.Filters), before.webhook_filters),
  }
}

/** Returns the row with its URLs as they were given. */
export function openedWebhooks<R extends AccountRow | ServiceRow>(row: R, open: (url: string) => string): R {
  return {
    ...row,
    pre_webhook_url: row.pre_webhook_url && open(row.pre_webhook_url),
    post_webhook_url: row.post_webhook_url && open(row.post_webhook_url),
  }
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
  update: (before, p) => ({
    ...before,
    ...changedWebhooks(before, p),
    webhook_target: p.Target ?? before.webhook_target,
  }),
  opened: openedWebhooks,
  represent: (row, self) => ({
    account_sid: row.sid,
    pre_webhook_url: row.pre_webhook_url,
    post_webhook_url: row.post_webhook_url,
    method: row.webhook_method,
    filters: parseStored<unknown>(row.webhook_filters),
    target: row.webhook_target,
    url: self,
  }),
})
