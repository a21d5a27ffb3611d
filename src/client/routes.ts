import type { ClientCall } from './call.ts'
import { conversationRoutes } from './commands/conversations.ts'
import { messageRoutes } from './commands/messages.ts'
import { otherRoutes } from './commands/others.ts'
import { participantRoutes } from './commands/participants.ts'
import { registrationRoutes } from './commands/registrations.ts'
import { typingRoutes } from './commands/typing.ts'
import { userRoutes } from './commands/users.ts'
import { configurationRoutes } from './configuration.ts'
import { syncRoutes } from './sync/routes.ts'
import type { Route } from './tunnel.ts'

/** Everything that clients can ask for in frames. */
export const routes: readonly Route<ClientCall>[] = [
  ...configurationRoutes,
  ...syncRoutes,
  ...conversationRoutes,
  ...messageRoutes,
  ...participantRoutes,
  ...userRoutes,
  ...typingRoutes,
  ...registrationRoutes,
  ...otherRoutes,
]
