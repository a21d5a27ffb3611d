import type { RoleType } from '../storage/schema.ts'

// Permissions of roles of one type, then those of either.
const forService = ['createConversation', 'joinConversation'] as const
const forConversation = ['deleteOwnMessage', 'leaveConversation', 'sendMessage', 'sendMediaMessage'] as const
const forEither = [
  'addParticipant',
  'removeParticipant',
  'deleteAnyMessage',
  'deleteConversation',
  'editAnyMessage',
  'editAnyMessageAttributes',
  'editAnyUserInfo',
  'editConversationAttributes',
  'editConversationName',
  'editOwnMessage',
  'editOwnMessageAttributes',
  'editOwnUserInfo',
  // The vendor accepts these, too, but documents them for neither type.
  'editNotificationLevel',
  'addNonChatParticipant',
  'editAnyParticipantAttributes',
  'editOwnParticipantAttributes',
] as const
export const permissions = [...forService, ...forConversation, ...forEither] as const
export type Permission = (typeof permissions)[number]
export const notFor: Readonly<Record<RoleType, readonly Permission[]>> = { service: forConversation, conversation: forService }
