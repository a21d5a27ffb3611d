import type { Tenant } from './tenant.ts'

export type Family = 'default' | 'service'
export const families: readonly Family[] = ['default', 'service']

/** One of the two families of paths: that of the account's default service, or that of a new one. */
export async function openFamily({ sdk }: Tenant, family: Family) {
  const { v1 } = sdk.conversations
  const service =
    family === 'default'
      ? (await v1.configuration().fetch()).defaultChatServiceSid
      : (await v1.services.create({ friendlyName: 'Support' })).sid
  const root = family === 'default' ? '/v1' : `/v1/Services/${service}`
  const found = family === 'default' ? v1 : v1.services(service)
  // The same methods in both families; only the types of their answers differ.
  const { conversations, users, roles, participantConversations, conversationWithParticipants } = found as unknown as typeof v1
  return { root, service, conversations, users, roles, participantConversations, conversationWithParticipants }
}
