import type { Tx } from '../storage/database.ts'
import { dueRows } from '../storage/rows.ts'
import type { Registry } from './registry.ts'
import { type DueRow, sweepEach } from './sweep-each.ts'
import { sweepMany } from './sweep-many.ts'

export interface SweepRequest {
  /** Name of the resource. */
  readonly resource: string
  readonly now: number
  /** Accounts whose time is ahead of `now`, and by how much, in ms: see `TestClock`. */
  readonly ahead?: Readonly<Record<string, number>>
  /** Rows per transaction, and fewer of those that cost more: requests wait at most for one batch. */
  readonly limit: number
}

/**
 * Applies deadlines that have passed, with their events, in one transaction. Returns the number of rows; there may be more unless it is 0.
 */
export async function sweep(
  tx: Tx,
  registry: Registry,
  { resource: name, now, ahead = {}, limit }: SweepRequest,
): Promise<number> {
  const resource = registry.named(name)
  const { table, elapseMany } = resource
  // Where a test has moved the clocks of accounts, each row has a time of its own.
  if (elapseMany && Object.keys(ahead).length === 0) return sweepMany(tx, registry, resource, elapseMany, { now, limit })
  const found = await tx.claim(dueRows<DueRow>(table), { now, limit })
  for (const [account_sid, ahead_ms] of Object.entries(ahead)) {
    found.push(...(await tx.claim(dueRows<DueRow>(table, { ofAccount: true }), { account_sid, now: now + ahead_ms, limit })))
  }
  const rows = [...new Map(found.map((row) => [row.sid, row])).values()]
  await sweepEach(tx, registry, resource, rows, ({ account_sid }) => now + (ahead[account_sid] ?? 0))
  return rows.length
}
