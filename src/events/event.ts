import type { AccountRow, ServiceRow } from '../storage/schema.ts'
import type { PostActionEvent } from './names.ts'

/** Parameters of webhook requests that an event may set; those of every event are added by the outbox. */
type PayloadName =
  | 'Attributes'
  | 'Author'
  | 'Body'
  | 'ChannelMessageSid'
  | 'ChannelMetadata'
  | 'ConversationSid'
  | 'DateCreated'
  | 'DateRemoved'
  | 'DateUpdated'
  | 'DeliveryReceiptSid'
  | 'ErrorCode'
  | 'FriendlyName'
  | 'Identity'
  | 'Index'
  | 'LastReadMessageIndex'
  | 'Media'
  | 'MessageBody'
  | 'MessageSid'
  | 'MessagingBinding.Address'
  | 'MessagingBinding.ProjectedAddress'
  | 'MessagingBinding.ProxyAddress'
  | 'MessagingBinding.Type'
  | 'MessagingServiceSid'
  | 'ParticipantSid'
  | 'Reason'
  | 'RoleSid'
  | 'State'
  | 'StateFrom'
  | 'StateTo'
  | 'StateUpdated'
  | 'Status'
  | 'UniqueName'
  | 'UserSid'
  | 'isNotifiable'
  | 'isOnline'

/** What an event says; null and undefined are left out of the request, as on the vendor's wire. */
export type Payload = { readonly [Name in PayloadName]?: string | number | null | undefined }

/** Where and when an event happened. */
export interface EventScope {
  readonly account: AccountRow
  readonly service: ServiceRow | null
  readonly now: number
}

/** Something that post-action webhooks are sent. */
export interface Event {
  readonly type: PostActionEvent
  /** Called only when a webhook wants the event. */
  readonly payload: () => Payload
  /** Deliveries about one subject keep their order. */
  readonly subject_sid: string
  /** Sent even though the request did not ask for webhooks: what the system does by itself. Such events carry no Source. */
  readonly always: boolean
}
