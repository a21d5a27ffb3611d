import { milliseconds } from '../../../dates.ts'
import { resource } from '../../../model/declare.ts'
import { column, onlyInService, representation, selfUrl } from '../../../model/representation.ts'
import type { ReceiptRow } from '../../../storage/schema.ts'
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
  represent: representation<ReceiptRow>()({
    sid: column.word('sid'),
    account_sid: column.word('account_sid'),
    chat_service_sid: onlyInService(column.word('service_sid')),
    conversation_sid: column.word('conversation_sid'),
    message_sid: column.word('message_sid'),
    // As its carrier calls it.
    channel_message_sid: column.text('channel_message_sid'),
    status: column.word('status'),
    error_code: column.integer('error_code'),
    participant_sid: column.word('participant_sid'),
    date_created: column.date('date_created'),
    date_updated: column.date('date_updated'),
    url: selfUrl,
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
