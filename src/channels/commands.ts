import { ApiError } from '../errors.ts'
import { changeAll } from '../model/change.ts'
import { registry } from '../resources/index.ts'
import { long, type Tx } from '../storage/database.ts'
import { ConflictError } from '../storage/errors.ts'
import { accountBySid, channelByAddress, contentOfAccount, messageBySid } from '../storage/lookups.ts'
import { deleteRow, insert, updateRow } from '../storage/rows.ts'
import type { ChannelRow, ContentRow } from '../storage/schema.ts'
import { findDestination, sameDestination } from './destination.ts'
import { recordReceived, removeOldExternalIds } from './external-ids.ts'
import type { Plan } from './inbound-plan.ts'
import { type Received, receivedBefore } from './incoming.ts'
import { reportStatus } from './receipts.ts'

/** The commands of messaging channels and of those who configure them. Ids and time are part of the input. */
export const channelCommands = {
  /** Sets the channel of an address; an existing row keeps its SID. Returns null if the account does not exist. */
  async setChannel(tx: Tx, given: ChannelRow): Promise<ChannelRow | null> {
    const { account_sid, proxy_address } = given
    if (!(await tx.one(accountBySid, { sid: account_sid }))) return null
    const before = await tx.one(channelByAddress, { account_sid, proxy_address })
    if (!before) {
      await insert(tx, 'channels', given)
      notifyOf(tx, given.sid)
      return given
    }
    const { kind, settings, date_updated } = given
    const after = { ...before, kind, settings, date_updated }
    await tx.run(updateRow('channels', ['account_sid', 'proxy_address'], ['kind', 'settings', 'date_updated']), after)
    notifyOf(tx, after.sid)
    return after
  },

  /** Removes the channel of an address. Returns whether there was one. */
  async removeChannel(tx: Tx, input: { account_sid: string; proxy_address: string }): Promise<boolean> {
    const before = await tx.one(channelByAddress, input)
    if (!before) return false
    await tx.run(deleteRow('channels', ['account_sid', 'proxy_address']), input)
    notifyOf(tx, before.sid)
    return true
  },

  /** Registers a content template; an existing one is replaced. Returns null if the account does not exist. */
  async setContent(tx: Tx, given: ContentRow): Promise<ContentRow | null> {
    const { account_sid, sid } = given
    if (!(await tx.one(accountBySid, { sid: account_sid }))) return null
    const before = await tx.one(contentOfAccount, { account_sid, sid })
    const after = { ...given, date_created: before?.date_created ?? given.date_created }
    if (before) await tx.run(deleteRow('contents', ['account_sid', 'sid']), { account_sid, sid })
    await insert(tx, 'contents', after)
    return after
  },

  /** Removes a content template; messages keep their text. Returns whether there was one. */
  async removeContent(tx: Tx, input: { account_sid: string; sid: string }): Promise<boolean> {
    return (await tx.run(deleteRow('contents', ['account_sid', 'sid']), input)) > 0
  },

  reportStatus,

  removeOldExternalIds: long(removeOldExternalIds),

  /**
   * Stores a message as planned; one that was received before is returned as it was. Returns null, with nothing written, when its
   * destination has changed since the plan.
   */
  async receive(tx: Tx, { parties, destination, changes, received, external }: Plan): Promise<Received | null> {
    const before = external && (await receivedBefore(tx, external))
    if (before) return before
    if (!sameDestination(await findDestination(tx, parties), destination)) return null
    try {
      await changeAll(tx, registry, changes)
    } catch (error) {
      if (!(error instanceof ApiError)) throw error
      const found = await findDestination(tx, parties)
      const own = found?.kind === 'open' && found.conversation_sid === received.conversation_sid
      if (own || sameDestination(found, destination)) throw error
      // A concurrent change of the destination is the cause: rolled back, and planned again.
      throw new ConflictError('the destination of a message')
    }
    if (external) await recordReceived(tx, external, { ...received, message_index: await indexOf(tx, received) }, parties.now)
    return received
  },
}

async function indexOf(tx: Tx, { service_sid, conversation_sid, message_sid }: Received): Promise<number | null> {
  return (await tx.one(messageBySid, { service_sid, conversation_sid, sid: message_sid }))?.message_index ?? null
}

/** What listens for the channel is begun anew or ended. */
function notifyOf(tx: Tx, sid: string): void {
  tx.notify({ topic: 'changed', table: 'channels', sid, revision: 0 })
}
