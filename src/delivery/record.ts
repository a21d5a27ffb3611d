import { enqueueDelivery } from '../events/queue.ts'
import type { Tx } from '../storage/database.ts'
import { rowsBy, updateRow } from '../storage/rows.ts'
import type { DeliveryRow } from '../storage/schema.ts'
import type { Settle } from './handler.ts'

/** One attempt, as the delivery log keeps it. `at` in epoch ms. */
export interface Attempt {
  readonly at: number
  readonly duration_ms: number
  /** HTTP status; null when there was no answer. */
  readonly status: number | null
  readonly error: string | null
}

const key = ['service_sid', 'id'] as const
const recorded = ['status', 'due', 'attempts', 'date_finished'] as const

export type DeliveryResult<Report = unknown> = Pick<DeliveryRow, (typeof key)[number] | (typeof recorded)[number]> & {
  /** What the handler of its kind says of the last attempt. */
  readonly report?: Report
}

const recordedRow = updateRow('deliveries', key, recorded)
const byKey = rowsBy('deliveries', key)
/** As the operator's log names it: whichever service it is of. */
const byId = rowsBy('deliveries', ['id'])

/** Commands that record deliveries. `settle`: what follows from a handler's report. */
export function deliveryCommands<Report>(settle: Settle<Report>) {
  return {
    async recordDeliveries(tx: Tx, results: readonly DeliveryResult<Report>[]): Promise<void> {
      // The last result of each counts: several can wait while the database does not answer.
      const last = new Map(results.map((result) => [result.id, result]))
      await Promise.all([...last.values()].map((result) => tx.run(recordedRow, { ...result })))
      const reported = await Promise.all(
        results.flatMap(({ service_sid, id, report, date_finished }) =>
          report === undefined ? [] : [tx.one(byKey, { service_sid, id }).then((row) => row && { row, report, date_finished })],
        ),
      )
      for (const { row, report, date_finished } of inOrder(reported.filter((one) => one !== undefined))) {
        await settle(tx, row, report, date_finished ?? row.due)
      }
    },

    /** Puts an event into the queue once more, as a delivery of its own with the same idempotency token. Returns it, or null. */
    async redeliver(tx: Tx, input: { id: string; now: number }): Promise<DeliveryRow | null> {
      const row = await tx.one(byId, { id: input.id })
      return row ? enqueueDelivery(tx, row, input.now) : null
    },
  }
}

/** By conversation: two processes that each settle several never wait for each other crosswise. */
function inOrder<T extends { readonly row: DeliveryRow }>(settled: T[]): T[] {
  return settled.sort((a, b) => (a.row.subject_sid < b.row.subject_sid ? -1 : a.row.subject_sid > b.row.subject_sid ? 1 : 0))
}
