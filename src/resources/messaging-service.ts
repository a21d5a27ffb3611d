import { refuse } from '../errors.ts'
import { timeOf } from '../sids.ts'
import type { Reader } from '../storage/database.ts'
import { rowsBy } from '../storage/rows.ts'
import type { AccountRow } from '../storage/schema.ts'

const makers = rowsBy('accounts', ['default_messaging_service_sid', 'date_created'])

/**
 * Throws 50342 for the messaging service that was made with another account. Messaging services are another product of the vendor:
 * any other SID is accepted, also one that several accounts have as their default, because applications name those they have there.
 */
export async function refuseForeign(read: Reader, sid: string | null | undefined, account: AccountRow): Promise<void> {
  if (!sid || sid === account.default_messaging_service_sid) return
  // It was made at the same instant as its account.
  const maker = await read.one(makers, { default_messaging_service_sid: sid, date_created: timeOf(sid) })
  if (maker && maker.sid !== account.sid) throw refuse('foreignMessagingService')
}
