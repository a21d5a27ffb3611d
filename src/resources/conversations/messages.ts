import { resource } from '../../api/declare.ts'
import { conversations } from '../conversations.ts'

/** https://www.twilio.com/docs/conversations/api/conversation-message-resource */
export const messages = resource()({
  name: 'Message',
  path: 'Messages',
  under: conversations,
  table: null,
  sid: 'IM',
  params: {},
  represent: () => ({}),
  list: { key: 'messages', size: 50, max: 1000, params: {}, order: () => ({ by: 'date_created', direction: 'asc', where: [] }) },
})
