import { enqueueDelivery } from '../events/queue.ts'
import type { Tx } from '../storage/database.ts'
import { rowsBy, updateRow } from '../storage/rows.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import type { Settle } from './handler.ts'
import { deliveryById } from './log.ts'

/** One attempt in the delivery log. `at` in epoch ms. */
export interface Attempt {
  readonly at: number
  readonly duration_ms: number
  /** HTTP status; null without a response. */
  readonly status: number | null
  readonly error: string | null
}

const key = ['service_sid', 'id'] as const
const recorded = ['status', 'due', 'attempts', 'date_finished'] as const

export type DeliveryResult<Report = unknown> = Pick<DeliveryRow, (typeof key)[number] | (typeof recorded)[number]> & {
  /** The handler's report on the last attempt. */
  readonly report?: Report
}

const recordedRow = updateRow('deliveries', key, recorded)
const byKey = rowsBy('deliveries', key)

/** Commands that record deliveries. `settle` is called with each handler's report. */
export function deliveryCommands<Report>(settle: Settle<Report>) {
  return {
    async recordDeliveries(tx: Tx, results: readonly DeliveryResult<Report>[]): Promise<void> {
      // Several results of one delivery accumulate while the database is unavailable: the last one counts.
      const last = new Map(results.map((result) => [result.id, result]))
      await Promise.all([...last.values()].map((result) => tx.run(recordedRow, { ...result })))
      const reported = await Promise.all(
        results.flatMap(({ service_sid, id, report, date_finished }) =>
          report === undefined ? [] : [tx.one(byKey, { service_sid, id }).then((row) => row && { row, report, date_finished })],
        ),
      )
      for (const { row, report, date_finished } of bySubject(reported.filter((one) => one !== undefined))) {
        await settle(tx, row, report, date_finished ?? row.due)
      }
    },

    /** Enqueues an event once more, as a new delivery with the same idempotency token. Returns it; null if there is no such id. */
    async redeliver(tx: Tx, input: { id: string; now: number }): Promise<DeliveryRow | null> {
      const row = await tx.one(deliveryById, { id: input.id })
      return row ? enqueueDelivery(tx, row, input.now) : null
    },
  }
}

/** Sorts by conversation: processes that lock several conversations in one order cannot deadlock. */
function bySubject<T extends { readonly row: DeliveryRow }>(settled: T[]): T[] {
  return settled.sort((a, b) => (a.row.subject_sid < b.row.subject_sid ? -1 : a.row.subject_sid > b.row.subject_sid ? 1 : 0))
}
