import type { Tx } from '../storage/database.ts'
import { serviceOfAccount } from '../storage/lookups.ts'
import { deleteRow, insert, someSids } from '../storage/rows.ts'
import type { AccountRow } from '../storage/schema.ts'

const deleteService = deleteRow('services', ['sid'])
const below = (['conversations', 'users', 'bindings'] as const).map((table) => someSids(table, 'service_sid'))

/**
 * Deletes the default service that an account was created with, when an imported one takes its place and nobody has used or changed
 * it. `account`: as it was before.
 */
export async function removePlaceholder(tx: Tx, account: AccountRow, default_service_sid: string, now: number): Promise<void> {
  const { default_service_sid: sid, sid: account_sid, date_created } = account
  if (sid === default_service_sid) return
  const service = await tx.hold(serviceOfAccount, { sid, account_sid }, 'change')
  if (service?.revision !== 1 || service.date_created !== date_created) return
  for (const query of below) if ((await tx.all(query, { service_sid: sid, max: 1 })).length > 0) return
  await tx.run(deleteService, { sid })
  await insert(tx, 'removals', { sid, date_created: now, service_sid: null })
  tx.notify({ topic: 'changed', table: 'services', sid, revision: 0 })
  tx.notify({ topic: 'access', sid })
  tx.notify({ topic: 'removal' })
}
