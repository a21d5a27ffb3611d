import { ApiError } from '../errors.ts'
import { changeAll } from '../model/change.ts'
import { resourceNamed } from '../model/registry.ts'
import { Conflict, type Tx } from '../storage/database.ts'
import { deleteRow, insertRow, rowsBy, updateRow } from '../storage/rows.ts'
import type { ChannelRow } from '../storage/schema.ts'
import { findHome, type Plan, type Received, sameHome } from './inbound.ts'
import { reportStatus } from './receipts.ts'

const accountBySid = rowsBy('accounts', ['sid'])
const channelOf = rowsBy('channels', ['account_sid', 'proxy_address'])

/** What messaging channels and those who configure them do. Ids and time come in with the input. */
export const channelCommands = {
  /** Says where the messages of a proxy address go; the row of an address stays the same. Answers null without the account. */
  async setChannel(tx: Tx, given: ChannelRow): Promise<ChannelRow | null> {
    const { account_sid, proxy_address } = given
    if (!(await tx.one(accountBySid, { sid: account_sid }))) return null
    const was = await tx.one(channelOf, { account_sid, proxy_address })
    if (!was) {
      await tx.run(insertRow('channels', Object.keys(given)), { ...given })
      return given
    }
    const is = { ...was, url: given.url, date_updated: given.date_updated }
    await tx.run(updateRow('channels', ['account_sid', 'proxy_address'], ['url', 'date_updated']), is)
    return is
  },

  /** Messages of the address go nowhere again, and arrive. Answers false when there was nothing to remove. */
  async removeChannel(tx: Tx, input: { account_sid: string; proxy_address: string }): Promise<boolean> {
    return (await tx.run(deleteRow('channels', ['account_sid', 'proxy_address']), input)) > 0
  },

  reportStatus,

  /** Takes in a message as planned. Answers null, with nothing written, when things are not any more as they were then. */
  async receive(tx: Tx, { pair, home, changes, received }: Plan): Promise<Received | null> {
    if (!sameHome(await findHome(tx, pair), home)) return null
    try {
      await changeAll(tx, changes, resourceNamed)
    } catch (error) {
      // Refused because of what another did in between: undone, and seen by the next try.
      if (error instanceof ApiError && !sameHome(await findHome(tx, pair), home)) throw new Conflict('the home of a message')
      throw error
    }
    return received
  },
}
