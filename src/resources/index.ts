import type { Operation } from '../api/requests.ts'
import type { AnyResource } from '../model/declare.ts'
import { Registry } from '../model/registry.ts'
import { addresses } from './configuration/address.ts'
import { configuration } from './configuration/configuration.ts'
import { accountWebhooks } from './configuration/webhooks.ts'
import { conversationWithParticipants } from './conversation-with-participants.ts'
import { conversations } from './conversations/conversation.ts'
import { messages } from './conversations/messages/message.ts'
import { receipts } from './conversations/messages/receipt.ts'
import { participants } from './conversations/participants/participant.ts'
import { webhooks } from './conversations/webhooks/webhook.ts'
import { credentials } from './credential.ts'
import { participantConversations } from './participant-conversation.ts'
import { roles } from './role.ts'
import { bindings } from './services/binding.ts'
import { serviceConfiguration } from './services/configuration/configuration.ts'
import { serviceNotifications } from './services/configuration/notifications.ts'
import { serviceWebhooks } from './services/configuration/webhooks.ts'
import { services } from './services/service.ts'
import { userConversations } from './users/conversation.ts'
import { users } from './users/user.ts'

/** Table of contents: mounted, documented and shown in this order. */
export const resources: readonly AnyResource[] = [
  configuration,
  accountWebhooks,
  addresses,
  conversations,
  messages,
  receipts,
  participants,
  webhooks,
  participantConversations,
  users,
  userConversations,
  roles,
  services,
  serviceConfiguration,
  serviceNotifications,
  serviceWebhooks,
  bindings,
  credentials,
]

/** The same, as the core is handed it. */
export const registry = new Registry(resources)

/** Mounted beside the resources. */
export const operations: readonly Operation[] = [conversationWithParticipants]
