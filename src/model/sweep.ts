import type { Tx } from '../storage/database.ts'
import { dueRows, rowsBy, updateNames } from '../storage/rows.ts'
import type { AccountRow, ServiceRow } from '../storage/schema.ts'
import type { Shape } from '../storage/shapes.ts'
import { applyStep, revised } from './change.ts'
import type { BaseRow } from './declare.ts'
import type { Registry } from './registry.ts'

/** A row with deadlines carries its account and service, so that the sweep finds whom to tell. */
interface DueRow extends BaseRow {
  readonly account_sid: string
  readonly service_sid: string
}

export interface SweepRequest {
  /** Name of the resource. */
  readonly resource: string
  readonly now: number
  /** Bounds the transaction: requests wait at most for one batch. */
  readonly limit: number
}

const accountBySid = rowsBy('accounts', ['sid'])
const serviceBySid = rowsBy('services', ['sid'])

/**
 * Applies deadlines that have passed, in one transaction with the events they cause: the same rule and the same road to the
 * webhooks as an update by API. Returns how many rows it took; when that is the limit, there may be more.
 */
export async function sweep(tx: Tx, registry: Registry, { resource: name, now, limit }: SweepRequest): Promise<number> {
  const resource = registry.named(name)
  const { table } = resource
  const rows = await tx.claim(dueRows<DueRow>(table), { now, limit })
  const accounts = await bySid<AccountRow>(tx, accountBySid, new Set(rows.map((row) => row.account_sid)))
  const services = await bySid<ServiceRow>(tx, serviceBySid, new Set(rows.map((row) => row.service_sid)))
  // Side by side: an engine that is asked over a network answers all of them at once.
  await Promise.all(
    rows.map(async (before) => {
      const account = accounts.get(before.account_sid)
      const service = services.get(before.service_sid)
      const elapsed: BaseRow | undefined = resource.elapse?.(before, now)
      if (account && service && elapsed) {
        const change = { verb: 'update', before, after: revised(elapsed), cause: 'deadline' } as const
        const facts = { account, service, parents: [], now }
        await applyStep(tx, registry, { resource, change }, facts, { webhooks: false, source: 'API' })
      } else {
        // Its service is gone and its removal under way: never due again.
        await tx.run(updateNames(table, ['service_sid', 'sid'], ['next_due']), { ...before, next_due: null })
      }
    }),
  )
  return rows.length
}

async function bySid<R>(tx: Tx, query: Shape<{ sid: string }, R>, sids: ReadonlySet<string>): Promise<Map<string, R>> {
  const found = new Map<string, R>()
  for (const sid of sids) {
    const row = await tx.one(query, { sid })
    if (row) found.set(sid, row)
  }
  return found
}
