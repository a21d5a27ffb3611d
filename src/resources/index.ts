import type { AnyResource } from '../api/declare.ts'
import type { Operation } from '../api/pipeline.ts'
import { chainAbove } from '../api/scope.ts'
import { addresses } from './configuration/addresses.ts'
import { accountWebhooks } from './configuration/webhooks.ts'
import { configuration } from './configuration.ts'
import { conversationWithParticipants } from './conversation-with-participants.ts'
import { receipts } from './conversations/messages/receipts.ts'
import { messages } from './conversations/messages.ts'
import { participants } from './conversations/participants.ts'
import { webhooks } from './conversations/webhooks.ts'
import { conversations } from './conversations.ts'
import { credentials } from './credentials.ts'
import { participantConversations } from './participant-conversations.ts'
import { roles } from './roles.ts'
import { bindings } from './services/bindings.ts'
import { serviceNotifications } from './services/configuration/notifications.ts'
import { serviceWebhooks } from './services/configuration/webhooks.ts'
import { serviceConfiguration } from './services/configuration.ts'
import { services } from './services.ts'
import { userConversations } from './users/conversations.ts'
import { users } from './users.ts'

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
