/** Events that a pre-action webhook is asked about. */
export const preActionEvents = [
  'onMessageAdd',
  'onMessageUpdate',
  'onMessageRemove',
  'onConversationAdd',
  'onConversationUpdate',
  'onConversationRemove',
  'onParticipantAdd',
  'onParticipantUpdate',
  'onParticipantRemove',
  'onUserUpdate',
] as const

/** Events that post-action webhooks are sent. */
export const postActionEvents = [
  'onMessageAdded',
  'onMessageUpdated',
  'onMessageRemoved',
  'onConversationAdded',
  'onConversationUpdated',
  'onConversationRemoved',
  'onConversationStateUpdated',
  'onParticipantAdded',
  'onParticipantUpdated',
  'onParticipantRemoved',
  'onDeliveryUpdated',
  'onUserAdded',
  'onUserUpdated',
] as const

/** Post-action events that the webhooks of one conversation are not sent: it is not theirs, or not there yet. */
const notScoped: readonly PostActionEvent[] = ['onConversationAdded', 'onUserAdded', 'onUserUpdated']

/** What the filters of account and service webhooks accept. */
export const eventTypes = [...preActionEvents, ...postActionEvents] as const

/** What the filters of a conversation's own webhooks accept. */
export const scopedEventTypes = postActionEvents.filter((name) => !notScoped.includes(name))

export type PreActionEvent = (typeof preActionEvents)[number]
export type PostActionEvent = (typeof postActionEvents)[number]
export type EventType = PreActionEvent | PostActionEvent
