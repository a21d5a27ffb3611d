import type { Tx } from '../storage/database.ts'
import { dueRows, rowsBy, updateRow } from '../storage/rows.ts'
import type { AccountRow, ServiceRow } from '../storage/schema.ts'
import type { Shape } from '../storage/shapes.ts'
import { commit, revised } from './change.ts'
import type { AnyResource, BaseRow } from './declare.ts'

/** A row with deadlines carries its account and service, so that the sweep finds whom to tell. */
interface Due extends BaseRow {
  readonly account_sid: string
  readonly service_sid: string
}

export interface SweepRequest {
  readonly now: number
  /** Bounds the transaction: requests wait at most for one batch. */
  readonly limit: number
}

const accountBySid = rowsBy('accounts', ['sid'])
const serviceBySid = rowsBy('services', ['sid'])

/**
 * Applies deadlines that have passed, in one transaction with the events they cause: the same rule and the same road to the
 * webhooks as an update by API. Answers how many rows it took; when that is the limit, there may be more.
 */
export async function sweep(tx: Tx, resource: AnyResource, { now, limit }: SweepRequest): Promise<number> {
  const table = resource.table
  const rows = await tx.claim(dueRows<Due>(table), { now, limit })
  const accounts = await bySid<AccountRow>(tx, accountBySid, new Set(rows.map((row) => row.account_sid)))
  const services = await bySid<ServiceRow>(tx, serviceBySid, new Set(rows.map((row) => row.service_sid)))
  // Side by side: an engine that is asked over a network answers all of them at once.
  await Promise.all(
    rows.map(async (was) => {
      const account = accounts.get(was.account_sid)
      const service = services.get(was.service_sid)
      const is = resource.elapse?.(was, now)
      if (account && service && is) {
        const change = { verb: 'update', was, is: revised(is), cause: 'deadline' } as const
        await commit(tx, { resource, change }, { account, service, parents: [], now }, { webhooks: false, source: 'API' })
      } else {
        // Its service is gone and its removal under way: never due again.
        const key = ['service_sid', 'sid']
        await tx.run(updateRow(table, key, ['next_due']), { ...was, next_due: null })
      }
    }),
  )
  return rows.length
}

async function bySid<R>(tx: Tx, query: Shape<Record<string, unknown>, R>, sids: ReadonlySet<string>): Promise<Map<string, R>> {
  const found = new Map<string, R>()
  for (const sid of sids) {
    const row = await tx.one(query, { sid })
    if (row) found.set(sid, row)
  }
  return found
}
