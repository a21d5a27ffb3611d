import { type ChannelAnswer, settleDispatch } from '../channels/receipts.ts'
import { enqueueDelivery } from '../events/queue.ts'
import type { Tx } from '../storage/database.ts'
import { rowsBy, updateRow } from '../storage/rows.ts'
import type { DeliveryRow } from '../storage/schema.ts'

/** What one try came to. */
export interface Attempt {
  readonly at: number
  readonly duration_ms: number
  /** HTTP status; null when there was no answer. */
  readonly status: number | null
  readonly error: string | null
}

const key = ['service_sid', 'id'] as const
const recorded = ['status', 'due', 'attempts', 'date_finished'] as const

export type DeliveryResult = Pick<DeliveryRow, (typeof key)[number] | (typeof recorded)[number]> & {
  /** Of a message handed to a channel: what came of it. */
  readonly answer?: ChannelAnswer
}

const recordedRow = updateRow('deliveries', key, recorded)
const byKey = rowsBy('deliveries', key)
/** As the operator's log names it: whichever service it is of. */
const byId = rowsBy('deliveries', ['id'])

export const deliveryCommands = {
  /** Writes down what came of some deliveries. */
  async recordDeliveries(tx: Tx, results: readonly DeliveryResult[]): Promise<void> {
    // The last word on each counts: several can wait while the database does not answer.
    const last = new Map(results.map((result) => [result.id, result]))
    await Promise.all([...last.values()].map((result) => tx.run(recordedRow, { ...result })))
    const dispatched = await Promise.all(
      results.flatMap(({ service_sid, id, answer, date_finished }) =>
        answer ? [tx.one(byKey, { service_sid, id }).then((row) => row && { row, answer, date_finished })] : [],
      ),
    )
    for (const settled of inOrder(dispatched.filter((one) => one !== undefined))) {
      await settleDispatch(tx, settled.row, settled.answer, settled.date_finished ?? settled.row.due)
    }
  },

  /** Puts an event into the queue once more, as a delivery of its own with the same idempotency token. Answers it, or null. */
  async redeliver(tx: Tx, input: { id: string; now: number }): Promise<DeliveryRow | null> {
    const row = await tx.one(byId, { id: input.id })
    if (!row) return null
    const { account_sid, service_sid, target_sid, subject_sid, event_type, method, url, form, idempotency_token } = row
    const again = { account_sid, service_sid, target_sid, subject_sid, event_type, method, url, form, idempotency_token }
    return enqueueDelivery(tx, again, input.now)
  },
}

/** By conversation: two processes that each settle several never wait for each other crosswise. */
function inOrder<T extends { readonly row: DeliveryRow }>(settled: T[]): T[] {
  return settled.sort((a, b) => (a.row.subject_sid < b.row.subject_sid ? -1 : a.row.subject_sid > b.row.subject_sid ? 1 : 0))
}
