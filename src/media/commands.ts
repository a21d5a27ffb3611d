import { refuse } from '../errors.ts'
import type { Tx } from '../storage/database.ts'
import { accountBySid, serviceOfAccount } from '../storage/lookups.ts'
import { insertRow } from '../storage/rows.ts'
import type { MediaRow } from '../storage/schema.ts'
import { bytesOf, mediaBySid, remove, removeExpired } from './rows.ts'

interface NewMedia {
  readonly row: MediaRow
  readonly path: string
  readonly quotaBytes: number | null
}

export const mediaCommands = {
  /**
   * `path`: for the message of the 404 if the service was removed during the upload. `quotaBytes`: of all files of the account; null:
   * none. The account is held, so that uploads at the same time, on any node, are counted one after the other.
   */
  async addMedia(tx: Tx, { row, path, quotaBytes }: NewMedia): Promise<void> {
    const service = await tx.hold(serviceOfAccount, { sid: row.service_sid, account_sid: row.account_sid }, 'keep')
    if (!service) throw refuse('notFound', { path })
    if (quotaBytes !== null) {
      await tx.hold(accountBySid, { sid: row.account_sid }, 'change')
      if ((await bytesOf(tx, row.account_sid)) + row.size > quotaBytes) throw refuse('mediaQuotaExceeded')
    }
    await tx.run(insertRow('media', Object.keys(row)), { ...row })
  },

  /** Returns how many of at most `limit` uploads have expired and been removed. `now` in epoch ms. */
  async removeExpiredMedia(tx: Tx, { now, limit }: { now: number; limit: number }): Promise<number> {
    return removeExpired(tx, now, limit)
  },

  /** Deletes media that belong to no message. */
  async deleteMedia(tx: Tx, { service_sid, sid, path }: { service_sid: string; sid: string; path: string }): Promise<void> {
    const row = await tx.hold(mediaBySid, { service_sid, sid }, 'change')
    if (!row) throw refuse('notFound', { path })
    if (row.message_sid !== null) throw refuse('mediaUsed')
    await remove(tx, [row])
  },
}
