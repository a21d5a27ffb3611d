import { ApiError } from '../errors.ts'
import { changeAll } from '../model/change.ts'
import { registry } from '../resources/index.ts'
import type { Tx } from '../storage/database.ts'
import { ConflictError } from '../storage/errors.ts'
import { deleteRow, insert, rowsBy, updateRow } from '../storage/rows.ts'
import type { ChannelRow } from '../storage/schema.ts'
import { findDestination, type Plan, type Received, sameDestination } from './inbound.ts'
import { reportStatus } from './receipts.ts'

const accountBySid = rowsBy('accounts', ['sid'])
const channelOf = rowsBy('channels', ['account_sid', 'proxy_address'])

/** What messaging channels and those who configure them do. Ids and time come in with the input. */
export const channelCommands = {
  /** Says where the messages of a proxy address go; the row of an address stays the same. Returns null without the account. */
  async setChannel(tx: Tx, given: ChannelRow): Promise<ChannelRow | null> {
    const { account_sid, proxy_address } = given
    if (!(await tx.one(accountBySid, { sid: account_sid }))) return null
    const before = await tx.one(channelOf, { account_sid, proxy_address })
    if (!before) {
      await insert(tx, 'channels', given)
      return given
    }
    const after = { ...before, url: given.url, date_updated: given.date_updated }
    await tx.run(updateRow('channels', ['account_sid', 'proxy_address'], ['url', 'date_updated']), after)
    return after
  },

  /** Messages of the address go nowhere again, and arrive. Returns false when there was nothing to remove. */
  async removeChannel(tx: Tx, input: { account_sid: string; proxy_address: string }): Promise<boolean> {
    return (await tx.run(deleteRow('channels', ['account_sid', 'proxy_address']), input)) > 0
  },

  reportStatus,

  /** Takes in a message as planned. Returns null, with nothing written, when things are not any more as they were then. */
  async receive(tx: Tx, { pair, destination, changes, received }: Plan): Promise<Received | null> {
    if (!sameDestination(await findDestination(tx, pair), destination)) return null
    try {
      await changeAll(tx, registry, changes)
    } catch (error) {
      // Refused because of what another did in between: undone, and seen by the next try.
      if (error instanceof ApiError && !sameDestination(await findDestination(tx, pair), destination))
        throw new ConflictError('the destination of a message')
      throw error
    }
    return received
  },
}
