import type { Operation } from '../api/requests.ts'
import type { AnyResource } from '../model/declare.ts'
import { Registry } from '../model/registry.ts'
import { addresses } from './configuration/address.ts'
import { configuration } from './configuration/configuration.ts'
import { accountWebhooks } from './configuration/webhooks.ts'
import { conversationWithParticipants } from './conversation-with-participants.ts'
import { conversations } from './conversations/conversation.ts'
import { channelMetadata } from './conversations/messages/channel-metadata.ts'
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

/** All resources, in the order of their routes and of the reference. */
export const resources: readonly AnyResource[] = [
  configuration,
  accountWebhooks,
  addresses,
  conversations,
  messages,
  receipts,
  channelMetadata,
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

export const registry = new Registry(resources)

/** Operations that fit no resource declaration. */
export const operations: readonly Operation[] = [conversationWithParticipants]
