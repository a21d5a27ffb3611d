/** Events that pre-action webhooks are called for. */
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

/** Events that post-action webhooks receive. */
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

/** Post-action events that a conversation's own webhooks never receive: they exist only later, or it is not about them. */
const notScoped: readonly PostActionEvent[] = ['onConversationAdded', 'onUserAdded', 'onUserUpdated']

/** Values of `Filters` for account and service webhooks. */
export const eventTypes = [...preActionEvents, ...postActionEvents] as const

/** Values of `Configuration.Filters` for a conversation's own webhooks. */
export const scopedEventTypes = postActionEvents.filter((name) => !notScoped.includes(name))

export type PreActionEvent = (typeof preActionEvents)[number]
export type PostActionEvent = (typeof postActionEvents)[number]
export type EventType = PreActionEvent | PostActionEvent
