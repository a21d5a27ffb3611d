import type { Tx } from '../storage/database.ts'
import { accountBySid, serviceBySid } from '../storage/lookups.ts'
import { updateNames } from '../storage/rows.ts'
import type { AccountRow, ServiceRow } from '../storage/schema.ts'
import type { Shape } from '../storage/shapes.ts'
import { applyStep, revised } from './change.ts'
import type { AnyResource, BaseRow } from './declare.ts'
import type { Registry } from './registry.ts'

/** Rows with deadlines have their account and service as columns: the sweep needs them to find the targets of events. */
export interface DueRow extends BaseRow {
  readonly account_sid: string
  readonly service_sid: string
}

/** Applies the deadline of each row, with its events: by the same rules and steps as an update by API. */
export async function sweepEach(
  tx: Tx,
  registry: Registry,
  resource: AnyResource,
  rows: readonly DueRow[],
  nowOf: (row: DueRow) => number,
): Promise<void> {
  const { accounts, services } = await ownersOf(tx, rows)
  // Concurrently: over a network the queries of all rows share their round trips.
  await Promise.all(
    rows.map(async (before) => {
      const account = accounts.get(before.account_sid)
      const service = services.get(before.service_sid)
      const now = nowOf(before)
      const elapsed: BaseRow | undefined = resource.elapse?.(before, now)
      if (account && service && elapsed) {
        const change = { verb: 'update', before, after: revised(elapsed), cause: 'deadline' } as const
        const facts = { account, service, parents: [], now }
        await applyStep(tx, registry, { resource, change }, facts, { webhooks: false, source: 'API' })
      } else {
        // Its service is deleted and the row will be: never due again.
        await tx.run(updateNames(resource.table, ['service_sid', 'sid'], ['next_due']), { ...before, next_due: null })
      }
    }),
  )
}

/** Returns the accounts and services of rows, those that there are, by their SIDs. */
export async function ownersOf(tx: Tx, rows: readonly { readonly account_sid: string; readonly service_sid: string }[]) {
  const accounts = await bySid<AccountRow>(tx, accountBySid, new Set(rows.map((row) => row.account_sid)))
  const services = await bySid<ServiceRow>(tx, serviceBySid, new Set(rows.map((row) => row.service_sid)))
  return { accounts, services }
}

async function bySid<R>(tx: Tx, query: Shape<{ sid: string }, R>, sids: ReadonlySet<string>): Promise<Map<string, R>> {
  const found = new Map<string, R>()
  for (const sid of sids) {
    const row = await tx.one(query, { sid })
    if (row) found.set(sid, row)
  }
  return found
}
