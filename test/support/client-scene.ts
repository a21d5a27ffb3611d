import { RawClient } from './client.ts'
import type { Tenant } from './tenant.ts'

const v1 = ({ sdk }: Tenant) => sdk.conversations.v1

/** A conversation with ann in a role of these permissions, a message of hers, one of bob and the paths of everything. */
export async function scene(tenant: Tenant, here: readonly string[], inService: readonly string[] = []) {
  const conversations = v1(tenant).conversations
  const { sid } = await conversations.create({ friendlyName: 'Order' })
  const own = await role(tenant, 'conversation', here)
  await conversations(sid).participants.create({ identity: 'bob' })
  const raw = await RawClient.admitted(tenant, 'ann')
  await v1(tenant)
    .users('ann')
    .update({ roleSid: await role(tenant, 'service', inService) })
  const ann = await conversations(sid).participants.create({ identity: 'ann', roleSid: own })
  const mine = await conversations(sid).messages.create({ author: 'ann', body: 'mine' })
  const theirs = await conversations(sid).messages.create({ author: 'bob', body: 'theirs' })
  const { links } = (await raw.request('GET', '/Client/v2/Configuration')).body
  const path = (link: string) => new URL(link).pathname
  const conversation = `${path(links.conversations)}/${sid}`
  return {
    raw,
    sid,
    conversation,
    participants: `${conversation}/Participants`,
    ann: `${conversation}/Participants/${ann.sid}`,
    bob: `${conversation}/Participants/bob`,
    messages: `${conversation}/Messages`,
    mine: `${conversation}/Messages/${mine.sid}`,
    theirs: `${conversation}/Messages/${theirs.sid}`,
    conversations: path(links.conversations),
    me: `${path(links.users)}/ann`,
    other: `${path(links.users)}/bob`,
    membership: `${path(links.my_conversations)}/${sid}`,
  }
}

export type Scene = Awaited<ReturnType<typeof scene>>

/** Of no permission there is no role: one that allows nothing that is asked for stands for it. */
export async function role(tenant: Tenant, type: 'conversation' | 'service', permissions: readonly string[]): Promise<string> {
  const nothing = type === 'service' ? 'editOwnParticipantAttributes' : 'editOwnUserInfo'
  const permission = permissions.length > 0 ? [...permissions] : [nothing]
  return (await v1(tenant).roles.create({ type, friendlyName: 'r', permission })).sid
}
