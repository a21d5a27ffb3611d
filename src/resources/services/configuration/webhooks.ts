import { parseStored } from '../../../json.ts'
import { resource } from '../../../model/declare.ts'
import type { ServiceRow } from '../../../storage/schema.ts'
import { changedWebhooks, openedWebhooks, webhookParams } from '../../configuration/webhooks.ts'

/** https://www.twilio.com/docs/conversations/api/per-service-webhook-resource */
export const serviceWebhooks = resource<ServiceRow>()({
  name: 'ServiceConfigurationWebhook',
  operation: 'WebhookConfiguration',
  path: 'Configuration/Webhooks',
  under: 'only service',
  table: 'services',
  sid: null,
  row: ({ service }) => service?.sid ?? '',
  params: webhookParams,
  update: (before, p) => ({ ...before, ...changedWebhooks(before, p) }),
  opened: openedWebhooks,
  // A service without a configuration is represented with nulls, not by a 404.
  represent: (row, self) => ({
    account_sid: row.account_sid,
    chat_service_sid: row.sid,
    pre_webhook_url: row.pre_webhook_url,
    post_webhook_url: row.post_webhook_url,
    filters: row.webhook_filters === null ? null : parseStored<unknown>(row.webhook_filters),
    method: row.webhook_method,
    url: self,
  }),
})
