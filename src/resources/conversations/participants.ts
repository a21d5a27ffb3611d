import { resource } from '../../api/declare.ts'
import { conversations } from '../conversations.ts'

/** https://www.twilio.com/docs/conversations/api/conversation-participant-resource */
export const participants = resource()({
  name: 'Participant',
  path: 'Participants',
  under: conversations,
  table: null,
  sid: 'MB',
  params: {},
  represent: () => ({}),
  list: {
    key: 'participants',
    size: 50,
    max: 1000,
    params: {},
    order: () => ({ by: 'date_created', direction: 'asc', where: [] }),
  },
})
