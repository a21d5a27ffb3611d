import type { AnyResource } from '../api/declare.ts'
import { chainAbove, familyOf } from '../api/scope.ts'
import { accountWebhooks } from './configuration/webhooks.ts'
import { configuration } from './configuration.ts'
import { messages } from './conversations/messages.ts'
import { participants } from './conversations/participants.ts'
import { webhooks } from './conversations/webhooks.ts'
import { conversations } from './conversations.ts'
import { serviceWebhooks } from './services/configuration/webhooks.ts'
import { services } from './services.ts'

/** Table of contents: mounted, documented and shown in this order. */
export const resources: readonly AnyResource[] = [
  configuration,
  accountWebhooks,
  conversations,
  messages,
  participants,
  webhooks,
  services,
  serviceWebhooks,
]

/** Commands cross to the writer thread by the resource's name. */
export function resourceNamed(name: string): AnyResource {
  const found = resources.find((candidate) => candidate.name === name)
  if (!found) throw new Error(`no resource ${name}`)
  return found
}

/** Resources whose rows lie below a row of this one, and the column by which they refer to it. */
export function below(parent: AnyResource): { column: string; resources: readonly AnyResource[] } | undefined {
  const column = parent.asParent
  if (!column) return undefined
  const found = resources.filter((candidate) => {
    if (!candidate.table || candidate.sid === null) return false
    return parent.name === services.name ? familyOf(candidate) !== 'account' : chainAbove(candidate).includes(parent)
  })
  return found.length > 0 ? { column, resources: found } : undefined
}

/**
 * Operations of the official description that are not built yet: they answer 501. `*` stands for one segment.
 */
export const unbuilt: readonly {
  readonly path: string
  readonly family: 'both' | 'default' | 'service'
  readonly methods: string
}[] = [
  { path: '/ConversationWithParticipants', family: 'both', methods: 'POST' },
  { path: '/ParticipantConversations', family: 'both', methods: 'GET' },
  { path: '/Conversations/*/Messages', family: 'both', methods: 'POST' },
  { path: '/Conversations/*/Messages/*', family: 'both', methods: 'GET POST DELETE' },
  { path: '/Conversations/*/Messages/*/Receipts', family: 'both', methods: 'GET' },
  { path: '/Conversations/*/Messages/*/Receipts/*', family: 'both', methods: 'GET' },
  { path: '/Conversations/*/Participants', family: 'both', methods: 'POST' },
  { path: '/Conversations/*/Participants/*', family: 'both', methods: 'GET POST DELETE' },
  { path: '/Conversations/*/Webhooks', family: 'both', methods: 'POST' },
  { path: '/Conversations/*/Webhooks/*', family: 'both', methods: 'GET POST DELETE' },
  { path: '/Users', family: 'both', methods: 'GET POST' },
  { path: '/Users/*', family: 'both', methods: 'GET POST DELETE' },
  { path: '/Users/*/Conversations', family: 'both', methods: 'GET' },
  { path: '/Users/*/Conversations/*', family: 'both', methods: 'GET POST DELETE' },
  { path: '/Roles', family: 'both', methods: 'GET POST' },
  { path: '/Roles/*', family: 'both', methods: 'GET POST DELETE' },
  { path: '/Configuration', family: 'service', methods: 'GET POST' },
  { path: '/Configuration/Notifications', family: 'service', methods: 'GET POST' },
  { path: '/Configuration/Addresses', family: 'default', methods: 'GET POST' },
  { path: '/Configuration/Addresses/*', family: 'default', methods: 'GET POST DELETE' },
  { path: '/Bindings', family: 'service', methods: 'GET' },
  { path: '/Bindings/*', family: 'service', methods: 'GET DELETE' },
  { path: '/Credentials', family: 'default', methods: 'GET POST' },
  { path: '/Credentials/*', family: 'default', methods: 'GET POST DELETE' },
]
