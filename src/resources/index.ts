import type { Operation } from '../api/requests.ts'
import type { AnyResource } from '../model/declare.ts'
import { chainAbove } from '../model/scope.ts'
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

/** Mounted beside the resources. */
export const operations: readonly Operation[] = [conversationWithParticipants]

/** Commands cross to the writer thread by the resource's name. */
export function resourceNamed(name: string): AnyResource {
  const found = resources.find((candidate) => candidate.name === name)
  if (!found) throw new Error(`no resource ${name}`)
  return found
}

/**
 * Resources whose rows go with a row of this one, and the column by which they refer to it. Of a service only those right below
 * it: what lies below a conversation is found by the conversation.
 */
export function below(parent: AnyResource): { column: string; resources: readonly AnyResource[] } | undefined {
  const column = parent.asParent
  if (!column) return undefined
  const found = resources.filter((candidate) => {
    if (candidate.sid === null || candidate.view) return false
    if (parent === services) return candidate.under === 'service' || candidate.under === 'only service'
    return chainAbove(candidate).includes(parent)
  })
  return found.length > 0 ? { column, resources: found } : undefined
}
