import { type ChannelAnswer, settleDispatch } from '../channel/receipts.ts'
import { orderedSid } from '../sids.ts'
import type { Tx } from '../storage/database.ts'
import { insertRow, rowsBy, updateRow } from '../storage/rows.ts'
import type { DeliveryRow } from '../storage/schema.ts'

/** What one try came to. */
export interface Attempt {
  readonly at: number
  readonly duration_ms: number
  /** HTTP status; null when there was no answer. */
  readonly status: number | null
  readonly error: string | null
}

export type DeliveryResult = Pick<DeliveryRow, 'id' | 'status' | 'due' | 'attempts' | 'date_finished'> & {
  /** Of a message handed to a channel: what came of it. */
  readonly answer?: ChannelAnswer
}

const recorded = ['status', 'due', 'attempts', 'date_finished'] as const
const byId = rowsBy('deliveries', ['id'])

export const deliveryCommands = {
  /** Writes down what came of some deliveries. */
  async recordDeliveries(tx: Tx, results: readonly DeliveryResult[]): Promise<void> {
    for (const result of results) {
      await tx.run(updateRow('deliveries', ['id'], recorded), { ...result })
      const row = result.answer && (await tx.one(byId, { id: result.id }))
      if (row && result.answer) await settleDispatch(tx, row, result.answer, result.date_finished ?? row.due)
    }
  },

  /** Puts an event into the queue once more, as a delivery of its own with the same idempotency token. Answers it, or null. */
  async redeliver(tx: Tx, input: { id: string; now: number }): Promise<DeliveryRow | null> {
    const row = await tx.one(byId, { id: input.id })
    if (!row) return null
    const id = orderedSid('WD', input.now)
    const again: DeliveryRow = {
      ...row,
      id,
      status: 'pending',
      due: input.now,
      attempts: '[]',
      date_created: input.now,
      date_finished: null,
    }
    await tx.run(insertRow('deliveries', Object.keys(again)), { ...again })
    tx.notify({ topic: 'deliveries', target_sid: row.target_sid })
    return again
  },
}
