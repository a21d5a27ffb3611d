import type { Json } from '../records/format.ts'
import { conversations } from '../resources/conversations/conversation.ts'
import { users } from '../resources/users/user.ts'
import type { HostedClient } from '../transfer/hosted/client.ts'
import { sidOf } from '../transfer/hosted/record.ts'
import { allConversations, differentKeys } from './compare.ts'
import type { LocalReader } from './local.ts'
import { targetText } from './targets.ts'

/**
 * Goes through the lists of a hosted account, and returns what has to be read: settings, what is different here, and each conversation
 * that is not closed, because its list does not show what is in it. Throws as HostedClient does.
 */
export async function* targetsOf(client: HostedClient, local: LocalReader): AsyncGenerator<string> {
  yield targetText('account')
  for await (const { rows } of client.pages('/v1/Services?PageSize=100', 'services')) {
    for (const row of rows) yield* ofService(client, local, sidOf(row))
  }
}

async function* ofService(client: HostedClient, local: LocalReader, service: string): AsyncGenerator<string> {
  yield targetText('service', service)
  const path = `/v1/Services/${service}`
  const known = new Set<string>()
  for await (const row of local.rows({ resource: users, service })) known.add(sidOf(row))
  for await (const { rows } of client.pages(`${path}/Users?PageSize=50`, 'users')) {
    for (const there of rows) {
      const sid = sidOf(there)
      if (!known.delete(sid) || (await isDifferent(local, users, service, there))) yield targetText('user', service, sid)
    }
  }
  for (const sid of known) yield targetText('user', service, sid)
  for await (const row of local.rows({ resource: conversations, service }, { StartDate: allConversations })) known.add(sidOf(row))
  const list = `${path}/Conversations?StartDate=${allConversations}&PageSize=100`
  for await (const { rows } of client.pages(list, 'conversations')) {
    for (const there of rows) {
      const sid = sidOf(there)
      const isKnown = known.delete(sid)
      if (isKnown && there.state === 'closed' && !(await isDifferent(local, conversations, service, there))) continue
      yield targetText('conversation', service, sid)
      yield targetText('messages', service, sid)
    }
  }
  for (const sid of known) yield targetText('conversation', service, sid)
}

async function isDifferent(
  local: LocalReader,
  resource: typeof users | typeof conversations,
  service: string,
  there: Json,
): Promise<boolean> {
  const here = await local.row({ resource, service }, sidOf(there))
  return here === null || differentKeys(here, there).length > 0
}
