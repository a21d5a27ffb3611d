import type { Tx } from '../storage/database.ts'
import { accountBySid, serviceBySid } from '../storage/lookups.ts'
import { dueRows, updateNames } from '../storage/rows.ts'
import type { AccountRow, ServiceRow } from '../storage/schema.ts'
import type { Shape } from '../storage/shapes.ts'
import { applyStep, revised } from './change.ts'
import type { BaseRow } from './declare.ts'
import type { Registry } from './registry.ts'

/** Rows with deadlines have their account and service as columns: the sweep needs them to find the targets of events. */
interface DueRow extends BaseRow {
  readonly account_sid: string
  readonly service_sid: string
}

export interface SweepRequest {
  /** Name of the resource. */
  readonly resource: string
  readonly now: number
  /** Accounts whose time is ahead of `now`, and by how much, in ms: see `TestClock`. */
  readonly ahead?: Readonly<Record<string, number>>
  /** Rows per transaction: requests wait at most for one batch. */
  readonly limit: number
}

/**
 * Applies deadlines that have passed, with their events, in one transaction: by the same rules and steps as an update by API.
 * Returns the number of rows; from the limit on there may be more.
 */
export async function sweep(
  tx: Tx,
  registry: Registry,
  { resource: name, now, ahead = {}, limit }: SweepRequest,
): Promise<number> {
  const resource = registry.named(name)
  const { table } = resource
  const nowOf = ({ account_sid }: DueRow) => now + (ahead[account_sid] ?? 0)
  const found = await tx.claim(dueRows<DueRow>(table), { now, limit })
  for (const [account_sid, ahead_ms] of Object.entries(ahead)) {
    found.push(...(await tx.claim(dueRows<DueRow>(table, { ofAccount: true }), { account_sid, now: now + ahead_ms, limit })))
  }
  const rows = [...new Map(found.map((row) => [row.sid, row])).values()]
  const accounts = await bySid<AccountRow>(tx, accountBySid, new Set(rows.map((row) => row.account_sid)))
  const services = await bySid<ServiceRow>(tx, serviceBySid, new Set(rows.map((row) => row.service_sid)))
  // Concurrently: over a network the queries of all rows share their round trips.
  await Promise.all(
    rows.map(async (before) => {
      const account = accounts.get(before.account_sid)
      const service = services.get(before.service_sid)
      const elapsed: BaseRow | undefined = resource.elapse?.(before, nowOf(before))
      if (account && service && elapsed) {
        const change = { verb: 'update', before, after: revised(elapsed), cause: 'deadline' } as const
        const facts = { account, service, parents: [], now: nowOf(before) }
        await applyStep(tx, registry, { resource, change }, facts, { webhooks: false, source: 'API' })
      } else {
        // Its service is deleted and the row will be: never due again.
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
