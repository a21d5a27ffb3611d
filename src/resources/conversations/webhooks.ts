import { resource } from '../../api/declare.ts'
import { conversations } from '../conversations.ts'

/** https://www.twilio.com/docs/conversations/api/conversation-scoped-webhook-resource */
export const webhooks = resource()({
  name: 'ConversationWebhook',
  path: 'Webhooks',
  under: conversations,
  table: null,
  sid: 'WH',
  params: {},
  represent: () => ({}),
  list: { key: 'webhooks', size: 5, max: 5, params: {}, order: () => ({ by: 'date_created', direction: 'asc', where: [] }) },
})
