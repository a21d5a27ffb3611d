import { newAccount } from '../src/accounts/accounts.ts'
import { conversations } from '../src/resources/conversations/conversation.ts'
import type { ConversationRow } from '../src/storage/schema.ts'

const { account, service } = newAccount({ sid: undefined, friendly_name: '', sealedToken: '', now: 0 })
const created = conversations.create?.({}, { account, service, parents: [], now: 0 }, undefined, '')
if (!created) throw new Error('conversations can be created')

/** A conversation as a request without parameters makes it: rows of the bench say only what differs. */
export const plainConversation: ConversationRow = {
  ...created,
  account_sid: '',
  service_sid: '',
  sid: '',
  date_created: 0,
  date_updated: 0,
  revision: 1,
}
