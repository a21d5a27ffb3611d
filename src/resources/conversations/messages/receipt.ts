import { milliseconds, seconds } from '../../../dates.ts'
import { resource } from '../../../model/declare.ts'
import type { ReceiptRow } from '../../../storage/schema.ts'
import { chatServiceSid } from '../chat-service-sid.ts'
import { scopedTargets } from '../webhooks/targets.ts'
import { messages } from './message.ts'

/** https://www.twilio.com/docs/conversations/api/receipts-resource */
export const receipts = resource<ReceiptRow>()({
  name: 'Receipt',
  path: 'Receipts',
  under: messages,
  table: 'receipts',
  sid: 'receipt',
  params: {},
  represent: (row, self, urls) => ({
    sid: row.sid,
    account_sid: row.account_sid,
    ...chatServiceSid(row, urls),
    conversation_sid: row.conversation_sid,
    message_sid: row.message_sid,
    channel_message_sid: row.channel_message_sid,
    status: row.status,
    error_code: row.error_code,
    participant_sid: row.participant_sid,
    date_created: seconds(row.date_created),
    date_updated: seconds(row.date_updated),
    url: self,
  }),
  list: {
    key: 'delivery_receipts',
    size: 50,
    max: 1000,
    params: {},
    order: () => ({ by: 'date_created', direction: 'asc', where: [] }),
  },
  events: {
    preAction: {},
    preActionPayload: () => ({}),
    amendable: {},
    emits: ['onDeliveryUpdated'],
    // observed: emitted also for messages sent by REST without the header, and without a Source.
    postAction: (change) => {
      const row = change.after
      if (!row) return []
      return [
        {
          type: 'onDeliveryUpdated',
          subject_sid: row.conversation_sid,
          always: true,
          payload: () => ({
            ConversationSid: row.conversation_sid,
            MessageSid: row.message_sid,
            DeliveryReceiptSid: row.sid,
            ChannelMessageSid: row.channel_message_sid,
            ParticipantSid: row.participant_sid,
            Status: row.status,
            ErrorCode: row.error_code === 0 ? null : row.error_code,
            DateCreated: milliseconds(row.date_created),
            DateUpdated: milliseconds(row.date_updated),
          }),
        },
      ]
    },
    listeners: (read, event, _change, facts) => scopedTargets(read, event, facts.parents[0]),
  },
})
