import type { AccountRow, ServiceRow } from '../storage/schema.ts'
import type { PostActionEvent } from './names.ts'

/** Parameters of a webhook request that an event may set; the outbox adds those that all events share. */
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
  | 'MessagingBinding.AuthorAddress'
  | 'MessagingBinding.Level'
  | 'MessagingBinding.Name'
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

/** The parameters of an event; null and undefined are left out of the request, as on the vendor's wire. */
export type Payload = { readonly [Name in PayloadName]?: string | number | null | undefined }

/** Where and when an event happened. */
export interface EventScope {
  readonly account: AccountRow
  readonly service: ServiceRow | null
  readonly now: number
  /** The user who causes it with a client SDK. */
  readonly client_identity?: string
  /** The trace context that deliveries continue. */
  readonly trace?: string
}

/** An event for post-action webhooks. */
export interface Event {
  readonly type: PostActionEvent
  /** Called only when a webhook is to receive the event. */
  readonly payload: () => Payload
  /** Deliveries with the same subject are sent in order. */
  readonly subject_sid: string
  /** Emitted also when the request did not enable webhooks: for changes that the system makes. Such events have no Source. */
  readonly always: boolean
}
