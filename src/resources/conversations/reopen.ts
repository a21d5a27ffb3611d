import { refuse } from '../../errors.ts'
import { applyStep, revised } from '../../model/change.ts'
import { stepOf } from '../../model/declare.ts'
import type { Reader, Tx } from '../../storage/database.ts'
import { accountBySid, conversationBySid, serviceBySid } from '../../storage/lookups.ts'
import { updateRow } from '../../storage/rows.ts'
import type { ConversationRow } from '../../storage/schema.ts'
import { registry } from '../index.ts'
import { conversations } from './conversation.ts'
import { elapse, reopened } from './lifecycle.ts'
import { groupMembers, isNative, type Member, sameGroup } from './participants/group-mms.ts'
import { holderOf } from './participants/participant.ts'

type ParticipantReader = Parameters<typeof holderOf>[1]

interface ReopenRequest {
  readonly service_sid: string
  readonly sid: string
  readonly now: number
}

const released = updateRow('participants', ['service_sid', 'conversation_sid', 'sid'], ['open', 'closed_activity'])

/** Of an act that no webhook is told of. */
const by = { webhooks: false, source: 'API' } as const

/**
 * Makes a closed conversation active again, with everybody who was in it; both timers begin anew. Returns it; null when it is not closed,
 * undefined when there is none. Throws the refusals of adding its people to another conversation: their addresses may be in a newer one.
 */
export async function reopenConversation(
  tx: Tx,
  { service_sid, sid, now }: ReopenRequest,
): Promise<ConversationRow | null | undefined> {
  const service = await tx.hold(serviceBySid, { sid: service_sid }, 'keep')
  const account = service && (await tx.one(accountBySid, { sid: service.account_sid }))
  const stored = await tx.hold(conversationBySid, { service_sid, sid }, 'change')
  if (!account || !stored) return undefined
  const facts = { account, service, parents: [], now }
  const due = elapse(stored, now)
  const before = due ? revised(due) : stored
  if (before.state !== 'closed') return null
  if (due) {
    // By its timer, which nobody has written yet: that is told before it is undone.
    const closing = stepOf(conversations, { verb: 'update', before: stored, after: before, cause: 'deadline' })
    await applyStep(tx, registry, closing, facts, by)
  }
  await takeAddresses(tx, facts, { service_sid, conversation_sid: sid })
  const after = revised({ ...reopened(before, now), date_updated: now })
  await applyStep(tx, registry, stepOf(conversations, { verb: 'update', before, after, cause: 'operator' }), facts, by)
  tx.notify({ topic: 'reopened', sid })
  return after
}

interface Place {
  readonly service_sid: string
  readonly conversation_sid: string
}

/** Throws when an address pair, or the group, is in another open conversation; frees pairs whose conversation has ended meanwhile. */
async function takeAddresses(tx: Tx, facts: ParticipantReader, place: Place): Promise<void> {
  const members = await groupMembers(tx, place)
  for (const { address, proxy_address } of members) {
    const holder = address && proxy_address ? await holderOf(tx, facts, address, proxy_address) : null
    if (!holder || holder.participant.conversation_sid === place.conversation_sid) continue
    const { participant, conversation } = holder
    if (conversation && conversation.state !== 'closed') throw refuse('pairHeld', { conversation_sid: conversation.sid })
    await tx.run(released, {
      ...participant,
      open: 0,
      closed_activity: conversation?.date_activity ?? participant.date_created,
    })
  }
  const equal = await equalGroup(tx, facts, place, members)
  if (equal !== null) throw refuse('sameGroup', { conversation_sid: equal })
}

async function equalGroup(read: Reader, { account, now }: ParticipantReader, place: Place, members: readonly Member[]) {
  const native = members.find(isNative)
  return native ? sameGroup(read, { account_sid: account.sid, now }, place, native) : null
}
